"""Whether a version is good or bad: by its latency beside that of the good end, or by validating the case with it."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from pytest_ortperf.errors import OrtPerfError, SettingsError
from pytest_ortperf.pairing.coordinator import Coordinator, Show, Sort, fresh_sides, show_nothing
from pytest_ortperf.pairing.measure_pair import PASSED, Match
from pytest_ortperf.pairing.plan import Pace, Plan, header_of, matches_of
from pytest_ortperf.pairing.side_process import SideSpec
from pytest_ortperf.provision.environments import RuntimeEnvironment, Tell
from pytest_ortperf.provision.version_search import BAD, GOOD, SKIPPED, Step
from pytest_ortperf.records.pairs import Pair, SideRecord
from pytest_ortperf.records.pairs_file import PairsFile, new_pairs, read_pairs
from pytest_ortperf.records.record import Record
from pytest_ortperf.records.store import find_run, read_run
from pytest_ortperf.reports.comparison.evidence import Evidence
from pytest_ortperf.reports.comparison.paired import Judged, Noise, by_case, judge, sorter
from pytest_ortperf.reports.comparison.verdicts import SLOWER, UNSURE

LATENCY, FAILURE, ACCURACY = "latency", "failure", "accuracy"
SYMPTOMS = (LATENCY, FAILURE, ACCURACY)
"""What a search can be about."""

_INACCURATE = "result accuracy issue"
_INTERNAL = "INTERNALERROR>"
_NAMED_CASES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """A step, and the node id of the case it is about."""

    step: Step
    nodeid: str | None


class VersionJudge(Protocol):
    """What decides about versions."""

    def judge(self, environment: RuntimeEnvironment, end: Step | None) -> Verdict:
        """Judge one version.

        Args:
            environment: It.
            end: What is known of the bad end; `None` if this is it, or the good end.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencyJudge:
    """Measures each version against the good end, in pairs of processes that take turns.

    The bad end must be `SLOWER`, as `ortperf ab` decides it. Between the ends, a version is bad if it has more than
    half of that change, in logarithms, and good if it has less: its whole 90 % interval must lie on one side.
    """

    good: RuntimeEnvironment
    options: tuple[str, ...]
    results: Path
    tell: Tell
    plan: Plan
    show: Show = show_nothing

    def judge(self, environment: RuntimeEnvironment, end: Step | None) -> Verdict:
        """Judge one version; the good end is good.

        Raises:
            OrtPerfError: If the good end cannot be measured, or the options select another number of cases than one.
        """
        if environment.version == self.good.version:
            return Verdict(
                step=Step(version=environment.version, verdict=GOOD, text="the good end", seconds=0), nodeid=""
            )
        began = time.monotonic()
        path = new_pairs(self.results, datetime.now(UTC).astimezone())
        half = None if end is None or end.log_ratio is None else end.log_ratio / 2
        match, records, judged = self._measure(environment, path, half)
        failed = next((it for it in records if it.record.outcome != PASSED), None)
        nodeid = records[-1].record.nodeid if records else match.case_id
        if failed is not None and failed.side == "base":
            raise OrtPerfError(f"{self.good.version}, the good end: {_told(failed.record)}")
        step = (
            self._step(environment.version, judged, half, path)
            if judged is not None and failed is None
            else _skipped(environment.version, _told(failed.record) if failed else "no pair was measured")
        )
        return Verdict(step=_lasting(step, began), nodeid=nodeid)

    def _measure(
        self, environment: RuntimeEnvironment, path: Path, half: float | None
    ) -> tuple[Match, Sequence[SideRecord], Judged | None]:
        specs = (
            SideSpec(name="base", python=self.good.python, options=self.options),
            SideSpec(name="current", python=environment.python, options=self.options),
        )
        with PairsFile(path) as file:
            with fresh_sides(specs) as sides:
                matches = matches_of(*sides)
                header = header_of(path, self.plan, sides)
            if len(matches) != 1:
                raise _several([match.case_id for match in matches])
            file.append(header)
            Coordinator(
                plan=self.plan,
                specs=specs,
                matches=matches,
                file=file,
                pairs=[],
                records=[],
                budget_s=None,
                tell=self.tell,
                pace=Pace(self.plan),
                show=self.show,
                sort=_until_decided(self.plan, half),
            ).run()
        stored = read_pairs(path)
        found = judge(by_case(stored.pairs))
        return matches[0], stored.records, found[0] if found else None

    def _step(self, version: str, judged: Judged, half: float | None, path: Path) -> Step:
        evidence = judged.evidence
        if half is None:
            verdict = {SLOWER: BAD, UNSURE: SKIPPED}.get(judged.decision.verdict, GOOD)
            text = ", ".join([judged.decision.verdict, *judged.decision.reasons])
        else:
            side = _side_of(evidence, half)
            verdict = SKIPPED if side is None else side
            text = {GOOD: "less than half of the change", BAD: "more than half of it"}.get(
                verdict, "the interval holds half of the change"
            )
        low, high = evidence.interval
        return Step(
            version=version,
            verdict=verdict,
            text=f"{evidence.ratio:.3f} of {self.good.version} ({low:.3f} to {high:.3f}): {text}",
            seconds=0,
            log_ratio=evidence.log_ratio,
            ratio_interval=(low, high),
            pairs=str(path),
        )


