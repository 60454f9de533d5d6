import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pytest_ortperf.cases.model import Model
from pytest_ortperf.cases.model_list import read_models
from pytest_ortperf.errors import ModelListError


@pytest.fixture
def read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[Model, ...]]:
    """Reads a document, or bytes as they are, as `models.json` of the current folder."""
    monkeypatch.chdir(tmp_path)
    path = Path("models.json")

    def read_document(document: Any, *, workspace: Path | None = None) -> tuple[Model, ...]:
        path.write_bytes(document if isinstance(document, bytes) else json.dumps(document).encode())
        return read_models(path, workspace=workspace)

    return read_document


@pytest.fixture
def issues_of(read: Callable[..., tuple[Model, ...]]) -> Callable[[Any], list[str]]:
    """Gives the issues of a document, one a line of the error."""

    def issues_of_document(document: Any) -> list[str]:
        with pytest.raises(ModelListError) as caught:
            read(document)
        title, *lines = str(caught.value).split("\n")
        assert title == "models.json:"
        assert all(line.startswith("  - ") for line in lines)
        return [line.removeprefix("  - ") for line in lines]

    return issues_of_document


@pytest.fixture
def issues_of_entry(issues_of: Callable[[Any], list[str]]) -> Callable[..., list[str]]:
    """Gives the issues of more keys in an entry that is right otherwise, without its name before them."""

    def issues_of_keys(**keys: Any) -> list[str]:
        lines = issues_of([{"name": "a", "path": "a.onnx", **keys}])
        assert all(line.startswith("models[0] 'a': ") for line in lines)
        return [line.removeprefix("models[0] 'a': ") for line in lines]

    return issues_of_keys
