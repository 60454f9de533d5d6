from __future__ import annotations

from pathlib import Path

import pytest

from provision.local_index import local_pip


@pytest.fixture
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder that pip takes wheels from, and no index."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    for name, value in local_pip(folder).items():
        monkeypatch.setenv(name, value)
    return folder


@pytest.fixture
def printed_by_pip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the file that a stand-in for pip prints before it fails, as pip printed it once."""
    package = tmp_path / "stand-in/pip"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    text = tmp_path / "printed"
    (package / "__main__.py").write_text(f"import sys\nprint(open({str(text)!r}).read())\nsys.exit(1)\n")
    monkeypatch.setenv("PYTHONPATH", str(package.parent), prepend=":")
    return text
