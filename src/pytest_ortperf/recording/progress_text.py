"""What is said of a case while it runs, from the last notes in its journal."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

_HEAD_BYTE = 1024
_TAIL_BYTE = 4096
"""Samples come as long lines; progress, which stands after them, as a short one."""

_MINUTES_S = 100

WAITING = "waiting for the hardware"

_STAGES = {
    "session": "creating the session",
    "first_run": "first run",
    "warm_up": "warming up",
    "reference": "computing the reference",
    "lease": WAITING,
}


def recent_notes(descriptor: int) -> dict[str, Any]:
    """Return the first note of a journal, which says which case it is about, and the last ones, by key.

    Only the file's first and last few KiB are read, so that this costs the same after hours of samples.

    Args:
        descriptor: Of the journal's notes.
    """
    size = os.fstat(descriptor).st_size
    head = os.pread(descriptor, _HEAD_BYTE, 0).partition(b"\n")[0]
    start = max(0, size - _TAIL_BYTE)
    lines = os.pread(descriptor, _TAIL_BYTE, start).split(b"\n")[1 if start else 0 : -1]
    found: dict[str, Any] = {}
    for line in lines:
        found = _followed(found, _parsed(line))
    return _parsed(head) | found


def _followed(found: dict[str, Any], entry: Mapping[str, Any]) -> dict[str, Any]:
    # a stage that is entered ends the progress of the one before
    return dict(entry) if "stage" in entry else {**found, **entry}


def _parsed(line: bytes) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def status_text(case: str, notes: Mapping[str, Any], elapsed_s: float) -> str:
    """Return one line without line end, such as `n=84, half-width 1.4 % -> 1.0 %, 3 s left` after the case.

    Args:
        case: Its id.
        notes: The last ones, by key.
        elapsed_s: Time since the case began.
    """
    progress = notes.get("progress")
    if progress:
        return f"{case} {progress['timing']}: {_progress_text(progress)}"
    stage = notes.get("stage")
    what = _STAGES.get(stage, stage.replace("_", " ")) if stage else "starting"
    return f"{case}: {what}, {_seconds(elapsed_s)}"


def _progress_text(progress: Mapping[str, Any]) -> str:
    width, target, left = (progress.get(key) for key in ("half_width", "target", "seconds_left"))
    parts = [f"n={progress['iterations']}"]
    if width is not None:
        parts.append(f"half-width {_percent(width)}" + (f" -> {_percent(target)}" if target is not None else ""))
    if left is not None:
        parts.append(f"{_seconds(left)} left")
    return ", ".join(parts)


def _percent(share: float) -> str:
    return f"{share * 100:.1f} %"


def _seconds(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < _MINUTES_S else f"{seconds / 60:.0f} min"
