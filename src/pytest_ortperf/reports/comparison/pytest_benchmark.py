"""A JSON file of pytest-benchmark as a side; its benchmarks are paired by their full names."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytest_ortperf.errors import ResultsFileError
from pytest_ortperf.records.record import Record
from pytest_ortperf.reports.comparison.side import CaseResult, Observation, RunSide, Side

_NO_TIME = "1970-01-01T00:00:00+00:00"


def is_pytest_benchmark(path: Path) -> bool:
    """Whether a file is JSON as pytest-benchmark writes it, by its name and its first bytes."""
    if path.suffix != ".json" or not path.is_file():
        return False
    data = _json(path)
    return isinstance(data, dict) and "benchmarks" in data and "machine_info" in data


def read_pytest_benchmark(path: Path) -> Side:
    """Return the benchmarks of a pytest-benchmark file.

    Raises:
        ResultsFileError: If it is none.
    """
    data = _json(path)
    try:
        cases = dict(_benchmark(each) for each in data["benchmarks"])
        machine = data.get("machine_info") or {}
        cpu = machine.get("cpu") or {}
        parts = [str(part) for part in (cpu.get("brand_raw"), cpu.get("count"), machine.get("node")) if part]
    except (KeyError, TypeError, ValueError) as error:
        raise ResultsFileError(f"{path}: is not what pytest-benchmark writes ({error!r}).") from error
    labels = {"commit": (data.get("commit_info") or {}).get("id") or ""}
    run = RunSide(name=path.stem, cases=cases, fingerprint=", ".join(parts) or None, labels=labels)
    return Side(name=str(path), runs=(run,))


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ResultsFileError(f"{path}: cannot be read as JSON: {error}.") from error


def _benchmark(data: Mapping[str, Any]) -> tuple[str, CaseResult]:
    stats, extra = data["stats"], data.get("extra_info") or {}
    case_id = str(extra.get("ortperf_case_id") or data["fullname"])
    provider = str(extra.get("ep") or "pytest-benchmark")
    record = Record(
        case_id=case_id,
        nodeid=str(data["fullname"]),
        model=str(extra.get("model") or data["name"]),
        mode="benchmark",
        provider=provider,
        provider_full_name=provider,
        precision=extra.get("precision"),
        outcome="passed",
        started=_NO_TIME,
    )
    rounds = int(stats["rounds"])
    observation = Observation(
        mean_ns=stats["mean"] * 1e9,
        median_ns=stats["median"] * 1e9,
        min_ns=stats["min"] * 1e9,
        # of the median of normal numbers; too small where rounds are alike, which is why the fleet counts besides
        log_error=1.2533 * stats["stddev"] / stats["mean"] / rounds**0.5 if rounds > 1 else None,
        not_seen=("nobody looked at the machine meanwhile (pytest-benchmark)",),
    )
    return case_id, CaseResult(record=record, observations={str(extra.get("timing") or "host"): (observation,)})
