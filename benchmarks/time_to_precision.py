"""How long it takes until the medians of the nine light networks are known to 1 %.

Beside it what a fixed number of iterations takes, and what pytest-benchmark's defaults reach.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from measuring import Report, parser, run_command, table

TEXT = (
    "Seconds from warm-up to the last sample, and half of the 95 % interval of the median in percent of the median. "
    "Ours: the product's defaults, {target:g} % wanted. Fixed: {fixed} iterations, as the removed ONNX Runtime script "
    "had them, without warm-up; {how}. pytest-benchmark: its defaults, one second or five rounds; it makes no "
    "interval, this one is ours from its rounds."
)
COLUMNS = ("", "ours, s", "iterations", "half-width", "ended by", "fixed, s", "pytest-benchmark, s", "its half-width")
Lines = Mapping[str, Mapping[str, Any]]


def measure(target: float, fixed: int) -> dict[str, dict[str, dict[str, Any]]]:
    """Return what each network and side wrote."""
    script = Path(__file__).with_name("time_sides.py")
    options = ("-q", "-p", "no:ortperf", "-p", "no:randomly", "-p", "no:xdist", "-p", "no:cacheprovider")
    with tempfile.TemporaryDirectory(prefix="ortperf-precision-") as temporary:
        output = Path(temporary, "times.jsonl")
        environment = {"ORTPERF_OUTPUT": str(output), "ORTPERF_TARGET": str(target), "ORTPERF_FIXED": str(fixed)}
        ended = run_command(
            [sys.executable, "-m", "pytest", *options, script],
            folder=Path(temporary),
            environment={**os.environ, **environment},
        )
        if ended.status:
            raise SystemExit(f"{ended.output}\nIt needs pytest-benchmark: pip install 'pytest-ortperf[bench]'")
        lines = [json.loads(line) for line in output.read_text(encoding="utf-8").splitlines()]
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for line in lines:
        found.setdefault(line["network"], {})[line["side"]] = line
    return found


def fixed_seconds(sides: Lines, iterations: int) -> float:
    """Return what a fixed number of iterations took, or takes by the mean of ours."""
    if "fixed" in sides:
        return float(sides["fixed"]["seconds"])
    return float(sides["mean"]["seconds"]) * iterations


def row(name: str, sides: Lines, iterations: int) -> list[str]:
    """Return the row of a network."""
    ours, theirs = sides["ours"], sides["benchmark"]
    return [
        name,
        f"{ours['seconds']:.1f}",
        str(ours["count"]),
        f"{ours['half_width']:.2%}",
        ours["reason"],
        f"{fixed_seconds(sides, iterations):.1f}",
        f"{theirs['seconds']:.1f}",
        "-" if theirs["half_width"] is None else f"{theirs['half_width']:.2%}",
    ]


def total(found: Mapping[str, Lines], iterations: int) -> list[str]:
    """Return the row of sums."""
    ours, theirs = (sum(sides[name]["seconds"] for sides in found.values()) for name in ("ours", "benchmark"))
    fixed = sum(fixed_seconds(sides, iterations) for sides in found.values())
    return ["all", f"{ours:.1f}", "", "", "", f"{fixed:.1f}", f"{theirs:.1f}", ""]


def main() -> int:
    """Run all, print the report, return the exit status."""
    made = parser(__doc__, rounds=1)
    made.add_argument("--target", type=float, default=1.0, metavar="PERCENT", help="half-width; default %(default)g")
    made.add_argument("--iterations", type=int, default=1200, help="of the fixed side; default %(default)s")
    made.add_argument("--run-fixed", action="store_true", help="run the fixed side instead of computing its time")
    given = made.parse_args()
    report = Report("Time to a given precision")
    how = "measured" if given.run_fixed else "computed from the mean of ours, for it takes too long"
    report.sections = [TEXT.format(target=given.target, fixed=given.iterations, how=how)]
    for _ in range(given.repeat):
        found = measure(given.target / 100, given.iterations if given.run_fixed else 0)
        rows = [row(name, sides, given.iterations) for name, sides in found.items()]
        report.sections.append(table(COLUMNS, [*rows, total(found, given.iterations)]))
        report.data[f"round {len(report.data)}"] = found
    report.finish(given.output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
