"""What became of the limits of a case, in words: for failures, the terminal's summary, tables and JUnit."""

from __future__ import annotations

from pytest_ortperf.cases.expectations import BOUNDS
from pytest_ortperf.records.record import LimitFact, Record

KEPT, UNSURE, BROKEN = "kept", "unsure", "broken"


def limits_state(record: Record) -> str | None:
    """Return the worst of the limits of a case: `kept`, `unsure` or `broken`; `None` without limits."""
    if not record.limits:
        return None
    if not all(fact.is_kept for fact in record.limits):
        return BROKEN
    return UNSURE if any(fact.is_unsure for fact in record.limits) else KEPT


def short_limit(fact: LimitFact) -> str:
    """Return a limit that is not kept in a few words."""
    name = f"{fact.name} ({fact.timing})" if fact.timing else fact.name
    if fact.value is None:
        return f"{name} unknown"
    sign = "unsure at" if fact.is_unsure else "<" if BOUNDS[fact.name].is_least else ">"
    return f"{name} {_number(fact.value)} {sign} {_number(fact.limit)}"


def long_limit(fact: LimitFact) -> str:
    """Return a limit that is not kept, or not surely so, in a sentence: what it is of, the value, the way out."""
    bound = BOUNDS[fact.name]
    name, limit = f"{fact.name}, {bound.meaning}", f"{_number(fact.limit)} {bound.unit}"
    if fact.value is None:
        return f"{name}: cannot be held against its limit of {limit}: {fact.note}"
    value = f"{_number(fact.value)} {bound.unit}"
    interval = (
        "" if fact.low is None or fact.high is None else f"{_number(fact.low)} to {_number(fact.high)} {bound.unit}"
    )
    if fact.is_unsure:
        inside = f"its limit of {limit} lies inside the 95 % interval, {interval} ({fact.note})"
        return f"{name}: {value}, and {inside}; {fact.way_out}"
    found = f"95 % interval {interval}, {fact.note}" if interval else fact.note
    side = "below the least" if bound.is_least else "above the most"
    return f"{name}: {value} is {side} allowed, {limit} ({found})"


def _number(value: float) -> str:
    return f"{value:.5g}"
