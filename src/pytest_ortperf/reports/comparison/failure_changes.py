"""Failures that are new, fixed or of another kind; and cases and models that are gone, skipped or new.

Whether a side is whole: runs that were cut short, and cases that a run was not asked for.

A failure is what its kind says. Its message holds addresses, numbers and paths that differ each time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from pytest_ortperf.cases.case_id import CaseId
from pytest_ortperf.records.record import Record
from pytest_ortperf.reports.comparison.change import BETTER, OTHER, WORSE, Change, once
from pytest_ortperf.reports.comparison.compared_side import CaseResult, RunSide, Side
from pytest_ortperf.reports.tables.rows import BECAUSE_OF_VALIDATION, FAILED

NEW, FIXED, CHANGED = "new failure", "fixed failure", "another failure"
MISSING, SKIPPED, ADDED = "missing", "skipped now", "new"
MISSING_MODEL, ADDED_MODEL = "missing model", "new model"

NOT_COMPARABLE = "not comparable"

Cases = Mapping[str, CaseResult]


def failure_changes(base: Side, current: Side) -> Iterator[Change]:
    """Yield failures that are new, of another kind, or fixed; in the order of the current run."""
    before = base.last
    for key, case in current.last.items():
        change = _failure_change(key, before.get(key), case.record)
        if change is not None:
            yield change


def still_failing(base: Side, current: Side) -> list[str]:
    """Return the cases that fail on both sides with the same kind of failure."""
    before = base.last
    return [
        key
        for key, case in current.last.items()
        if key in before and _kind(case.record) is not None and _kind(case.record) == _kind(before[key].record)
    ]


def case_changes(base: Side, current: Side, left_out: Collection[str] = ()) -> Iterator[Change]:
    """Yield what is missing, skipped now or new: a model once, if that is so of all its cases.

    Args:
        base: What is compared with.
        current: What is looked at.
        left_out: Keys of cases that one side was not asked for; they are neither missing nor new.
    """
    before, after = ({key: case for key, case in side.last.items() if key not in left_out} for side in (base, current))
    yield from _absent(before, after, kinds=(MISSING_MODEL, MISSING), direction=WORSE)
    for key, case in after.items():
        known = before.get(key)
        if known and _was_run(known.record) and _is_skipped_now(case.record):
            text = f"was run, is skipped now: {case.record.reason or 'no reason given'}"
            yield _change(SKIPPED, WORSE, key, case.record, text)
    passing = {key: case for key, case in after.items() if _kind(case.record) is None}
    yield from _absent(passing, before, kinds=(ADDED_MODEL, ADDED), direction=OTHER)


def shape_changes(current: Side, differences: Mapping[str, str]) -> Iterator[Change]:
    """Yield the cases that are not comparable, since they ran at different shapes; `differences` says how, by case."""
    last = current.last
    return once(
        (
            last[key].record,
            _change(NOT_COMPARABLE, OTHER, key, last[key].record, f"{text}; --ortperf-dim gives both the same"),
        )
        for key, text in differences.items()
    )


def collected_changes(base: Collection[str], current: Collection[str]) -> Iterator[Change]:
    """Yield models, and cases of models that both sides have, of which one side collected nothing.

    Args:
        base: Case ids.
        current: Likewise.
    """
    # where each side has a provider of its own, all ids differ, and cases are paired otherwise
    by_id = not set(base).isdisjoint(current)
    for of_model, of_case, direction, only, other in (
        (MISSING_MODEL, MISSING, WORSE, base, current),
        (ADDED_MODEL, ADDED, OTHER, current, base),
    ):
        models = {_model_of(case_id) for case_id in other}
        sides = Counter(model for case_id in only if (model := _model_of(case_id)) not in models)
        for model, count in sides.items():
            yield _collected(of_model, direction, model, "1 case in all" if count == 1 else f"{count} cases in all")
        for case_id in only:
            if by_id and case_id not in other and _model_of(case_id) in models:
                yield _collected(of_case, direction, case_id, "on one side")


def _model_of(case_id: str) -> str:
    known = CaseId.parse(case_id)
    return case_id if known is None else known.model


def _collected(kind: str, direction: str, name: str, text: str) -> Change:
    return Change(topic="missing", kind=kind, direction=direction, case_id=name, nodeid=name, text=text)


def _failure_change(key: str, before: CaseResult | None, record: Record) -> Change | None:
    kind = _kind(record)
    known = _kind(before.record) if before else None
    if kind == known:
        return None
    if kind is None:
        if record.outcome == "skipped" or before is None:
            return None
        return _change(FIXED, BETTER, key, record, f"was {known}")
    said = f"{kind}{_where(record)}: {_first_line(record)}"
    if before is None:
        return _change(NEW, WORSE, key, record, f"{said} (the case is not in the base)")
    if known is not None:
        return _change(CHANGED, WORSE, key, record, f"{said} (was {known})")
    return _change(NEW, WORSE, key, record, said)


def _kind(record: Record) -> str | None:
    if record.outcome not in FAILED:
        return None
    return record.failure.kind if record.failure else record.outcome


def _where(record: Record) -> str:
    stage = record.failure.stage if record.failure else None
    return f" in stage {stage}" if stage else ""


def _first_line(record: Record) -> str:
    return (record.failure.message if record.failure else record.outcome).strip().partition("\n")[0]


def _was_run(record: Record) -> bool:
    return record.outcome != "skipped"


def _is_skipped_now(record: Record) -> bool:
    return record.outcome == "skipped" and not (record.reason or "").startswith(BECAUSE_OF_VALIDATION)


def _absent(ours: Cases, theirs: Cases, *, kinds: Sequence[str], direction: str) -> Iterator[Change]:
    """Yield what only `ours` has; models of which the others have nothing as one."""
    models = {case.record.model for case in theirs.values()}
    told: dict[str, int] = {}
    for key, case in ours.items():
        record = case.record
        if key in theirs:
            continue
        if record.model in models:
            yield _change(kinds[1], direction, key, record, record.outcome)
        else:
            told[record.model] = told.get(record.model, 0) + 1
    for model, count in told.items():
        cases = "1 case" if count == 1 else f"{count} cases"
        record = next(case.record for case in ours.values() if case.record.model == model)
        nodeid = record.nodeid.partition(f"::{model}::")[0] + f"::{model}"
        yield Change(
            topic="missing", kind=kinds[0], direction=direction, case_id=model, nodeid=nodeid, text=f"{cases} in all"
        )


def _change(kind: str, direction: str, key: str, record: Record, text: str) -> Change:
    topic = "failures" if kind in (NEW, FIXED, CHANGED) else "missing"
    return Change(topic=topic, kind=kind, direction=direction, case_id=key, nodeid=record.nodeid, text=text)


INCOMPLETE = "incomplete"


def incomplete_changes(base: Side, current: Side) -> Iterator[Change]:
    """Yield the runs that were cut short; of current also that its newest run is such a one and was passed over."""
    for name, side in (("base", base), ("current", current)):
        for run in side.runs:
            if run.unfinished is not None:
                yield _incomplete(f"{name} run {run.name}", f"{run.unfinished}. Make the run again")
    if current.passed_over is not None:
        yield _incomplete("current", current.passed_over)


def _incomplete(name: str, text: str) -> Change:
    return Change(topic=INCOMPLETE, kind=INCOMPLETE, direction=WORSE, case_id=name, nodeid=name, text=text)


@dataclass(frozen=True, slots=True, kw_only=True)
class NotAsked:
    """Cases that only one side has, because the other side was not asked for them."""

    side: str
    """That was not asked: `base` or `current`."""

    reason: str
    """What left them out, such as `-k bert`."""

    cases: tuple[str, ...]

    @property
    def text(self) -> str:
        """In a line."""
        count = "1 case" if len(self.cases) == 1 else f"{len(self.cases)} cases"
        return f"{self.reason} left {count} out of {self.side}"


def not_asked(base: Side, current: Side) -> tuple[NotAsked, ...]:
    """Return the cases that one side has and the other one left out on purpose, by side and reason."""
    found: list[NotAsked] = []
    for name, side, other in (("base", base, current), ("current", current, base)):
        groups: dict[str, list[str]] = {}
        for key, reason in _left_out(side, other).items():
            groups.setdefault(reason, []).append(key)
        found += [NotAsked(side=name, reason=reason, cases=tuple(keys)) for reason, keys in groups.items()]
    return tuple(found)


def _left_out(side: Side, other: Side) -> dict[str, str]:
    """Return why a side has no result of cases of the other one; those it should have are absent."""
    absent = {key: case.record for key, case in other.last.items() if key not in side.last}
    if not absent:
        return {}
    known = [case.record for case in other.last.values()]
    questions = [_Question(run, other.runs[-1], known) for run in side.runs]
    reasons = {key: [question.reason(record) for question in questions] for key, record in absent.items()}
    return {key: found[-1] for key, each in reasons.items() if len(found := [it for it in each if it]) == len(each)}


class _Question:
    """Why a run has no result of a case that another run has."""

    def __init__(self, run: RunSide, other: RunSide, known: list[Record]) -> None:
        self._run = run
        self._options, self._other_options = run.options, other.options
        sources = {_source(case.record) for case in run.cases.values()} | set(map(_source_of, run.deselected))
        # where no list is the same on both sides, its name does not tell what was left out
        self._sources = sources if sources & set(map(_source, known)) else None
        arguments = run.header.selection.arguments if run.header and run.header.selection else ()
        self._arguments = arguments if any(_matches(arguments, record.nodeid) for record in known) else ()

    def reason(self, record: Record) -> str | None:
        """Return what left it out; `None` if nothing did."""
        header = self._run.header
        if header is None:
            return None
        if record.nodeid in self._run.deselected:
            return _expressions(self._run) or "a plugin"
        selection = header.selection
        if selection is not None and selection.last_failed:
            return "--lf"
        if self._arguments and not _matches(self._arguments, record.nodeid):
            return f"its arguments ({' '.join(self._arguments)})"
        if CaseId.parse(record.nodeid) is None:
            return None
        return next((name for name, left_out in _RULES.items() if left_out(self, record)), None)

    def other_mode(self, record: Record) -> bool:
        return self._options.get("mode") in ("validate", "benchmark") and self._options["mode"] != record.mode

    def other_provider(self, record: Record) -> bool:
        header = self._run.header
        if header is None or not header.providers or record.provider in header.providers:
            return False
        # what `auto` no longer finds has disappeared
        return header.selection is not None and "auto" not in header.selection.providers

    def other_precision(self, record: Record) -> bool:
        return record.precision == "fp16" and not self._options.get("fp16") and bool(self._other_options.get("fp16"))

    def other_sizes(self, record: Record) -> bool:
        ours, theirs = self._options.get("dim"), self._other_options.get("dim")
        return ours != theirs and bool(record.dims or ours)

    def other_list(self, record: Record) -> bool:
        differ = self._options.get("models") != self._other_options.get("models")
        return differ and self._sources is not None and _source(record) not in self._sources


_RULES: Mapping[str, Callable[[_Question, Record], bool]] = {
    "--ortperf-mode": _Question.other_mode,
    "--ortperf-ep": _Question.other_provider,
    "--ortperf-fp16": _Question.other_precision,
    "--ortperf-dim": _Question.other_sizes,
    "--ortperf-models": _Question.other_list,
}


def _expressions(run: RunSide) -> str:
    selection = run.header.selection if run.header else None
    given = (("-k", selection.keyword), ("-m", selection.marker)) if selection else ()
    return " and ".join(f"{flag} '{text}'" for flag, text in given if text)


def _matches(arguments: tuple[str, ...], nodeid: str) -> bool:
    return any(
        argument in (".", nodeid) or nodeid.startswith((f"{argument}/", f"{argument}::", f"{argument}["))
        for argument in arguments
    )


def _source(record: Record) -> str | None:
    return _source_of(record.nodeid)


def _source_of(nodeid: str) -> str | None:
    known = CaseId.parse(nodeid)
    return known.source if known else None
