"""Cases that fail in a run and did not before, and cases that earlier runs had and it has not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pytest_ortperf.history.dashboard.view import Case, Outcome, Run
from pytest_ortperf.reports.tables.gains import PASSED
from pytest_ortperf.reports.tables.rows import FAILED

LOOKED_BACK = 3
"""Earlier runs; a case that most of them had is missing where it is not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost:
    """A case that is no longer right, or no longer there."""

    run: Run
    case: Case
    mode: str
    word: str
    """The kind of failure, or `missing`."""

    is_missing: bool

    text: str
    last_passed: str | None
    """The run."""


def lost_cases(run: Run, earlier: Sequence[Run], outcomes: Mapping[int, Mapping[str, Outcome]]) -> list[Lost]:
    """Return new failures, then missing cases, each in the order of the run; nothing without earlier runs.

    Args:
        run: Looked at.
        earlier: Runs that it is held against, oldest first.
        outcomes: By run and node id.
    """
    if not earlier:
        return []
    now = outcomes.get(run.id, {})
    newest_first = [outcomes.get(other.id, {}) for other in reversed(earlier)]
    names = {id(found): other.run for found, other in zip(newest_first, reversed(earlier), strict=True)}
    failed = []
    for nodeid, outcome in now.items():
        before = next((found[nodeid] for found in newest_first if nodeid in found), None)
        if outcome.outcome in FAILED and (before is None or before.outcome not in FAILED):
            passed = next((names[id(found)] for found in newest_first if _passed(found.get(nodeid))), None)
            failed.append(
                Lost(
                    run=run,
                    case=outcome.case,
                    mode=outcome.mode,
                    word=outcome.kind,
                    is_missing=False,
                    text=outcome.text,
                    last_passed=passed,
                )
            )
    return failed + _missing(run, newest_first[:LOOKED_BACK], now, names)


def _missing(
    run: Run, looked: Sequence[Mapping[str, Outcome]], now: Mapping[str, Outcome], names: Mapping[int, str]
) -> list[Lost]:
    counts: dict[str, int] = {}
    for nodeid in (nodeid for found in looked for nodeid in found):
        counts[nodeid] = counts.get(nodeid, 0) + 1
    gone = [
        nodeid
        for nodeid, count in counts.items()
        if 2 * count > len(looked) and nodeid not in now and nodeid not in run.deselected
    ]
    found = []
    for nodeid in gone:
        last = next(each[nodeid] for each in looked if nodeid in each)
        passed = next((names[id(each)] for each in looked if _passed(each.get(nodeid))), None)
        text = "" if run.state == "complete" else f"the run is {run.state}"
        found.append(
            Lost(
                run=run,
                case=last.case,
                mode=last.mode,
                word="missing",
                is_missing=True,
                text=text,
                last_passed=passed,
            )
        )
    return found


def _passed(outcome: Outcome | None) -> bool:
    return outcome is not None and outcome.outcome in PASSED


def by_run(outcomes: Iterable[Outcome]) -> dict[int, dict[str, Outcome]]:
    """Return outcomes by run and node id."""
    found: dict[int, dict[str, Outcome]] = {}
    for outcome in outcomes:
        found.setdefault(outcome.run, {})[outcome.nodeid] = outcome
    return found
