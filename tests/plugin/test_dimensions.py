"""Dimensions of the command line: they are for the models that have them, and a name that none has is told once."""

from __future__ import annotations

import re

import pytest

from plugin.project import Project

QUICK = (
    "--ortperf-iterations=3",
    "--ortperf-warmup=1",
    "--ortperf-env=off",
    "--ortperf-operators=off",
    "--ortperf-track-memory=off",
)


def other_model(project: Project) -> dict[str, str]:
    """Write a model whose dimension is called `rows`; return its entry."""
    data = (project.path / "m.onnx").read_bytes().replace(b"\x05batch", b"\x05rows_")
    project.write("other.onnx", data)
    return {"name": "other", "path": "other.onnx"}


def test_a_sweep_makes_cases_with_their_sizes_in_id_record_and_inputs(project: Project) -> None:
    project.models("a")
    result = project.run("--ortperf-dim=batch=1,4", *QUICK, mode="benchmark")
    assert result.outcomes == {"a::benchmark[cpu-batch=1]": "passed", "a::benchmark[cpu-batch=4]": "passed"}
    assert [record["dims"] for record in result.records] == [{"batch": 1}, {"batch": 4}]
    assert [record["inputs"][0]["shape"] for record in result.records] == [[1, 3], [4, 3]]
    assert [record["latencies"][0]["batch"] for record in result.records] == [1, 4]


@pytest.mark.parametrize("mode", ["validate", "both"])
def test_models_without_the_dimension_are_skipped(project: Project, mode: str) -> None:
    project.models("a", other_model(project))
    result = project.run("--ortperf-dim=batch=2", "-rs", *QUICK, mode=mode)
    assert result.exit_code == 0
    assert "\nSKIPPED [1] models.json:1: has no dimension 'batch'; its inputs have 'rows_'\n" in result.out
    skipped = [record for record in result.records if record["outcome"] == "skipped"]
    assert {record["model"] for record in skipped} == {"other"}
    assert skipped[0]["reason"] == "has no dimension 'batch'; its inputs have 'rows_'"


@pytest.mark.parametrize("workers", [(), pytest.param(("-n2",), marks=pytest.mark.slow)], ids=["one process", "xdist"])
def test_a_dimension_that_no_model_has_fails_the_run_once(project: Project, workers: tuple[str, ...]) -> None:
    project.models("a", "b")
    result = project.run("--ortperf-dim=bach=2,3", "--ortperf-dim=batch=1", "--junit-xml=j.xml", *workers)
    assert result.exit_code == 1
    assert result.counts == {"failed": 1, "skipped": 4}
    text = "--ortperf-dim: no model that was run has a dimension 'bach'; the skipped cases say what they have"
    assert [failure.get("message") for failure in project.junit().iter("failure")] == [text]
    assert result.out.count(text) == 1
    assert re.findall(r"\[ *(\d+)%\]", result.out)[-1] == "100"
    assert result.end is not None
    assert result.end["exit_status"] == 1


def test_a_dimension_that_no_model_has_is_nothing_that_last_failed_looks_for(project: Project) -> None:
    project.models("a")
    first = project.run("--ortperf-dim=bach=2", "-p", "cacheprovider")
    assert first.exit_code == 1
    assert not (project.path / ".pytest_cache/v/cache/lastfailed").exists()


def test_a_dimension_of_the_models_own_entry_is_its_error(project: Project) -> None:
    project.models({"name": "a", "dims": {"bach": 2}})
    (record,) = project.run().records
    assert (record["failure"]["kind"], record["failure"]["stage"]) == ("input error", "inputs")


def test_static_dimensions_are_those_of_the_inputs(project: Project) -> None:
    project.models({"name": "a", "dims": {"batch": 5}, "fix_dims": True})
    (record,) = project.run().records
    assert (record["outcome"], record["inputs"][0]["shape"]) == ("passed", [5, 3])
