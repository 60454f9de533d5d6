"""Pairs, headers and pairs files for tests: small, whole, and each of what the test says."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from pytest_ortperf.records.pairs import PAIRS_SCHEMA, SCREEN, Pair, PairsHeader, PairSide, SideFact, SideRecord
from pytest_ortperf.records.pairs_file import StoredPairs
from pytest_ortperf.records.record import Record
from record_examples import make_environment, make_record

PRINT = "AMD EPYC 9654, 8 cores, 8 GiB"
RUN = "20261128-035310"


def make_pair(percent: float = 0.0, *, model: str = "bert", **changes: Any) -> Pair:
    """Return a pair of which the current side is slower by some percent; `base_ms` and `clocks` are of its sides."""
    base_ns = 1e6 * changes.pop("base_ms", 10.0)
    clocks = changes.pop("clocks", (None, None))
    values: dict[str, Any] = {
        "round": 0,
        "stage": SCREEN,
        "case_id": f"{model}::benchmark[cpu]",
        "timing": "host",
        "log_ratio": math.log1p(percent / 100),
        "base": _side(base_ns, clocks[0]),
        "current": _side(base_ns * (1 + percent / 100), clocks[1]),
        "order": "ABBA",
    }
    return Pair(**(values | changes))


def make_pairs(percents: Sequence[float], *, model: str = "bert", **changes: Any) -> list[Pair]:
    """Return a pair a round."""
    return [make_pair(percent, model=model, round=number, **changes) for number, percent in enumerate(percents)]


def make_side_record(side: str = "base", model: str = "bert", **changes: Any) -> SideRecord:
    """Return a record of a side; changes are of the record, but for `stage` and `round`."""
    place = {"stage": changes.pop("stage", SCREEN), "round": changes.pop("round", 0)}
    record: Record = make_record(model, **changes)
    return SideRecord(side=side, case_id=f"{model}::benchmark[cpu]", record=record, **place)


def make_fact(name: str = "base", cases: Iterable[str] = ("bert::benchmark[cpu]",), **environment: Any) -> SideFact:
    facts = {"fingerprint": PRINT} | environment
    return SideFact(
        name=name,
        python="CPython 3.11.7",
        options={"threads": 1 if name == "base" else 2},
        environment=make_environment(**facts),
        cases=tuple(cases),
    )


def make_pairs_header(**changes: Any) -> PairsHeader:
    values: dict[str, Any] = {
        "schema": PAIRS_SCHEMA,
        "run": RUN,
        "started": "2026-11-28T03:53:10.000+00:00",
        "command": ("ortperf", "ab"),
        "plan": {"screen_pairs": 3, "confirm_pairs": 10, "pair_s": 1.0, "seed": 0, "is_aa": False},
        "base": make_fact("base"),
        "current": make_fact("current"),
    }
    return PairsHeader(**(values | changes))


def make_stored(pairs: Iterable[Pair] = (), records: Iterable[SideRecord] | None = None, **changes: Any) -> StoredPairs:
    """Return a pairs file that was read; without records named, each pair has passed ones."""
    found = tuple(pairs)
    passed = [
        make_side_record(side, pair.case_id.partition("::")[0], stage=pair.stage, round=pair.round)
        for pair in found
        for side in ("base", "current")
    ]
    values: dict[str, Any] = {
        "path": Path(f"result/pairs_{RUN}.jsonl"),
        "header": make_pairs_header(),
        "pairs": found,
        "records": tuple(passed if records is None else records),
        "rounds": (),
    }
    return StoredPairs(**(values | changes))


def _side(median_ns: float, clock: float | None) -> PairSide:
    return PairSide(
        median_ns=median_ns,
        mean_ns=median_ns * 1.01,
        min_ns=round(median_ns * 0.98),
        iterations=120,
        turns_ns=(median_ns, median_ns * 1.02),
        session_creation_ns=12_000_000,
        first_run_ns=round(median_ns * 3),
        sm_clock_mhz=clock,
    )
