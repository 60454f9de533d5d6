"""How much longer variants of a model take than the model. Not for use alone: `planted_models.py` runs it.

One process, one thread: blocks of calls of each in turns, the order of every second round backwards. What counts of
each is the time that a twentieth of its calls keep below: those that nothing else on the machine disturbed. The model
is there twice, because two sessions of the same differ by up to a percent, as their memory lies. Prints a JSON object:
`base_ns`, and of each variant the logarithm of its time over that of the model.
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

from pytest_ortperf.execution.inputs.tensor_values import ModelRunner
from pytest_ortperf.execution.timing.timing_loop import time_calls, without_garbage_collection

BLOCK_NS = 4e6
WARM_UP_S = 0.1
UNDISTURBED = 0.05
LEAST_CALLS = 30
LONG_NS = 500_000
"""From which on a call hardly ever has a core for itself on a busy machine, and only the time on the core counts."""

BASES = 2

Call = Callable[[], object]


def main(arguments: Sequence[str]) -> int:
    """Time the models of a task, the first one twice, for as long as it says; return the exit status."""
    task = json.loads(Path(arguments[0]).read_text(encoding="utf-8"))
    feeds = dict(np.load(task["feeds"]))
    base, *variants = map(Path, task["models"])
    paths = [base] * BASES + variants
    made: dict[int, Call] = {}
    for number in random.Random(task["seed"]).sample(range(len(paths)), len(paths)):  # noqa: S311 - an order
        made[number] = ModelRunner(open_session(paths[number]), None, feeds).call
    print(json.dumps(compared([made[number] for number in range(len(paths))], task["seconds"])))
    return 0


def compared(calls: Sequence[Call], seconds: float) -> Mapping[str, Any]:
    """Return the time of the first two calls in ns, and the log ratio of each other one to it."""
    run_ns = [_warm_up(call) for call in calls]
    counts = [max(1, round(BLOCK_NS / each)) for each in run_ns]
    clocks = [time.thread_time_ns if each > LONG_NS else time.perf_counter_ns for each in run_ns]
    samples: list[list[int]] = [[] for _ in calls]
    least_ns = [max(seconds * 1e9, LEAST_CALLS * each) for each in run_ns]
    end, rounds = time.thread_time() + sum(least_ns) / 1e9, 0
    with without_garbage_collection():
        while time.thread_time() < end or rounds % 2:
            for number in list(range(len(calls)))[:: -1 if rounds % 2 else 1]:
                calls[number]()
                samples[number] += time_calls(calls[number], counts[number], clocks[number])
            rounds += 1
    logs = [math.log(quantile(each)) for each in samples]
    base = statistics.fmean(logs[:BASES])
    return {"base_ns": math.exp(base), "log_ratios": [each - base for each in logs[BASES:]]}


def quantile(samples: Sequence[int]) -> float:
    """Return what a twentieth of the samples keep below, between the two that are nearest."""
    ordered = sorted(samples)
    place = UNDISTURBED * (len(ordered) - 1)
    low = int(place)
    return ordered[low] + (place - low) * (ordered[min(low + 1, len(ordered) - 1)] - ordered[low])


def _warm_up(call: Call) -> float:
    end, times = time.thread_time() + WARM_UP_S, list(time_calls(call, 1, time.thread_time_ns))
    while time.thread_time() < end:
        times += time_calls(call, 1, time.thread_time_ns)
    return quantile(times)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
