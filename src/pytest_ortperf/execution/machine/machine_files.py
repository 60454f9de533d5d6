"""What the kernel's files under `/proc` and `/sys` tell; a file that is not there is `None`, never a guess."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from pytest_ortperf.records.environment.libraries import read_text

CPU = "sys/devices/system/cpu"


def read_word(path: Path) -> str | None:
    """Return a file's text without space around it; `None` if it cannot be read or is empty."""
    return read_text(path).strip() or None


def read_number(path: Path) -> int | None:
    """Return a file's whole number."""
    text = read_word(path)
    return int(text) if text is not None and re.fullmatch(r"-?\d+", text) else None


def number_after(text: str, name: str) -> int | None:
    """Return the number that stands after a name at the start of a line, as in `/proc/vmstat` and `/proc/meminfo`."""
    match = re.search(rf"^{re.escape(name)}:?\s+(\d+)", text, re.MULTILINE)
    return int(match[1]) if match else None


def read_list(path: Path) -> frozenset[int] | None:
    """Return a list of cores such as `0-3,8`; empty where the file is, `None` where there is none."""
    try:
        text = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return None
    return cores_of(text)


def cores_of(text: str) -> frozenset[int] | None:
    """Return the cores of a list such as `0-3,8`; `None` if it is none."""
    found: set[int] = set()
    for part in (part for part in text.split(",") if part):
        match = re.fullmatch(r"(\d+)(?:-(\d+))?", part)
        if match is None:
            return None
        found.update(range(int(match[1]), int(match[2] or match[1]) + 1))
    return frozenset(found)


def cores_text(cores: Iterable[int]) -> str:
    """Return cores as a list such as `0-3,8`."""
    parts: list[list[int]] = []
    for core in sorted(cores):
        if parts and parts[-1][1] == core - 1:
            parts[-1][1] = core
        else:
            parts.append([core, core])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in parts)


def is_virtual(root: Path) -> bool | None:
    """Whether this is a virtual machine, as the processor's flags tell; `None` where they tell nothing."""
    flags = re.search(r"^flags\s*:(.*)$", read_text(root / "proc/cpuinfo"), re.MULTILINE)
    return None if flags is None else "hypervisor" in flags[1].split()
