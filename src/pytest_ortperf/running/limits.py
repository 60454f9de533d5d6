"""Whether a record keeps the limits that its model list sets; works on records alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from pytest_ortperf.cases.expectations import BOUNDS, IN_EVERY_MODE, LimitRule, limits_of
from pytest_ortperf.records.latency import Latency
from pytest_ortperf.records.record import LimitFact, Record
from pytest_ortperf.records.statistics import SAMPLES_NEEDED, summarize

_UNMEASURED = "it was not measured"


@dataclass(frozen=True, slots=True)
class _Measured:
    """A value, or why there is none; and what it was found from."""

    value: float | None
    note: str


def check_limits(record: Record, rules: Iterable[LimitRule]) -> tuple[LimitFact, ...]:
    """Return a verdict on each limit that holds for a record; a value that is unknown does not keep its limit."""
    precisions = (record.precision or (record.model_fact.precision if record.model_fact else None),)
    limits = limits_of(rules, provider=record.provider, precisions=precisions, dims=record.dims)
    return tuple(
        _verdict(record, name, timing, limit)
        for (name, timing), limit in limits.items()
        if record.mode == "benchmark" or name in IN_EVERY_MODE
    )


def limits_problem(facts: Sequence[LimitFact]) -> str | None:
    """Return what limits are not kept, the first line in short; `None` if all are."""
    broken = [fact for fact in facts if not fact.is_kept]
    if not broken:
        return None
    short = ", ".join(_short(fact) for fact in broken)
    return "\n".join([f"limits not kept: {short}", *(f"  {_long(fact)}" for fact in broken)])


def _verdict(record: Record, name: str, timing: str | None, limit: float) -> LimitFact:
    found = _latency_value(record, name, timing) if BOUNDS[name].of_latency else _OTHERS[name](record)
    value = found.value
    is_kept = value is not None and (value >= limit if BOUNDS[name].is_least else value <= limit)
    return LimitFact(name=name, timing=timing, limit=limit, value=value, note=found.note, is_kept=is_kept)


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


def _latency_value(record: Record, name: str, timing: str | None) -> _Measured:
    latency = next((it for it in record.latencies if timing in (None, it.timing)), None)
    if latency is None and timing is not None and timing in record.refused_timings:
        return _Measured(None, f"timing {timing!r} was not measured: {record.refused_timings[timing]}")
    if latency is None:
        measured = ", ".join(it.timing for it in record.latencies)
        return _Measured(None, f"timing {timing!r} was not measured, only {measured}" if measured else "nothing timed")
    value = _LATENCIES[name](latency)
    if value is None:
        return _Measured(None, _unsupported(name, latency))
    return _Measured(value, f"timing {latency.timing}, {summarize(latency).count} iterations")


def _unsupported(name: str, latency: Latency) -> str:
    if name == "throughput":
        return (
            "the batch is unknown: no dimension of the inputs calls itself one, and they do not agree on the leading "
            "one; name it as batch_dim in the model list"
        )
    percent = int(name.removeprefix("p").removesuffix("_ms"))
    return (
        f"{SAMPLES_NEEDED[percent]} iterations are needed to state it, there are {summarize(latency).count}; "
        f"measure longer, or more iterations"
    )


def _ms(nanoseconds: float | None) -> float | None:
    return None if nanoseconds is None else nanoseconds / 1e6


_LATENCIES: Mapping[str, Callable[[Latency], float | None]] = {
    "p50_ms": lambda it: _ms(summarize(it).p50_ns),
    "p90_ms": lambda it: _ms(summarize(it).p90_ns),
    "p95_ms": lambda it: _ms(summarize(it).p95_ns),
    "p99_ms": lambda it: _ms(summarize(it).p99_ns),
    "mean_ms": lambda it: _ms(summarize(it).mean_ns),
    "max_ms": lambda it: _ms(summarize(it).max_ns),
    "throughput": lambda it: summarize(it).throughput_per_s,
}


def _nodes_percent(record: Record) -> _Measured:
    placement = record.placement
    if placement is None:
        return _Measured(None, "it is not known where the nodes ran")
    if not placement.total_nodes:
        return _Measured(None, "no node is left of the graph")
    nodes = placement.nodes_by_provider.get(record.provider_full_name, 0)
    return _Measured(100 * nodes / placement.total_nodes, f"{nodes} of {placement.total_nodes} nodes")


def _gpu_memory(record: Record) -> _Measured:
    found = record.resources
    return _mib(found.device_peak_byte if found else None, record, "device_memory")


def _host_memory(record: Record) -> _Measured:
    found = record.resources
    return _mib(found.host_peak_byte if found else None, record, "host_memory")


def _mib(byte: int | None, record: Record, name: str) -> _Measured:
    if byte is None:
        return _Measured(None, record.resources.absent.get(name, _UNMEASURED) if record.resources else _UNMEASURED)
    return _Measured(byte / 2**20, "the higher of session creation and runs")


def _creation(record: Record) -> _Measured:
    return _seconds(record.session.creation_ns if record.session else None, "the first session")


def _second_creation(record: Record) -> _Measured:
    return _seconds(record.session.second_creation_ns if record.session else None, "the second session")


def _first_run(record: Record) -> _Measured:
    return _seconds(record.session.first_run_ns if record.session else None, "the first run")


def _seconds(nanoseconds: int | None, what: str) -> _Measured:
    if nanoseconds is None:
        return _Measured(None, f"{what} was not timed")
    return _Measured(nanoseconds / 1e9, "one measurement")


_OTHERS: Mapping[str, Callable[[Record], _Measured]] = {
    "gpu_memory_mib": _gpu_memory,
    "host_memory_mib": _host_memory,
    "nodes_on_ep_percent": _nodes_percent,
    "session_creation_s": _creation,
    "second_session_creation_s": _second_creation,
    "first_run_s": _first_run,
}
