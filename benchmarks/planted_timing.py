"""How much longer variants of a model take than the first one. Not for use alone: `planted_models.py` runs it.

One process, one thread: blocks of calls of each in turns, the order of every second round backwards. Prints a JSON
object: `base_ns`, and of each variant the median over the rounds of the logarithm of its time over the first one's.
"""

from __future__ import annotations

import json
import math
import random
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from carriers import open_session

from pytest_ortperf.execution.clocked import time_calls, without_garbage_collection
from pytest_ortperf.execution.values import Runner

BLOCK_NS = 8e6
WARM_UP_S = 0.2

Call = Callable[[], object]


def main(arguments: Sequence[str]) -> int:
    """Time the models of a task for as long as it says; return the exit status."""
    task = json.loads(Path(arguments[0]).read_text(encoding="utf-8"))
    feeds = dict(np.load(task["feeds"]))
    paths = [Path(path) for path in task["models"]]
    made = dict.fromkeys(range(len(paths)))
    for number in random.Random(task["seed"]).sample(range(len(paths)), len(paths)):  # noqa: S311 - an order
        made[number] = Runner(open_session(paths[number]), None, feeds).call
    print(json.dumps(compared([call for call in made.values() if call is not None], task["seconds"])))
    return 0


def compared(calls: Sequence[Call], seconds: float) -> Mapping[str, Any]:
    """Return the time of the first call in ns, and the median log ratio of each other one to it."""
    run_ns = [_warm_up(call) for call in calls]
    counts = [max(1, round(BLOCK_NS / each)) for each in run_ns]
    rounds: list[list[float]] = []
    end = time.monotonic() + seconds * len(calls)
    with without_garbage_collection():
        while time.monotonic() < end or len(rounds) % 2:
            order = list(range(len(calls)))[:: -1 if len(rounds) % 2 else 1]
            taken = {number: _block(calls[number], counts[number]) for number in order}
            rounds.append([taken[number] for number in range(len(calls))])
    return {
        "base_ns": statistics.median(times[0] for times in rounds),
        "rounds": len(rounds),
        "log_ratios": [
            statistics.median(math.log(times[number] / times[0]) for times in rounds) for number in range(1, len(calls))
        ],
    }


def _block(call: Call, count: int) -> float:
    """Return the median of some calls; the first of the block, which finds other data in the caches, is left out."""
    call()
    return statistics.median(time_calls(call, count))


def _warm_up(call: Call) -> float:
    end, times = time.monotonic() + WARM_UP_S, [time_calls(call, 1)[0]]
    while time.monotonic() < end:
        times.append(time_calls(call, 1)[0])
    return statistics.median(times)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
