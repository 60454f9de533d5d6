"""Decisions on runs that were really made: the same 15 models six times, on a loaded machine with two cores.

`tests/data/comparison` holds their records without samples (statistics alone) and without what names the machine.
"""

from __future__ import annotations

import dataclasses
import functools
import gzip
import itertools
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_ortperf.records.environment.machine_checks import MachineState
from pytest_ortperf.records.record import Record
from pytest_ortperf.records.store import StoredRun, read_run
from pytest_ortperf.reports.comparison.compared_side import side_of
from pytest_ortperf.reports.comparison.latency_changes import LatencyPair
from pytest_ortperf.reports.comparison.run_comparison import Comparison, compare, failing

DATA = Path(__file__).parents[2] / "data" / "comparison"
EVERYTHING = ("latency", "failures", "accuracy", "placement", "memory", "creation", "missing")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[StoredRun]:
    folder = tmp_path_factory.mktemp("recorded")
    found = []
    for packed in sorted(DATA.glob("*.jsonl.gz")):
        path = folder / packed.name.removesuffix(".gz")
        path.write_bytes(gzip.decompress(packed.read_bytes()))
        found.append(read_run(path))
    assert [len(run.records) for run in found] == [15] * 6
    return found


def compared(base: list[StoredRun], current: list[StoredRun]) -> Comparison:
    return compare(side_of("base", base), side_of("current", current))


def test_no_run_is_slower_or_faster_than_itself_made_again(runs: list[StoredRun]) -> None:
    for base, current in itertools.permutations(runs, 2):
        comparison = compared([base], [current])
        assert set(comparison.counts) <= {"SAME", "UNSURE"}
        assert failing(comparison, ("latency", "failures", "accuracy", "placement", "missing")) == []


def test_nor_are_three_runs_than_three_others(runs: list[StoredRun]) -> None:
    for base in itertools.combinations(runs, 3):
        comparison = compared(list(base), [run for run in runs if run not in base])
        assert set(comparison.counts) <= {"SAME", "UNSURE"}
        assert failing(comparison, EVERYTHING) == []


def times(factor: float, model: str, record: Record) -> Record:
    """Return the record with its latency times a factor, if it is of that model."""
    (latency,) = record.latencies
    summary = latency.summary
    assert summary is not None
    if record.model != model:
        return record
    names = ("mean_ns", "p50_ns", "p50_low_ns", "p50_high_ns")
    changed = {name: getattr(summary, name) * factor for name in names}
    changed["min_ns"] = round(summary.min_ns * factor)
    summary = dataclasses.replace(summary, **changed)
    return dataclasses.replace(record, latencies=(dataclasses.replace(latency, summary=summary),))


def unnoticed(record: Record) -> Record:
    """Return the record as if nothing had been seen of what disturbed it."""
    (latency,) = record.latencies
    latencies = (dataclasses.replace(latency, status="stable", steady=True),)
    return dataclasses.replace(record, latencies=latencies, machine=MachineState(spans=()))


def changed(runs: list[StoredRun], change: Callable[[Record], Record]) -> list[StoredRun]:
    return [dataclasses.replace(run, records=tuple(map(change, run.records))) for run in runs]


def planted(comparison: Comparison) -> LatencyPair:
    (pair,) = [pair for pair in comparison.pairs if pair.case_id.startswith("tiny_bert")]
    return pair


def test_a_gross_slowdown_is_found_despite_disturbances_and_a_smaller_one_without(runs: list[StoredRun]) -> None:
    slow = changed(runs[3:], functools.partial(times, 4, "tiny_bert"))
    found = compared(changed(runs[:3], unnoticed), changed(slow, unnoticed))
    assert [(each.case_id, each.kind) for each in failing(found, EVERYTHING)] == [
        ("tiny_bert::benchmark[cpu]", "SLOWER")
    ]
    assert planted(compared(runs[:3], slow)).decision.by == planted(compared(runs[:1], slow[:1])).decision.by == "gross"
    slow = changed(runs[3:], functools.partial(times, 1.5, "tiny_bert"))
    for pair in (planted(compared(runs[:3], slow)), planted(compared(runs[:1], slow[:1]))):
        assert pair.decision.verdict == "UNSURE"
        assert pair.decision.reasons[0].startswith("the noise hides changes of up to ")
