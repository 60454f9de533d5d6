"""Runs, series and cases for tests of the dashboard."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from pytest_ortperf.history.dashboard.site import Built, build_site
from pytest_ortperf.history.dashboard.stored_history import StoredHistory
from pytest_ortperf.history.dashboard.view import Case, Outcome, Run, Series
from pytest_ortperf.history.kept_run import kept_records
from pytest_ortperf.history.store import History
from pytest_ortperf.records.record import Record
from pytest_ortperf.records.store import RecordsFile
from record_examples import make_end, make_environment, make_failure, make_header, make_latency, make_record
from reports.page.examples import HOSTILE

MODELS = ("bert", "resnet50", "yolo", "vit", "unet")


def make_run(number: int, **changes: Any) -> Run:
    known = {
        "id": number,
        "run": f"20261101-{number:06d}",
        "started": f"2026-11-01T00:{number % 60:02d}:00+00:00",
        "branch": "main",
        "commit": f"{number:040x}",
        "version": "1.32.0",
        "machine": "cafe",
        "device": "Intel Xeon",
        "state": "complete",
    }
    return Run(**{**known, **changes})


def make_series(number: int = 1, **changes: Any) -> Series:
    known = {
        "id": number,
        "metric": "latency_p50_ms",
        "unit": "ms",
        "variant": "cpu",
        "more_is_better": False,
        "is_time": True,
        "floors": (0.05, 0.01),
    }
    return Series(**{**known, **changes})


def make_case(model: str = "bert", **changes: Any) -> Case:
    known = {"dims": "", "variant": "cpu", "device": "Intel Xeon", "group": "", "settings": ""}
    return Case(model=model, **{**known, **changes})


def make_outcome(run: int, model: str = "bert", outcome: str = "passed", **changes: Any) -> Outcome:
    known = {
        "nodeid": f"models.json::{model}::benchmark[cpu]",
        "case": make_case(model),
        "mode": "benchmark",
        "kind": outcome,
    }
    return Outcome(run=run, outcome=outcome, **{**known, **changes})


def add_runs(
    database: Path | str, results: Path, count: int, *, models: Iterable[str] = MODELS, first: int = 0
) -> History:
    """Add runs to a history: every fifth is of another branch, one model becomes slower at run 8, one fails at last."""
    results.mkdir(exist_ok=True)
    history = History.open(str(database), create=True)
    for number in range(first, first + count):
        branch = "pr-7" if number % 5 == 4 else "main"
        run = f"202611{1 + number // 24:02d}-{number % 24:02d}0000"
        header = make_header(
            run=run,
            started=f"2026-11-{1 + number // 24:02d}T{number % 24:02d}:00:00+00:00",
            labels={"branch": branch, "commit": f"{number + 1:040x}"},
            environment=make_environment(
                fingerprint="cafe",
                onnxruntime_distribution=f"onnxruntime 1.3{1 if number < 8 else 2}.0",
            ),
        )
        with RecordsFile.create(results, run, header) as records:
            for record in _records(number, list(models), is_last=number == first + count - 1):
                records.append(record)
            records.end(make_end())
        (results / f"report_{run}.html").write_text(f"<!DOCTYPE html><title>{run}</title>")
        history.add(kept_records(results / f"records_{run}.jsonl"))
    return history


def _records(run: int, models: list[str], *, is_last: bool) -> Iterator[Record]:
    drawn = random.Random(run)  # noqa: S311 - not a secret
    for place, model in enumerate(models):
        group = "own" if place < 2 else "zoo"
        for speed, provider in enumerate(("cpu", "cuda"), start=1):
            if is_last and (model, provider) == ("unet", "cpu"):
                continue
            if is_last and (model, provider) == ("vit", "cuda"):
                failure = make_failure(kind="session error", message="no session: <b>Fail</b> to load libcudnn.so.9")
                yield make_record(model, provider, outcome="failed", failure=failure, group=group)
                continue
            slower = 1.3 if (model, provider) == ("bert", "cpu") and run >= 8 else 1.0
            base_ms = (place + 1) / speed * slower * drawn.lognormvariate(0, 0.005)
            samples = [base_ms * drawn.lognormvariate(0, 0.02) for _ in range(30)]
            yield make_record(model, provider, latencies=(make_latency(*samples),), group=group)


def make_site(folder: Path, *, runs: int = 12, hostile: bool = False) -> Path:
    """Return a site of a history in a folder."""
    models = [*MODELS, *HOSTILE.values()] if hostile else MODELS
    history = add_runs(folder / "history.db", folder / "result", runs, models=models)
    build(history, folder / "site")
    return folder / "site"


def build(history: History, site: Path, **options: Any) -> Built:
    return build_site(StoredHistory(history, options.pop("branches", ())), site, **options)
