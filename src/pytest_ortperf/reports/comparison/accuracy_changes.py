"""Outputs that drifted: within tolerance on both sides, but not where they were."""

from __future__ import annotations

import math
from collections.abc import Iterator

from pytest_ortperf.quantities import QUANTITIES, Drift, read
from pytest_ortperf.records.record import OutputAccuracy, Record
from pytest_ortperf.reports.comparison.change import BETTER, WORSE, Change, once
from pytest_ortperf.reports.comparison.compared_side import Side
from pytest_ortperf.reports.tables.rows import FAILED

GROWTH = 2.0
"""Factor of the largest absolute error from which on an output has drifted."""

LEAST_SHARE = 0.1
"""Of the absolute tolerance that the error has to grow by besides: rounding alone doubles a tiny error."""

_RANKS = {"pass": 0, "pass-relative": 1, "fail": 2}


def accuracy_changes(base: Side, current: Side) -> Iterator[Change]:
    """Yield outputs whose error grew or shrank; cases that fail are failures, and told there."""
    return once(_all(base, current))


def _all(base: Side, current: Side) -> Iterator[tuple[Record, Change]]:
    before = base.last
    for key, case in current.last.items():
        known = before.get(key)
        if known is None or any(each.record.outcome in FAILED for each in (known, case)):
            continue
        for name, outputs in _outputs(known.record, case.record):
            said = _drift(*outputs)
            if said is not None:
                kind, direction, text = said
                yield (
                    case.record,
                    Change(
                        topic="accuracy",
                        kind=kind,
                        direction=direction,
                        case_id=key,
                        nodeid=case.record.nodeid,
                        text=f"{name}: {text}",
                    ),
                )


def _outputs(base: Record, current: Record) -> Iterator[tuple[str, tuple[OutputAccuracy, OutputAccuracy]]]:
    known = {(each.data_set, output.name): output for each in base.accuracy for output in each.outputs}
    for each in current.accuracy:
        for output in each.outputs:
            if (each.data_set, output.name) in known:
                yield f"output {output.name!r} of {each.data_set}", (known[each.data_set, output.name], output)


def _drift(base: OutputAccuracy, current: OutputAccuracy) -> tuple[str, str, str] | None:
    if base.verdict != current.verdict:
        is_worse = _RANKS[current.verdict] > _RANKS[base.verdict]
        text = f"{base.verdict} -> {current.verdict}{_errors(base, current)}"
        return ("less accurate", WORSE, text) if is_worse else ("more accurate", BETTER, text)
    for name, old, new, scale, limit in _measures(base, current):
        text = f"{name} {old:.3g} -> {new:.3g}, {limit}"
        if _grew(old, new, scale):
            return "less accurate", WORSE, text
        if _grew(new, old, scale):
            return "more accurate", BETTER, text
    return None


def _measures(base: OutputAccuracy, current: OutputAccuracy) -> Iterator[tuple[str, float, float, float, str]]:
    """Yield name, both values, what their difference is held against, and a text of that."""
    for quantity in QUANTITIES:
        rule = quantity.comparison
        if isinstance(rule, Drift):
            old, new, scale = quantity.value(base), quantity.value(current), read(current, rule.against)
            if None not in (old, new, scale) and math.isfinite(old) and math.isfinite(new):
                if rule.from_one:
                    old, new, scale = 1 - old, 1 - new, 1 - scale
                yield quantity.label, old, new, scale, f"{rule.word} {scale:{'.3g' if rule.from_one else 'g'}}"


def _grew(old: float, new: float, atol: float) -> bool:
    return new > GROWTH * old and new - old > LEAST_SHARE * atol


def _errors(base: OutputAccuracy, current: OutputAccuracy) -> str:
    if base.max_abs_error is None or current.max_abs_error is None:
        return ""
    return f", largest error {base.max_abs_error:.3g} -> {current.max_abs_error:.3g}"
