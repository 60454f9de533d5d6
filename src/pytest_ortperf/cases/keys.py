"""Objects of a model list: each key is declared once, and reader, messages and JSON Schema are made from that."""

from __future__ import annotations

import dataclasses
import functools
import typing
from collections.abc import Callable, Collection, Mapping
from dataclasses import KW_ONLY, dataclass
from types import MappingProxyType
from typing import Any

from pytest_ortperf.cases.issues import Place, unknown
from pytest_ortperf.cases.json_values import Kind

EMPTY: Mapping[str, Any] = MappingProxyType({})
"""The default of fields that hold a mapping."""


@dataclass(frozen=True, slots=True, eq=False)
class Key:
    """A key of an object."""

    kind: Kind
    meaning: str
    """Markdown, for the JSON Schema and the documentation."""

    _: KW_ONLY
    field: str = ""
    """Where the value goes, if it is called otherwise."""

    required: bool = False
    default: Any = None
    """What counts where the key is left out, if that is a JSON value."""

    merge: Callable[[Any, Any], Any] | None = None
    """Makes one value of an entry's and that of `defaults`; without it, the entry's replaces the other."""


@functools.cache
def keys_of(declared: type) -> Mapping[str, Key]:
    """Return the keys that the fields of a dataclass declare, by name.

    A field that is a key is annotated as `Annotated[TYPE, KIND, MEANING]`. A dict may follow: the key's `name`, if the
    field is called otherwise, and what else a `Key` has.
    """
    hints = typing.get_type_hints(declared, include_extras=True)
    found = {}
    for field in dataclasses.fields(declared):
        kind, meaning, *more = getattr(hints[field.name], "__metadata__", (None, ""))
        if kind is not None:
            options: dict[str, Any] = {
                "required": field.default is dataclasses.MISSING is field.default_factory,
                "default": field.default if isinstance(field.default, bool | str) else None,
            } | (more[0] if more else {})
            name = options.pop("name", field.name)
            found[name] = Key(kind, meaning, field=field.name, **options)
    return found


def read_object(value: Any, place: Place, keys: Mapping[str, Key], allowed: str) -> dict[str, Any] | None:
    """Return the values of an object by field; unknown and missing keys are issues.

    Args:
        value: What stands in the file.
        place: Where.
        keys: The known keys.
        allowed: What the object is, for a value of another type.

    Returns:
        `None` if no object can be made: the value has another type, or a required key is missing.
    """
    if not isinstance(value, dict):
        place.wrong(value, allowed)
        return None
    found: dict[str, Any] = {}
    for name, item in value.items():
        key = keys.get(name)
        if key is None:
            place.report(unknown("key", name, keys))
        else:
            found[key.field or name] = key.kind.read(item, place.inside(name))
    missing = [name for name, key in keys.items() if key.required and name not in value]
    for name in missing:
        place.report(f"missing key {name!r}")
    return None if missing else found


def object_kind(
    name: str,
    keys: Mapping[str, Key],
    make: Callable[..., Any],
    *,
    meaning: str,
    allowed: str = "an object",
    needs: tuple[str, Collection[str]] = ("", ()),
    check: Callable[[Any, Place], None] | None = None,
    schema: Mapping[str, Any] | None = None,
) -> Kind:
    """Return the kind of objects with these keys.

    Args:
        name: Of the definition in the schema.
        keys: By name.
        make: Takes the values as keyword arguments and returns what the object is read as.
        meaning: For the schema.
        allowed: What messages say it must be.
        needs: What an object does that has none of some keys, such as `sets nothing`, and these keys.
        check: Reports what is wrong with the object as a whole.
        schema: What the schema says besides.
    """
    without, at_least_one = needs

    def read(value: Any, place: Place) -> Any:
        found = read_object(value, place, keys, allowed)
        if at_least_one and isinstance(value, dict) and not value.keys() & set(at_least_one):
            place.report(f"{without}; give at least one of {', '.join(at_least_one)}")
        if found is None:
            return None
        made = make(**found)
        if check is not None:
            check(made, place)
        return made

    whole = {"description": meaning, "type": "object", "properties": keys, "additionalProperties": False}
    required = [name for name, key in keys.items() if key.required]
    if required:
        whole["required"] = required
    if at_least_one:
        whole["anyOf"] = [{"required": [key]} for key in at_least_one]
    return Kind(allowed, read, {**whole, **(schema or {})}, name)


def json_schema(part: Any, definitions: dict[str, Any]) -> Any:
    """Return a part of a schema with its keys and kinds written out; kinds that have a name go to `definitions`."""
    if isinstance(part, Key):
        description = {"description": part.meaning}
        default = {} if part.default is None else {"default": part.default}
        return description | json_schema(part.kind, definitions) | description | default
    if isinstance(part, Kind):
        if not part.name:
            return json_schema(part.schema, definitions)
        if part.name not in definitions:
            definitions[part.name] = None  # keeps its place
            definitions[part.name] = json_schema(part.schema, definitions)
        return {"$ref": f"#/$defs/{part.name}"}
    if isinstance(part, Mapping):
        return {key: json_schema(value, definitions) for key, value in part.items()}
    return [json_schema(item, definitions) for item in part] if isinstance(part, list) else part
