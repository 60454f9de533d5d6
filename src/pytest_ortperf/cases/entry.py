"""One entry of a model list, in the original or the richer form, becomes a model."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pytest_ortperf.cases.dimension_rules import read_dims, split_ranges
from pytest_ortperf.cases.expectations import read_expect
from pytest_ortperf.cases.issues import Place, shown_value
from pytest_ortperf.cases.json_values import (
    Reader,
    read_above_zero,
    read_flag,
    read_object,
    read_path,
    read_text,
    read_texts,
)
from pytest_ortperf.cases.model import Model, SessionRule
from pytest_ortperf.cases.names import name_issue
from pytest_ortperf.cases.provider_option_rules import read_ep_options
from pytest_ortperf.cases.rules import (
    read_batch_dim,
    read_fp16,
    read_inputs,
    read_session,
    read_skips,
    read_tags,
    read_tolerances,
    read_xfails,
)
from pytest_ortperf.cases.sources import RAMP, Source, find_source
from pytest_ortperf.errors import ModelListError


def read_name(value: Any, place: Place) -> str:
    """Return a model's name, fit for pytest ids."""
    if not isinstance(value, str):
        place.wrong(value, "a text")
        return ""
    issue = name_issue(value)
    if issue:
        place.report(f"the name {shown_value(value)} {issue}; choose another")
    return value


def read_source(value: Any, place: Place) -> Source | None:
    """Return what a source stands for."""
    text = read_text(value, place)
    try:
        return find_source(text) if text else None
    except ModelListError as error:
        place.report(str(error))
        return None


DEFAULT_KEYS: Mapping[str, Reader] = {
    "tolerance": read_tolerances,
    "dims": read_dims,
    "fix_dims": read_flag,
    "symbolic_shapes": read_flag,
    "batch_dim": read_batch_dim,
    "fp16": read_fp16,
    "tags": read_tags,
    "ep_options": read_ep_options,
    "timeout": read_above_zero,
    "inputs": read_inputs,
    "session": read_session,
    "expect": read_expect,
    "skip": read_skips,
    "xfail": read_xfails,
}
"""Keys of `defaults`; entries have them too."""

ENTRY_KEYS: Mapping[str, Reader] = {
    "name": read_name,
    "path": read_path,
    "source": read_source,
    "test_data": read_path,
    "fp16_path": read_path,
    "test_data_fp16": read_path,
    "input_order": read_texts,
    "outputs": read_texts,
    **DEFAULT_KEYS,
}

ROOT_KEY = "root_working_directory"
ORIGINAL_KEYS: Mapping[str, Reader] = {
    "model_name": read_name,
    "working_directory": read_path,
    "model_path": read_path,
    "test_data_path": read_path,
    "model_path_fp16": read_path,
    "test_data_path_fp16": read_path,
}
"""Those of the original script's lists, less `root_working_directory`, which is an element of its own."""

_ORIGINAL_REQUIRED = ("model_name", "working_directory", "model_path", "test_data_path")

_FIELDS = {"tolerance": "tolerances", "timeout": "timeout_s", "expect": "limits"}
"""Keys whose field in `Model` is called otherwise."""


