from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pairing.ab_project import AbProject


@pytest.fixture
def project(tmp_path: Path) -> Iterator[AbProject]:
    """Return a folder for `ortperf ab`, and see to it that nothing of it runs on."""
    made = AbProject(tmp_path)
    yield made
    made.require_nothing_left()
