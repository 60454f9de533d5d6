"""Measured runs of an engine: the samples that trtexec exports, or what it prints where it exports none.

The times that trtexec exports: one record a query, from which come samples like those of every other case.
"""

from __future__ import annotations

import json
import math
import shlex
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_ortperf.errors import CaseError
from pytest_ortperf.execution.case_settings import ExecutionSettings, Tool
from pytest_ortperf.execution.timing.sampling import MIN_SLOW_RUNS, Goal, StopRule, block_runs
from pytest_ortperf.execution.timing.warm_up import MIN_S
from pytest_ortperf.execution.trtexec.flags import run_command, timing_flags
from pytest_ortperf.execution.trtexec.log import unsupported
from pytest_ortperf.execution.trtexec.printed import PrintedRow, TrtexecLog
from pytest_ortperf.execution.trtexec.program_run import Started, require_success
from pytest_ortperf.records.intervals import FEWEST, fitting_length
from pytest_ortperf.records.latency import FIXED, STABLE, UNSTABLE, Latency, Summary
from pytest_ortperf.records.program import FROM_SAMPLES, FROM_SUMMARY
from pytest_ortperf.records.statistics import SAMPLES_NEEDED, compute, throughput_per_s

WARM_UP_LEFT_OUT = (8, 5, 1)
"""From this version on trtexec leaves the queries of its warm-up out of the file; before it, readers have to."""

NS_PER_MS = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """Each query after the warm-up, in call order, in ns. By CUDA events: launching on the host is not inside."""

    compute_ns: tuple[int, ...]
    latency_ns: tuple[int, ...]
    """Copy in, compute, copy out; without data transfers the same as compute."""

    h2d_ns: tuple[int, ...]
    d2h_ns: tuple[int, ...]


def parse_times(text: str, *, version: tuple[int, int, int] | None, warm_up_ms: float) -> Times:
    """Return the samples of a file of `--exportTimes`.

    Args:
        text: The file.
        version: Of the trtexec that wrote it; `None` is taken for an old one.
        warm_up_ms: As given by `--warmUp`. Old versions export those queries too: the leading ones whose compute
            starts before that time are left out, which is how trtexec itself counts.

    Raises:
        CaseError: Stage `timing`, kind `runtime error`: the file is cut, or two are joined, or its keys are unknown.
    """
    records = _records(text)
    if version is None or version < WARM_UP_LEFT_OUT:
        records = _after_warm_up(records, warm_up_ms)
    if not records:
        raise _error(f"it has no query after {warm_up_ms:g} ms of warm-up")
    _require_copies(records[0])
    return Times(
        compute_ns=_times_column(records, "computeMs"),
        latency_ns=_times_column(records, "latencyMs"),
        h2d_ns=_times_column(records, "h2dMs"),
        d2h_ns=_times_column(records, "d2hMs"),
    )


def _records(text: str) -> list[Mapping[str, Any]]:
    try:
        records = json.loads(text)
    except ValueError as error:
        raise _error(f"it is not whole JSON ({error}): trtexec was ended, or wrote to it twice") from error
    if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
        raise _error("it is not a list of records")
    return records


def _after_warm_up(records: list[Mapping[str, Any]], warm_up_ms: float) -> list[Mapping[str, Any]]:
    starts = [_number(record, "startComputeMs") for record in records]
    first = next((number for number, start in enumerate(starts) if start >= warm_up_ms), len(records))
    return records[first:]


def _require_copies(record: Mapping[str, Any]) -> None:
    if record.keys() >= {"h2dMs", "d2hMs"}:
        return
    if record.keys() >= {"inMs", "outMs"}:
        raise _error(unsupported("it is from TensorRT 7 or older", "run trtexec again"))
    raise _error(f"its records have the keys {', '.join(record)}")


def _times_column(records: list[Mapping[str, Any]], key: str) -> tuple[int, ...]:
    return tuple(round(_number(record, key) * NS_PER_MS) for record in records)


def _number(record: Mapping[str, Any], key: str) -> float:
    value = record.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise _error(f"{key} is {value!r} in one of its records")
    return float(value)


def _error(what: str) -> CaseError:
    return CaseError(f"trtexec's file of times cannot be used: {what}", stage="timing", kind="runtime error")


