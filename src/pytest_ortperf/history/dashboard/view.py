"""What a site shows of a history: runs, cases with their series, points, outcomes, change points."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run of the history, as far as the site tells of it."""

    id: int
    """Its number in the order of adding."""

    run: str
    started: str
    branch: str | None
    commit: str | None
    version: str | None
    machine: str | None
    """Fingerprint."""

    device: str | None
    state: str
    """`complete`, or what is wrong with it."""

    passed: int = 0
    failed: int = 0
    is_accepted: bool = False
    digest: str = ""
    """Changes when what was kept of the run does."""

    results: str | None = None
    """Folder that its records were read from, if that is known."""

    deselected: frozenset[str] = frozenset()
    """Node ids of cases that were left out on purpose."""

    @property
    def place(self) -> tuple[str | None, str | None]:
        """What its earlier runs share with it."""
        return self.branch, self.machine


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """What is needed of a series to judge its changes."""

    id: int
    metric: str
    unit: str
    variant: str
    more_is_better: bool
    is_time: bool
    """Whether a slower machine changes it."""

    floors: tuple[float, float] | None
    """By how much a value has to change, relative and in its unit; `None` where that is not judged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What the points of one page have in common."""

    model: str
    dims: str
    variant: str
    """Provider and precision."""

    device: str
    group: str
    settings: str
    """Of the session, where they are not the defaults."""

    identity: tuple[str, ...] = ()
    """What else tells it from others: model list, machine."""

    @property
    def key(self) -> str:
        """Name of its files: the same in every build, and nothing that a model list can choose."""
        parts = (self.model, self.dims, self.variant, self.device, self.group, self.settings, *self.identity)
        return hashlib.sha256(json.dumps(parts).encode("ascii")).hexdigest()[:16]

    @property
    def name(self) -> str:
        """`bert, batch=8 cuda-fp16`."""
        return f"{', '.join(filter(None, (self.model, self.dims)))} {self.variant}"


@dataclass(frozen=True, slots=True)
class Point:
    """A value of a series in a run, with both ends of its interval if it has one."""

    series: int
    run: int
    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One quantity."""

    title: str
    unit: str
    meaning: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How one case of a run ended."""

    run: int
    nodeid: str
    case: Case
    mode: str
    outcome: str
    kind: str
    """Class of the failure; the outcome of a case without one."""

    text: str = ""
    """First line of its message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangePoint:
    """A run from which on a series has another level."""

    id: str
    """For people."""

    series: int
    run: int
    before: float
    after: float
    state: str
    """New, confirmed, expected or fixed."""

    note: str
    """What was said of it."""

    commands: tuple[str, ...]
    """Confirm it."""

    @property
    def change(self) -> float:
        """Relative to the level before."""
        return (self.after - self.before) / abs(self.before) if self.before else 0.0
