"""Measure the dashboard of a large history: time and memory to build it, what a new run rewrites, what a page loads.

The history is that of `history_size.py`: 1,000,000 points of made-up runs. It needs the programs chromium and
chromedriver.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path

from history_size import benchmarks, fill
from measuring import Report, Target, parser, run_command, table

sys.path.append(str(Path(__file__).parents[1] / "tests"))

from history.runs import write_run
from pytest_ortperf.history.kept_run import kept_records
from pytest_ortperf.history.opening import open_history
from reports.page.browser import Browser

MOST_WRITTEN_MB, MOST_PAGE_KB, MOST_MEMORY_MIB = 5.0, 200.0, 1024.0


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
        fill(url, folder / "result")
        sides = {"from nothing": built(url, site), "nothing new": built(url, site)}
        for number in range(1, given.repeat + 1):
            path = write_run(folder / "result", f"20280101-03{number:02}00", benchmarks(number))
            open_history(url).add(kept_records(path))
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
