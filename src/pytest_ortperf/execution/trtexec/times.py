"""The times that trtexec exports: one record a query, from which come samples like those of every other case."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pytest_ortperf.errors import CaseError
from pytest_ortperf.execution.trtexec.versions import unsupported

WARM_UP_LEFT_OUT = (8, 5, 1)
"""From this version on trtexec leaves the queries of its warm-up out of the file; before it, readers have to."""

NS_PER_MS = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """Each query after the warm-up, in call order, in ns. By CUDA events: launching on the host is not inside."""

    compute_ns: tuple[int, ...]
    latency_ns: tuple[int, ...]
    """Copy in, compute, copy out; without data transfers the same as compute."""

    h2d_ns: tuple[int, ...]
    d2h_ns: tuple[int, ...]


def parse_times(text: str, *, version: tuple[int, int, int] | None, warm_up_ms: float) -> Times:
    """Return the samples of a file of `--exportTimes`.

    Args:
        text: The file.
        version: Of the trtexec that wrote it; `None` is taken for an old one.
        warm_up_ms: As given by `--warmUp`. Old versions export those queries too: the leading ones whose compute
            starts before that time are left out, which is how trtexec itself counts.

    Raises:
        CaseError: Stage `timing`, kind `runtime error`: the file is cut, or two are joined, or its keys are unknown.
    """
    records = _records(text)
    if version is None or version < WARM_UP_LEFT_OUT:
        records = _after_warm_up(records, warm_up_ms)
    if not records:
        raise _error(f"it has no query after {warm_up_ms:g} ms of warm-up")
    _require_copies(records[0])
    return Times(
        compute_ns=_column(records, "computeMs"),
        latency_ns=_column(records, "latencyMs"),
        h2d_ns=_column(records, "h2dMs"),
        d2h_ns=_column(records, "d2hMs"),
    )


def _records(text: str) -> list[Mapping[str, Any]]:
    try:
        records = json.loads(text)
    except ValueError as error:
        raise _error(f"it is not whole JSON ({error}): trtexec was ended, or wrote to it twice") from error
    if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
        raise _error("it is not a list of records")
    return records


def _after_warm_up(records: list[Mapping[str, Any]], warm_up_ms: float) -> list[Mapping[str, Any]]:
    starts = [_number(record, "startComputeMs") for record in records]
    first = next((number for number, start in enumerate(starts) if start >= warm_up_ms), len(records))
    return records[first:]


def _require_copies(record: Mapping[str, Any]) -> None:
    if record.keys() >= {"h2dMs", "d2hMs"}:
        return
    if record.keys() >= {"inMs", "outMs"}:
        raise _error(unsupported("it is from TensorRT 7 or older", "run trtexec again"))
    raise _error(f"its records have the keys {', '.join(record)}")


def _column(records: list[Mapping[str, Any]], key: str) -> tuple[int, ...]:
    return tuple(round(_number(record, key) * NS_PER_MS) for record in records)


def _number(record: Mapping[str, Any], key: str) -> float:
    value = record.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise _error(f"{key} is {value!r} in one of its records")
    return float(value)


def _error(what: str) -> CaseError:
    return CaseError(f"trtexec's file of times cannot be used: {what}", stage="timing", kind="runtime error")
