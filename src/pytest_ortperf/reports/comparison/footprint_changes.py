"""Memory and session creation: few measurements each, so only what is seen again counts."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType

from pytest_ortperf.quantities import QUANTITIES, Footprint, Quantity, read
from pytest_ortperf.records.record import Record
from pytest_ortperf.reports.comparison.change import BETTER, OTHER, TOPICS, WORSE, Change, once
from pytest_ortperf.reports.comparison.compared_side import Side
from pytest_ortperf.reports.comparison.fleet import same_machine
from pytest_ortperf.reports.tables.gains import counts


def footprint_changes(
    base: Side, current: Side, thresholds: Mapping[str, float] = MappingProxyType({})
) -> Iterator[Change]:
    """Yield cases that take more or less memory, or whose sessions took another time to make, by topic.

    Args:
        base: What is compared with.
        current: What is looked at.
        thresholds: The user's, by topic, as shares of 1; they take the place of the rules.
    """
    return once(_all(base, current, thresholds))


def _all(base: Side, current: Side, thresholds: Mapping[str, float]) -> Iterator[tuple[Record, Change]]:
    is_one_machine = same_machine(base, current) is None
    rules = [
        (each, _by_threshold(each.comparison, thresholds.get(each.comparison.topic)))
        for each in QUANTITIES
        if isinstance(each.comparison, Footprint)
    ]
    for topic in TOPICS:
        judged = [
            (each, rule)
            for each, rule in rules
            if rule.topic == topic and (is_one_machine or topic in thresholds or not rule.is_time)
        ]
        # a validation's session is made to be right, not to be timed
        cases = [(key, case) for key, case in current.last.items() if judged and case.record.mode == "benchmark"]
        for key, case in cases:
            sides = [[record for record in side.all_of(key) if counts(record)] for side in (base, current)]
            for quantity, rule in judged:
                found = _changed(quantity, rule, *sides)
                if found:
                    kind, direction, text = found
                    text += f"; by threshold {100 * rule.share:g} %" if topic in thresholds else ""
                    node = case.record.nodeid
                    change = Change(topic=topic, kind=kind, direction=direction, case_id=key, nodeid=node, text=text)
                    yield case.record, change


def _by_threshold(rule: Footprint, share: float | None) -> Footprint:
    """Return the rule with the user's share, however small the amount is and however few the runs are."""
    return rule if share is None else dataclasses.replace(rule, share=share, least=0.0, sure_from=1)


def _changed(
    quantity: Quantity, rule: Footprint, base: Sequence[Record], current: Sequence[Record]
) -> tuple[str, str, str] | None:
    """Return kind, direction and text of a change, from the readings of each run; `None` if there is none."""
    if rule.is_time and {read(it, "session.engines") for it in base} != {read(it, "session.engines") for it in current}:
        return None
    # a run that lacks a time is left out; memory has to be known of every run
    before, after = (
        [found for it in side if (found := quantity.readings(it)) or not rule.is_time] for side in (base, current)
    )
    if not before or not after:
        return None
    paths = [path for path in before[0] if all(path in each for each in (*before, *after))]
    values = [([each[path] for each in before], [each[path] for each in after]) for path in paths]
    grown = [(max(old), min(new)) for old, new in values]
    shrunk = [(max(new), min(old)) for old, new in values]
    for kind, direction, gaps in ((rule.larger, WORSE, grown), (rule.smaller, BETTER, shrunk)):
        moved = [high - low > max(rule.least, rule.share * low) for low, high in gaps]
        if any(moved):
            is_sure = min(len(before), len(after)) >= rule.sure_from or (len(moved) > 1 and all(moved))
            nearest = gaps[0] if direction == WORSE else gaps[0][::-1]
            highest = (max(max(each.values()) for each in side) for side in (before, after))
            text = _text(quantity, rule, *(nearest if rule.is_time else highest))
            return (kind, direction, text) if is_sure else ("UNSURE", OTHER, text)
    return None


def _text(quantity: Quantity, rule: Footprint, old: float, new: float) -> str:
    change = f"{100 * (new / old - 1):+.1f} %" if old else "from nothing"
    return f"{quantity.label} {old / rule.scale.per:.1f} -> {new / rule.scale.per:.1f} {rule.scale.unit} ({change})"
