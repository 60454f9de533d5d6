"""What `ortperf check` finds out about a case: leaks, blocks that valgrind calls lost, and outputs under threads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

LEAK, NO_LEAK, UNSURE = "leak", "no leak", "unsure"
"""Verdicts on growth."""

RUNS, SESSIONS = "runs", "sessions"
"""What is repeated: runs on one session, or create, run once and destroy."""

SAME, WITHIN, WRONG, STUCK, UNTOLD = "same", "within tolerance", "wrong", "stuck", "not repeatable"
"""Verdicts on threads; the last where one thread alone gives other outputs each time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """One reading that was watched while calls escalated."""

    calls_of: str
    """`RUNS` or `SESSIONS`."""

    name: str
    """`heap`, `memory`, `GPU memory`, `file descriptors` or `threads`."""

    unit: str
    """`B`, or empty for a count."""

    verdict: str
    per_call: float
    """Median over rounds of the growth by the round's calls."""

    low: float
    """Of the 95 % interval of that median."""

    high: float
    least: float
    """Smallest growth of a call that the check could have seen."""

    calls: tuple[int, ...]
    """Of each round."""

    grown: tuple[int, ...]
    """In each round."""

    without_arena: str | None = None
    """Verdict of the same with ONNX Runtime's CPU memory arena and memory patterns off; `None` if not tried."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeakCheck:
    """All readings of a case."""

    growths: tuple[Growth, ...]
    absent: Mapping[str, str] = field(default_factory=dict)
    """Reading -> why there is none."""

    advice: tuple[str, ...] = ()

    @property
    def verdict(self) -> str:
        """`LEAK` if anything leaks, `UNSURE` if anything may."""
        found = {growth.verdict for growth in self.growths}
        return LEAK if LEAK in found else UNSURE if UNSURE in found or not found else NO_LEAK

    def worst(self, calls_of: str, unit: str = "B") -> float | None:
        """Return the largest growth of a call over the readings of one kind; 0 where nothing leaks."""
        found = [each for each in self.growths if each.calls_of == calls_of and each.unit == unit]
        leaking = [each.per_call for each in found if each.verdict == LEAK]
        return max(leaking, default=0.0) if found else None


@dataclass(frozen=True, slots=True, kw_only=True)
class LostBlocks:
    """Memory that nothing points to any more, allocated at one place."""

    byte: int
    blocks: int
    keyword: str
    """What of the stack made it count, such as `onnxruntime`."""

    where: tuple[str, ...]
    """The innermost functions, with their libraries."""

    again: bool
    """Whether it is lost with each session or run, and not once in a process."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ValgrindCheck:
    """What valgrind's leak check said of a few sessions and runs."""

    version: str
    sessions: int
    runs: int
    """In each session."""

    lost: tuple[LostBlocks, ...]
    """Definitely lost, with ONNX Runtime, the provider or a custom-op library on the stack."""

    lost_elsewhere_byte: int
    """Definitely lost by Python and other libraries."""

    @property
    def verdict(self) -> str:
        """`LEAK` if something is lost again and again, `UNSURE` if once."""
        return LEAK if any(each.again for each in self.lost) else UNSURE if self.lost else NO_LEAK

    @property
    def lost_byte(self) -> int:
        """Of all lost blocks that count."""
        return sum(each.byte for each in self.lost)


@dataclass(frozen=True, slots=True, kw_only=True)
class ThreadRun:
    """Threads that ran at the same time, and what came of their outputs."""

    sessions: str
    """`one session`, or `a session each`."""

    iterations: tuple[int, ...]
    """Of each thread."""

    inputs: int
    """Sets of inputs with values of their own; threads beyond that share one."""

    verdict: str
    differing: int = 0
    """Iterations with other bits than one thread alone gets."""

    wrong: int = 0
    """Of these, those outside tolerance."""

    messages: tuple[str, ...] = ()
    """What was wrong, or which threads are stuck where."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ThreadCheck:
    """One session for all threads, and a session for each."""

    threads: int
    runs: tuple[ThreadRun, ...]

    @property
    def verdict(self) -> str:
        """The worst."""
        order = (WRONG, STUCK, UNTOLD, WITHIN, SAME)
        return min((run.verdict for run in self.runs), key=order.index, default=UNTOLD)

    @property
    def wrong(self) -> int:
        """Iterations outside tolerance."""
        return sum(run.wrong for run in self.runs)
