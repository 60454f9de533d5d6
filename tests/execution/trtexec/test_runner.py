"""Cases run by the program that stands in for trtexec, in this process: how each end of a run is told."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from execution.ort_models import NoHooks, add_relu, case
from pytest_ortperf.errors import CaseError
from pytest_ortperf.execution.case_settings import ExecutionSettings
from pytest_ortperf.execution.execute import execute
from pytest_ortperf.execution.record_builder import Journal, RecordBuilder
from pytest_ortperf.execution.trtexec.log import parse_log
from pytest_ortperf.execution.trtexec.tool import ask_tool
from standin import install_standin

RECORDED = Path(__file__).parents[2] / "data" / "trtexec"
RECORDED_FAILURES = sorted(path.name for path in RECORDED.glob("*FAILED*.txt"))
OLD_FAILURES = [name for name in RECORDED_FAILURES if name.startswith("v7x")]
FAILURES = [*(name for name in RECORDED_FAILURES if name not in OLD_FAILURES), "abort_cuda_driver_insufficient.txt"]
QUICK_FAILURES = {
    "abort_cuda_driver_insufficient.txt",
    "v8601_FAILED_plugin_lib_load.txt",
    "v101600_FAILED_plugin_not_found.txt",
}
"""An abort, a defect of the installation, and one of the rest: what the causes of all are is test_log's."""

Run = Callable[..., RecordBuilder]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """Give a function that benchmarks a small model with a way to fail, and returns what became known."""
    path = tmp_path / "m.onnx"
    path.write_bytes(add_relu())
    journal = Journal()

    def benchmark(fail: str = "", version: str = "10.16.1", **settings: Any) -> RecordBuilder:
        tool = ask_tool(install_standin(tmp_path / version, version))
        monkeypatch.setenv("STANDIN_FAIL", fail)
        monkeypatch.setenv("STANDIN_TRACE", str(tmp_path / "trace.jsonl"))
        chosen = {"environment": "off", "timing": ("bound",), "min_time_s": 0.1, "trtexec_tool": tool, **settings}
        facts = RecordBuilder(journal=journal)
        asked = case(path, "trtexec", dims={"batch": (2,)})
        benchmarked = type(asked)(
            model=asked.model, mode="benchmark", provider=asked.provider, precision=None, dims=(("batch", 2),)
        )
        try:
            execute(benchmarked, ExecutionSettings(trt_cache="off", **chosen), facts, NoHooks())
        except CaseError as error:
            error.args = (*error.args, facts)
            raise
        return facts

    yield benchmark
    journal.close()


def told(tmp_path: Path) -> list[dict[str, str]]:
    lines = (tmp_path / "trace.jsonl").read_text("utf-8").splitlines()
    return [json.loads(line)["options"] for line in lines]


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in QUICK_FAILURES else pytest.mark.slow) for name in FAILURES]
)
def test_every_recorded_failure_gives_its_cause(run: Run, name: str) -> None:
    with pytest.raises(CaseError) as caught:
        run(name)
    cause = parse_log((RECORDED / name).read_text("utf-8")).cause
    assert cause is not None
    message = caught.value.args[0]
    assert message.startswith("trtexec failed ")
    assert message.endswith(f": {cause}")
    assert caught.value.signal == (6 if name.startswith("abort") else None)
    of_installation = {"abort_cuda_driver_insufficient.txt", "v8601_FAILED_plugin_lib_load.txt"}
    if name in of_installation:
        assert caught.value.kind == "provider unavailable"
    else:
        assert caught.value.kind in {"session error", "runtime error"}


@pytest.mark.parametrize("name", OLD_FAILURES)
def test_log_of_an_old_version_is_refused_whatever_it_says(run: Run, name: str) -> None:
    with pytest.raises(CaseError) as caught:
        run(name)
    assert (caught.value.kind, caught.value.stage) == ("provider unavailable", "session")
    assert caught.value.args[0] == (
        "trtexec failed building the engine: this trtexec log is from TensorRT 7 or older (its banner names no "
        "version), which is not supported. Logs of TensorRT 8.0 and newer are read; trtexec of TensorRT 8.6, 10.x and "
        "11.x is supported for running. Install one of these versions and run trtexec again."
    )


