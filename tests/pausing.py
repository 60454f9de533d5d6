"""A program that stops for a while when it opens a file of some name, as on a disk that does not answer."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

SITE = """
import os, pathlib, sys, time

def hold(event, arguments):
    if event == "open" and os.environ["PAUSED_AT"] in str(arguments[0]):
        pathlib.Path(os.environ["PAUSED_MARK"]).touch()
        time.sleep(60)

sys.addaudithook(hold)
"""


def pausing(folder: Path, name: str) -> tuple[Mapping[str, str], Path]:
    """Return variables for a program that stops before it opens a file, and the file that is there once it did.

    Args:
        folder: Where what it takes is written.
        name: In the file's path.
    """
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(SITE, encoding="utf-8")
    mark = folder / "paused"
    path = os.pathsep.join([str(folder), *sys.path])
    return {"PYTHONPATH": path, "PAUSED_AT": name, "PAUSED_MARK": str(mark)}, mark
