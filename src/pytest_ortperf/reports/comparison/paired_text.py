"""The table of gains that were measured in turns."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

from pytest_ortperf.records.intervals import median_interval
from pytest_ortperf.records.pairs import Pair
from pytest_ortperf.reports.comparison.paired import by_case
from pytest_ortperf.reports.terminal.text_table import TextColumn, table_lines


def paired_lines(pairs: Sequence[Pair], reference: str, width: int) -> list[str]:
    """Return the gains of a provider over its reference provider, a row a case; nothing without pairs.

    The interval is that of the median over the pairs, from order statistics: of 6 pairs from least to greatest, which
    holds it with 97 %.

    Args:
        pairs: Of one provider; base is the reference provider.
        reference: Its short name.
        width: Of the terminal.
    """
    cases = by_case(pairs)
    if not cases:
        return []
    ratios = [[pair.log_ratio for pair in case.screened] for case in cases]
    medians = [
        [statistics.median(getattr(pair, side).median_ns for pair in case.screened) / 1e6 for case in cases]
        for side in ("base", "current")
    ]
    columns = (
        TextColumn(title="case", cells=[case.case_id for case in cases], to_left=True),
        TextColumn(title="timing", cells=[case.timing for case in cases], to_left=True),
        TextColumn(title=f"{reference} ms", cells=[f"{value:.4g}" for value in medians[0]], keep=2),
        TextColumn(title="ms", cells=[f"{value:.4g}" for value in medians[1]], keep=2),
        TextColumn(title="gain", cells=[_gain(statistics.median(each)) for each in ratios]),
        TextColumn(title="interval", cells=[_interval(each) for each in ratios]),
        TextColumn(title="pairs", cells=[str(len(each)) for each in ratios], keep=1),
    )
    return [f"gain over {reference}, in turns", *table_lines(columns, width)]


def _gain(log_ratio: float) -> str:
    return f"{-100 * math.expm1(log_ratio):+.1f} %"


def _interval(log_ratios: Sequence[float]) -> str:
    found = median_interval(log_ratios)
    return "" if found is None else f"{_gain(found[1])} to {_gain(found[0])}"
