"""Measure a history of 1,000,000 points: adding a run, looking at a trend, their memory, and the size on disk.

The runs are made up: 333 of 250 benchmarks with 12 quantities and 1,000 latencies each. PostgreSQL is measured where it
is installed; the script starts a server of its own.
"""

from __future__ import annotations

import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from measuring import Report, Target, parser, table
from sqlalchemy import Connection, insert, select, text

sys.path.append(str(Path(__file__).parents[1] / "tests"))

from history.runs import running_server, write_run
from pytest_ortperf.history.kept_run import kept_records
from pytest_ortperf.history.opening import open_history
from pytest_ortperf.history.schema import OUTCOME, POINT, RECORD, RUN, SCRIPT_RESULT, SCRIPT_SPEC, SOURCE_RUN
from pytest_ortperf.records.latency import Latency
from pytest_ortperf.records.record import Record
from pytest_ortperf.records.resources import HostMemory, Resources
from record_examples import make_placement, make_record, make_session

CASES, QUANTITIES, RUNS, SAMPLES = 250, 12, 333, 1000
MOST_ADD_S, MOST_TREND_MS, MOST_MEMORY_MIB = 10.0, 300.0, 1024.0

_ADD = """
import resource, sys
from pytest_ortperf.cli import main
status = main(sys.argv[1:])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
sys.exit(status)
"""
_TREND = """
import json, random, resource, sys, time
from pytest_ortperf.history.opening import open_history
history = open_history(sys.argv[1])
series = random.Random(1).sample(history.series(metric="latency_p50_ms"), 20)
found = []
for each in series:
    start = time.perf_counter()
    points = history.trend(each.id)
    found.append(1000 * (time.perf_counter() - start))
    assert len(points) > 300
print(json.dumps([found, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024]))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What was measured of one database."""

    name: str
    filled_s: float
    add_s: tuple[float, ...]
    add_mib: float
    trend_ms: tuple[float, ...]
    trend_mib: float
    disk_mib: float
    count: Mapping[str, int]


def benchmarks(seed: int) -> list[Record]:
    """Return the records of a run."""
    drawn = random.Random(seed)  # noqa: S311 - not a secret
    memory = HostMemory(
        baseline_byte=50 << 20,
        creation_peak_byte=5 << 20,
        creation_byte=4 << 20,
        run_peak_byte=9 << 20,
        run_byte=8 << 20,
    )
    found = []
    for number in range(CASES):
        samples = tuple(round((1 + number) * 1e5 * drawn.lognormvariate(0, 0.02)) for _ in range(SAMPLES))
        latency = Latency(timing="host", samples_ns=samples, warmup_iterations=5, batch=1, block_iterations=50)
        session = make_session(creation_ns=10**7 + number, second_creation_ns=10**7 + number, first_run_ns=10**6)
        found.append(
            make_record(
                f"model_{number:03}",
                latencies=(latency,),
                session=session,
                placement=make_placement(MatMul=20, Add=7),
                resources=Resources(host_memory=memory),
                group="zoo",
            )
        )
    return found


def name_of(number: int) -> str:
    """Return the run id of a run."""
    return f"2026{1 + number // 28:02}{1 + number % 28:02}-030000"


def fill(url: str, folder: Path) -> None:
    """Make the history: one run is added, and the others are its rows, each value with a noise of 1 %."""
    history = open_history(url, create=True)
    history.add(kept_records(write_run(folder, name_of(0), benchmarks(0))))
    history.database.write(_copy_runs)


