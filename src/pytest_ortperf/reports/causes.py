"""Cases that ended alike, together: each cause of failure once, however many cases it hit."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from pytest_ortperf.cases.case_id import CaseId, validation_nodeid
from pytest_ortperf.records.record import Record
from pytest_ortperf.reports.tables.gains import list_of
from pytest_ortperf.reports.tables.rows import BECAUSE_OF_VALIDATION, Rows

OUTCOME_WORDS = {"timed_out": "timed out"}
_NUMBER = re.compile(r"\b0x[0-9a-fA-F]+|(?<!\w)[-+]?\d[\d.,]*(?:e[-+]?\d+)?")
_QUOTED = re.compile(r"'[^'\n]*'|\"[^\"\n]*\"")
_PATH = re.compile(r"(?<![\w.])[~.]?/[^\s:;,()'\"]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """Why some cases failed, were skipped, or passed with a remark."""

    outcome: str
    text: str
    """In the words of the first case: its kind of failure, and the first line of its message."""

    is_common: bool
    """Whether every case says the same, and not only the same but for numbers, names and paths."""

    records: tuple[Record, ...]
    skipped: tuple[Record, ...] = ()
    """Benchmarks that were not run because their validation is among `records`."""

    @property
    def what(self) -> str:
        """`failed: fallback: ...`."""
        text = self.text if self.is_common else f"{self.text} (or similar)"
        word = outcome_word(self.outcome)
        return text if text.startswith(f"{word} ") else f"{word}: {text}" if text else word

    @property
    def title(self) -> str:
        """`3 failed: fallback: ...`."""
        return f"{len(self.records)} {self.what}"

    @property
    def consequence(self) -> str:
        """`1 benchmark not run because of it`; nothing for none."""
        count = len(self.skipped)
        return f"{count} {'benchmark' if count == 1 else 'benchmarks'} not run because of it" if count else ""


def outcome_word(outcome: str) -> str:
    """Return how an outcome is written."""
    return OUTCOME_WORDS.get(outcome, outcome)


def failure_kind(record: Record) -> str:
    """Return the class of a failure; its outcome where nothing is known of it."""
    return record.failure.kind if record.failure else outcome_word(record.outcome)


def failure_causes(rows: Rows) -> list[Cause]:
    """Return why cases failed, the most frequent cause first."""
    consequences = _consequences(rows)
    causes = []
    for group in _groups((record, _failure_text(record)) for record in rows.failed):
        skipped = tuple(it for record, _ in group for it in consequences.get(record.nodeid, ()))
        causes.append(_cause(group, skipped))
    return causes


def remark_causes(rows: Rows) -> list[Cause]:
    """Return why cases were skipped, or what a case that passed has to say, the most frequent first.

    Benchmarks that were skipped because their validation failed in the same run stand with that failure.
    """
    with_failure = {id(record) for records in _consequences(rows).values() for record in records}
    found = []
    for record in rows.records:
        if record.outcome in {"passed", "failed"} and record.reason:
            found.append((record, _unnamed(record, record.reason)))
        elif record.outcome in {"skipped", "xfailed", "xpassed"} and id(record) not in with_failure:
            found.append((record, _unnamed(record, record.reason or "no reason given")))
    return [_cause(group) for group in _groups(found)]


def models_by_label(records: Iterable[Record], owners: frozenset[str] = frozenset()) -> dict[str, list[str]]:
    """Return the models of cases by what was done with them, such as `validate[cuda]`.

    Args:
        records: Of the cases.
        owners: Case ids that several lists or tests have: these are named with theirs.
    """
    models: dict[str, dict[str, None]] = {}
    for record in records:
        known = CaseId.parse(record.case_id)
        label = known.label if known else f"{record.mode}[{record.provider}]"
        name = f"{list_of(record)}::{record.model}" if record.case_id in owners else record.model
        models.setdefault(label, {})[name] = None
    return {label: list(names) for label, names in models.items()}


def shared_case_ids(rows: Rows) -> frozenset[str]:
    """Return case ids that several lists or tests of the run have."""
    owners: dict[str, set[str]] = {}
    for record in rows.records:
        owners.setdefault(record.case_id, set()).add(list_of(record))
    return frozenset(case_id for case_id, lists in owners.items() if len(lists) > 1)


def _consequences(rows: Rows) -> dict[str, list[Record]]:
    """Return benchmarks that were skipped because their validation failed in this run, by its node id."""
    failed = {record.nodeid for record in rows.failed}
    found: dict[str, list[Record]] = {}
    for record in rows.records:
        if record.outcome == "skipped" and (record.reason or "").startswith(BECAUSE_OF_VALIDATION):
            validation = validation_nodeid(record.nodeid)
            if validation in failed:
                found.setdefault(validation, []).append(record)
    return found


def _failure_text(record: Record) -> str:
    if record.failure is None:
        return ""
    line = _unnamed(record, record.failure.message)
    kind = "" if record.failure.kind in (record.outcome, "crash", "timeout") else f"{record.failure.kind}: "
    return f"{kind}{line}"


def _unnamed(record: Record, text: str) -> str:
    """Return the first line of a text without the name of its case: that stands below."""
    line = text.strip().partition("\n")[0].rstrip()
    return line.removeprefix(f"{record.case_id}: ").removeprefix(f"{record.model}: ")


Told = tuple[Record, str]


def _groups(told: Iterable[Told]) -> Iterator[list[Told]]:
    """Yield records with what is to be said of them, those that differ in numbers, names and paths alone together."""
    groups: dict[tuple[str, str], list[Told]] = {}
    for record, text in told:
        groups.setdefault((record.outcome, _key(record, text)), []).append((record, text))
    severity = {outcome: number for number, outcome in enumerate(("crashed", "timed_out", "failed"))}
    yield from sorted(groups.values(), key=lambda group: (-len(group), severity.get(group[0][0].outcome, 9)))


def _key(record: Record, text: str) -> str:
    line = text.strip().partition("\n")[0].replace(record.case_id, "")
    text = re.sub(rf"(?<!\w){re.escape(record.model)}(?!\w)", "", line)
    return _NUMBER.sub("0", _PATH.sub("PATH", _QUOTED.sub("''", text)))


def _cause(group: Sequence[Told], skipped: tuple[Record, ...] = ()) -> Cause:
    record, text = group[0]
    return Cause(
        outcome=record.outcome,
        text=text.strip().partition("\n")[0],
        is_common=len({each for _, each in group}) == 1,
        records=tuple(each for each, _ in group),
        skipped=skipped,
    )
