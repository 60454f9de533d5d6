"""Make a history of short runs of this repository's models, its dashboard, and the picture of it in the documentation.

From run 28 on one model has extra nodes, so that there is something to see. Runs that a folder has already are kept;
the picture needs the programs chromium and chromedriver.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import tempfile
from pathlib import Path

import onnx
from carriers import entries, load_carrier
from measuring import run_command
from planting import CHAIN, Work, plant

sys.path.append(str(Path(__file__).parents[1] / "tests"))

from pytest_ortperf.cli import main as ortperf
from reports.page.browser import Browser

MODELS = (
    "tiny_bert",
    "small_cnn",
    "lstm",
    "dynamic_mlp",
    "detector_head",
    "int8_qdq_cnn",
    "external_weights",
    "multi_io",
    "shufflenet",
    "squeezenet",
)
SLOWED, SLOWER_FROM = "shufflenet", 27
WORK = Work(kind=CHAIN, nodes=200, size=20_000)
OTHER_BRANCH = 8
"""Every so many runs."""

OPTIONS = (
    "-q",
    "-pno:cacheprovider",
    "-pno:randomly",
    "--ortperf-mode=benchmark",
    "--ortperf-ep=cpu",
    "--ortperf-fp16",
    "--ortperf-threads=1",
    "--ortperf-operators=off",
    "--ortperf-warmup=5",
    "--ortperf-min-time=0.05",
    "--ortperf-max-time=0.1",
)
WIDTH, HEIGHT = 1200, 1290


def main() -> int:
    """Make the runs that are missing, the site, and the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=30, help="in all (default: 30)")
    parser.add_argument("--output", type=Path, required=True, metavar="FOLDER", help="for records, history and site")
    parser.add_argument("--picture", type=Path, metavar="FILE", help="such as docs/images/dashboard.png")
    given = parser.parse_args()
    folder = given.output.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    results = folder / "result"
    for number in range(len(list(results.glob("report_*.html"))), given.runs):
        make_run(folder, number)
    database = folder / "history.db"
    ortperf(["history", "add", str(results), f"--history={database}"])
    status = ortperf(["dashboard", "-o", str(folder / "site"), f"--history={database}"])
    if given.picture:
        take_picture(folder / "site", given.picture)
    return status


def make_run(folder: Path, number: int) -> None:
    """Run pytest once.

    Raises:
        SystemExit: If it did not end as runs with failing cases do.
    """
    listed = [entry for entry in entries() if entry["name"] in MODELS]
    if number >= SLOWER_FROM:
        carrier = load_carrier(SLOWED)
        path = folder / f"{SLOWED}.onnx"
        onnx.save(plant(carrier.model, carrier.output, WORK), path)
        slowed = {**carrier.entry, "name": SLOWED, "path": str(path)}
        listed = [slowed if entry["name"] == SLOWED else entry for entry in listed]
    (folder / "models.json").write_text(json.dumps({"models": listed}), encoding="utf-8")
    branch = "next" if number % OTHER_BRANCH == OTHER_BRANCH - 1 else "main"
    commit = hashlib.sha256(str(number).encode()).hexdigest()[:40]
    labels = [f"--ortperf-label={label}" for label in (f"branch={branch}", f"commit={commit}")]
    ended = run_command([sys.executable, "-m", "pytest", *OPTIONS, *labels], folder=folder)
    if ended.status not in (0, 1):
        raise SystemExit(ended.output)
    print(f"run {number + 1}: {ended.seconds:.0f} s", flush=True)


def take_picture(site: Path, picture: Path) -> None:
    """Save what the first page looks like."""
    with tempfile.TemporaryDirectory() as folder, Browser(Path(folder)) as browser:
        browser.resize(WIDTH, HEIGHT)
        browser.media(prefers_color_scheme="light")
        browser.open(f"{site.as_uri()}/index.html")
        browser.wait("document.documentElement.dataset.ready === 'yes'")
        browser.screenshot(picture)


if __name__ == "__main__":
    sys.exit(main())
