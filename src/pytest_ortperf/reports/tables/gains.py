"""Gains of a provider over its reference provider, within one run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from pytest_ortperf.cases.providers import find_provider
from pytest_ortperf.errors import SettingsError
from pytest_ortperf.records.environment.run_header import RunHeader
from pytest_ortperf.records.latency import Latency, Summary
from pytest_ortperf.records.record import Record
from pytest_ortperf.records.statistics import summarize

PASSED = ("passed", "xpassed")
"""Outcomes whose measurements count."""


def counts(record: Record) -> bool:
    """Whether what a record measured counts: a limit that it does not keep makes it no less true."""
    return record.outcome in PASSED or (record.failure is not None and record.failure.kind == "limit")


def shape_difference(*records: Record) -> str | None:
    """Return the first input whose shape differs, such as `input 'x' is (1, 64) and (1, 224)`; `None` if none does.

    What was measured at different shapes is not comparable. An input that only one record has, or whose shape is not
    known, counts for nothing.
    """
    known: dict[str, tuple[int, ...]] = {}
    for name, shape in ((value.name, value.shape) for record in records for value in record.inputs):
        if shape is not None and (first := known.setdefault(name, tuple(shape))) != tuple(shape):
            return f"input '{name}' is {first} and {tuple(shape)}"
    return None


BEST_FIRST = ("bound", "host", "bound+copies", "graph")
"""Timing modes in the order in which a gain is looked for where one has to stand for all: without copies first, then
the one that every provider has."""

Key = tuple[str, str, tuple[tuple[str, int], ...], str, str | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Gain:
    """How much less time than the reference provider took, of median latencies of one timing mode."""

    percent: float
    """Positive is faster; 50 is half the time, -100 twice the time."""

    reference: str
    """Short name of the reference provider."""

    timing: str

    low_percent: float | None = None
    """With both medians at the ends of their 95 % intervals that make it least; `None` where one has none."""

    high_percent: float | None = None


def gain(base_ns: float, other_ns: float) -> float | None:
    """Return what `other_ns` saves of `base_ns` in percent; `None` for a base of 0.

    Source: the gain columns of the ONNX Runtime TensorRT performance scripts.
    """
    return (base_ns - other_ns) / base_ns * 100 if base_ns > 0 else None


def list_of(record: Record) -> str:
    """Return the model list a record's case came from, as its node id says."""
    return record.nodeid.split(f"::{record.model}::", maxsplit=1)[0]


def reference_name(provider: str, header: RunHeader) -> str | None:
    """Return the provider that gains are against: the run's choice, else the provider's own; not itself."""
    try:
        name = header.reference_provider or find_provider(provider).reference
    except SettingsError:  # a runner that is no provider, or a name of a newer version
        return None
    return None if name == provider else name


def references_of(provider: str, header: RunHeader) -> tuple[str, ...]:
    """Return all providers that gains are against, the one of `reference_name` first."""
    try:
        others = find_provider(provider).also_against
    except SettingsError:
        others = ()
    first = reference_name(provider, header)
    return tuple(dict.fromkeys(name for name in (first, *others) if name and name != provider))


class Gains:
    """The benchmarks of a run, to be asked for gains."""

    def __init__(self, header: RunHeader, records: Iterable[Record]) -> None:
        self._header = header
        self._measured: Mapping[Key, Record] = {
            _key(record, record.provider): record for record in records if counts(record) and record.latencies
        }

    def of(self, record: Record, against: str | None = None) -> Gain | None:
        """Return the gain in the best timing mode that a record and its reference both have; never across modes."""
        best_first = sorted(record.latencies, key=lambda latency: BEST_FIRST.index(latency.timing))
        return next((found for latency in best_first if (found := self.of_timing(record, latency, against))), None)

    def reference_of(self, record: Record, against: str | None = None) -> Record | None:
        """Return the benchmark of the same case on the reference provider, measured at the same shapes.

        `None` if it has none, or either did not pass.

        Args:
            record: Of a benchmark.
            against: The reference, instead of that of `reference_name`.
        """
        name = against or reference_name(record.provider, self._header)
        base = self._measured.get(_key(record, name)) if name and counts(record) else None
        return None if base is None or shape_difference(base, record) else base

    def not_comparable(self) -> Iterator[tuple[Record, Record, str]]:
        """Yield a benchmark, its reference and the difference wherever both were measured at different shapes."""
        for record in self._measured.values():
            for name in references_of(record.provider, self._header):
                base = self._measured.get(_key(record, name))
                difference = base and shape_difference(base, record)
                if base is not None and difference:
                    yield record, base, difference

    def standalone(self, record: Record, latency: Latency) -> Gain | None:
        """Return the gain over the program that runs the same engine by itself, where it is not the reference."""
        others = references_of(record.provider, self._header)[1:]
        return next((found for name in others if (found := self.of_timing(record, latency, name))), None)

    def of_timing(self, record: Record, latency: Latency, against: str | None = None) -> Gain | None:
        """Return the gain in one timing mode; `None` without reference, or where it lacks that mode.

        Args:
            record: Of a benchmark.
            latency: One of its modes.
            against: The reference, instead of that of `reference_name`.
        """
        base = self.reference_of(record, against)
        if base is None:
            return None
        for other in base.latencies:
            if other.label == latency.label:
                return _gain(summarize(other), summarize(latency), base.provider, other.timing)
        return None


def _gain(base: Summary, own: Summary, reference: str, timing: str) -> Gain | None:
    percent = gain(base.p50_ns, own.p50_ns)
    if percent is None:
        return None
    low = high = None
    if base.p50_low_ns and base.p50_high_ns and own.p50_low_ns is not None and own.p50_high_ns is not None:
        low, high = gain(base.p50_low_ns, own.p50_high_ns), gain(base.p50_high_ns, own.p50_low_ns)
    return Gain(percent=percent, reference=reference, timing=timing, low_percent=low, high_percent=high)


def _key(record: Record, provider: str) -> Key:
    return list_of(record), record.model, tuple(sorted(record.dims.items())), provider, record.precision
