"""How far right kernels lie from their reference, in multiples of the error that their precision makes by itself.

Reads results of validations that were made with `--ortperf-own-error`; with a bound as large as 1e9 none fails. Only
outputs within their tolerance have such a multiple.

Exit status: 1 if no output of the results has one.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

from measuring import table

from pytest_ortperf.records.record import Record
from pytest_ortperf.records.store import read_run

LIMITS = (3.0, 10.0, 30.0)


def multiples(records: Iterable[Record]) -> Iterator[tuple[str, float, str]]:
    """Yield what was computed where, a multiple, and of which output."""
    for record in records:
        for data_set in record.accuracy:
            for output in data_set.outputs:
                if output.own_error is not None:
                    variant = f"{record.provider} {record.precision or 'as given'}"
                    yield variant, output.own_error, f"{record.model}, {output.name}"


def rows_of(found: Iterable[tuple[str, float, str]]) -> list[list[str]]:
    """Return per variant: outputs, median and largest multiple, how many are above each limit, and the worst."""
    groups: dict[str, list[tuple[float, str]]] = defaultdict(list)
    for variant, multiple, where in found:
        groups[variant].append((multiple, where))
    return [
        [
            variant,
            str(len(values)),
            f"{statistics.median(value for value, _ in values):.2g}",
            *(str(sum(value > limit for value, _ in values)) for limit in LIMITS),
            f"{max(values)[0]:.3g}",
            max(values)[1],
        ]
        for variant, values in sorted(groups.items())
    ]


def main() -> int:
    """Read and print; return the exit status."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("results", nargs="+", type=Path, help="a results folder, or a file of records")
    given = made.parse_args()
    files = [
        file for path in given.results for file in (sorted(path.glob("records_*.jsonl")) if path.is_dir() else [path])
    ]
    rows = rows_of(each for file in files for each in multiples(read_run(file).records))
    limits = [f"> {limit:g}" for limit in LIMITS]
    print(table(["provider, precision", "outputs", "median", *limits, "largest", "of"], rows))
    return int(not rows)


if __name__ == "__main__":
    sys.exit(main())
