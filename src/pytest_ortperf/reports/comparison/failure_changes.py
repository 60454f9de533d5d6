"""Failures that are new, fixed or of another kind; and cases and models that are gone, skipped or new.

A failure is what its kind says. Its message holds addresses, numbers and paths that differ each time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence

from pytest_ortperf.cases.case_id import CaseId
from pytest_ortperf.records.record import Record
from pytest_ortperf.reports.comparison.change import BETTER, OTHER, WORSE, Change, once
from pytest_ortperf.reports.comparison.compared_side import CaseResult, Side
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


def case_changes(base: Side, current: Side) -> Iterator[Change]:
    """Yield what is missing, skipped now or new: a model once, if that is so of all its cases."""
    before, after = base.last, current.last
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
