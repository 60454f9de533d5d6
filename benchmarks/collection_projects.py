"""The projects that `collection.py` collects: model lists in each form and split, and pytest's own functions."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

Entries = list[dict[str, str]]

PROVIDER = ("--ortperf-mode=validate", "--ortperf-ep=cpu")
FUNCTIONS = """import pytest


@pytest.mark.parametrize("number", range({cases}))
def test_case(number):
    pass
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """A folder, and how its cases are collected."""

    folder: Path
    cases: int
    options: Sequence[str] = ()


def write_functions(folder: Path, cases: int) -> Project:
    """Write pytest's own parametrised functions."""
    _write(folder, "test_cases.py", FUNCTIONS.format(cases=cases))
    return Project(folder=folder, cases=cases)


def write_list(folder: Path, form: str, models: int, each: int) -> Project:
    """Write a model list.

    Args:
        folder: Where.
        form: One of `FORMS`.
        models: How many.
        each: Cases of one model; several come from that many values of one dimension.
    """
    _write(folder, "models.json", json.dumps(FORMS[form](models)))
    sweep = [f"--ortperf-dim=batch={','.join(map(str, range(1, each + 1)))}"] if each > 1 else []
    return Project(folder=folder, cases=models * each, options=(*PROVIDER, *sweep))


def splits(cases: int) -> list[tuple[int, int]]:
    """Return numbers of models, and of cases of each: one, ten, a hundred."""
    return [(cases // each, each) for each in (1, 10, 100) if cases % each == 0]


def _short(models: int) -> object:
    return {"models": [{"name": f"model{number}", "path": f"model{number}.onnx"} for number in range(models)]}


def _rich(models: int) -> object:
    entries: Entries = [
        {"name": f"model{number}", "path": f"model{number}/model.onnx", "test_data": f"model{number}"}
        for number in range(models)
    ]
    return {"defaults": {"tolerance": {"rtol": 0.001, "atol": 0.001}, "tags": ["vision"]}, "models": entries}


def _original(models: int) -> object:
    entries: Entries = [
        {
            "model_name": f"model{number}",
            "working_directory": f"model{number}/",
            "model_path": "model.onnx",
            "test_data_path": ".",
            "model_path_fp16": "model_fp16.onnx",
            "test_data_path_fp16": "fp16",
        }
        for number in range(models)
    ]
    return list(itertools.chain([{"root_working_directory": "models/"}], entries))


FORMS: Mapping[str, Callable[[int], object]] = {"short": _short, "rich": _rich, "original": _original}
"""Name and path alone; with defaults; the list of the original script, with all of its seven keys."""


def _write(folder: Path, name: str, text: str) -> None:
    folder.mkdir()
    (folder / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    (folder / name).write_text(text, encoding="utf-8")
