"""Time `ortperf compare` on two made-up runs of 1,000 cases with 100 samples each.

Reading both records files and writing all four outputs count; starting Python does too.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from pytest_ortperf.records.environment.machine_checks import MachineState
from pytest_ortperf.records.environment.run_header import Environment, RunHeader
from pytest_ortperf.records.latency import Latency
from pytest_ortperf.records.record import (
    DataSetAccuracy,
    OutputAccuracy,
    Placement,
    Record,
    SessionFact,
)
from pytest_ortperf.records.store import RecordsFile

CPU = "CPUExecutionProvider"
SAMPLES = 100


def main() -> int:
    """Print the seconds of each repetition."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=1000)
    parser.add_argument("--repeat", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        paths = [str(write_run(folder, str(seed), arguments.cases, seed)) for seed in (1, 2)]
        outputs = [part for ending in ("csv", "md", "json", "html") for part in ("-o", str(folder / f"out.{ending}"))]
        for _ in range(arguments.repeat):
            started = time.perf_counter()
            command = [sys.executable, "-m", "pytest_ortperf.cli", "compare", *paths, *outputs]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            taken = time.perf_counter() - started
            (line,) = [line for line in done.stdout.splitlines() if line.startswith("latency: ")]
            print(f"{taken:.2f} s, exit status {done.returncode}, {line}")
    return 0


def write_run(folder: Path, run: str, cases: int, seed: int) -> Path:
    """Write a run whose case 7 is twice as slow in the second."""
    dice = random.Random(seed)  # noqa: S311 - noise
    environment = Environment(
        cpu="CPU", logical_cores=2, usable_cores=2, memory_byte=2**33, python="3.11", fingerprint="CPU, 2 cores"
    )
    header = RunHeader(
        schema=1,
        run=run,
        started="2026-01-01T00:00:00+00:00",
        command=(),
        options={},
        labels={},
        reference_provider=None,
        providers=("cpu",),
        environment=environment,
    )
    with RecordsFile.create(folder, run, header) as file:
        for number in range(cases):
            file.append(make_record(number, dice, 3.0 if number == 7 and seed == 2 else 1.0))  # noqa: PLR2004
    return file.path


def make_record(number: int, dice: random.Random, factor: float) -> Record:
    """Return a benchmark of 1 to 10 ms."""
    typical = (1 + number % 10) * 1e6 * factor * dice.gauss(1, 0.005)
    samples = tuple(round(typical * dice.gauss(1, 0.003)) for _ in range(SAMPLES))
    output = OutputAccuracy(
        name="y",
        dtype="float",
        shape=(1, 1000),
        within_tolerance=True,
        rtol=1e-3,
        atol=1e-5,
        percent_mismatch_allowed=0,
        percent_mismatch=0,
        max_abs_error=1e-7,
    )
    return Record(
        case_id=f"m{number}::benchmark[cpu]",
        nodeid=f"models.json::m{number}::benchmark[cpu]",
        model=f"m{number}",
        mode="benchmark",
        provider="cpu",
        provider_full_name=CPU,
        precision=None,
        outcome="passed",
        started="2026-01-01T00:00:00+00:00",
        session=SessionFact(
            requested_providers=(CPU,),
            active_providers=(CPU,),
            provider_options={},
            graph_optimization="all",
            intra_op_threads=None,
            creation_ns=10_000_000,
        ),
        placement=Placement(
            nodes_by_provider={CPU: 30}, op_types_by_provider={CPU: {"Conv": 20, "Relu": 10}}, source="assignment info"
        ),
        latencies=(Latency(timing="host", samples_ns=samples, warmup_iterations=10, batch=1),),
        accuracy=(DataSetAccuracy(data_set="generated", reference="CPU fp32", outputs=(output,)),),
        machine=MachineState(spans=()),
    )


if __name__ == "__main__":
    sys.exit(main())
