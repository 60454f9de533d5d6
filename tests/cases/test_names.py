# ruff: noqa: E501 - a table of messages in full
from collections.abc import Callable
from typing import Any

import pytest

from pytest_ortperf.cases.model import Model
from pytest_ortperf.cases.names import NAME_CHARACTERS, RESERVED_TAGS, group_marker, name_issue, tag_issue

ENTRY = {"name": "a", "path": "a.onnx"}


Read = Callable[..., tuple[Model, ...]]
IssuesOf = Callable[[Any], list[str]]
IssuesOfEntry = Callable[..., list[str]]


@pytest.mark.parametrize(
    ("name", "issue"),
    [
        ("", 'name: the name "" is empty; choose another'),
        (" a", 'name: the name " a" begins or ends with a space; choose another'),
        ("a\n", 'name: the name "a\\n" begins or ends with a space; choose another'),
        ("a\tb", 'name: the name "a\\tb" holds a control or invisible character; choose another'),
        ("a\ud800", 'name: the name "a\\ud800" holds a control or invisible character; choose another'),
        ("a::b", "name: the name \"a::b\" holds '::', which pytest ids give a meaning; choose another"),
        ("a@[b]", "name: the name \"a@[b]\" holds '@' and '[' and ']', which pytest ids give a meaning; choose another"),
        (3, "name: is 3; it must be a text"),
    ],
)  # fmt: skip
def test_name_that_ids_cannot_hold_is_an_issue(issues_of: IssuesOf, name: Any, issue: str) -> None:
    (line,) = issues_of([{"name": name, "path": "a.onnx"}])

    assert line.split(": ", 1)[1] == issue


def test_name_length_is_limited() -> None:
    assert name_issue("n" * NAME_CHARACTERS) is None
    assert name_issue("n" * 201) == "has 201 characters, more than 200"


@pytest.mark.parametrize("name", ["a", "a:b", "zoo/résnet 50", "模型", "x" * 200, "a.b-c_d", "..."])
def test_ordinary_names_are_allowed(read: Read, name: str) -> None:
    assert [model.name for model in read([{**ENTRY, "name": name}])] == [name]


@pytest.mark.parametrize("tag", sorted(RESERVED_TAGS))
def test_reserved_tag_is_an_issue(issues_of_entry: IssuesOfEntry, tag: str) -> None:
    assert issues_of_entry(tags=["ok", tag]) == [
        f"tags[1]: the tag {tag!r} is reserved: it means something to pytest or a plugin; choose another"
    ]


@pytest.mark.parametrize("tag", ["a-b", "1a", "a b", "_a", "a.b"])
def test_tag_must_be_a_marker_name(tag: str) -> None:
    assert tag_issue(tag) == "is no marker name: only letters, digits and _, beginning with a letter"


@pytest.mark.parametrize(
    ("group", "marker"),
    [
        ("vision", "vision"),
        ("onnx-zoo models", "onnx_zoo_models"),
        ("2021", "group_2021"),
        ("_own", "group__own"),
        ("skip", "group_skip"),
        ("<script>", "group__script_"),
        ("רשת", "רשת"),
    ],
)
def test_marker_of_a_group_is_a_name_that_pytest_takes(group: str, marker: str) -> None:
    assert group_marker(group) == marker
    assert tag_issue(marker) is None


def test_group_is_a_text_of_one_line(issues_of_entry: IssuesOfEntry) -> None:
    allowed = "a text of 1 to 200 characters, without control characters"
    assert issues_of_entry(group="a\nb") == [f'group: is "a\\nb"; it must be {allowed}']
    assert issues_of_entry(group="") == [f'group: is ""; it must be {allowed}']