@dataclass(slots=True)
class EntryReader:
    """Reads the entries of one list, in their order."""

    title: str
    """How messages name the list."""

    base: Path
    """Where relative paths start; absolute."""

    defaults: Mapping[str, Any] = field(default_factory=dict)
    """Values of `DEFAULT_KEYS`, read already."""

    root: Path | None = None
    """Where relative working directories of the original form start, once an element has set it."""

    def read(self, value: Any, place: Place) -> Model | None:
        """Return the model of one entry; `None` for a wrong entry, or one that only sets the root."""
        if isinstance(value, dict):
            if ROOT_KEY in value:
                self._read_root(value, place)
                return None
            if ORIGINAL_KEYS.keys() & value.keys():
                return self._read_original(value, place)
        return self._read_rich(value, place)

    def _read_root(self, value: Mapping[str, Any], place: Place) -> None:
        found = read_object(value, place, {ROOT_KEY: read_path, **ORIGINAL_KEYS}, "an object")
        if len(value) > 1:
            place.report(f"{ROOT_KEY!r} must stand in an element of its own, before the models it is for")
        self.root = self.base / found[ROOT_KEY]

    def _read_original(self, value: Any, place: Place) -> Model | None:
        found = read_object(value, place, ORIGINAL_KEYS, "an object")
        missing = [key for key in _ORIGINAL_REQUIRED if key not in value]
        for key in missing:
            place.report(f"missing key {key!r}")
        if missing:
            return None
        folder = (self.root or self.base) / found["working_directory"]
        return self._model(
            {
                "name": found["model_name"],
                "path": folder / found["model_path"],
                "test_data": folder / found["test_data_path"],
                "fp16_path": _joined(folder, found.get("model_path_fp16")),
                "test_data_fp16": _joined(folder, found.get("test_data_path_fp16")),
            },
            place,
        )

    def _read_rich(self, value: Any, place: Place) -> Model | None:
        found = read_object(value, place, ENTRY_KEYS, 'an object such as {"name": "bert", "path": "bert.onnx"}')
        if not isinstance(value, dict) or not _has_model(value, place):
            return None
        source = found.pop("source", None)
        if source is not None:
            found = {**_source_values(source, found), **found}
        for key in ("path", "test_data", "fp16_path", "test_data_fp16"):
            if key in found:
                found[key] = self.base / found[key]
        return self._model(found, place) if "path" in found and "name" in found else None

    def _model(self, found: dict[str, Any], place: Place) -> Model:
        merged = _with_defaults(found, self.defaults)
        merged |= split_ranges(merged.get("dims", {}))
        if "session" in merged:
            merged["session"] = tuple(_located(rule, self.base) for rule in merged["session"])
        values = {_FIELDS.get(key, key): value for key, value in merged.items()}
        return Model(**values, origin=f"{self.title}: {place.entry}")


def entry_label(index: int, value: Any) -> str:
    """Return how messages name an entry: `models[3] 'bert'`."""
    label = f"models[{index}]"
    for key in ("name", "model_name", "source"):
        name = value.get(key) if isinstance(value, dict) else None
        if name and isinstance(name, str):
            return f"{label} {name!r}"
    return label


def _located(rule: SessionRule, base: Path) -> SessionRule:
    libraries = tuple(str(base / library) for library in rule.custom_op_libraries)
    return dataclasses.replace(rule, custom_op_libraries=libraries) if libraries else rule


def _joined(folder: Path, path: str | None) -> Path | None:
    return None if path is None else folder / path


def _has_model(value: Mapping[str, Any], place: Place) -> bool:
    """Report missing and contradictory keys; true if the entry can become a model."""
    if "name" not in value and "source" not in value:
        place.report("missing key 'name'")
    if "path" in value and "source" in value:
        place.report("has both 'path' and 'source'; remove one")
        return False
    if "path" not in value and "source" not in value:
        place.report("missing key 'path', or 'source' for a model that comes with a package")
        return False
    return True


def _source_values(source: Source, found: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a source adds; its stored outputs only where the inputs are those they were made from."""
    values: dict[str, Any] = {"name": source.name, "path": source.path, "inputs": RAMP}
    if found.get("inputs", RAMP) == RAMP:
        values["stored_outputs"] = source.stored_outputs
    return values


def _with_defaults(found: dict[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Return an entry's values over the defaults; what only the defaults give is shared, not copied."""
    merged = {**defaults, **found}
    for key in found.keys() & defaults.keys() & _MERGERS.keys():
        merged[key] = _MERGERS[key](found[key], defaults[key])
    return merged


def _merged_tags(own: tuple[str, ...], default: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*default, *own)))


def _merged_options(
    own: Mapping[str, Mapping[str, str]], default: Mapping[str, Mapping[str, str]]
) -> Mapping[str, Mapping[str, str]]:
    return {name: {**default.get(name, {}), **own.get(name, {})} for name in {**default, **own}}


def _merged_rules(own: tuple[Any, ...], default: tuple[Any, ...]) -> tuple[Any, ...]:
    return (*own, *default)


_MERGERS: Mapping[str, Callable[[Any, Any], Any]] = {
    "tags": _merged_tags,
    "ep_options": _merged_options,
    "tolerance": _merged_rules,
    "session": _merged_rules,
    "expect": _merged_rules,
}
"""How an entry and the defaults make one value; for all other keys the entry's stands alone."""