WARM_UP_MS = round(1000 * MIN_S)
SPARE = 1.2
"""Times the estimate that a second, longer run gets."""

AGREE = 0.01
"""How far the median of the exported times may be from the printed one, which has six digits."""

_TIMES = "times.json"
_PERCENTILES_SINCE = (8, 5, 0)
_STATES: Mapping[str, Mapping[str, str]] = {
    "bound": {"data_transfers": "Disabled", "cuda_graph": "Disabled"},
    "bound+copies": {"data_transfers": "Enabled", "cuda_graph": "Disabled"},
    "graph": {"data_transfers": "Disabled"},  # without a graph the mode is refused, not the case
}
"""What trtexec's own list of its options has to say of a timing mode, where it says it."""

_ROWS = {"bound": "gpu_compute", "bound+copies": "latency", "graph": "gpu_compute"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Timed:
    """One timing mode, measured."""

    latency: Latency
    log: TrtexecLog
    command: str
    numbers_from: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What is run: an engine with its inputs."""

    tool: Tool
    engine: Path
    fed: Sequence[str]
    """Flags that name inputs, shapes, the device and what users gave."""

    batch: int | None


def measure_timing(timing: str, task: Task, settings: ExecutionSettings, started: Started) -> Timed:
    """Return the latency in one timing mode; where it is not precise enough, that of a second, longer run.

    Raises:
        CaseError: Stage `timing`: trtexec did not end well, or printed no numbers.
    """
    most_s = math.ceil(settings.max_time_s)  # old versions take whole seconds alone
    first_s = math.ceil(min(settings.min_time_s, settings.max_time_s))
    timed = _timed(timing, task, settings, started, first_s)
    longer_s = _longer_s(timed.latency, first_s, most_s)
    return timed if longer_s is None else _timed(timing, task, settings, started, longer_s)


def _timed(timing: str, task: Task, settings: ExecutionSettings, started: Started, seconds: int) -> Timed:
    warm_up_ms = WARM_UP_MS if settings.warmup is None or settings.warmup else 0
    exported = started.folder / _TIMES
    exported.unlink(missing_ok=True)
    command = run_command(task.tool, task.engine, _flags(timing, task, settings, seconds, warm_up_ms))
    ended = started.run(command)
    log = require_success(ended, doing=f"measuring {timing}", stage="timing")
    _require_mode(log, timing)
    _require_numbers(log, timing)
    times, lacks = _exported(exported, task.tool, warm_up_ms, log, timing)
    latency = (
        _of_samples(times, timing, settings, seconds, log=log, batch=task.batch)
        if times is not None
        else latency_of_summary(timing, task, log)
    )
    found = FROM_SAMPLES if times is not None else f"{FROM_SUMMARY}: {lacks}"
    return Timed(latency=latency, log=log, command=shlex.join(command), numbers_from=found)


def _flags(timing: str, task: Task, settings: ExecutionSettings, seconds: int, warm_up_ms: int) -> list[str]:
    fixed = settings.iterations
    percentiles = ["--percentile=90,95,99"] if task.tool.version >= _PERCENTILES_SINCE else []
    return [
        *task.fed,
        f"--iterations={fixed or MIN_SLOW_RUNS}",
        f"--duration={0 if fixed else seconds}",
        f"--warmUp={warm_up_ms}",
        *percentiles,
        f"--exportTimes={_TIMES}",
        *timing_flags(timing, task.tool.version),
    ]


def _require_mode(log: TrtexecLog, timing: str) -> None:
    """Refuse a run that measured something else than its flags ask for: defaults differ between versions."""
    for name, state in _STATES[timing].items():
        said = log.options.get(name, state)
        if said != state:
            raise CaseError(
                f"trtexec says of its options: {name.replace('_', ' ')}: {said}; {timing} is with it {state.lower()}",
                stage="timing",
                kind="runtime error",
            )


def _require_numbers(log: TrtexecLog, timing: str) -> None:
    row = log.rows.get(_ROWS[timing])
    if row is None or row.median is None:
        raise CaseError(
            f"trtexec printed PASSED and no {_ROWS[timing]} time: its log holds no measurement",
            stage="timing",
            kind="runtime error",
        )


def _exported(path: Path, tool: Tool, warm_up_ms: int, log: TrtexecLog, timing: str) -> tuple[Times | None, str]:
    """Return the exported times, or why they are not what was printed."""
    if not path.exists():
        return None, "it wrote no file of times"
    try:
        times = parse_times(path.read_text(encoding="utf-8"), version=tool.version, warm_up_ms=warm_up_ms)
    except (CaseError, UnicodeDecodeError) as error:
        return None, str(error)
    printed, exported = log.rows[_ROWS[timing]].median, statistics.median(_column(times, timing)) / 1e6
    if printed is not None and not math.isclose(printed, exported, rel_tol=AGREE, abs_tol=1e-4):
        return None, f"the median of its file of times is {exported:g} ms, and it printed {printed:g} ms"
    return times, ""


def _column(times: Times, timing: str) -> tuple[int, ...]:
    return times.latency_ns if timing == "bound+copies" else times.compute_ns


def _of_samples(
    times: Times, timing: str, settings: ExecutionSettings, seconds: int, *, log: TrtexecLog, batch: int | None
) -> Latency:
    samples = _column(times, timing)
    samples = samples[: settings.iterations] if settings.iterations else samples
    goal = Goal(half_width=settings.precision_target, min_ns=0, max_ns=settings.max_time_s * 1e9)
    rule = StopRule(block_runs(statistics.median(samples), goal.max_ns), goal)
    rule.stop(samples, sum(samples))
    length = rule.length if len(samples) // rule.length >= FEWEST else fitting_length(samples, rule.length)
    summary = compute(samples, block_iterations=length, batch=batch)
    precise = summary.half_width is not None and summary.half_width <= settings.precision_target
    fixed = settings.iterations is not None
    return Latency(
        timing=timing,
        samples_ns=samples if settings.keep_samples else (),
        warmup_iterations=log.warmup_queries or 0,
        warmup_ns=None,
        batch=batch,
        block_iterations=length,
        stop_reason="iterations" if fixed else "target" if precise else _unreached(seconds, settings),
        status=FIXED if fixed else STABLE if precise else UNSTABLE,
        precision_target=settings.precision_target,
        summary=summary,
    )


def _unreached(seconds: float, settings: ExecutionSettings) -> str:
    return "max time" if seconds >= settings.max_time_s else "no gain"


def _longer_s(latency: Latency, seconds: int, most_s: int) -> int | None:
    """Return how long a second run takes to be precise; `None` if there is no need or no more time."""
    width, target = latency.summary.half_width if latency.summary else None, latency.precision_target
    if latency.status != UNSTABLE or target is None or seconds >= most_s:
        return None
    needed_s = most_s if width is None else math.ceil(max(seconds, 1) * (width / target) ** 2 * SPARE)
    return min(max(needed_s, 2 * seconds, 1), most_s)


def latency_of_summary(timing: str, task: Task, log: TrtexecLog) -> Latency:
    """Return the latency in a timing mode that trtexec printed, without samples."""
    row = log.rows[_ROWS[timing]]
    median = _ns(row.median) or 0.0
    mean = _ns(row.mean) or median
    return Latency(
        timing=timing,
        samples_ns=(),
        warmup_iterations=log.warmup_queries or 0,
        batch=task.batch,
        summary=Summary(
            count=log.queries or 0,
            min_ns=round(_ns(row.min) or median),
            max_ns=round(_ns(row.max) or median),
            mean_ns=mean,
            p50_ns=median,
            p90_ns=_percentile(row, log, 90),
            p95_ns=_percentile(row, log, 95),
            p99_ns=_percentile(row, log, 99),
            throughput_per_s=throughput_per_s(task.batch, mean),
        ),
    )


def _percentile(row: PrintedRow, log: TrtexecLog, percent: int) -> float | None:
    """Return a percentile as printed, if it is of as many queries as any other case needs for it."""
    supported = log.queries is not None and log.queries >= SAMPLES_NEEDED[percent]
    return _ns(row.percentiles.get(percent)) if supported else None


def _ns(value_ms: float | None) -> float | None:
    return None if value_ms is None else value_ms * 1e6
