"""The page of a run in a headless Chromium: its size, and the time to make, open, sort and filter it.

It needs the programs chromium and chromedriver. The runs are made up, with every part of a record.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path

from measuring import Report, Target, parser, spread, table

sys.path.append(str(Path(__file__).parents[1] / "tests"))

from pytest_ortperf.reports.page.run_page import run_page
from reports.page.browser import Browser
from reports.page.examples import many

SIZES = {"100 models x 6 variants, both modes": (100, True), "10,002 benchmarks": (1667, False)}
MOST_MB, MOST_OPEN_S = (1.5, None), (2.0, 3.0)

OPENED = """
const [navigation] = performance.getEntriesByType("navigation");
return performance.now() > 0 && window.ortperfReady - navigation.startTime"""
WATCH = """
new MutationObserver(() => {
  if (document.documentElement?.dataset.ready === "yes") window.ortperfReady ??= performance.now();
}).observe(document, { attributes: true, subtree: true, attributeFilter: ["data-ready"] });"""
TIMED = """
const start = performance.now();
location.hash = arguments[0];
window.dispatchEvent(new HashChangeEvent("hashchange"));
document.body.offsetHeight;
return performance.now() - start;"""


def main() -> int:
    """Measure, print the report, return the exit status."""
    given = parser(__doc__, rounds=5).parse_args()
    report = Report("The page of a run")
    rows = []
    with tempfile.TemporaryDirectory() as folder, Browser(Path(folder)) as browser:
        browser.resize(1440)
        browser.cdp("Page.addScriptToEvaluateOnNewDocument", source=WATCH)
        for place, (name, (models, both)) in enumerate(SIZES.items()):
            run = many(models, both=both)
            start = time.perf_counter()
            text = run_page(run)
            made = time.perf_counter() - start
            path = Path(folder) / "page.html"
            path.write_text(text, encoding="utf-8")
            found: dict[str, list[float]] = {"opened": [], "sorted": [], "filtered": []}
            for _ in range(given.repeat):
                browser.open(path.as_uri())
                found["opened"].append(browser.run(OPENED))
                found["sorted"].append(browser.run(TIMED, "#sort=latency_p50_ms"))
                found["filtered"].append(browser.run(TIMED, "#q=bert fp16"))
            megabytes = len(text.encode()) / 1e6
            cells = [f"{statistics.median(values):.0f} ({spread(values, 0)})" for values in found.values()]
            rows.append([name, f"{megabytes:.2f}", f"{made:.1f}", *cells])
            opened = statistics.median(found["opened"]) / 1000
            report.targets.append(
                Target(
                    f"{name} open within {MOST_OPEN_S[place]:g} s", f"{opened:.2f} s", kept=opened < MOST_OPEN_S[place]
                )
            )
            most = MOST_MB[place]
            if most is not None:
                report.targets.append(
                    Target(f"{name} take less than {most:g} MB", f"{megabytes:.2f} MB", kept=megabytes < most)
                )
            report.data[name] = {"megabytes": megabytes, "made_s": made, **found}
    columns = ["", "MB", "made in s", "opened in ms", "sorted in ms", "filtered in ms"]
    report.sections = [table(columns, rows)]
    report.finish(given.output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
