"""Data for a script of a page: JSON, compressed, as text that ends no element."""

from __future__ import annotations

import base64
import gzip
import json
import math
from typing import Any

from pytest_ortperf.reports.rendering import visible


def packed(data: object) -> str:
    """Return data as base64 of gzip of JSON: the same bytes for the same data."""
    text = json.dumps(shown(data), allow_nan=False, separators=(",", ":"))
    return base64.b64encode(gzip.compress(text.encode("ascii"), 9, mtime=0)).decode("ascii")


def shown(data: Any) -> Any:
    """Return data with visible texts, without numbers that JSON lacks, and without keys whose value is absent."""
    if isinstance(data, str):
        return visible(data)
    if isinstance(data, float):
        return float(f"{data:.6g}") if math.isfinite(data) else str(data)
    if isinstance(data, dict):
        return {visible(str(key)): shown(value) for key, value in data.items() if value is not None}
    if isinstance(data, list | tuple):
        return [shown(value) for value in data]
    return data
