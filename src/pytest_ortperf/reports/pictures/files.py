"""Where pages of pictures are written."""

from __future__ import annotations

import re
from pathlib import Path

from pytest_ortperf.records.record import Record
from pytest_ortperf.reports.pictures.page import failure_page

_UNSAFE = re.compile(r"[^A-Za-z0-9._=-]+")


def write_failure_page(record: Record, records_file: Path) -> Path:
    """Write the page of a failed validation beside the records of its run; return its path.

    Raises:
        OSError: If it cannot be written.
    """
    run = records_file.stem.removeprefix("records_")
    folder = records_file.parent / f"pictures_{run}"
    folder.mkdir(exist_ok=True)
    name = _UNSAFE.sub("_", record.nodeid)
    path = folder / f"{name.strip('_')}.html"
    path.write_text(failure_page(record), encoding="utf-8")
    return path