def _until_decided(plan: Plan, half: float | None) -> Sort:
    """Return what asks for fresh pairs of the bad end, and for more pairs while an interval holds half of the change.

    The whole search rests on how much slower the bad end is: fresh pairs decide that, whatever its screening says.
    """
    usual = sorter(Noise(deciding=plan.confirm_pairs))

    def sort(pairs: Sequence[Pair], matches: Sequence[Match]) -> tuple[list[Match], list[Match]]:
        if half is None:
            return list(matches), []
        changed, _ = usual(pairs, matches)
        open_ids = {each.pairs.case_id for each in judge(by_case(pairs)) if _side_of(each.evidence, half) is None}
        return changed, [match for match in matches if match not in changed and match.case_id in open_ids]

    return sort


def _side_of(evidence: Evidence, half: float) -> str | None:
    """Return on which side of half the change the interval of a ratio lies; `None` if it holds it."""
    if not evidence.is_known or abs(evidence.log_ratio - half) < evidence.half_width:
        return None
    return BAD if evidence.log_ratio > half else GOOD


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidationJudge:
    """Validates the case with each version.

    Args:
        symptom: `failure` of any kind, or `accuracy` alone; then other failures cannot be judged.
        options: Pytest's.
        folder: Gets a results folder a version.
    """

    symptom: str
    options: tuple[str, ...]
    folder: Path

    def judge(self, environment: RuntimeEnvironment, end: Step | None) -> Verdict:  # noqa: ARG002 - of the protocol
        """Judge one version.

        Raises:
            OrtPerfError: If the options select another number of cases than one.
        """
        began = time.monotonic()
        results = self.folder / environment.version
        results.mkdir(parents=True, exist_ok=True)
        log = results / "pytest.log"
        with log.open("w") as output:
            subprocess.run(  # noqa: S603 - made here
                [
                    *(environment.python, "-m", "pytest", "--ortperf-mode=validate", "-n0"),
                    *(f"--ortperf-results={results}", "--override-ini=ortperf_history=", *self.options),
                ],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                check=False,
            )
        records = read_run(find_run(results)).records if any(results.glob("records_*.jsonl")) else ()
        if len(records) > 1:
            raise _several([record.case_id for record in records])
        if not records:
            return Verdict(step=_lasting(_skipped(environment.version, _why_none(log)), began), nodeid=None)
        (record,) = records
        step = Step(version=environment.version, verdict=self._verdict(record), text=_told(record), seconds=0)
        return Verdict(step=_lasting(step, began), nodeid=record.nodeid)

    def _verdict(self, record: Record) -> str:
        if record.outcome in {PASSED, "xpassed"}:
            return GOOD
        if record.failure is None:
            return SKIPPED
        return BAD if self.symptom == FAILURE or record.failure.kind == _INACCURATE else SKIPPED


def _why_none(log: Path) -> str:
    """Return why pytest ran no case: its last line, or that of an error inside it."""
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines() or ["it printed nothing"]
    inside = [line.removeprefix(_INTERNAL).strip() for line in lines if line.startswith(_INTERNAL)]
    return f"no case ran: {(inside or lines)[-1].strip('= ')}; see {log}"


def _told(record: Record) -> str:
    """Return what became of a case, in a line."""
    why = record.failure.message if record.failure else record.reason
    lines = (why or "").strip().splitlines()
    return f"{record.outcome}: {lines[0]}" if lines else record.outcome


def _several(cases: Sequence[str]) -> SettingsError:
    more = f" and {len(cases) - _NAMED_CASES} more" if len(cases) > _NAMED_CASES else ""
    return SettingsError(
        f"-k and the other options select {len(cases)} cases ({', '.join(cases[:_NAMED_CASES])}{more}); a search is "
        f"about one: name its model, and its provider with --ortperf-ep"
    )


def _skipped(version: str, why: str) -> Step:
    return Step(version=version, verdict=SKIPPED, text=why, seconds=0)


def _lasting(step: Step, began: float) -> Step:
    return replace(step, seconds=round(time.monotonic() - began, 1))
