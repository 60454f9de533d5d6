"""No page names an option that does not exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pytest_ortperf.settings.option_table import OPTIONS

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")])


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_option_that_a_page_names_exists(path: Path) -> None:
    flags = {option.flag for option in OPTIONS}
    named = set(re.findall(r"--ortperf-[a-z0-9-]*[a-z0-9]", path.read_text(encoding="utf-8")))
    assert named - flags == set()