def _copy_runs(connection: Connection) -> None:
    tables = (RECORD, POINT, OUTCOME, SCRIPT_RESULT, SCRIPT_SPEC)
    rows = {it.name: list(map(dict, connection.execute(select(it)).mappings())) for it in tables}
    source, run = (dict(connection.execute(select(it)).mappings().one()) for it in (SOURCE_RUN, RUN))
    drawn = random.Random(0)  # noqa: S311 - not a secret
    for number in range(2, RUNS + 1):
        name = name_of(number)
        connection.execute(insert(SOURCE_RUN), {**source, "id": number, "key": name, "run": name})
        connection.execute(insert(RUN), {**run, "id": number, "position": f"{name}-0001", "run": name})
        for it in tables:
            copied: list[dict[str, Any]] = [{**row, "run": number} for row in rows[it.name]]
            if it is POINT:
                copied = [{**row, "value": row["value"] * drawn.lognormvariate(0, 0.01)} for row in copied]
            connection.execute(insert(it), copied)
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT setval('source_run_id_seq', (SELECT MAX(id) FROM source_run))"))


def measure(name: str, url: str, folder: Path, rounds: int) -> Measured:
    """Fill a database and measure what is asked of it."""
    start = time.perf_counter()
    fill(url, folder)
    filled = time.perf_counter() - start
    added, memory = [], []
    for number in range(rounds):
        path = write_run(folder, f"20280101-03{number:02}00", benchmarks(1 + number))
        start = time.perf_counter()
        out = _python(_ADD, "history", "add", str(path), f"--history={url}")
        added.append(time.perf_counter() - start)
        memory.append(float(out.splitlines()[-1]))
    trends, trend_memory = json.loads(_python(_TREND, url))
    history = open_history(url)
    return Measured(
        name=name,
        filled_s=filled,
        add_s=tuple(added),
        add_mib=max(memory),
        trend_ms=tuple(trends),
        trend_mib=trend_memory,
        disk_mib=_disk_mib(url),
        count=history.count(),
    )


def _python(code: str, *arguments: str) -> str:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout


def _disk_mib(url: str) -> float:
    history = open_history(url)
    if history.database.file is not None:
        return sum(path.stat().st_size for path in history.database.file.parent.glob("history.db*")) / 2**20
    with history.database.read() as connection:
        return float(connection.execute(text("SELECT pg_database_size(current_database())")).scalar_one()) / 2**20


def main() -> int:
    """Measure, print the report, return the exit status."""
    given = parser(__doc__, rounds=5).parse_args()
    report = Report("A history of a million points")
    found = []
    with tempfile.TemporaryDirectory() as name, running_server() as server:
        folder = Path(name)
        found.append(measure("SQLite", str(folder / "history.db"), folder / "a", given.repeat))
        if server is not None:
            found.append(measure("PostgreSQL", server.new_database("perf"), folder / "b", given.repeat))
    sqlite = found[0]
    add, trend, memory = max(sqlite.add_s), max(sqlite.trend_ms), max(sqlite.add_mib, sqlite.trend_mib)
    report.targets = [
        Target(f"SQLite adds a run within {MOST_ADD_S:g} s", f"{add:.1f} s", kept=add < MOST_ADD_S),
        Target(f"SQLite shows a trend within {MOST_TREND_MS:g} ms", f"{trend:.1f} ms", kept=trend < MOST_TREND_MS),
        Target(f"memory stays below {MOST_MEMORY_MIB:g} MiB", f"{memory:.0f} MiB", kept=memory < MOST_MEMORY_MIB),
    ]
    columns = [
        "database",
        "points",
        "series",
        "add a run, s",
        "most",
        "peak MiB",
        "trend, ms",
        "most",
        "peak MiB",
        "on disk, MiB",
    ]
    rows = [
        [
            it.name,
            f"{it.count['point']:,}",
            f"{it.count['series']:,}",
            f"{statistics.median(it.add_s):.2f}",
            f"{max(it.add_s):.2f}",
            f"{it.add_mib:.0f}",
            f"{statistics.median(it.trend_ms):.1f}",
            f"{max(it.trend_ms):.1f}",
            f"{it.trend_mib:.0f}",
            f"{it.disk_mib:,.0f}",
        ]
        for it in found
    ]
    report.sections = [table(columns, rows)]
    report.data = {it.name: {"add_s": it.add_s, "trend_ms": it.trend_ms, "disk_mib": it.disk_mib} for it in found}
    report.finish(given.output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
