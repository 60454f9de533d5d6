"""Measure the dashboard of a large history: time and memory to build it, what a new run rewrites, what a page loads.

The runs are made up: 1,000,000 points of 250 cases with 12 quantities each in 333 runs. It needs the programs chromium
and chromedriver.
"""

from __future__ import annotations

import random
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from measuring import Report, Target, parser, run_command, table

sys.path.append(str(Path(__file__).parents[1] / "tests"))

from pytest_ortperf.history.derivation import identity
from pytest_ortperf.history.schema import OUTCOME, POINT, RUN, SERIES, SOURCE_RUN, TEST_CASE
from pytest_ortperf.history.store import History
from reports.page.browser import Browser

RUNS, MODELS = 333, 50
VARIANTS = (("cpu", None), ("cpu", "fp16"), ("cuda", None), ("cuda", "fp16"), ("tensorrt", "fp16"))
METRICS = (
    ("latency_p50_ms", "ms", "host"),
    ("latency_mean_ms", "ms", "host"),
    ("latency_max_ms", "ms", "host"),
    ("latency_p90_ms", "ms", "host"),
    ("latency_p95_ms", "ms", "host"),
    ("latency_p99_ms", "ms", "host"),
    ("throughput_per_s", "per s", "host"),
    ("host_peak_memory_mib", "MiB", ""),
    ("nodes_on_provider_percent", "%", ""),
    ("session_creation_s", "s", ""),
    ("second_session_creation_s", "s", ""),
    ("first_run_s", "s", ""),
)
MOST_WRITTEN_MB, MOST_PAGE_KB, MOST_MEMORY_MIB = 5.0, 200.0, 1024.0


def add_runs(url: str, first: int, count: int) -> None:
    """Add runs to a history, as rows of its tables: adding their records would take longer than what is measured."""
    history = History.open(url, create=True)
    cases = [_case(model, *variant) for model in range(MODELS) for variant in VARIANTS]
    series = [_series(case, *metric) for case in cases for metric in METRICS]
    levels = [10 ** random.Random(each["id"]).uniform(-1, 2) for each in series]  # noqa: S311 - not a secret

    def change(connection: Any) -> None:
        if first == 1:
            connection.execute(TEST_CASE.insert(), cases)
            connection.execute(SERIES.insert(), series)
        for number in range(first, first + count):
            drawn = random.Random(number)  # noqa: S311 - not a secret
            connection.execute(SOURCE_RUN.insert(), _source(number))
            connection.execute(RUN.insert(), _run(number))
            pairs = zip(series, levels, strict=True)
            points = [_point(number, each, level * drawn.lognormvariate(0, 0.01)) for each, level in pairs]
            connection.execute(POINT.insert(), points)
            ended = {"run": number, "outcome": "passed", "kind": None, "text": None}
            outcomes = [{**ended, "number": place, "test_case": case["id"]} for place, case in enumerate(cases)]
            connection.execute(OUTCOME.insert(), outcomes)

    history.database.write(change)


def _source(number: int) -> dict[str, Any]:
    row = {"id": number, "key": str(number), "kind": "records", "run": _name(number), "added_at": ""}
    return {**row, "source": None, "labels": "{}"}


def _name(number: int) -> str:
    return f"2026{1 + number // 28:02d}{1 + number % 28:02d}-030000"


def _run(number: int) -> dict[str, Any]:
    day = f"2026-{1 + number // 28:02d}-{1 + number % 28:02d}"
    return {
        "id": number,
        "position": _name(number),
        "run": _name(number),
        "kind": "records",
        "added_at": "",
        "started": f"{day}T03:00:00+00:00",
        "branch": "main",
        "commit_id": f"{random.Random(number).getrandbits(160):040x}",  # noqa: S311 - not a secret
        "groups": '["zoo"]',
        "labels": "{}",
        "options": "{}",
        "machine": "cafe",
        "device": "NVIDIA H200",
        "onnxruntime": "onnxruntime-gpu 1.32.0",
        "complete": True,
        "state": "complete",
        "cases": MODELS * len(VARIANTS),
        "passed": MODELS * len(VARIANTS),
        "failed": 0,
        "deselected": "[]",
        "notes": "[]",
        "digest": str(number),
    }


def _case(model: int, provider: str, precision: str | None) -> dict[str, Any]:
    name = f"model_{model:02d}"
    variant = "-".join(filter(None, (provider, precision)))
    row = {
        "nodeid": f"models.json::{name}::benchmark[{variant}]",
        "list": "models.json",
        "case_id": f"{name}::benchmark[{variant}]",
        "model": name,
        "model_hash": f"{model:064x}",
        "mode": "benchmark",
        "provider": provider,
        "precision": precision,
        "dims": "",
        "settings": "",
        "group_name": "zoo",
        "machine": "cafe",
        "device": "AMD EPYC 9654" if provider == "cpu" else "NVIDIA H200",
    }
    return {"id": identity(*row.values()), **row}


