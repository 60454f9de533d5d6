"""Energy counters read over a window of iterations -> energy of one; RAPL's counters of the processors."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from pathlib import Path

from pytest_ortperf.records.resources import Energy

POWERCAP = Path("/sys/class/powercap")

MIN_UPDATES = 5
MIN_SPAN_NS = 300_000_000

Reading = tuple[int, float]
"""Time in ns, and energy since whenever in mJ."""


def energy_of(source: str, readings: Iterable[Reading], *, window_ns: int, iterations: int) -> Energy | str:
    """Return the energy of iterations that filled a window, or why it is not known.

    A counter moves in steps, NVML's some tens of milliseconds apart. Power is taken between the first and the last
    reading that showed a new value, so that what is before the first step and after the last does not count; the
    window's iterations are alike, so that power and time of one give its energy.

    Args:
        source: Of the counter.
        readings: In the order of time.
        window_ns: From the first iteration's start to the last one's end.
        iterations: In the window.
    """
    steps = _steps(list(readings))
    if len(steps) < MIN_UPDATES:
        return f"the counter of {source} changed {len(steps)} times in the window, {MIN_UPDATES} are needed"
    (start, first), (end, last) = steps[0], steps[-1]
    if end - start < MIN_SPAN_NS:
        return (
            f"the counter of {source} changed during {(end - start) / 1e6:.0f} ms, {MIN_SPAN_NS / 1e6:.0f} are needed"
        )
    return Energy(
        source=source,
        power_w=(last - first) * 1e6 / (end - start),
        updates=len(steps),
        window_ns=window_ns,
        iterations=iterations,
    )


def _steps(readings: Sequence[Reading]) -> list[Reading]:
    return [now for before, now in itertools.pairwise(readings) if now[1] != before[1]]


class Rapl:
    """The energy of all processor packages, where this user may read it.

    Args:
        root: Folder that stands for `/sys/class/powercap`.
    """

    def __init__(self, root: Path = POWERCAP) -> None:
        self._counters = []
        self.reason: str | None = None
        """Why nothing is known."""
        for folder in sorted(root.glob("intel-rapl:*")):
            try:
                if (folder / "name").read_text().startswith("package"):
                    self._counters.append(_Counter(folder))
            except (OSError, ValueError) as error:
                self.reason = f"{folder}: {getattr(error, 'strerror', None) or error}"
        if self.reason is None and not self._counters:
            self.reason = f"{root} lists no processor package"

    def read_mj(self) -> float:
        """Return the energy since this was made."""
        return sum(counter.read_mj() for counter in self._counters)


class _Counter:
    """One package's counter, which starts again at its end."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "energy_uj"
        self._range_uj = int((folder / "max_energy_range_uj").read_text())
        self._last_uj = self._read_uj()
        self._sum_uj = 0

    def read_mj(self) -> float:
        now = self._read_uj()
        self._sum_uj += (now - self._last_uj) % (self._range_uj + 1)
        self._last_uj = now
        return self._sum_uj / 1000

    def _read_uj(self) -> int:
        return int(self._file.read_text())
