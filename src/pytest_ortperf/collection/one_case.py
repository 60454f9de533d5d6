"""One case of a model list for work outside a run, collected by pytest itself: same options, ini file and hooks."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence

import pytest

from pytest_ortperf.cases.case_id import CaseId
from pytest_ortperf.errors import OrtPerfError, SettingsError
from pytest_ortperf.running.case_item import CaseItem


def read_case_id(text: str) -> CaseId:
    """Return the id of the validation that a case id or node id names; of a benchmark, that of the same case.

    Raises:
        SettingsError: If it is neither.
    """
    found = CaseId.parse(text)
    if found is None:
        raise SettingsError(
            f"{text!r} is no case: give an id as pytest prints it, such as 'models.json::bert::validate[cuda-fp16]', "
            f"or without the list, 'bert::validate[cuda-fp16]'"
        )
    return found.in_mode("validate")


def collecting_options(case: CaseId) -> list[str]:
    """Return the options of pytest that collect a validation."""
    return [
        "--ortperf-mode=validate",
        f"--ortperf-ep={case.provider}",
        *([f"--ortperf-models={case.source}"] if case.source else []),
        *([f"--ortperf-{case.precision}"] if case.precision else []),
        *(f"--ortperf-dim={name}={size}" for name, size in case.dims),
    ]


def with_case(case: CaseId, options: Sequence[str], work: Callable[[CaseItem], int]) -> int:
    """Do work with a case's item, inside a pytest run that runs nothing; return what the work returns.

    Args:
        case: Its id.
        options: More of pytest's options, such as `--ortperf-ep-option=...`.
        work: What to do. Its prints are not captured.

    Raises:
        OrtPerfError: If there is no such case, or lists cannot be read; and what the work raises.
    """

    def with_items(items: Sequence[CaseItem], errors: Sequence[str]) -> int:
        return work(_item(case, items, errors))

    return with_cases([*collecting_options(case), *options], with_items, case.format())


def with_cases(options: Sequence[str], work: Callable[[Sequence[CaseItem], Sequence[str]], int], what: str) -> int:
    """Do work with the case items that options collect, inside a pytest run that runs nothing.

    Args:
        options: Pytest's.
        work: What to do with the items and the errors of collection; its prints are not captured.
        what: Is looked for, for messages.

    Raises:
        OrtPerfError: If pytest ends before; and what the work raises.
    """
    takeover = _Takeover(work)
    status = pytest.main(["--collect-only", "-q", "-s", "-p", "no:cacheprovider", *options], plugins=[takeover])
    if takeover.problem is not None:
        raise takeover.problem
    if takeover.status is None:
        # pytest has said why
        raise OrtPerfError(f"pytest ended with exit status {int(status)} before {what} was reached")
    return takeover.status


class _Takeover:
    """A plugin that does its work instead of the tests, and keeps pytest from printing."""

    def __init__(self, work: Callable[[Sequence[CaseItem], Sequence[str]], int]) -> None:
        self._work = work
        self._errors: list[str] = []
        self.status: int | None = None
        self.problem: OrtPerfError | None = None

    @pytest.hookimpl(trylast=True)
    def pytest_configure(self, config: pytest.Config) -> None:
        reporter = config.pluginmanager.get_plugin("terminalreporter")
        if reporter is not None:
            config.pluginmanager.unregister(reporter)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self._errors.append(str(report.longrepr))

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        try:
            self.status = self._work([item for item in session.items if isinstance(item, CaseItem)], self._errors)
        except OrtPerfError as error:
            self.problem = error
        return True


def _item(case: CaseId, items: Sequence[CaseItem], errors: Sequence[str]) -> CaseItem:
    wanted = case.format()
    cases = {item.case.case_id: item for item in items}
    if wanted in cases:
        return cases[wanted]
    if errors:
        raise OrtPerfError("\n".join(errors))
    near = difflib.get_close_matches(wanted, cases, n=3, cutoff=0)
    known = f"; near it are {', '.join(near)}" if near else ""
    raise SettingsError(f"no case is called {wanted}: {len(cases)} were collected{known}")
