"""Memory and time of `ortperf report` and `ortperf compare` for large runs, and of the process that keeps a run.

A run of 10,000 benchmarks, half of them with 90,000 samples each, takes about 1.4 GB on disk; two are written into a
temporary folder (TMPDIR). With --records=N a smaller one is made, whose figures decide nothing.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from measuring import Report, Target, parser, run_command, table

sys.path.append(str(Path(__file__).parents[1] / "tests"))

from pytest_ortperf.records.codec import as_dict, from_dict
from pytest_ortperf.records.packed_numbers import pack
from pytest_ortperf.records.record import Record
from pytest_ortperf.records.statistics import compute
from pytest_ortperf.records.store import RecordsFile
from record_examples import make_end, make_header
from reports.page.examples import many

SAMPLES = 90_000
SETS = 7
"""Different lists of samples; packing 5,000 of them would take a minute and show nothing more."""

CONTROLLER_MIB, REPORT_MIB, COMPARE_MIB, REPORT_S = 300, 1000, 2000, 30.0
_RUNS = ("20261130-101500", "20261201-101500")


def main() -> int:
    """Write the runs, measure, print the report, return the exit status."""
    arguments = parser(__doc__, rounds=1)
    arguments.add_argument("--records", type=int, default=10_000, metavar="N", help="records a run [10000]")
    given = arguments.parse_args()
    report = Report("Memory of large runs")
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        kept_mib, kept_s = _in_child(lambda: _keep(folder, _RUNS[0], given.records))
        rows.append(("the process that writes and keeps a run", f"{kept_mib:.0f}", f"{kept_s:.1f}"))
        _in_child(lambda: _keep(folder, _RUNS[1], given.records))
        size = (folder / f"records_{_RUNS[0]}.jsonl").stat().st_size / 1e9
        paths = [str(folder / f"records_{run}.jsonl") for run in _RUNS]
        report_mib, report_s = _of_program(folder, "report", paths[0], "-o", str(folder / "reports"))
        rows.append((f"ortperf report, {size:.2f} GB", f"{report_mib:.0f}", f"{report_s:.1f}"))
        compare_mib, compare_s = _of_program(folder, "compare", *paths)
        rows.append(("ortperf compare of two", f"{compare_mib:.0f}", f"{compare_s:.1f}"))
    report.sections = [table(["", "peak memory in MiB", "seconds"], rows)]
    for what, value, most, unit in (
        ("The process that keeps a run", kept_mib, CONTROLLER_MIB, "MiB"),
        ("ortperf report", report_mib, REPORT_MIB, "MiB"),
        ("ortperf report", report_s, REPORT_S, "s"),
        ("ortperf compare", compare_mib, COMPARE_MIB, "MiB"),
    ):
        report.targets.append(
            Target(f"{what} takes less than {most:g} {unit}", f"{value:.0f} {unit}", kept=value < most)
        )
    report.data = {"rows": rows, "records": given.records, "gigabytes": size}
    report.finish(given.output)
    return 0


def _keep(folder: Path, run: str, count: int) -> None:
    """Do what the recorder of a session does with each report: write its record, and keep it."""
    rng = np.random.default_rng(len(run))
    lists = [rng.lognormal(13.8, 0.05, SAMPLES).astype(np.int64).tolist() for _ in range(SETS)]
    texts = [pack(each) for each in lists]
    summaries = [as_dict(compute(each, block_iterations=1000, batch=1)) for each in lists]
    del lists
    kept = []
    with RecordsFile.create(folder, run, make_header(run=run)) as file:
        for number, record in enumerate(_records(count)):
            data = as_dict(record)
            if number % 2:
                data["latencies"][0] |= {"samples_ns": texts[number % SETS], "summary": summaries[number % SETS]}
            found = from_dict(Record, data)
            file.append(found, data)
            kept.append(found)
        file.end(make_end(collected=count))


def _records(count: int) -> list[Record]:
    return list(many(count // 6 + 1, both=False).records[:count])


def _in_child(work: Callable[[], None]) -> tuple[float, float]:
    began = time.perf_counter()
    pid = os.fork()
    if pid == 0:
        try:
            work()
        finally:
            os._exit(0 if sys.exc_info()[0] is None else 1)
    _, status, usage = os.wait4(pid, 0)
    if status:
        raise RuntimeError("the run could not be written")
    return usage.ru_maxrss / 1024, time.perf_counter() - began


def _of_program(folder: Path, *arguments: str) -> tuple[float, float]:
    done = run_command([sys.executable, "-m", "pytest_ortperf.cli", *arguments], folder=folder)
    if done.status < 0 or "Traceback" in done.output:
        raise RuntimeError(f"ortperf {arguments[0]} ended with {done.status}:\n{done.output[-2000:]}")
    return done.peak_mib, done.seconds


if __name__ == "__main__":
    sys.exit(main())
