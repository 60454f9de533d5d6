from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[..., Path]]:
    """Give a function that mounts a real file system of 64 KiB; `rw` or `ro`."""
    mounted: list[Path] = []

    def mount(mode: str) -> Path:
        folder = tmp_path / f"disk_{mode}"
        folder.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", f"size=64k,{mode}", "tmpfs", str(folder)]
        if os.geteuid() != 0 or subprocess.run(command, check=False, capture_output=True).returncode:
            pytest.skip("mounting a small file system needs root with CAP_SYS_ADMIN")
        mounted.append(folder)
        return folder

    yield mount
    for folder in mounted:
        subprocess.run(["umount", str(folder)], check=True)  # noqa: S607
