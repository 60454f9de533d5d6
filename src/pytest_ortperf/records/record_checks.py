"""What a record read from a file must keep to beside its fields' types, so that every report can be made of it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import datetime

from pytest_ortperf.records.environment.machine_checks import LEVELS
from pytest_ortperf.records.latency import Latency
from pytest_ortperf.records.packed_numbers import PackedNumbers
from pytest_ortperf.records.record import OUTCOMES, TIMINGS, Concurrent, Record
from pytest_ortperf.safe_files import shortened

_MOST_NS = 1 << 62
"""146 years; arithmetic with a few of them stays within 64 bits."""

_MOST_CHARACTERS = 4096
"""Of a name; tables show it whole, lest two become the same."""


def check_record(record: Record) -> None:
    """Raise `ValueError` for a record that this package cannot have written."""
    for what in _wrong(record):
        raise ValueError(what)


def _wrong(record: Record) -> Iterator[str]:
    if record.outcome not in OUTCOMES:
        yield f"the outcome is {shortened(repr(record.outcome))}"
    if not record.case_id or not record.nodeid:
        yield "it names no case"
    names: list[str] = [record.case_id, record.nodeid, record.model, record.mode, record.provider]
    names += [record.provider_full_name, record.precision or "", record.group or ""]
    names += [*record.dims, *record.assumed_dims, *record.tags, *(each.data_set or "" for each in record.latencies)]
    if max(map(len, names)) > _MOST_CHARACTERS:
        yield f"a name has {max(map(len, names)):,} characters"
    try:
        datetime.fromisoformat(record.started)
    except ValueError:
        yield f"started is {shortened(repr(record.started))}, which is no date"
    times = [record.duration_ns, *record.stage_ns.values()]
    if record.session is not None:
        times += [record.session.creation_ns, record.session.second_creation_ns, record.session.first_run_ns]
    if any(time is not None and not 0 <= time < _MOST_NS for time in times):
        yield "a time is negative or longer than a century"
    if any(found.level not in LEVELS for found in (record.machine.findings if record.machine else ())):
        yield "a finding about the machine has no level that is known"
    for latency in record.latencies:
        yield from _wrong_latency(latency)
    if record.concurrent is not None:
        yield from _wrong_threads(record.concurrent)


def _wrong_latency(latency: Latency) -> Iterator[str]:
    samples, summary = latency.samples_ns, latency.summary
    if latency.timing not in TIMINGS:
        yield f"the timing mode is {shortened(repr(latency.timing))}"
    if not samples and summary is None:
        yield "a latency has neither samples nor statistics"
    if not isinstance(samples, PackedNumbers) and any(not 0 <= sample < _MOST_NS for sample in samples):
        yield "a sample is negative or longer than a century"
    if summary is not None:
        values = (summary.min_ns, summary.max_ns, summary.mean_ns, summary.p50_ns)
        if not all(math.isfinite(value) and 0 <= value < _MOST_NS for value in values) or summary.count < 1:
            yield "the statistics of a latency are no times"


def _wrong_threads(found: Concurrent) -> Iterator[str]:
    if not len(found.iterations) == len(found.thread_ns) == len(found.p50_ns) or min(found.thread_ns, default=0) <= 0:
        yield "the iterations and times of threads do not belong together"
