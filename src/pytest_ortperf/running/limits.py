"""Whether a record keeps the limits that its model list sets; works on records alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pytest_ortperf.cases.expectations import BOUNDS, LimitRule, limits_of
from pytest_ortperf.quantities import Quantity
from pytest_ortperf.records.record import LimitFact, Record
from pytest_ortperf.records.statistics import SAMPLES_NEEDED, summarize
from pytest_ortperf.reports.tables.columns import value_of


def check_limits(record: Record, rules: Iterable[LimitRule]) -> tuple[LimitFact, ...]:
    """Return a verdict on each limit that holds for a record; a value that is unknown does not keep its limit."""
    precisions = (record.precision or (record.model_fact.precision if record.model_fact else None),)
    limits = limits_of(rules, provider=record.provider, precisions=precisions, dims=record.dims)
    return tuple(
        _verdict(record, name, timing, limit)
        for (name, timing), limit in limits.items()
        if record.mode == "benchmark" or BOUNDS[name].in_validations
    )


def limits_problem(facts: Sequence[LimitFact]) -> str | None:
    """Return what limits are not kept, the first line in short; `None` if all are."""
    broken = [fact for fact in facts if not fact.is_kept]
    if not broken:
        return None
    short = ", ".join(_short(fact) for fact in broken)
    return "\n".join([f"limits not kept: {short}", *(f"  {_long(fact)}" for fact in broken)])


def _verdict(record: Record, name: str, timing: str | None, limit: float) -> LimitFact:
    quantity = BOUNDS[name]
    value, note = _latency_value(record, quantity, timing) if quantity.of_latency else _case_value(record, quantity)
    is_kept = value is not None and (value >= limit if quantity.is_least else value <= limit)
    return LimitFact(name=name, timing=timing, limit=limit, value=value, note=note, is_kept=is_kept)


def _short(fact: LimitFact) -> str:
    name = f"{fact.name} ({fact.timing})" if fact.timing else fact.name
    if fact.value is None:
        return f"{name} unknown"
    return f"{name} {_number(fact.value)} {'<' if BOUNDS[fact.name].is_least else '>'} {_number(fact.limit)}"


def _long(fact: LimitFact) -> str:
    bound = BOUNDS[fact.name]
    name, limit = f"{fact.name}, {bound.meaning}", f"{_number(fact.limit)} {bound.unit}"
    if fact.value is None:
        return f"{name}: cannot be held against its limit of {limit}: {fact.note}"
    side = "below the least" if bound.is_least else "above the most"
    return f"{name}: {_number(fact.value)} {bound.unit} is {side} allowed, {limit} ({fact.note})"


def _number(value: float) -> str:
    return f"{value:.5g}"


def _case_value(record: Record, quantity: Quantity) -> tuple[float | None, str]:
    """Return the value and what it was found from, or nothing and the reason."""
    value = value_of(quantity, record)
    note = quantity.unknown if value is None else quantity.note
    return value, note(record) if callable(note) else note


def _latency_value(record: Record, quantity: Quantity, timing: str | None) -> tuple[float | None, str]:
    latency = next((it for it in record.latencies if timing in (None, it.timing)), None)
    if latency is None and timing is not None and timing in record.refused_timings:
        return None, f"timing {timing!r} was not measured: {record.refused_timings[timing]}"
    if latency is None:
        measured = ", ".join(it.timing for it in record.latencies)
        return None, f"timing {timing!r} was not measured, only {measured}" if measured else "nothing timed"
    value, iterations = value_of(quantity, record, latency), summarize(latency).count
    if value is not None:
        return value, f"timing {latency.timing}, {iterations} iterations"
    if quantity.percentile is None:
        return None, quantity.unknown(record) if callable(quantity.unknown) else quantity.unknown
    needed = SAMPLES_NEEDED[quantity.percentile]
    return None, (
        f"{needed} iterations are needed to state it, there are {iterations}; measure longer, or more iterations"
    )
