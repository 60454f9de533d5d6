"""Model lists: a JSON file becomes models, or one error with every issue of the file."""

from __future__ import annotations

import codecs
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pytest_ortperf.cases.directory import read_directory, read_model
from pytest_ortperf.cases.entry import ROOT_KEY, EntryReader, entry_forms, entry_label
from pytest_ortperf.cases.issues import Issues, Place, shown_path, shown_value
from pytest_ortperf.cases.json_values import Kind, converted
from pytest_ortperf.cases.keys import Key, json_schema, keys_of, object_kind, read_object
from pytest_ortperf.cases.model import Model, ModelDefaults
from pytest_ortperf.safe_files import read_regular

MOST_BYTE = 1 << 28
"""Of a list: 100,000 models take a hundredth of it."""

_EXAMPLE = '{"name": "resnet50", "path": "resnet50.onnx"}'


def read_models(
    path: Path, *, workspace: Path | None, tell: Callable[[str], None] = lambda _: None
) -> tuple[Model, ...]:
    """Return the models of a model list or model directory, in their order; no model file is opened.

    Args:
        path: A JSON list, a directory of models, or an `.onnx` file.
        workspace: Where relative paths of a list start; `None` is the list's own folder.
        tell: Is told what of a directory is left out, one message each.

    Raises:
        ModelListError: With every issue of the list or directory, one a line.
    """
    # os.path's answer is False where pathlib's raises; reading the file then names the cause.
    if os.path.isdir(path):  # noqa: PTH112
        return read_directory(path, tell)
    if path.suffix.lower() == ".onnx":
        return (read_model(path),)
    return _read_list(path, (workspace or path.parent).absolute())


def schema_text() -> str:
    """Return the JSON Schema (draft 2020-12) of model lists."""
    whole = object_kind("list", top_keys(), dict, meaning="Models with defaults for all of them.")
    definitions: dict[str, Any] = {}
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Model list of pytest-ortperf",
        "description": "ONNX models to validate and benchmark: a list of entries, or an object with defaults for them.",
        "anyOf": json_schema([_entries(), whole], definitions),
        "$defs": definitions,
    }
    return json.dumps(schema, indent=2)


def _read_list(path: Path, base: Path) -> tuple[Model, ...]:
    issues = Issues(shown_path(path))
    text = _read_text(path, issues)
    document = _parse(text, issues)
    file_place = Place(issues, "")
    entries, defaults = _parts(document, file_place)
    reader = EntryReader(issues.title, base, path.stem, defaults)
    # a key that stands twice is an issue already, and the entries may be those of the second
    lines = _entry_lines(text) if entries and not issues.lines else [None] * len(entries)
    models: dict[str, Model] = {}
    labels: dict[str, str] = {}
    for index, value in enumerate(entries):
        place = Place(issues, entry_label(index, value))
        model = reader.read(value, place, lines[index])
        if model is None:
            continue
        if model.name and model.name in labels:
            place.report(f"the name {shown_value(model.name)} is taken by {labels[model.name]}; rename one of the two")
        models[model.name] = model
        labels[model.name] = place.entry
    if not models and not issues.lines:
        file_place.report(f"holds no models; add an entry such as {_EXAMPLE}")
    issues.check()
    return tuple(models.values())


def _read_text(path: Path, issues: Issues) -> str:
    try:
        content = read_regular(path, MOST_BYTE)
    except FileNotFoundError:
        issues.add("no such file or directory; name a list (JSON) or a model directory with --ortperf-models=PATH")
        raise issues.error() from None
    except (OSError, ValueError) as error:  # ValueError: a NUL character in the path
        reason = getattr(error, "strerror", None) or error
        issues.add(f"cannot be read ({reason}); make it readable, or name another with --ortperf-models=PATH")
        raise issues.error() from error
    try:
        return content.removeprefix(codecs.BOM_UTF8).decode()
    except UnicodeDecodeError as error:
        issues.add(
            f"is not UTF-8 text (byte 0x{content[error.start]:02x} at offset {error.start}); "
            f"a model list is JSON in UTF-8, and a model is named in a list or by its directory"
        )
        raise issues.error() from error


