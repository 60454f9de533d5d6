"""Record short benchmark runs one after another: the series behind the table of change points.

A run measures ten models of this repository on one thread and keeps their medians, the parts of the canary and the
load average. Each run is appended as a line to a file that `change_points.py` reads; it can be stopped and started
again.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from carriers import entries
from measuring import run_command

from pytest_ortperf.records.store import find_run, read_run
from pytest_ortperf.reports.comparison.compared_side import run_side

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
DIGITS = 5
OPTIONS = (
    "-pno:randomly",
    "-pno:cacheprovider",
    "--ortperf-mode=benchmark",
    "--ortperf-ep=cpu",
    "--ortperf-threads=1",
    "--ortperf-operators=off",
    "--ortperf-track-memory=off",
    "--ortperf-samples=drop",
    "--ortperf-warmup=5",
    "--ortperf-min-time=0.1",
    "--ortperf-max-time=0.2",
)
"""Much shorter than the defaults: more noise within a run, and more runs to learn from in the same time."""


def record() -> dict[str, Any]:
    """Run pytest once, and return what was measured.

    Raises:
        SystemExit: If the run failed.
    """
    listed = [entry for entry in entries() if entry["name"] in MODELS]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "models.json").write_text(json.dumps({"models": listed}), encoding="utf-8")
        started, load = time.time(), os.getloadavg()[0]
        ended = run_command([sys.executable, "-m", "pytest", *OPTIONS], folder=folder)
        if ended.status:
            raise SystemExit(ended.output)
        side = run_side(read_run(find_run(folder / "result")))
    observed = {case.record.model: case.observations["host"][0] for case in side.cases.values()}
    return {
        "started": round(started),
        "seconds": round(time.time() - started, 1),
        "load": round(load, 1),
        "machine": side.fingerprint,
        "canary_ns": {part: _short(ns) for part, ns in side.canary_ns.items()},
        "median_ns": {name: _short(found.median_ns or found.mean_ns) for name, found in observed.items()},
    }


def _short(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")


def main() -> None:
    """Record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=1, help="runs to append (default: 1)")
    parser.add_argument(
        "--output",
        type=Path,
        default=Path("build/change_point_runs.jsonl"),
        help="file to append to (default: build/change_point_runs.jsonl)",
    )
    arguments = parser.parse_args()
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    for _ in range(arguments.runs):
        run = record()
        with arguments.output.open("a", encoding="utf-8") as file:
            file.write(json.dumps(run, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
