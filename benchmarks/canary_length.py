"""How long the canary has to be: what is left of a model's change once the canary's is taken out, by its length.

Each round times every part of the canary for a tenth of a second, turn by turn, and some models of this repository on
one thread. Rounds are compared with later ones, as two runs are: the change of a model's median, less the median change
of the canary's parts, of which only the first turns count.
"""

from __future__ import annotations

import argparse
import itertools
import math
import random
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext

from carriers import load_carrier, open_session
from load_generator import load
from measuring import percentile, table, versions

from pytest_ortperf.execution.machine.canary import pieces

MODELS = ("tiny_bert", "small_cnn", "lstm", "shufflenet", "squeezenet")
LENGTHS_MS = (5, 10, 15, 25, 50, 100)
PAIRS = 2000
NEAREST = 3
MODEL_S = 0.15

Round = tuple[Mapping[str, Sequence[int]], Mapping[str, float]]


def turns(work: Callable[[], object], seconds: float) -> list[int]:
    """Return the time of each turn of some work, in ns, at least five of them."""
    work()
    found: list[int] = []
    end = time.perf_counter_ns() + seconds * 1e9
    while len(found) < 5 or time.perf_counter_ns() < end:  # noqa: PLR2004
        start = time.perf_counter_ns()
        work()
        found.append(time.perf_counter_ns() - start)
    return found


def record(rounds: int) -> list[Round]:
    """Return what each round timed."""
    calls = {}
    for name in MODELS:
        carrier = load_carrier(name)
        calls[name] = _call(open_session(carrier.model), dict(carrier.feeds))
    found = []
    for _ in range(rounds):
        canary = {name: turns(work, LENGTHS_MS[-1] / 1e3) for name, work in pieces().items()}
        # the first round wakes everything
        found.append((canary, {name: statistics.median(turns(call, MODEL_S)) for name, call in calls.items()}))
    return found[1:]


def _call(session: object, feeds: Mapping[str, object]) -> Callable[[], object]:
    return lambda: session.run(None, feeds)  # type: ignore[attr-defined]


def beginning(times: Sequence[int], length_ms: float) -> float:
    """Return the lower quartile of the turns that fit into a length."""
    ends = itertools.accumulate(times)
    count = sum(end <= length_ms * 1e6 for end in ends)
    return percentile(sorted(times[: max(count, 3)]), 25)


def rows(found: Sequence[Round]) -> list[tuple[str, ...]]:
    """Return one row a length, after one without a canary."""
    dice = random.Random(0)  # noqa: S311
    pairs = [(a, b) for a in range(len(found)) for b in range(a + NEAREST, len(found))]
    pairs = dice.sample(pairs, min(PAIRS, len(pairs)))
    plain = [math.log(found[b][1][name] / found[a][1][name]) for a, b in pairs for name in MODELS]
    made = [_row("no canary", plain)]
    for length in LENGTHS_MS:
        levels = [[math.log(beginning(times, length)) for times in canary.values()] for canary, _ in found]
        shift = [statistics.median(y - x for x, y in zip(levels[a], levels[b], strict=True)) for a, b in pairs]
        left = [change - shift[number // len(MODELS)] for number, change in enumerate(plain)]
        made.append(_row(f"{length} ms a part", left))
    return made


def _row(name: str, logs: Sequence[float]) -> tuple[str, ...]:
    sizes = sorted(map(abs, logs))
    values = (1.4826 * statistics.median(sizes), percentile(sizes, 95), percentile(sizes, 99))
    return (name, *(f"{100 * value:.1f} %" for value in values))


def main() -> None:
    """Record and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=80)
    parser.add_argument("--load", action="store_true", help="keep a core busy on and off meanwhile")
    arguments = parser.parse_args()
    with load(1) if arguments.load else nullcontext():
        found = record(arguments.rounds)
    sys.stdout.write(f"{versions()}, {'load' if arguments.load else 'idle'}\n\n")
    sys.stdout.write(table(("", "spread", "95 % below", "99 % below"), rows(found)) + "\n")


if __name__ == "__main__":
    main()
