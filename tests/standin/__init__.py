"""A program that stands in for trtexec, and what makes it runnable."""

from __future__ import annotations

import sys
from pathlib import Path

PROGRAM = Path(__file__).parent / "trtexec.py"
VERSIONS = ("8.6.1", "10.16.1", "11.0.0")


def install_standin(folder: Path, version: str, name: str = "trtexec") -> Path:
    """Write an executable of a version to a folder; return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(
        f"#!{sys.executable}\n"
        "import os, runpy\n"
        f"os.environ.setdefault('STANDIN_VERSION', {version!r})\n"
        f"runpy.run_path({str(PROGRAM)!r}, run_name='__main__')\n",
        encoding="utf-8",
    )
    path.chmod(0o755)
    return path
