"""A process that keeps one core busy and lets it go again, each for 2 to 6 s at random, until its parent ends it."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

SHORTEST_S, LONGEST_S = 2.0, 6.0
_STEP_S = 0.05


@dataclass(slots=True)
class Load:
    """What the generator did."""

    busy_share: float | None = None
    """Time of a core it took by the time it was on; `None` while it is."""


@contextmanager
def load(seed: int) -> Iterator[Load]:
    """Have the generator on meanwhile; it is pinned to no core."""
    made, start = Load(), time.monotonic()
    process = subprocess.Popen([sys.executable, Path(__file__), str(seed)], stdin=subprocess.DEVNULL)
    try:
        yield made
    finally:
        process.send_signal(signal.SIGTERM)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        made.busy_share = (usage.ru_utime + usage.ru_stime) / (time.monotonic() - start)
    if process.returncode != -signal.SIGTERM:
        raise SystemExit(f"the load generator ended on its own with {process.returncode}")


def phases(seed: int) -> Iterator[tuple[bool, float]]:
    """Yield whether the core is kept busy, and for how many seconds, in turns and without end."""
    dice = random.Random(seed)  # noqa: S311 - a load
    busy = dice.random() < 0.5  # noqa: PLR2004 - a coin
    while True:
        yield busy, dice.uniform(SHORTEST_S, LONGEST_S)
        busy = not busy


def main() -> None:
    """Burn and rest as long as the parent lives."""
    parent = os.getppid()
    for busy, seconds in phases(int(sys.argv[1])):
        end = time.monotonic() + seconds
        while (now := time.monotonic()) < end:
            if os.getppid() != parent:
                return
            if not busy:
                time.sleep(min(_STEP_S, end - now))


if __name__ == "__main__":
    main()
