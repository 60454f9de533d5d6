"""Rules for names that end up in pytest ids, markers and records: those of models, tags and precisions."""

from __future__ import annotations

import re
from typing import Any

from pytest_ortperf.cases.issues import Place, shown_value
from pytest_ortperf.cases.json_values import TEXT, Kind, matching

NAME_CHARACTERS = 200
"""Longest model name."""

RESERVED_TAGS = frozenset(
    {
        "and",
        "or",
        "not",
        "parametrize",
        "skip",
        "skipif",
        "xfail",
        "usefixtures",
        "filterwarnings",
        "forked",
        "timeout",
        "tryfirst",
        "trylast",
        "xdist_group",
        "no_cover",
        "validate",
        "benchmark",
    }
)
"""Markers that mean something to pytest, its plugins or this one, and the operators of `-m`."""

_FORBIDDEN = ("::", "@", "[", "]")


def name_issue(name: str) -> str | None:
    """Return what keeps `name` from being a model's name, as the end of *the name ...*, or `None`."""
    if not name:
        return "is empty"
    if name != name.strip():
        return "begins or ends with a space"
    if not name.isprintable():
        return "holds a control or invisible character"
    if len(name) > NAME_CHARACTERS:
        return f"has {len(name)} characters, more than {NAME_CHARACTERS}"
    found = [text for text in _FORBIDDEN if text in name]
    return f"holds {' and '.join(map(repr, found))}, which pytest ids give a meaning" if found else None


def tag_issue(tag: str) -> str | None:
    """Return what keeps `tag` from being a pytest marker, as the end of *the tag ...*, or `None`."""
    if tag in RESERVED_TAGS:
        return "is reserved: it means something to pytest or a plugin"
    if not tag.isidentifier() or tag.startswith("_"):
        return "is no marker name: only letters, digits and _, beginning with a letter"
    return None


def group_marker(group: str) -> str:
    """Return the pytest marker of a group, for `-m`: `onnx_zoo` for `onnx-zoo`.

    Every other character than letters, digits and `_` becomes `_`. `group_` stands before what is no name of a marker
    then, or means something to pytest: `group_2021`, `group_skip`.
    """
    marker = re.sub(r"\W", "_", group)
    return f"group_{marker}" if tag_issue(marker) else marker


def _read_name(value: Any, place: Place) -> str:
    if not isinstance(value, str):
        place.wrong(value, "a text")
        return ""
    issue = name_issue(value)
    if issue:
        place.report(f"the name {shown_value(value)} {issue}; choose another")
    return value


NAME = Kind(
    "a text",
    _read_name,
    {
        "type": "string",
        "minLength": 1,
        "maxLength": NAME_CHARACTERS,
        "pattern": r"^(?!\s)(?!.*\s$)(?!.*::)[^@\[\]\u0000-\u001f\u007f]*$",
    },
    "name",
)
"""A model's name, fit for pytest ids."""


def _read_tag(value: Any, place: Place) -> str:
    tag: str = TEXT.read(value, place)
    issue = tag_issue(tag) if tag else None
    if issue:
        place.report(f"the tag {tag!r} {issue}; choose another")
    return tag


TAG = Kind(
    TEXT.allowed,
    _read_tag,
    {
        "description": "A valid name of a pytest marker that no plugin uses.",
        "type": "string",
        "pattern": r"^[^\W\d_]\w*$",
        "not": {"enum": sorted(RESERVED_TAGS)},
    },
    "tag",
)

GROUP = matching(
    f"a text of 1 to {NAME_CHARACTERS} characters, without control characters",
    rf"[^\x00-\x1f\x7f]{{1,{NAME_CHARACTERS}}}",
    examples=["onnx-zoo-models"],
    name="group",
)
"""What models belong to, such as a zoo or a team."""

PRECISION = matching(
    "a precision in lower case, such as fp32, fp16 or int8",
    "[a-z][a-z0-9_]*",
    examples=["fp32", "fp16", "int8"],
    name="precision",
)
"""Which there are is known only when the models are read."""
