"""Columns of text that fit a width."""

from __future__ import annotations

from pytest_ortperf.reports.terminal.text_table import TextColumn, table_lines


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


def test_the_gap_moves_to_where_names_do_not_differ() -> None:
    names = [f"a_very_long_common_beginning_{letter}_and_a_long_common_end" for letter in "xy"]
    assert table(*names, width=36) == [
        "case                         verdict",
        "a...x_and_a_long_common_end     SAME",
        "a...y_and_a_long_common_end     SAME",
    ]


def test_a_column_goes_rather_than_what_tells_names_apart() -> None:
    names = ("model_a_variant_int8_b[cpu]", "model_b_variant_int8_a[cpu]", "model_a_variant_int8_a[cpu]")
    assert table(*names, width=30) == [
        "case                   verdict",
        "model_a_v...t8_b[cpu]     SAME",
        "model_b_v...t8_a[cpu]     SAME",
        "model_a_v...t8_a[cpu]     SAME",
    ]


def test_a_line_is_too_long_rather_than_that_two_names_become_the_same() -> None:
    first, *rows = table("left_and_the_middle_of_a", "left_and_the_middle_of_b", "right_and_the_middle_of_a", width=20)
    assert (first.split(), len({row.split()[0] for row in rows})) == (["case", "verdict"], 3)
    assert max(map(len, rows)) > 20


def test_names_that_are_the_same_may_stay_so() -> None:
    _, *rows = table("a_name_that_is_too_long", "a_name_that_is_too_long", width=25)
    assert rows == ["a_name_...o_long     SAME"] * 2
