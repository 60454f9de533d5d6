from __future__ import annotations

from pathlib import Path

import pytest

from gpu.project import GpuProject

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker("gpu")


@pytest.fixture
def project(tmp_path: Path) -> GpuProject:
    """Return an empty project."""
    return GpuProject(tmp_path)
