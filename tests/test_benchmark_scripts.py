"""The benchmark scripts: their help, and what they compute from times and verdicts. They are not run here."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
ORT = "onnxruntime.capi.onnxruntime_pybind11_state"
NO_SESSION = "no session on CPUExecutionProvider"
SCRIPTS = (
    "conformance",
    "fault_injection",
    "item_overhead",
    "collection",
    "timing_overhead",
    "report_page",
    "interval_coverage",
    "time_to_precision",
    "change_points",
)


@pytest.fixture(scope="module", autouse=True)
def scripts_importable() -> Iterator[None]:
    """Let the scripts' modules be imported as they import each other."""
    sys.path.insert(0, str(BENCHMARKS))
    yield
    sys.path.remove(str(BENCHMARKS))


@pytest.fixture
def measuring() -> ModuleType:
    import measuring

    return measuring


@pytest.fixture
def verdicts() -> ModuleType:
    import conformance_verdicts

    return conformance_verdicts


@pytest.fixture
def overhead() -> ModuleType:
    import item_overhead

    return item_overhead


@pytest.mark.parametrize("script", SCRIPTS)
def test_help_names_the_common_options(script: str) -> None:
    ended = subprocess.run(
        [sys.executable, BENCHMARKS / f"{script}.py", "--help"], capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "--repeat" in ended.stdout
    assert "--output" in ended.stdout


def test_rounds_alternate_in_direction(measuring: ModuleType) -> None:
    called = []
    sides = {name: (lambda name=name: called.append(name) or len(called)) for name in "ab"}
    assert measuring.in_turns(sides, 3) == {"a": [1, 4, 5], "b": [2, 3, 6]}
    assert called == ["a", "b", "b", "a", "a", "b"]


def test_ratio_is_the_median_of_the_rounds(measuring: ModuleType) -> None:
    # the second round was slow for both
    assert measuring.ratio([2.0, 20.0, 2.2], [1.0, 10.0, 1.0]) == 2.0


def test_spread_and_percentile(measuring: ModuleType) -> None:
    assert measuring.spread([1.26]) == "-"
    assert measuring.spread([3.0, 1.26], 2) == "1.26 to 3.00"
    assert measuring.percentile(range(100), 90) == 90
    assert measuring.percentile([5.0], 90) == 5.0


def test_table_is_markdown_with_aligned_columns(measuring: ModuleType) -> None:
    assert measuring.table(["", "s"], [["one", "1.0"], ["b", "12.0"]]) == (
        "|     |    s |\n| --- | ---: |\n| one |  1.0 |\n| b   | 12.0 |"
    )


def test_command_is_timed_with_status_output_and_peak(measuring: ModuleType, tmp_path: Path) -> None:
    code = "import os, sys; print(os.environ['WORD'], end='', flush=True); sys.exit('bad')"
    ended = measuring.run_command([sys.executable, "-c", code], folder=tmp_path, environment={"WORD": "heard "})
    assert (ended.status, ended.output) == (1, "heard bad\n")
    assert ended.seconds > 0
    assert 1 < ended.peak_mib < 1000


def test_missed_target_says_so(measuring: ModuleType) -> None:
    assert measuring.Target("fast", "3 ms", kept=True).line() == "- kept: fast: 3 ms"
    assert measuring.Target("fast", "3 s", kept=False).line() == "- MISSED: fast: 3 s"


@pytest.mark.parametrize(
    ("reason", "rule"),
    [
        ("RuntimeError: Numpy_type 256 can't be converted to MLDataType.", "input of a type that numpy lacks"),
        ("RuntimeError: No corresponding Numpy type for Tensor Type. Int4x2", "output of a type that numpy lacks"),
        (
            "AssertionError: \n ACTUAL: dtype('uint8')\n DESIRED: dtype(float8_e4m3fn)",
            "float8e4m3fn as uint8",
        ),
        ("AssertionError: \nNot equal to tolerance rtol=0.001", None),
    ],
)
def test_difference_is_explained_by_the_official_reason(verdicts: ModuleType, reason: str, rule: str | None) -> None:
    sides = {"a": verdicts.Verdict("failed", reason)}, {"a": verdicts.Verdict("passed", "")}
    (difference,) = verdicts.compare(*sides)
    assert (difference.rule.name if difference.rule else None) == rule
    assert verdicts.unexplained([difference]) == ([] if rule else [difference])


def test_failure_only_of_the_plugin_is_never_explained(verdicts: ModuleType) -> None:
    ours = verdicts.Verdict("failed", "Numpy_type 256 can't be converted to MLDataType.", "runtime error")
    (difference,) = verdicts.compare({"a": verdicts.Verdict("passed", "")}, {"a": ours})
    assert difference.rule is None


def test_case_of_one_side_only_differs(verdicts: ModuleType) -> None:
    (difference,) = verdicts.compare({"a": verdicts.Verdict("passed", "")}, {})
    assert (difference.case, difference.ours.outcome, difference.rule) == ("a", "absent", None)


@pytest.mark.parametrize(
    ("official", "ours", "kind", "alike"),
    [
        (f"{ORT}.Fail: [ONNXRuntimeError] : 1 : x", f"{NO_SESSION}: Fail: x", "session error", True),
        (f"{ORT}.Fail: [ONNXRuntimeError] : 1 : x", "the run failed: Fail: x", "runtime error", True),
        (f"{ORT}.Fail: [ONNXRuntimeError] : 1 : x", f"{NO_SESSION}: NotImplemented: x", "session error", False),
        ("AssertionError: not close", "outputs differ", "result accuracy issue", True),
        ("AssertionError: not close", "no such file", "input error", False),
    ],
)
def test_failures_agree_in_their_cause(
    verdicts: ModuleType, official: str, ours: str, kind: str, *, alike: bool
) -> None:
    pair = verdicts.Verdict("failed", official), verdicts.Verdict("failed", ours, kind)
    assert verdicts.same(*pair) is alike


def test_item_time_starts_where_the_one_before_ended(overhead: ModuleType) -> None:
    def ms(**times: int) -> dict[str, int]:
        return {name: value * 1_000_000 for name, value in times.items()}

    times = {"a": ms(begun=0, setup=5, made=9, ended=10), "b": ms(begun=12, setup=14, made=20, ended=21)}
    first, second = overhead.item_times(times, {"a": 1_000_000, "b": 2_000_000})
    assert first == overhead.ItemTime(wall=10, stages=1, start=5, inside=3, end=1)
    assert second == overhead.ItemTime(wall=11, stages=2, start=4, inside=4, end=1)
    assert second.overhead == 9


def test_timing_is_compared_within_rounds() -> None:
    import timing_overhead

    times = {name: [5.0, 9.0, 7.0] for name in timing_overhead.HOW}
    times[timing_overhead.OURS] = [5.1, 9.3, 7.1]
    assert timing_overhead.over_bare(times[timing_overhead.OURS], times[timing_overhead.BARE]) == pytest.approx(0.1)
    shown = timing_overhead.times_table(times).splitlines()[3]
    assert (
        shown
        == "| pytest-ortperf: `sample`: two readings a call      |   7.10 |    5.10 to 9.30 |              +0.10 |"
    )


def test_sub_run_ends_as_the_product_does() -> None:
    import interval_coverage

    quiet = interval_coverage.sub_run([5_000_000, 5_010_000] * 1000, 5_005_000)
    assert (quiet.seconds, quiet.stable, quiet.covers, quiet.raw_covers) == (2.002, True, True, True)
    wrong = interval_coverage.sub_run([5_000_000] * 2000, 6_000_000)
    assert (wrong.covers, wrong.raw_covers, wrong.half_width) == (False, False, 0.0)


def test_drift_is_between_neighbouring_windows() -> None:
    import interval_coverage
    from interval_traces import Trace

    seconds = [1.0, 1.1, 1.21, 1.331]
    trace = Trace("steps", tuple(int(level * 5e6) for level in seconds for _ in range(400)))
    middle, most = interval_coverage.drift(trace)
    assert (middle, most) == (pytest.approx(0.1, abs=0.03), pytest.approx(0.1, abs=0.03))


def test_noise_has_the_correlation_asked_for() -> None:
    import interval_traces
    import numpy as np

    values = np.log(interval_traces.noise(0.6, 1e6, 0.1, np.random.default_rng(0)))
    centred = values - values.mean()
    assert (centred[1:] * centred[:-1]).sum() / (centred**2).sum() == pytest.approx(0.6, abs=0.02)


def test_recorded_traces_are_long_enough() -> None:
    import interval_traces

    traces = {trace.name: sum(trace.samples_ns) / 1e9 for trace in interval_traces.load_traces()}
    assert list(traces) == [
        "light_squeezenet, idle",
        "light_squeezenet, one core loaded",
        "tiny_bert, idle",
        "tiny_bert, one core loaded",
    ]
    assert min(traces.values()) >= 10


def test_fixed_number_is_computed_where_it_was_not_run() -> None:
    import time_to_precision

    sides = {
        "ours": {"seconds": 3.25, "count": 120, "half_width": 0.0071, "reason": "target"},
        "mean": {"seconds": 0.02},
        "benchmark": {"seconds": 1.5, "half_width": None},
    }
    assert time_to_precision.row("net", sides, 1200) == ["net", "3.2", "120", "0.71%", "target", "24.0", "1.5", "-"]
    assert time_to_precision.row("net", {**sides, "fixed": {"seconds": 25.0}}, 1200)[5] == "25.0"
    assert time_to_precision.total({"a": sides, "b": sides}, 1200) == ["all", "6.5", "", "", "", "48.0", "3.0", ""]
