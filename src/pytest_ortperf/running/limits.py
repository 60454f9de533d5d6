"""Whether a record keeps the limits that its model list sets; works on records alone."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Sequence

from pytest_ortperf.cases.expectations import BOUNDS, SLOWDOWN, Limit, LimitRule, limits_of
from pytest_ortperf.execution.case_settings import sampling_times_s
from pytest_ortperf.quantities import Quantity
from pytest_ortperf.records.latency import FIXED, Latency, Summary
from pytest_ortperf.records.record import LimitFact, Record
from pytest_ortperf.records.statistics import SAMPLES_NEEDED, summarize
from pytest_ortperf.reports.tables.columns import TimingRow, value_of
from pytest_ortperf.reports.tables.limit_text import long_limit, short_limit

MOST_S = 600
"""Of sampling that is advised to tell a value from its limit."""

_SPARE = 0.8
"""The interval is to end at that share of the way to the limit."""

_LEAST_PERCENT = 0.01
"""The smallest precision target that can be asked for."""

_ROUNDING = 1e-6


def check_limits(record: Record, rules: Iterable[LimitRule]) -> tuple[LimitFact, ...]:
    """Return a verdict on each limit that holds for a record; a value that is unknown does not keep its limit.

    Where a value has a 95 % interval, that decides: wholly beyond the limit it is broken, wholly within it is kept. A
    limit inside the interval is unsure, which passes unless its rule is strict.
    """
    precisions = (record.precision or (record.model_fact.precision if record.model_fact else None),)
    limits = limits_of(rules, provider=record.provider, precisions=precisions, dims=record.dims)
    return tuple(
        _slowdown(timing, limit.value) if name == SLOWDOWN else _verdict(record, name, timing, limit)
        for (name, timing), limit in limits.items()
        if record.mode == "benchmark" or (name in BOUNDS and BOUNDS[name].in_validations)
    )


def _slowdown(timing: str | None, limit: float) -> LimitFact:
    """Return the limit for the comparison with an earlier run; this run alone cannot break it."""
    note = "checked where the run is compared with an earlier one"
    return LimitFact(name=SLOWDOWN, timing=timing, limit=limit, value=None, note=note, is_kept=True)


def limits_problem(facts: Sequence[LimitFact]) -> str | None:
    """Return what limits are not kept, the first line in short; `None` if all are."""
    broken = [fact for fact in facts if not fact.is_kept]
    if not broken:
        return None
    short = ", ".join(map(short_limit, broken))
    return "\n".join([f"limits not kept: {short}", *(f"  {long_limit(fact)}" for fact in broken)])


def _verdict(record: Record, name: str, timing: str | None, limit: Limit) -> LimitFact:
    quantity = BOUNDS[name]
    value, note = _latency_value(record, quantity, timing) if quantity.of_latency else _case_value(record, quantity)
    fact = LimitFact(name=name, timing=timing, limit=limit.value, value=value, note=note, is_kept=False)
    if value is None:
        return fact
    row = _row_of(record, timing) if quantity.of_latency else None
    ends = quantity.ends(row) if row else None
    best, worst = sorted(ends or (value, value), reverse=quantity.is_least)
    can_be_kept, is_kept = (end >= limit.value if quantity.is_least else end <= limit.value for end in (best, worst))
    is_unsure = can_be_kept and not is_kept
    return dataclasses.replace(
        fact,
        is_kept=is_kept or (is_unsure and not limit.strict),
        low=ends[0] if ends else None,
        high=ends[1] if ends else None,
        is_unsure=is_unsure,
        way_out=_way_out(row.latency, row.summary, abs(limit.value - value) / value) if row and is_unsure else None,
    )


def _way_out(latency: Latency, summary: Summary, distance: float) -> str:
    """Return how to settle on which side of its limit a median is.

    Args:
        latency: Of which it is.
        summary: Of that.
        distance: Between median and limit, as a share of the median.
    """
    half_width = summary.half_width or 0.0
    # the interval may be lopsided, and half of its width less than the way to the limit already
    target = min(distance * _SPARE, half_width / math.sqrt(2))
    percent = math.floor(100 * target / _LEAST_PERCENT + _ROUNDING) * _LEAST_PERCENT
    factor = (half_width / target) ** 2 if target else math.inf
    needed_s = factor * summary.mean_ns * summary.count / 1e9
    if percent < _LEAST_PERCENT or needed_s > MOST_S:
        return (
            f"median and limit are too close to be told apart in {MOST_S // 60} minutes: move the limit, or quiet the "
            f"machine"
        )
    longer = f"--ortperf-precision-target={percent:.3g}%"
    # the estimate may be off by two, and that much time may not come with the target
    if 2 * needed_s > sampling_times_s(percent / 100)[1]:
        longer += f" --ortperf-max-time={math.ceil(2 * needed_s)}"
    longer += f" (about {math.ceil(needed_s)} s of iterations)"
    if latency.status == FIXED:
        return f"measure longer: --ortperf-iterations={_rounded_up(factor * summary.count)}, or instead of it {longer}"
    if latency.stop_reason == "no gain":
        return (
            f"sampling ended because more of it did not narrow the interval: quiet the machine, or "
            f"--ortperf-iterations={_rounded_up(factor * summary.count)}"
        )
    return f"measure longer: {longer}"


def _rounded_up(count: float) -> int:
    """Return a number of two digits and zeros."""
    step: int = 10 ** max(math.floor(math.log10(count)) - 1, 0)
    return math.ceil(count / step) * step


def _case_value(record: Record, quantity: Quantity) -> tuple[float | None, str]:
    """Return the value and what it was found from, or nothing and the reason."""
    value = value_of(quantity, record)
    note = quantity.unknown if value is None else quantity.note
    return value, note(record) if callable(note) else note


def _latency_value(record: Record, quantity: Quantity, timing: str | None) -> tuple[float | None, str]:
    row = _row_of(record, timing)
    if row is None and timing is not None and timing in record.refused_timings:
        return None, f"timing {timing!r} was not measured: {record.refused_timings[timing]}"
    if row is None:
        measured = ", ".join(it.timing for it in record.latencies)
        return None, f"timing {timing!r} was not measured, only {measured}" if measured else "nothing timed"
    value, iterations = quantity.value(row), row.summary.count
    if value is not None:
        return value, f"timing {row.latency.timing}, {iterations} iterations"
    if quantity.percentile is None:
        return None, quantity.unknown(record) if callable(quantity.unknown) else quantity.unknown
    needed = SAMPLES_NEEDED[quantity.percentile]
    return None, (
        f"{needed} iterations are needed to state it, there are {iterations}; measure longer, or more iterations"
    )


def _row_of(record: Record, timing: str | None) -> TimingRow | None:
    latency = next((it for it in record.latencies if timing in (None, it.timing)), None)
    return None if latency is None else TimingRow(record=record, latency=latency, summary=summarize(latency))
