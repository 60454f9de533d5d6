# ruff: noqa: E501 - messages in full
"""`expect` in a model list, from end to end."""

from __future__ import annotations

import csv
import re

from plugin.project import Project, junit_values

QUICK = (
    "--ortperf-iterations=20",
    "--ortperf-warmup=3",
    "--ortperf-ep=cpu",
    "--ortperf-env=off",
    "--ortperf-operators=off",
    "--ortperf-track-memory=off",
)


def test_a_broken_limit_fails_the_item_and_keeps_its_measurement(project: Project) -> None:
    project.models({"name": "a", "expect": {"p50_ms": 1e-6}}, {"name": "b", "expect": {"p50_ms": 1e6}})
    result = project.run(*QUICK, "--junit-xml=j.xml", mode="benchmark")
    assert result.outcomes == {"a::benchmark[cpu]": "failed", "b::benchmark[cpu]": "passed"}
    record = result.by_model["a"]
    failure = record["failure"]
    assert (failure["kind"], failure["stage"]) == ("limit", "limits")
    assert failure["message"].startswith("limits not kept: p50_ms ")
    (limit,) = record["limits"]
    assert (limit["name"], limit["limit"], limit["is_kept"]) == ("p50_ms", 1e-06, False)
    assert limit["value"] > 0
    assert [limit["is_kept"] for limit in result.by_model["b"]["limits"]] == [True]
    assert len(record["latencies"][0]["samples_ns"]) == 20
    (success,) = (project.path / "result").glob("benchmark_success_*.csv")
    assert {"a", "b"} <= set(success.read_text().replace(",", " ").split())
    (failed,) = [case for case in project.junit().iter("testcase") if case.find("failure") is not None]
    assert failed.attrib["name"] == "models.json::a::benchmark[cpu]"
    properties = junit_values(failed)
    assert properties["ortperf.error_type"] == "limit"
    assert float(properties["ortperf.median_ms"]) > 0


def test_a_limit_that_cannot_be_measured_fails_the_item(project: Project) -> None:
    project.models({"name": "a", "expect": [{"p99_ms": 1e6}, {"p50_ms": 1e-6, "provider": "cuda"}]})
    result = project.run(*QUICK, mode="benchmark")
    assert result.by_model["a"]["failure"]["message"] == (
        "limits not kept: p99_ms unknown\n"
        "  p99_ms, 99th percentile of latency: cannot be held against its limit of 1e+06 ms: 662 iterations are needed to "
        "state it, there are 20; measure longer, or more iterations"
    )


def test_a_broken_limit_can_be_expected(project: Project) -> None:
    project.models({"name": "a", "expect": {"p50_ms": 1e-6}, "xfail": "slow for now"})
    result = project.run(*QUICK, mode="benchmark")
    assert result.outcomes == {"a::benchmark[cpu]": "xfailed"}
    assert result.exit_code == 0


def test_a_validation_is_held_to_its_placement_alone(project: Project) -> None:
    project.models({"name": "a", "expect": {"p50_ms": 1e-6, "nodes_on_ep_percent": 100}})
    result = project.run("--ortperf-ep=cpu")
    assert result.outcomes == {"a::validate[cpu]": "passed"}
    limits = result.by_model["a"]["limits"]
    assert [(each["name"], each["value"], each["is_kept"]) for each in limits] == [("nodes_on_ep_percent", 100.0, True)]


def test_an_unknown_limit_is_an_issue_of_the_list(project: Project) -> None:
    project.models({"name": "a", "expect": {"p50": 1}})
    result = project.collection()
    assert "models[0] 'a': expect: unknown key 'p50'; known keys are p50_ms, " in result.out


UNEVEN = """
import time
import onnxruntime

run = onnxruntime.InferenceSession.run
calls = []

def uneven_run(*args):
    calls.append(args)
    time.sleep(0.001 if len(calls) % 8 < 4 else 0.05)
    return run(*args)

def pytest_ortperf_configure_session(case, session_options):
    onnxruntime.InferenceSession.run = uneven_run
"""
"""Of eight iterations four take 1 ms, and four 50 ms: the interval of their median reaches from one to the other."""


def test_a_limit_inside_the_interval_passes_with_a_note_unless_it_is_strict(project: Project) -> None:
    project.write("conftest.py", UNEVEN)
    limits = {"loose": {"p50_ms": 20}, "strict": {"p50_ms": 20, "strict": True}}
    project.models(*({"name": name, "expect": expect} for name, expect in limits.items()))
    result = project.run(*QUICK, "--junit-xml=j.xml", mode="benchmark")
    assert result.outcomes == {"loose::benchmark[cpu]": "passed", "strict::benchmark[cpu]": "failed"}
    (limit,) = result.by_model["loose"]["limits"]
    assert (limit["is_kept"], limit["is_unsure"]) == (True, True)
    assert limit["low"] < 20 < limit["high"]
    out = " ".join(result.out.split())
    assert "passed, but unsure: loose::benchmark[cpu]: p50_ms, median latency: " in out
    assert " ms, and its limit of 20 ms lies inside the 95 % interval, " in out
    assert "passed, but unsure: strict" not in out
    assert "i wide: the 95 % interval is wider than --ortperf-precision-target; more iterations narrow it " in out
    message = result.by_model["strict"]["failure"]["message"]
    assert re.fullmatch(r"limits not kept: p50_ms [\d.]+ unsure at 20", message.splitlines()[0])
    assert "measure longer: --ortperf-iterations=" in message
    states = [junit_values(case)["ortperf.limits"] for case in project.junit().iter("testcase")]
    assert states == ["unsure", "broken"]
    (success,) = (project.path / "result").glob("benchmark_success_*.csv")
    with success.open(newline="") as file:
        assert {row["model"]: row["limits"] for row in csv.DictReader(file)} == {"loose": "unsure", "strict": "broken"}
