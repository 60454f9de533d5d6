"""Whether something grows with each call: readings after rounds of ever more calls, and a verdict on them.

A leak grows in every round in proportion to its calls. A cache, an arena or a first run grows in some rounds and then
no more. So a leak is what grew by more than the noise of its reading in so many rounds that the 95 % interval of the
median round lies above that noise. What did not grow in half of the rounds is no leak.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from pytest_ortperf.cases.keys import EMPTY
from pytest_ortperf.execution.machine.host_memory import give_back_free_memory
from pytest_ortperf.records.checks import LEAK, NO_LEAK, UNSURE, Growth
from pytest_ortperf.records.intervals import FEWEST, interval_rank

MOST_ROUNDS = 12
"""Where six leave a doubt."""

_WARM_UP_SHARE = 0.2
"""Of the time, at most."""

_FEWEST_WARM_UP = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """Something that can grow."""

    name: str
    unit: str
    read: Callable[[], int]
    noise_per_call: float
    """Growth of a call that is none."""

    noise_per_round: float
    """Growth that any round may have."""

    def noise(self, calls: int) -> float:
        """Return the growth of a round that says nothing."""
        return max(self.noise_per_call * calls, self.noise_per_round)


@dataclass(slots=True)
class Rounds:
    """What readings showed after each round."""

    readings: Sequence[Reading]
    calls: list[int] = field(default_factory=list)
    values: list[list[int]] = field(default_factory=list)
    """By reading: before the first round, and after each."""

    def growths(self, calls_of: str = "", known: Mapping[str, float] = EMPTY) -> tuple[Growth, ...]:
        """Return the verdict on each reading.

        Args:
            calls_of: What was called.
            known: By reading, what a call grows by for a reason that was told of already.
        """
        return tuple(
            growth_of(reading, calls_of, self.calls, values, known.get(reading.name, 0.0))
            for reading, values in zip(self.readings, self.values, strict=True)
        )


def growth_of(reading: Reading, calls_of: str, calls: Sequence[int], values: Sequence[int], known: float) -> Growth:
    """Return the verdict on one reading.

    Args:
        reading: Which.
        calls_of: What was called.
        calls: Of each round.
        values: Before the first round, and after each.
        known: Growth of a call that is taken off.
    """
    grown = [round(after - before - known * n) for before, after, n in zip(values, values[1:], calls, strict=False)]
    excess = sorted(growth - reading.noise(n) for growth, n in zip(grown, calls, strict=True))
    rates = sorted(growth / n for growth, n in zip(grown, calls, strict=True))
    rank = interval_rank(len(excess))
    if rank is None:
        verdict = UNSURE
    elif excess[rank - 1] > 0:
        verdict = LEAK
    else:
        verdict = NO_LEAK if statistics.median_low(excess) <= 0 else UNSURE
    shown = rank or 1
    middle = statistics.median(calls) if calls else 1
    return Growth(
        calls_of=calls_of,
        name=reading.name,
        unit=reading.unit,
        verdict=verdict,
        per_call=statistics.median(rates) if rates else 0.0,
        low=rates[shown - 1] if rates else 0.0,
        high=rates[-shown] if rates else 0.0,
        least=max(reading.noise_per_call, reading.noise_per_round / middle),
        calls=tuple(calls),
        grown=tuple(grown),
    )


def watch(call: Callable[[], object], readings: Sequence[Reading], *, most_first: int, seconds: float) -> Rounds:
    """Call something in rounds that escalate, and read after each.

    Args:
        call: Is watched.
        readings: What may grow.
        most_first: Calls of the first round; fewer where the time would not do.
        seconds: For all rounds, the warm-up included.

    Returns:
        Six rounds, more where they leave a doubt and the time allows it, fewer where it ran out.
    """
    start = time.monotonic()
    end = start + seconds
    took = _warm_up(call, most_first, start + seconds * _WARM_UP_SHARE)
    rounds = Rounds(readings, values=[[each] for each in _read(readings)])
    while len(rounds.calls) < MOST_ROUNDS:
        began = time.monotonic()
        done = _round(call, _calls_of_round(len(rounds.calls) + 1, most_first, (end - began) / took), end)
        if done:
            took = (time.monotonic() - began) / done
            rounds.calls.append(done)
            for values, value in zip(rounds.values, _read(readings), strict=True):
                values.append(value)
        if time.monotonic() >= end or (len(rounds.calls) == FEWEST and not _in_doubt(rounds)):
            break
    return rounds


def _calls_of_round(number: int, most_first: int, left: float) -> int:
    """Return the calls of a round, which grow from one to the next.

    Args:
        number: From 1.
        most_first: Calls of the first round, if time allows it.
        left: Calls that fit into the time that is left; of the first six rounds each gets its share of them.
    """
    weights = sum(range(number, FEWEST + 1)) or number
    return max(1, min(most_first * number, int(left * number / weights)))


def _in_doubt(rounds: Rounds) -> bool:
    return any(growth.verdict == UNSURE for growth in rounds.growths())


def _warm_up(call: Callable[[], object], calls: int, end: float) -> float:
    """Let arenas, caches and thread pools grow to their size; return the seconds that a call takes."""
    times: list[float] = []
    while len(times) < _FEWEST_WARM_UP or (len(times) < calls and time.monotonic() < end):
        began = time.perf_counter()
        call()
        times.append(time.perf_counter() - began)
    return max(statistics.median(times[1:]), 1e-7)


def _round(call: Callable[[], object], calls: int, end: float) -> int:
    for done in range(calls):
        if time.monotonic() >= end:
            return done
        call()
    return calls


def _read(readings: Sequence[Reading]) -> list[int]:
    gc.collect()
    give_back_free_memory()
    return [reading.read() for reading in readings]