def _parse(text: str, issues: Issues) -> Any:
    if text.startswith("version https://git-lfs"):
        issues.add("is a Git LFS pointer, not the list itself; fetch the list with: git lfs pull")
        raise issues.error()
    if not text.strip():
        issues.add(f"is empty; write a list of models such as [{_EXAMPLE}]")
        raise issues.error()

    def unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            keys = [key for key, _ in pairs]
            twice = sorted({key for key in keys if keys.count(key) > 1})
            issues.add(f"repeated key {', '.join(map(repr, twice))} in {shown_value(found)}; remove all but one")
        return found

    try:
        return json.loads(text, object_pairs_hook=unique_keys)
    except json.JSONDecodeError as error:
        issues.add(
            f"line {error.lineno}, column {error.colno}: not JSON ({error.msg}); "
            f"JSON has no comments and no comma before a closing bracket"
        )
        raise issues.error() from error
    except (ValueError, RecursionError) as error:  # a number of over 4,300 digits, or very deep nesting
        issues.add(f"is not a model list: {error}")
        raise issues.error() from error


def _entry_lines(text: str) -> list[int | None]:
    """Return the line that each entry of a list begins in, from 1; the text is a model list that has been parsed."""
    lines: list[int | None] = []
    line, counted = 1, 0
    for start, _ in entry_spans(text):
        line += text.count("\n", counted, start)
        counted = start
        lines.append(line)
    return lines


def entry_spans(text: str) -> Iterator[tuple[int, int]]:
    """Yield where each entry of a list begins and ends; the text is a model list that has been parsed."""
    decode = json.JSONDecoder().raw_decode
    position = _after_spaces(text, 0)
    if text[position] == "{":
        key = None
        while key != "models":
            key, position = decode(text, _after_spaces(text, position + 1))
            position = _after_spaces(text, _after_spaces(text, position) + 1)  # the colon
            if key != "models":
                position = _after_spaces(text, decode(text, position)[1])  # the comma
    position = _after_spaces(text, position + 1)
    while text[position] != "]":
        end = decode(text, position)[1]
        yield position, end
        position = _after_spaces(text, end)
        if text[position] == ",":
            position = _after_spaces(text, position + 1)


def _after_spaces(text: str, position: int) -> int:
    """Return the position of what follows JSON's white space."""
    while text[position] in " \t\r\n":
        position += 1
    return position


def _parts(document: Any, place: Place) -> tuple[Sequence[Any], dict[str, Any]]:
    """Return the entries and the defaults."""
    if isinstance(document, list):
        return document, {}
    allowed = f'a list of models, or an object such as {{"models": [{_EXAMPLE}]}}'
    found = read_object(document, place, top_keys(), allowed) or {}
    return found.get("models") or [], found.get("defaults") or {}


def top_keys() -> Mapping[str, Key]:
    """Return the keys of a list that is an object."""
    address = converted(
        "a text, the address of the schema",
        {"type": "string"},
        lambda value: value if isinstance(value, str) else None,
    )
    meaning = "Values for entries that do not give their own."
    defaults = object_kind("defaults", keys_of(ModelDefaults), dict, meaning=meaning)
    return {
        "$schema": Key(address, "Address of this schema, for editors."),
        "defaults": Key(defaults, meaning),
        "models": Key(_entries(), "The models, in the order they are run.", required=True),
    }


def _entries() -> Kind:
    schema = {
        "type": "array",
        "items": {"anyOf": entry_forms()},
        "minItems": 1,
        "contains": {"not": {"required": [ROOT_KEY]}},
    }
    return converted(
        "a list of models", schema, lambda value: value if isinstance(value, list) else None, name="entries"
    )
