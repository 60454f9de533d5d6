"""Sides for tests: runs of cases whose latencies are what the test says."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from typing import Any

from pytest_ortperf.records.environment.machine_checks import MachineState
from pytest_ortperf.records.latency import Latency
from pytest_ortperf.records.record import Record, TensorFact
from pytest_ortperf.reports.comparison.compared_side import Side, side_of
from record_examples import make_environment, make_header, make_record, make_run

QUIET = MachineState(spans=())
PRINT = "AMD EPYC 9654, 8 cores, 8 GiB"


def timed(model: str, p50_ms: float, *, seed: int = 0, spread: float = 0.002, **changes: Any) -> Record:
    """Return a benchmark of a quiet machine: 60 samples around a median."""
    noise = random.Random(f"{seed} {model}")  # noqa: S311
    samples = tuple(round(p50_ms * 1e6 * noise.gauss(1, spread)) for _ in range(60))
    latency = Latency(timing=changes.pop("timing", "host"), samples_ns=samples, warmup_iterations=5, batch=1)
    return make_record(model, latencies=(latency,), **({"machine": QUIET} | changes))


def image(size: int) -> TensorFact:
    """Return a square picture as a generated input."""
    return TensorFact(name="images", dtype="float", shape=(1, 3, size, size), origin="generated")


def fleet(count: int = 20, *, seed: int = 0, noise: float = 0.005, **factors: float) -> list[Record]:
    """Return benchmarks `m0`, `m1`, ... of 2 ms and more, each off by some noise, some by a factor too."""
    dice = random.Random(seed)  # noqa: S311
    return [
        timed(f"m{number}", (2 + number) * dice.gauss(1, noise) * factors.get(f"m{number}", 1), seed=seed)
        for number in range(count)
    ]


def side(*runs: Iterable[Record], name: str = "side", **environment: Any) -> Side:
    """Return a side of runs on one machine."""
    facts = {"fingerprint": PRINT} | environment
    return side_of(
        name,
        [
            make_run(
                records,
                header=make_header(run=f"{name}-{number}", environment=make_environment(**facts)),
            )
            for number, records in enumerate(runs)
        ],
    )


def verdicts(pairs: Iterable[Any]) -> Mapping[str, str]:
    """Return the model -> verdict of pairs that are not SAME."""
    return {pair.case_id.partition("::")[0]: pair.decision.verdict for pair in pairs if pair.decision.verdict != "SAME"}
