"""One entry of a model list, in the original or the richer form, becomes a model."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pytest_ortperf.cases.issues import Place
from pytest_ortperf.cases.json_values import PATH, TEXT, Kind
from pytest_ortperf.cases.keys import Key, keys_of, object_kind, read_object
from pytest_ortperf.cases.model import Model, ModelDefaults
from pytest_ortperf.cases.names import NAME
from pytest_ortperf.cases.rules import DimRange, SessionRule
from pytest_ortperf.cases.sources import RAMP, Source, find_source
from pytest_ortperf.errors import ModelListError
from pytest_ortperf.safe_files import shortened


def _read_source(value: Any, place: Place) -> Source | None:
    text = TEXT.read(value, place)
    try:
        return find_source(text) if text else None
    except ModelListError as error:
        place.report(str(error))
        return None


_SOURCE = Key(
    Kind(
        "a source such as `onnx-light:resnet50`",
        _read_source,
        {"type": "string", "pattern": r"^onnx-light:\S+$", "examples": ["onnx-light:resnet50"]},
    ),
    "Instead of `path`: a model that comes with an installed package.",
)

ORIGINAL_KEYS: Mapping[str, Key] = {
    "model_name": Key(NAME, "Names the model in case ids; unique in the list.", field="name", required=True),
    "working_directory": Key(
        PATH,
        "Folder of the model: absolute, or below the `root_working_directory` set last, else below the list's folder.",
        required=True,
    ),
    "model_path": Key(PATH, "The `.onnx` file, below `working_directory`.", field="path", required=True),
    "test_data_path": Key(
        PATH, "Folder of `test_data*` folders, below `working_directory`.", field="test_data", required=True
    ),
    "model_path_fp16": Key(
        PATH, "The model in fp16, below `working_directory`; left out, the model is converted.", field="fp16_path"
    ),
    "test_data_path_fp16": Key(PATH, "Test data of the fp16 model, below `working_directory`.", field="test_data_fp16"),
}
"""Those of the original script's lists, less `root_working_directory`, which is an element of its own."""

ROOT_KEY = "root_working_directory"
ROOT_KEYS: Mapping[str, Key] = {
    ROOT_KEY: Key(
        PATH,
        "Where the `working_directory` of later elements starts: a folder, relative to that of the list.",
        required=True,
    )
}


def entry_keys() -> Mapping[str, Key]:
    """Return the keys of an entry in the richer form: those of one model alone, then those of `defaults`."""
    shared = keys_of(ModelDefaults)
    own = {name: key for name, key in keys_of(Model).items() if name not in shared}
    return {"name": own["name"], "path": own["path"], "source": _SOURCE, **own, **shared}


def entry_forms() -> list[Kind]:
    """Return the forms that an element of a list can have."""
    either = [
        {"required": ["name", "path"], "properties": {"source": False}},
        {"required": ["source"], "properties": {"path": False}},
    ]
    script = "A model, with the keys of ONNX Runtime's TensorRT performance script."
    root = "Sets where relative working directories of later elements start."
    return [
        object_kind("entry", entry_keys(), dict, meaning="A model.", schema={"oneOf": either}),
        object_kind("original_entry", ORIGINAL_KEYS, dict, meaning=script),
        object_kind("original_root", ROOT_KEYS, dict, meaning=root),
    ]


@dataclass(slots=True)
class EntryReader:
    """Reads the entries of one list, in their order."""

    title: str
    """How messages name the list."""

    base: Path
    """Where relative paths start; absolute."""

    group: str | None = None
    """Of models for which the list gives none."""

    defaults: Mapping[str, Any] = field(default_factory=dict)
    """Values of the fields of `ModelDefaults`, read already."""

    root: Path | None = None
    """Where relative working directories of the original form start, once an element has set it."""

    keys: Mapping[str, Key] = field(default_factory=entry_keys)
    _line: int | None = None

    def read(self, value: Any, place: Place, line: int | None = None) -> Model | None:
        """Return the model of one entry; `None` for a wrong entry, or one that only sets the root.

        Args:
            value: The entry.
            place: Where it stands, for messages.
            line: Where it begins in the file.
        """
        self._line = line
        if isinstance(value, dict):
            if ROOT_KEY in value:
                self._read_root(value, place)
                return None
            if ORIGINAL_KEYS.keys() & value.keys():
                return self._read_original(value, place)
        return self._read_rich(value, place)

    def _read_root(self, value: Mapping[str, Any], place: Place) -> None:
        others = {name: dataclasses.replace(key, required=False) for name, key in ORIGINAL_KEYS.items()}
        found = read_object(value, place, {**ROOT_KEYS, **others}, "an object")
        if len(value) > 1:
            place.report(f"{ROOT_KEY!r} must stand in an element of its own, before the models it is for")
        self.root = self.base / found[ROOT_KEY] if found else None

    def _read_original(self, value: Any, place: Place) -> Model | None:
        found = read_object(value, place, ORIGINAL_KEYS, "an object")
        if found is None:
            return None
        folder = (self.root or self.base) / found.pop("working_directory")
        paths = {field: folder / path for field, path in found.items() if field != "name"}
        return self._model(found | paths, place)

    def _read_rich(self, value: Any, place: Place) -> Model | None:
        found = read_object(value, place, self.keys, 'an object such as {"name": "bert", "path": "bert.onnx"}')
        if found is None or not _has_model(value, place):
            return None
        source = found.pop("source", None)
        if source is not None:
            found = {**_source_values(source, found), **found}
        for key in self.keys.values():
            if key.kind is PATH and key.field in found:
                found[key.field] = self.base / found[key.field]
        return self._model(found, place) if "path" in found and "name" in found else None

    def _model(self, found: dict[str, Any], place: Place) -> Model:
        values = {"group": self.group, **self.defaults, **found}  # what only the defaults give is shared, not copied
        if self.defaults:
            for key in self.keys.values():
                if key.merge and key.field in found and key.field in self.defaults:
                    values[key.field] = key.merge(found[key.field], self.defaults[key.field])
        values |= _split_ranges(values.get("dims", {}))
        if "session" in values:
            values["session"] = tuple(_located(rule, self.base) for rule in values["session"])
        return Model(**values, origin=f"{self.title}: {place.entry}", line=self._line)


_MOST_CHARACTERS = 120


def entry_label(index: int, value: Any) -> str:
    """Return how messages name an entry: `models[3] 'bert'`."""
    label = f"models[{index}]"
    for key in ("name", "model_name", "source"):
        name = value.get(key) if isinstance(value, dict) else None
        if name and isinstance(name, str):
            return f"{label} {shortened(name, _MOST_CHARACTERS)!r}"
    return label


def _located(rule: SessionRule, base: Path) -> SessionRule:
    libraries = tuple(str(base / library) for library in rule.custom_op_libraries)
    return dataclasses.replace(rule, custom_op_libraries=libraries) if libraries else rule


def _split_ranges(dims: Mapping[str, tuple[int, ...] | DimRange]) -> dict[str, Any]:
    """Return the fields of a model that hold values and ranges; a case of a range runs with its `opt`."""
    ranges = {name: sizes for name, sizes in dims.items() if isinstance(sizes, DimRange)}
    if not ranges:
        return {}
    return {"dims": {**dims, **{name: (sizes.opt,) for name, sizes in ranges.items()}}, "dim_ranges": ranges}


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
