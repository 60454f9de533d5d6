"""A clock that only calls move."""

from __future__ import annotations

MS = 1_000_000


class FakeTime:
    """The n-th call takes `costs_ms[n]`, the last cost again and again."""

    def __init__(self, *costs_ms: float) -> None:
        self.now = 5 * MS
        self.calls = 0
        self._costs = costs_ms

    def clock(self) -> int:
        return self.now

    def call(self) -> None:
        self.now += int(self._costs[min(self.calls, len(self._costs) - 1)] * MS)
        self.calls += 1
