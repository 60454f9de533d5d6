"""Columns of text that fit a width."""

from __future__ import annotations

import pytest

from pytest_ortperf.reports.terminal.text_table import TextColumn, shortened, table_lines


def table(*names: str, width: int) -> list[str]:
    columns = (
        TextColumn(title="case", cells=names, to_left=True),
        TextColumn(title="ms", cells=["1.25"] * len(names), keep=1),
        TextColumn(title="verdict", cells=["SAME"] * len(names)),
    )
    return table_lines(columns, width)


def test_a_name_that_is_too_long_is_shortened_in_the_middle() -> None:
    assert table("short", "a_name_that_is_too_long_for_it", width=40) == [
        "case                         ms  verdict",
        "short                      1.25     SAME",
        "a_name_that...long_for_it  1.25     SAME",
    ]


def test_what_tells_names_apart_stays() -> None:
    names = [f"a_very_long_common_beginning_{letter}_and_a_long_common_end" for letter in "xy"]
    assert table(*names, width=30) == [
        "case                   verdict",
        "a_very_lo..._x_and...     SAME",
        "a_very_lo..._y_and...     SAME",
    ]


def test_names_that_are_the_same_may_stay_so() -> None:
    _, *rows = table("a_name_that_is_too_long", "a_name_that_is_too_long", width=25)
    assert rows == ["a_name_...o_long     SAME"] * 2


@pytest.mark.parametrize(
    ("names", "width", "expected"),
    [
        (["abc", "abcdefghijklmnop"], 10, ["abc", "abcd...nop"]),
        # the middle tells them apart: cut elsewhere
        (["aaaaaaaaaaaa1bbbb", "aaaaaaaaaaaa2bbbb"], 14, ["aaaaaa...1bbbb", "aaaaaa...2bbbb"]),
        (
            ["a" * 30 + "1" + "b" * 30, "a" * 30 + "2" + "b" * 30],
            20,
            ["aaaaaaaaa...a1bbb...", "aaaaaaaaa...a2bbb..."],
        ),
        (["resnet", "resnet", "resnet"], 16, ["resnet", "resnet", "resnet"]),
    ],
)
def test_different_names_stay_different(names: list[str], width: int, expected: list[str]) -> None:
    assert shortened(names, width) == expected


def test_names_that_no_cut_tells_apart_get_numbers() -> None:
    places = ("1", "2")
    names = [f"{'a' * 40}{one}{'b' * 40}{two}{'c' * 40}" for one in places for two in places]
    found = shortened(names, 16)
    assert len(set(found)) == 4
    assert found == [f"aaaaaaaaaaa...~{number}" for number in (1, 2, 3, 4)]
