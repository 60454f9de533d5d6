"""The search for the version between a good and a bad one that brought a change, and its state in a file."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pytest_ortperf.errors import ResultsFileError
from pytest_ortperf.execution.model.artifact_cache import write_whole
from pytest_ortperf.records.codec import as_dict, from_dict
from pytest_ortperf.records.store import DAMAGE

GOOD, BAD, SKIPPED = "good", "bad", "skipped"
STATE_SCHEMA = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A version that was judged, or could not be."""

    version: str
    verdict: str
    """`good`, `bad` or `skipped`."""

    text: str
    """Why, in a line."""

    seconds: float
    log_ratio: float | None = None
    """Of its latency over that of the good end."""

    ratio_interval: tuple[float, float] | None = None
    """90 %."""

    pairs: str | None = None
    """The pairs file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionSearch:
    """Versions in the order of the search, from the good to the bad end, and what is known of them.

    The first step judges the bad end; it is not good by definition, as the other end is.
    """

    schema: int = STATE_SCHEMA
    question: Mapping[str, Any]
    """What was asked: another question is another search."""

    started: str
    """ISO 8601, UTC."""

    case: str | None = None
    """Node id, as soon as it is known."""

    versions: tuple[str, ...]
    steps: tuple[Step, ...] = field(default_factory=tuple)
    is_over: bool = False

    def with_step(self, step: Step) -> VersionSearch:
        """Return the search with one more step."""
        return replace(self, steps=(*self.steps, step))

    def with_versions_between(self, versions: Sequence[str]) -> VersionSearch:
        """Return the search with more versions between the last good and the first bad one."""
        place = self.versions.index(self.last_good) + 1
        more = tuple(version for version in versions if version not in self.versions)
        return replace(self, versions=(*self.versions[:place], *more, *self.versions[place:]))

    @property
    def last_good(self) -> str:
        """The good version that is nearest to the bad ones."""
        good = {self.versions[0], *(step.version for step in self.steps if step.verdict == GOOD)}
        below = self.versions[: self.versions.index(self.first_bad)]
        return next(version for version in reversed(below) if version in good)

    @property
    def first_bad(self) -> str:
        """The first bad version; the bad end until one is found before it."""
        bad = {self.versions[-1], *(step.version for step in self.steps if step.verdict == BAD)}
        return next(version for version in self.versions if version in bad)

    @property
    def between(self) -> tuple[str, ...]:
        """Versions between both that were not tried yet."""
        known = {step.version for step in self.steps}
        return tuple(version for version in self._range if version not in known)

    @property
    def skipped(self) -> tuple[Step, ...]:
        """Steps between both that could not be judged."""
        return tuple(step for step in self.steps if step.version in self._range and step.verdict == SKIPPED)

    def next_version(self) -> str | None:
        """Return the version to be tried: the one nearest to the middle; `None` if there is none left."""
        middle = len(self._range) // 2
        order = sorted(self.between, key=lambda version: abs(self._range.index(version) - middle))
        return order[0] if order else None

    def steps_left(self) -> int:
        """Return how many steps there are at most, as long as none has to be skipped."""
        return math.ceil(math.log2(len(self.between) + 1)) + (not self.steps)

    def step_of(self, version: str) -> Step | None:
        """Return what is known of a version."""
        return next((step for step in self.steps if step.version == version), None)

    @property
    def _range(self) -> tuple[str, ...]:
        return self.versions[self.versions.index(self.last_good) + 1 : self.versions.index(self.first_bad)]


def write_state(path: Path, search: VersionSearch) -> None:
    """Write a search so that a reader sees all of it or none.

    Raises:
        ResultsFileError: If it cannot be written.
    """
    try:
        write_whole(path, json.dumps(as_dict(search), indent=1) + "\n")
    except OSError as error:
        raise ResultsFileError(f"{path}: was not written: {error.strerror}. Give another --results=DIR.") from error


def read_state(path: Path, question: Mapping[str, Any]) -> VersionSearch | None:
    """Return the search that a file keeps; `None` if there is none, or it asked something else."""
    try:
        search = from_dict(VersionSearch, json.loads(path.read_text(encoding="utf-8")))
    except (OSError, *DAMAGE):
        return None
    same = search.schema == STATE_SCHEMA and dict(search.question) == dict(question)
    return search if same else None


def lines_of(search: VersionSearch) -> Iterator[str]:
    """Yield a row a version that was tried, in the order of versions."""
    width = max(map(len, search.versions))
    yield f"{search.versions[0]:{width}}  good     the good end"
    for version in search.versions[1:]:
        step = search.step_of(version)
        if step is not None:
            yield f"{version:{width}}  {step.verdict:7}  {step.text}"
