"""Rules for what ends up in pytest ids and markers: model names and tags."""

from __future__ import annotations

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
