"""What the default time budget costs in precision, beside `--ortperf-precision-target=1%`: the bundled models.

Wall time of whole runs of `make benchmark`, and of three models; how many medians came within the target; and how wide
their 95 % intervals are.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from carriers import entries
from measuring import run_command, table, versions

from pytest_ortperf.records.latency import STABLE
from pytest_ortperf.records.statistics import summarize
from pytest_ortperf.records.store import StoredRun, find_run, read_run

THREE = ("tiny_bert", "squeezenet", "resnet50")
"""One of 0.2 ms, one of 4 ms, one of 40 ms."""

SIDES = {"default, 3 %": (), "--ortperf-precision-target=1%": ("--ortperf-precision-target=1%",)}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--thorough", action="store_true", help="all models with the thorough budget too: five minutes")
    thorough = parser.parse_args().thorough
    listed = entries()
    groups = {"3 models": [it for it in listed if it["name"] in THREE], f"{len(listed)} models": listed}
    rows = [
        (label, count, *_row(*_measured(models, options)))
        for count, models in groups.items()
        for label, options in SIDES.items()
        if thorough or not options or models is not listed
    ]
    names = ("budget", "list", "seconds", "cases", "within 1 %", "within 3 %", "median +-", "largest +-", "stable")
    sys.stdout.write(f"{versions()}\n\n{table(names, rows)}\n")


def _measured(models: Sequence[object], options: Sequence[str]) -> tuple[float, StoredRun]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "models.json").write_text(json.dumps({"models": models}), encoding="utf-8")
        start = time.monotonic()
        ended = run_command(
            [sys.executable, "-m", "pytest", "--ortperf-mode=both", "--ortperf-ep=cpu", *options], folder=folder
        )
        seconds = time.monotonic() - start
        if ended.status:
            raise SystemExit(ended.output)
        return seconds, read_run(find_run(folder / "result"))


def _row(seconds: float, run: StoredRun) -> list[str]:
    latencies = [latency for record in run.records for latency in record.latencies]
    widths = [summarize(latency).half_width for latency in latencies]
    known = [width for width in widths if width is not None]
    return [
        f"{seconds:.0f}",
        str(len(latencies)),
        *(str(sum(width <= share for width in known)) for share in (0.01, 0.03)),
        f"{100 * statistics.median(known):.1f} %",
        f"{100 * max(known):.1f} %",
        str(sum(latency.status == STABLE for latency in latencies)),
    ]


if __name__ == "__main__":
    main()