def _series(case: dict[str, Any], metric: str, unit: str, timing: str) -> dict[str, Any]:
    number = identity(case["id"], timing, metric)
    return {
        "id": number,
        "test_case": case["id"],
        "lineage": number,
        "timing": timing,
        "metric": metric,
        "unit": unit,
    }


def _point(run: int, series: dict[str, Any], value: float) -> dict[str, Any]:
    has_interval = series["metric"] == "latency_p50_ms"
    ends = {"low": value * 0.99, "high": value * 1.01} if has_interval else {"low": None, "high": None}
    return {"run": run, "series": series["id"], "value": value, **ends, "n": 100, "flags": None}


def built(url: str, site: Path) -> dict[str, float]:
    """Build the site by the command, and return seconds, MB written and its peak memory.

    Raises:
        SystemExit: If it failed.
    """
    before = {path: path.stat().st_mtime_ns for path in site.rglob("*") if path.is_file()}
    command = [sys.executable, "-m", "pytest_ortperf.cli", "dashboard", "-o", str(site), f"--history={url}"]
    ended = run_command(command, folder=site.parent)
    if ended.status:
        raise SystemExit(ended.output)
    files = [path for path in site.rglob("*") if path.is_file()]
    written = [path for path in files if before.get(path) != path.stat().st_mtime_ns]
    return {
        "seconds": ended.seconds,
        "cpu_seconds": ended.cpu_seconds,
        "written_files": len(written),
        "written_mb": sum(path.stat().st_size for path in written) / 1e6,
        "site_files": len(files),
        "site_mb": sum(path.stat().st_size for path in files) / 1e6,
        "memory_mib": ended.peak_mib,
    }


def page_kilobytes(site: Path) -> float:
    """Return what the data of the largest page of a case takes: its own files, and that of all runs."""
    cases = [sum(path.stat().st_size for path in folder.iterdir()) for folder in (site / "data" / "case").iterdir()]
    return (max(cases) + (site / "data" / "runs.js").stat().st_size) / 1e3


def opened(site: Path, folder: Path, rounds: int) -> dict[str, float]:
    """Return milliseconds until both pages are ready, as medians."""
    key = next((site / "data" / "case").iterdir()).name
    found: dict[str, list[float]] = {"index.html": [], f"series.html#case={key}": []}
    with Browser(folder) as browser:
        browser.resize(1440)
        for _ in range(rounds):
            for page, times in found.items():
                browser.open(f"{site.as_uri()}/{page}")
                start = time.perf_counter()
                browser.wait("document.documentElement.dataset.ready === 'yes'")
                waited = time.perf_counter() - start
                loaded = browser.run("return performance.getEntriesByType('navigation')[0].loadEventEnd")
                times.append(loaded + 1000 * waited)
    return {page.partition("#")[0]: statistics.median(times) for page, times in found.items()}


def main() -> int:
    """Measure, print the report, return the exit status."""
    given = parser(__doc__, rounds=5).parse_args()
    report = Report("The dashboard of a million points")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        url, site = str(folder / "history.db"), folder / "site"
        add_runs(url, 1, RUNS)
        sides = {"from nothing": built(url, site), "nothing new": built(url, site)}
        for number in range(RUNS + 1, RUNS + 1 + given.repeat):
            add_runs(url, number, 1)
            sides[f"one run more ({number})"] = built(url, site)
        pages = opened(site, folder, given.repeat)
        kilobytes = page_kilobytes(site)
    later = [side for name, side in sides.items() if name.startswith("one run")]
    most = max(side["written_mb"] for side in later)
    memory = max(side["memory_mib"] for side in sides.values())
    report.targets += [
        Target(f"a run rewrites less than {MOST_WRITTEN_MB:g} MB", f"{most:.2f} MB", kept=most < MOST_WRITTEN_MB),
        Target(
            f"a case's page loads less than {MOST_PAGE_KB:g} kB", f"{kilobytes:.0f} kB", kept=kilobytes < MOST_PAGE_KB
        ),
        Target(f"memory stays below {MOST_MEMORY_MIB:g} MiB", f"{memory:.0f} MiB", kept=memory < MOST_MEMORY_MIB),
    ]
    columns = ["build", "s", "CPU s", "files written", "MB written", "files", "MB", "peak MiB"]
    rows = [
        [
            name,
            f"{side['seconds']:.1f}",
            f"{side['cpu_seconds']:.1f}",
            f"{side['written_files']:,}",
            f"{side['written_mb']:.2f}",
            f"{side['site_files']:,}",
            f"{side['site_mb']:.1f}",
            f"{side['memory_mib']:.0f}",
        ]
        for name, side in sides.items()
    ]
    report.sections = [
        table(columns, rows),
        table(["page", "ready in ms"], [[page, f"{ms:.0f}"] for page, ms in pages.items()]),
    ]
    report.data = {"builds": sides, "pages": pages, "page_kilobytes": kilobytes}
    report.finish(given.output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
