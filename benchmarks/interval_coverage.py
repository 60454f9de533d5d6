"""How often the 95 % interval of the median holds the median, with the blocks and the stop rule of a benchmark.

On data without drift it must; on times as they were recorded, the machine changes meanwhile, and no interval knows how.
"""

from __future__ import annotations

import itertools
import statistics
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from interval_traces import Trace, load_traces, noise, record_traces
from measuring import Report, Target, parser, table

from pytest_ortperf.execution.case_settings import ExecutionSettings, sampling_times_s
from pytest_ortperf.execution.timing.sampling import Goal, StopRule, block_runs
from pytest_ortperf.records.intervals import median_interval
from pytest_ortperf.records.statistics import compute

LEAST_COVERAGE = 0.90
NOISES = ((0.0, 1e6, 0.10), (0.3, 1e6, 0.10), (0.6, 1e6, 0.10), (0.0, 5e6, 0.05), (0.3, 5e6, 0.05), (0.6, 5e6, 0.05))
WINDOW_S = 2.0
TARGET = 0.01
LEAST_S, MOST_S = sampling_times_s(TARGET)
SETTINGS = ExecutionSettings(precision_target=TARGET, min_time_s=LEAST_S, max_time_s=MOST_S)
GOAL = Goal(half_width=TARGET, min_ns=LEAST_S * 1e9, max_ns=MOST_S * 1e9)
STATIONARY = (
    "Data without drift: times drawn from the recorded ones at random, and AR(1) noise of 10 % around 1 ms and of 5 % "
    "around 5 ms. {repeat} sub-runs each, with the product's defaults. `raw` is the interval of the same samples taken "
    "as independent."
)
RECORDED = (
    "Times as recorded ({seconds}): {repeat} sub-runs that begin anywhere in the first half. `holds the median of all` "
    "is how often the interval holds the median of the whole recording; `drift` is the median difference between the "
    "medians of neighbouring windows of 2 s, and the largest."
)


@dataclass(frozen=True, slots=True)
class SubRun:
    """One measurement as the product would have made it."""

    seconds: float
    stable: bool
    half_width: float
    covers: bool
    raw_covers: bool


def sub_run(samples: Sequence[int], truth: float) -> SubRun:
    """Sample from recorded times until the stop rule ends it; each time passes as long as it says."""
    length = block_runs(statistics.median(samples[:20]), GOAL.max_ns)
    rule, elapsed_ns, reason = StopRule(length, GOAL), 0, None
    taken: list[int] = []
    while reason is None and len(taken) + length <= len(samples):
        taken += samples[len(taken) : len(taken) + length]
        elapsed_ns += sum(taken[-length:])
        reason = rule.stop(taken, elapsed_ns)
    summary = compute(taken, block_iterations=rule.length)
    raw = median_interval(taken)
    low, high = summary.p50_low_ns, summary.p50_high_ns
    return SubRun(
        seconds=elapsed_ns / 1e9,
        stable=reason == "target",
        half_width=float("nan") if summary.half_width is None else summary.half_width,
        covers=low is not None and high is not None and low <= truth <= high,
        raw_covers=raw is not None and raw[0] <= truth <= raw[1],
    )


def share(runs: Sequence[SubRun], holds: Callable[[SubRun], bool]) -> float:
    """Return for which share of sub-runs something holds."""
    return sum(map(holds, runs)) / len(runs)


def cells(name: str, runs: Sequence[SubRun]) -> list[str]:
    """Return a row of the tables."""
    return [
        name,
        f"{share(runs, lambda run: run.covers):.1%}",
        f"{share(runs, lambda run: run.raw_covers):.1%}",
        f"{statistics.median(run.half_width for run in runs):.2%}",
        f"{statistics.median(run.seconds for run in runs):.1f}",
        f"{share(runs, lambda run: run.stable):.0%}",
    ]


def shuffled(trace: Trace, repeat: int, source: np.random.Generator) -> list[SubRun]:
    """Return sub-runs on times drawn at random, which have the recorded times' median and no order."""
    truth, recorded = statistics.median(trace.samples_ns), np.array(trace.samples_ns)
    count = int(12e9 / recorded.mean())
    return [sub_run(source.choice(recorded, count).tolist(), truth) for _ in range(repeat)]


def stationary(traces: Sequence[Trace], repeat: int) -> Iterator[tuple[str, list[SubRun]]]:
    """Yield sub-runs on data without drift."""
    source = np.random.default_rng(4)
    for trace in traces:
        yield f"{trace.name}, shuffled", shuffled(trace, repeat, source)
    for correlation, run_ns, variation in NOISES:
        name = f"AR(1) {correlation:g}, {variation:.0%} around {run_ns / 1e6:g} ms"
        made = (noise(correlation, run_ns, variation, source) for _ in range(repeat))
        yield name, [sub_run(samples[: int(12e9 / run_ns)], run_ns) for samples in made]


def as_recorded(trace: Trace, repeat: int) -> list[SubRun]:
    """Return sub-runs on consecutive recorded times."""
    truth, last = statistics.median(trace.samples_ns), len(trace.samples_ns) // 2
    return [
        sub_run(trace.samples_ns[start : start + last], truth)
        for start in (last * number // repeat for number in range(repeat))
    ]


def drift(trace: Trace) -> tuple[float, float]:
    """Return the median and largest difference of the medians of neighbouring windows, as shares."""
    length = max(1, int(WINDOW_S * 1e9 / statistics.mean(trace.samples_ns)))
    starts = range(0, len(trace.samples_ns) - length + 1, length)
    medians = [statistics.median(trace.samples_ns[start : start + length]) for start in starts]
    steps = [abs(later / earlier - 1) for earlier, later in itertools.pairwise(medians)]
    return statistics.median(steps), max(steps)


def recorded_row(trace: Trace, runs: Sequence[SubRun]) -> list[str]:
    """Return a row with the drift beside the coverage."""
    middle, most = drift(trace)
    return [*cells(trace.name, runs), f"{middle:.1%}, {most:.1%}"]


def main() -> int:
    """Run all, print the report, return the exit status."""
    made = parser(__doc__, rounds=200)
    made.add_argument("--record", type=float, metavar="SECONDS", help="record the traces anew first, each for so long")
    given = made.parse_args()
    report = Report("Coverage of the interval of the median")
    if given.record:
        record_traces(given.record, report.environment())
    traces = load_traces()
    found = dict(stationary(traces, given.repeat))
    recorded = [recorded_row(trace, as_recorded(trace, given.repeat)) for trace in traces]
    columns = ["", "holds the median", "raw", "half-width", "seconds", "target reached"]
    seconds = ", ".join(f"{trace.name}: {sum(trace.samples_ns) / 1e9:.0f} s" for trace in traces)
    report.sections = [
        STATIONARY.format(repeat=given.repeat),
        table(columns, [cells(name, runs) for name, runs in found.items()]),
        RECORDED.format(repeat=given.repeat, seconds=seconds),
        table([columns[0], "holds the median of all", *columns[2:], "drift"], recorded),
    ]
    least = {name: share(runs, lambda run: run.covers) for name, runs in found.items()}
    worst = min(least, key=lambda name: least[name])
    report.targets = [
        Target(
            f"at least {LEAST_COVERAGE:.0%} on data without drift",
            f"{least[worst]:.1%} at least ({worst})",
            kept=least[worst] >= LEAST_COVERAGE,
        )
    ]
    report.data = {"stationary": least, "recorded": recorded}
    report.finish(given.output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
