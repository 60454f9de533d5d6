"""The search for the release or nightly build that brought a change: candidates, steps, and the state that is kept."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from packaging.version import Version

from pytest_ortperf.errors import OrtPerfError, SettingsError
from pytest_ortperf.pairing.side_process import SideGoneError
from pytest_ortperf.provision.environments import Environments, RuntimeEnvironment, Tell
from pytest_ortperf.provision.pip_program import ProvisionError, offered_versions
from pytest_ortperf.provision.runtimes import Runtime, date_of, nightly_version, nightly_versions, read_runtime
from pytest_ortperf.provision.version_judges import VersionJudge
from pytest_ortperf.provision.version_search import (
    BAD,
    GOOD,
    SKIPPED,
    Step,
    VersionSearch,
    read_state,
    write_state,
)

_GUESS_S = 60.0
"""A step before any is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked."""

    good: str
    bad: str
    symptom: str
    options: tuple[str, ...]
    """Of pytest: they select one case, and say how it runs."""


class ReleaseSearch:
    """One search; what it finds is written after each step.

    Args:
        question: What is asked.
        environments: Where runtimes come from.
        results: Folder of the state, and of what judging writes.
        tell: Told what happens, in a line.
        fresh: Whether a search for the same is begun anew.

    Raises:
        SettingsError: If the ends are not two versions of one distribution.
        ProvisionError: If the versions between them cannot be found out.
    """

    def __init__(
        self, question: Question, environments: Environments, results: Path, tell: Tell, *, fresh: bool = False
    ) -> None:
        self._environments = environments
        self._tell = tell
        ends = [_end(text) for text in (question.good, question.bad)]
        if ends[0].distribution != ends[1].distribution or ends[0].text == ends[1].text:
            raise SettingsError(f"{question.good} and {question.bad}: give two versions of one distribution")
        self.distribution = ends[0].distribution
        asked = {
            "distribution": self.distribution,
            "good": ends[0].text,
            "bad": ends[1].text,
            "on": question.symptom,
            "options": list(question.options),
        }
        name = hashlib.sha256(json.dumps(asked).encode()).hexdigest()[:8]
        self.folder = results / f"ort-bisect_{ends[0].text}_{ends[1].text}_{name}"
        self.path = self.folder / "search.json"
        known = None if fresh else read_state(self.path, asked)
        if known is not None:
            what = "this is" if known.is_over else "going on with"
            tell(f"{what} the search of {known.started}: {_steps(len(known.steps))} known; --fresh begins anew")
        self.search = known or VersionSearch(
            question=asked,
            started=datetime.now(UTC).isoformat(timespec="seconds"),
            versions=_versions(self.distribution, ends[0].text, ends[1].text),
        )

    def environment(self, version: str) -> RuntimeEnvironment:
        """Return the environment of one version.

        Raises:
            ProvisionError: If it cannot be made.
        """
        return self._environments.use(f"{self.distribution}=={version}")

    def run(self, judge_of: Callable[[RuntimeEnvironment], VersionJudge]) -> VersionSearch:
        """Search until nothing is left to try.

        Args:
            judge_of: Returns what judges, for the good end.

        Raises:
            OrtPerfError: If an end cannot be installed or judged.
        """
        if self.search.is_over:
            return self.search
        good = self.environment(self.search.versions[0])
        judge = judge_of(good)
        self._check_ends(judge, good)
        if self.has_change:
            self._narrow(judge)
            self._add_nightlies()
            self._narrow(judge)
        self._keep(replace(self.search, is_over=True))
        return self.search

    @property
    def has_change(self) -> bool:
        """Whether the bad end is bad."""
        end = self.end
        return end is not None and end.verdict == BAD

    @property
    def end(self) -> Step | None:
        """What is known of the bad end."""
        return self.search.step_of(self.search.versions[-1])

    def _check_ends(self, judge: VersionJudge, good: RuntimeEnvironment) -> None:
        if self.end is not None:
            return
        end = self.search.versions[-1]
        self._announce(end)
        first = judge.judge(good, None).step
        if first.verdict != GOOD:
            raise OrtPerfError(f"{first.version}, the good end, is not good: {first.text}")
        verdict = judge.judge(self.environment(end), None)
        if verdict.step.verdict == SKIPPED:
            raise OrtPerfError(f"{end}, the bad end, cannot be judged: {verdict.step.text}")
        self._keep(replace(self.search, case=verdict.nodeid).with_step(verdict.step))
        self._tell(f"{end} is {verdict.step.verdict}: {verdict.step.text}")

    def _narrow(self, judge: VersionJudge) -> None:
        while (version := self.search.next_version()) is not None:
            self._announce(version)
            began = time.monotonic()
            try:
                step = judge.judge(self.environment(version), self.end).step
            except (ProvisionError, SideGoneError) as error:
                step = Step(
                    version=version,
                    verdict=SKIPPED,
                    text=str(error).partition("\n")[0],
                    seconds=round(time.monotonic() - began, 1),
                )
            self._keep(self.search.with_step(step))
            self._tell(f"{version} is {step.verdict}: {step.text}")

    def _add_nightlies(self) -> None:
        last, first = self.search.last_good, self.search.first_bad
        if date_of(last) or date_of(first) or self.search.skipped:
            return
        try:
            found = _between(nightly_versions(self.distribution), last, first)
        except ProvisionError:
            self._tell("the index of nightly builds cannot be reached; the search ends with releases")
            return
        if found:
            self._tell(f"{len(found)} nightly builds between {last} and {first}")
            self._keep(self.search.with_versions_between(found))

    def _announce(self, version: str) -> None:
        done, left = len(self.search.steps), self.search.steps_left()
        spent = [step.seconds for step in self.search.steps]
        expected = left * (sum(spent) / len(spent) if spent else _GUESS_S)
        minutes = f"about {expected / 60:.0f} min" if expected > 90 else f"about {expected:.0f} s"  # noqa: PLR2004
        self._tell(f"step {done + 1} of at most {done + left}: {self.distribution} {version}; {minutes} left")

    def _keep(self, search: VersionSearch) -> None:
        self.search = search
        write_state(self.path, search)


def _end(text: str) -> Runtime:
    runtime = read_runtime(text)
    if runtime.kind not in {"release", "nightly"}:
        raise SettingsError(f"{text}: a search goes from one release or nightly build to another; give two versions")
    return replace(runtime, text=nightly_version(runtime)) if runtime.kind == "nightly" else runtime


def _versions(distribution: str, good: str, bad: str) -> tuple[str, ...]:
    known = offered_versions(distribution)
    if date_of(good) or date_of(bad):
        known += nightly_versions(distribution)
    return (good, *_between(known, good, bad), bad)


def _between(versions: Sequence[str], one: str, other: str) -> list[str]:
    """Return the versions between two others, in the order from one to the other."""
    low, high = sorted((Version(one), Version(other)))
    found = sorted((version for version in versions if low < Version(version) < high), key=Version)
    return found if Version(one) == low else found[::-1]


def _steps(count: int) -> str:
    return "1 step" if count == 1 else f"{count} steps"
