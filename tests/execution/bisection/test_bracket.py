from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from pytest_ortperf.execution.bisection.probing import Bracket, CutVerdict, narrow


@given(st.lists(st.integers(0, 5000), min_size=1, max_size=400, unique=True).map(sorted), st.data())
def test_the_first_wrong_place_is_found_by_halving(places: list[int], data: st.DataObject) -> None:
    wrong = data.draw(st.sampled_from(places))
    asked: list[int] = []

    def probe(place: int) -> CutVerdict:
        asked.append(place)
        return CutVerdict.WRONG if place >= wrong else CutVerdict.WELL

    bracket = Bracket(places)
    narrow(bracket, probe, lambda: True)
    assert bracket.is_closed
    assert bracket.wrong == wrong
    assert bracket.well == max((place for place in places if place < wrong), default=None)
    assert len(asked) == len(set(asked)) <= math.ceil(math.log2(len(places)) if len(places) > 1 else 0) + 1


def test_places_of_which_nothing_can_be_said_are_left_out() -> None:
    bracket = Bracket(range(8))
    narrow(
        bracket,
        lambda place: CutVerdict.UNKNOWN if place in (3, 4) else CutVerdict(("well", "wrong")[place > 4]),
        always,
    )
    assert (bracket.well, bracket.wrong, bracket.is_closed) == (2, 5, True)


def always() -> bool:
    return True


def test_what_is_upcoming_holds_each_place_of_the_next_three_halvings() -> None:
    bracket = Bracket(range(300))
    upcoming = bracket.upcoming()
    assert len(upcoming) == 7
    for verdict in (CutVerdict.WELL, CutVerdict.WRONG, CutVerdict.WELL):
        assert bracket.next() in upcoming
        bracket.note(bracket.next(), verdict)
    assert bracket.next() not in upcoming


def test_a_search_may_be_stopped() -> None:
    bracket, left = Bracket(range(100)), iter([True, False])
    narrow(bracket, lambda _: CutVerdict.WRONG, lambda: next(left))
    assert (bracket.wrong, bracket.is_closed) == (49, False)