BUILDING = "trtexec failed building the engine: it printed PASSED, then ended with"
MEASURING = "trtexec failed measuring bound: it ended with"
PASSED_RUN = "trtexec failed measuring bound: it printed PASSED, then ended with"
KILLED = "trtexec failed building the engine: it ended with"
STARTING = "[07/07/2026-02:10:45] [I] Starting inference"
NO_NUMBERS = "trtexec printed PASSED and no gpu_compute time: its log holds no measurement"
BAD_ENDS: dict[str, tuple[str, str, int | None, int | None, str]] = {
    "no-summary": ("runtime error", "timing", None, None, NO_NUMBERS),
    "segfault-after-passed": (
        "crash",
        "session",
        11,
        None,
        f"{BUILDING} signal 11 (SIGSEGV); its numbers do not count",
    ),
    "status-3-after-passed": (
        "session error",
        "session",
        None,
        3,
        f"{BUILDING} exit status 3; its numbers do not count",
    ),
    "killed-run": (
        "crash",
        "timing",
        9,
        None,
        f"{MEASURING} signal 9 (SIGKILL), and printed neither PASSED nor FAILED: {STARTING}",
    ),
    "v100001_PASSED_then_segfault.txt": (
        "crash",
        "timing",
        11,
        None,
        f"{PASSED_RUN} signal 11 (SIGSEGV); its numbers do not count",
    ),
    "killed_no_banner_trtllm.txt": (
        "crash",
        "session",
        9,
        None,
        f"{KILLED} signal 9 (SIGKILL), and printed neither PASSED nor FAILED: Killed",
    ),
}
"""Way to fail -> kind, stage, signal, exit status and message."""


@pytest.mark.parametrize("fail", BAD_ENDS)
def test_passed_is_believed_only_with_its_end_and_its_numbers(run: Run, fail: str) -> None:
    with pytest.raises(CaseError) as caught:
        run(fail)
    error = caught.value
    assert (error.kind, error.stage, error.signal, error.exit_code, error.args[0]) == BAD_ENDS[fail]
    assert error.args[1].latencies == ()


@pytest.mark.parametrize(
    ("fail", "doing"), [("silent-build", "building the engine"), ("silent-run", "measuring bound")]
)
def test_failed_without_an_error_line_is_a_failure_too(run: Run, fail: str, doing: str) -> None:
    with pytest.raises(CaseError, match=f"trtexec failed {doing}: it printed FAILED: "):
        run(fail)


def test_an_error_that_did_not_fail_the_build_is_no_failure(run: Run) -> None:
    assert [latency.timing for latency in run("oom-but-built").latencies] == ["bound"]


@pytest.mark.parametrize(
    ("fail", "why"),
    [
        ("no-times", "it wrote no file of times"),
        ("cut-times", "trtexec's file of times cannot be used: it is not whole JSON"),
    ],
)
def test_without_a_whole_file_of_times_the_printed_summary_counts(run: Run, fail: str, why: str) -> None:
    facts = run(fail)
    (latency,) = facts.latencies
    assert latency.samples_ns == ()
    assert latency.summary is not None
    assert latency.summary.p50_ns == pytest.approx(500_000, rel=0.01)
    assert (latency.summary.p50_low_ns, latency.status) == (None, None)
    assert facts.program is not None
    assert facts.program.numbers_from["bound"].startswith(f"printed summary: {why}")
    assert f"printed summary: {why}" in facts.timing_notes["bound"]


def test_version_without_skip_inference_is_built_and_measured_too(run: Run, tmp_path: Path) -> None:
    (latency,) = run(version="8.2.1", iterations=64).latencies
    assert ("buildOnly" in told(tmp_path)[0], "percentile" in told(tmp_path)[1]) == (True, False)
    # its file of times holds the warm-up, which is left out
    assert len(latency.samples_ns) == 64
    assert max(latency.samples_ns) < 600_000


@pytest.mark.parametrize("version", ["8.6.1", "11.0.0"])
def test_samples_are_those_of_the_measured_queries(run: Run, version: str) -> None:
    (latency,) = run(version=version, iterations=64).latencies
    assert len(latency.samples_ns) == 64
    assert max(latency.samples_ns) < 600_000


def test_a_graph_that_was_not_captured_is_no_graph_time(run: Run) -> None:
    facts = run("graph-ignored", timing=("graph", "bound", "host"))
    assert [latency.timing for latency in facts.latencies] == ["bound"]
    assert set(facts.refused_timings) == {"graph", "host"}
    assert facts.refused_timings["graph"].startswith(
        "The CUDA graph capture on the stream has failed. The specified --useCudaGraph flag has been ignored."
    )


