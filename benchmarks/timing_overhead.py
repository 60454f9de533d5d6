"""What timing adds to a call of about 5 us: our loop, timeit and pytest-benchmark beside a bare loop of the same call.

All in turns, in one process.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from measuring import Report, Target, parser, run_command, spread, table
from timing_sides import BARE, BENCHMARK, OURS, SIDES, TIMEIT

LIMIT_US = 0.3
HOW = {
    BARE: "two readings of the clock for 200 calls",
    OURS: "`sample`: two readings a call",
    TIMEIT: "`timeit.repeat(number=1)`",
    BENCHMARK: "`benchmark(call)`",
}
TEXT = (
    "Medians of one call in us, {rounds} rounds in turns, {seconds:g} s for each way of timing in a round. `over the "
    "bare loop` is the median of the differences within the rounds."
)


def measure(rounds: int, seconds: float) -> dict[str, list[float]]:
    """Return the medians of each side by round, in us."""
    script = Path(__file__).with_name("timing_sides.py")
    options = ("-q", "-p", "no:ortperf", "-p", "no:randomly", "-p", "no:xdist", "-p", "no:cacheprovider")
    with tempfile.TemporaryDirectory(prefix="ortperf-timing-") as temporary:
        output = Path(temporary, "times.jsonl")
        ended = run_command(
            [sys.executable, "-m", "pytest", *options, f"--benchmark-max-time={seconds}", script],
            folder=Path(temporary),
            environment={
                "ORTPERF_OUTPUT": str(output),
                "ORTPERF_ROUNDS": str(rounds),
                "ORTPERF_SECONDS": str(seconds),
            },
        )
        if ended.status:
            raise SystemExit(f"{ended.output}\nIt needs pytest-benchmark: pip install 'pytest-ortperf[bench]'")
        lines = [json.loads(line) for line in output.read_text(encoding="utf-8").splitlines()]
    by_side = {side: {line["round"]: line["ns"] / 1e3 for line in lines if line["side"] == side} for side in SIDES}
    return {side: [times[number] for number in range(rounds)] for side, times in by_side.items()}


def over_bare(times: Sequence[float], bare: Sequence[float]) -> float:
    """Return the median of the differences of the rounds."""
    return statistics.median(one - other for one, other in zip(times, bare, strict=True))


def times_table(times: Mapping[str, Sequence[float]]) -> str:
    """Return a row a side."""
    rows = [
        [
            f"{side}: {HOW[side]}",
            f"{statistics.median(values):.2f}",
            spread(values, 2),
            f"{over_bare(values, times[BARE]):+.2f}",
        ]
        for side, values in times.items()
    ]
    return table(["", "median", "over the rounds", "over the bare loop"], rows)


def main() -> int:
    """Run all, print the report, return the exit status."""
    made = parser(__doc__, rounds=40)
    made.add_argument("--seconds", type=float, default=0.2, help="of each side in a round; default %(default)s")
    given = made.parse_args()
    report = Report("Overhead of timing")
    times = measure(given.repeat, given.seconds)
    over = over_bare(times[OURS], times[BARE])
    report.sections = [TEXT.format(rounds=given.repeat, seconds=given.seconds), times_table(times)]
    report.targets = [Target(f"within {LIMIT_US:g} us of the bare loop", f"{over:+.2f} us", kept=abs(over) <= LIMIT_US)]
    report.data = {"us": times}
    report.finish(given.output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
