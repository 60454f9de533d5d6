"""Models that need no file of one's own: `onnx-light:resnet50` is in the installed onnx package."""

from __future__ import annotations

import functools
import importlib.util
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pytest_ortperf.cases.issues import unknown
from pytest_ortperf.cases.rules import InputRule
from pytest_ortperf.errors import ModelListError

SCHEMES = ("onnx-light",)
"""What may stand before the colon."""

RAMP: Mapping[str, InputRule] = {"*": InputRule(fill="ramp")}
"""The inputs that the stored outputs of the light networks belong to."""

_LIGHT_FOLDER = Path("backend", "test", "data", "light")
_LIGHT_FILE = re.compile(r"light_(?P<name>.+?)(?:\.onnx|_output_(?P<index>\d+)\.pb)")


@dataclass(frozen=True, slots=True)
class Source:
    """A model file that a source stands for."""

    name: str
    path: Path
    stored_outputs: tuple[Path, ...]
    """In graph order."""


def find_source(text: str) -> Source:
    """Return the model that a source such as `onnx-light:resnet50` names; onnx is not imported.

    Raises:
        ModelListError: If the scheme or name is unknown, or onnx not installed; the text names no entry.
    """
    scheme, colon, name = text.partition(":")
    if not colon or scheme not in SCHEMES:
        raise ModelListError(
            unknown("scheme", scheme, SCHEMES) + "; a source looks like onnx-light:resnet50"
            if colon
            else f"{text!r} has no scheme; a source looks like onnx-light:resnet50"
        )
    networks = light_networks()
    if name not in networks:
        raise ModelListError(unknown("light network", name, networks))
    return networks[name]


@functools.cache
def light_networks() -> Mapping[str, Source]:
    """Return the light networks of the installed onnx package by name, sorted.

    Raises:
        ModelListError: If onnx is not installed, or without them.
    """
    spec = importlib.util.find_spec("onnx")
    roots = (spec.submodule_search_locations if spec else None) or []
    folders = [Path(root, _LIGHT_FOLDER) for root in roots]
    if not folders:
        raise ModelListError("onnx-light needs the onnx package, which is not installed; pip install onnx")
    found = next((networks for networks in map(_read_folder, folders) if networks), None)
    if found is None:
        raise ModelListError(f"onnx-light finds no networks in {folders[0]}; reinstall onnx")
    return found


def _read_folder(folder: Path) -> Mapping[str, Source]:
    models: dict[str, Path] = {}
    outputs: dict[str, list[tuple[int, Path]]] = {}
    for file in sorted(os.listdir(folder) if folder.is_dir() else ()):  # noqa: PTH208 - names are enough
        match = _LIGHT_FILE.fullmatch(file)
        if match is None:
            continue
        if match["index"] is None:
            models[match["name"]] = folder / file
        else:
            outputs.setdefault(match["name"], []).append((int(match["index"]), folder / file))
    return {
        name: Source(name, path, tuple(output for _, output in sorted(outputs.get(name, []))))
        for name, path in models.items()
    }