def test_a_run_that_measured_something_else_than_asked_does_not_count(run: Run) -> None:
    with pytest.raises(CaseError) as caught:
        run("transfers-anyway", version="11.0.0")
    assert (caught.value.kind, caught.value.stage) == ("runtime error", "timing")
    assert caught.value.args[0] == "trtexec says of its options: data transfers: Enabled; bound is with it disabled"


@pytest.mark.parametrize(("version", "kept_apart"), [("8.6.1", True), ("10.16.1", True), ("11.0.0", False)])
def test_a_profiler_is_kept_out_of_the_measured_run(
    run: Run,
    tmp_path: Path,
    version: str,
    kept_apart: bool,  # noqa: FBT001
) -> None:
    run(version=version, ep_options={"trtexec": {"exportProfile": "profile.json"}})
    build, start = told(tmp_path)
    assert ("exportProfile" in build, "exportProfile" in start) == (False, True)
    assert ("separateProfileRun" in start) is kept_apart


def test_a_case_that_is_to_be_measured_in_host_alone_fails(run: Run) -> None:
    with pytest.raises(CaseError) as caught:
        run(timing=("host",))
    assert (caught.value.kind, caught.value.stage) == ("timing unavailable", "timing")


@pytest.mark.slow
def test_a_second_longer_run_where_the_first_was_not_precise(run: Run, tmp_path: Path) -> None:
    (latency,) = run("noise", precision_target=0.01, max_time_s=30.0).latencies
    assert (latency.status, latency.stop_reason) == ("stable", "target")
    durations = [int(options["duration"]) for options in told(tmp_path) if "duration" in options]
    assert len(durations) == 2
    assert durations[1] > durations[0] == 1


def test_no_second_run_where_there_is_no_more_time(run: Run, tmp_path: Path) -> None:
    (latency,) = run("noise", precision_target=0.01, max_time_s=1.0).latencies
    assert (latency.status, latency.stop_reason) == ("unstable", "max time")
    assert len([options for options in told(tmp_path) if "duration" in options]) == 1


def test_iterations_that_are_asked_for_are_all_there_is(run: Run, tmp_path: Path) -> None:
    (latency,) = run(iterations=25).latencies
    assert latency.summary is not None
    assert (latency.summary.count, latency.status, latency.stop_reason) == (25, "fixed", "iterations")
    options = told(tmp_path)[1]
    assert (options["iterations"], options["duration"]) == ("25", "0")


def test_flags_of_the_user_are_held_against_the_help(run: Run, tmp_path: Path) -> None:
    with pytest.raises(CaseError) as caught:
        run(version="11.0.0", ep_options={"trtexec": {"best": "true"}})
    program = tmp_path / "11.0.0" / "trtexec"
    assert caught.value.args[0] == f"trtexec 11.0.0 ({program}) does not list --best in its --help"
    with pytest.raises(CaseError) as caught:
        run(ep_options={"trtexec": {"shapes": "x:9x3"}})
    assert caught.value.args[0] == "trtexec option 'shapes' cannot be given: the case settles it"


def test_flags_of_the_user_go_where_they_belong_and_the_device_goes_to_both(run: Run, tmp_path: Path) -> None:
    chosen = {"noTF32": "true", "builderOptimizationLevel": "5", "infStreams": "1", "verbose": "true"}
    facts = run(ep_options={"trtexec": chosen}, devices={"trtexec": "3"})
    build, start = told(tmp_path)
    assert {name: build[name] for name in build if name in chosen} == {"noTF32": "", "builderOptimizationLevel": "5"}
    assert {name: start[name] for name in start if name in chosen} == {"infStreams": "1", "verbose": ""}
    assert (build["device"], start["device"]) == ("3", "3")
    assert facts.model_fact is not None
    assert facts.model_fact.compute_precision is None


@pytest.mark.slow
def test_memory_that_nobody_can_read_is_absent_with_its_reason(run: Run) -> None:
    resources = run().resources
    assert resources is not None
    assert (resources.device_memory, resources.energy) == (None, None)
    assert set(resources.absent) >= {"host_memory", "energy", "clocks"}
    assert run(track_memory=False).resources is None
