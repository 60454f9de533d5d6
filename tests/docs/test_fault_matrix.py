"""The table of faults in the docs names tests that there are, and counts the cases that they have."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/explanation/nothing-lost.md").read_text(encoding="utf-8")
COUNTED = {
    "named attack files": ("tests/fuzzing/test_attack_files.py", "ATTACKS"),
    "lines that are no records": ("tests/records/test_damaged_records.py", "DAMAGED"),
    "foreign files in the results folder": ("tests/records/test_damaged_records.py", "FOREIGN"),
    "kinds of damage in the cache": ("tests/execution/model/test_artifact_cache.py", "DAMAGE"),
}


def named() -> list[tuple[str, str | None]]:
    """Return file and function of each test in the table; `...` stands for the file of the row above."""
    found: list[tuple[str, str | None]] = []
    for row in (line for line in PAGE.splitlines() if line.startswith("|")):
        for text in re.findall(r"`((?:tests/[\w/]+\.py|\.\.\.|benchmarks/[\w/]+\.py)(?:::\w+)?)`", row.split("|")[-2]):
            file, _, function = text.partition("::")
            found.append((found[-1][0] if file == "..." else file, function or None))
    return found


def module(path: str) -> ModuleType:
    name = f"counted_{Path(path).stem}"
    spec = importlib.util.spec_from_file_location(name, ROOT / path)
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    sys.modules[name] = made
    spec.loader.exec_module(made)
    return made


def test_each_row_names_a_test_that_there_is() -> None:
    tests = named()
    assert len(tests) >= 30
    for file, function in tests:
        text = (ROOT / file).read_text(encoding="utf-8")
        assert function is None or f"def {function}(" in text, f"{file} has no {function}"


@pytest.mark.parametrize("what", COUNTED)
def test_what_is_counted_is_what_is_tested(what: str) -> None:
    path, name = COUNTED[what]
    (count,) = re.findall(rf"\| (\d+) {what}", PAGE)
    assert int(count) == len(getattr(module(path), name))
