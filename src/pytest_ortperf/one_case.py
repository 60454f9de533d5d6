"""One case of a model list for work outside a run, collected by pytest itself: same options, ini file and hooks."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pytest

from pytest_ortperf.errors import OrtPerfError, SettingsError
from pytest_ortperf.nodes import CaseItem

_CASE = re.compile(
    r"(?:(?P<list>.+)::)?(?P<model>(?:(?!::).)+)::(?:validate|benchmark)\[(?P<provider>[^\]-]+)(?:-(?P<rest>[^\]]*))?\]"
)
_DIM = re.compile(r"([^=]+)=(\d+)(?:-|$)")
"""Names may hold hyphens, such as `batch-size=8-length=128`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseName:
    """A case as a user names it, taken apart."""

    models: str | None
    """Model list or directory; `None` where only the case's id was given."""

    case_id: str
    """Of the validation."""

    provider: str
    fp16: bool
    dims: tuple[str, ...]
    """Each as `NAME=VALUE`."""

    @property
    def options(self) -> list[str]:
        """Those of pytest that collect the case."""
        return [
            "--ortperf-mode=validate",
            f"--ortperf-ep={self.provider}",
            *([f"--ortperf-models={self.models}"] if self.models else []),
            *(["--ortperf-fp16"] if self.fp16 else []),
            *(f"--ortperf-dim={dim}" for dim in self.dims),
        ]


def read_case_name(text: str) -> CaseName:
    """Return a case id or node id taken apart; of a benchmark, the validation of the same case is meant.

    Raises:
        SettingsError: If it is neither.
    """
    match = _CASE.fullmatch(text)
    if match is None:
        raise SettingsError(
            f"{text!r} is no case: give an id as pytest prints it, such as 'models.json::bert::validate[cuda-fp16]', "
            f"or without the list, 'bert::validate[cuda-fp16]'"
        )
    rest = match["rest"] or ""
    return CaseName(
        models=match["list"],
        case_id=f"{match['model']}::validate[{'-'.join(filter(None, (match['provider'], rest)))}]",
        provider=match["provider"],
        fp16=rest.partition("-")[0] == "fp16",
        dims=tuple(f"{name}={size}" for name, size in _DIM.findall(rest.removeprefix("fp16-"))),
    )


def with_case(name: CaseName, options: Sequence[str], work: Callable[[CaseItem], int]) -> int:
    """Do work with a case's item, inside a pytest run that runs nothing; return what the work returns.

    Args:
        name: The case.
        options: More of pytest's options, such as `--ortperf-ep-option=...`.
        work: What to do. Its prints are not captured.

    Raises:
        OrtPerfError: If there is no such case, or lists cannot be read; and what the work raises.
    """

    def with_items(items: Sequence[CaseItem], errors: Sequence[str]) -> int:
        return work(_item(name, items, errors))

    return with_cases([*name.options, *options], with_items, name.case_id)


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


def _item(name: CaseName, items: Sequence[CaseItem], errors: Sequence[str]) -> CaseItem:
    cases = {item.case.case_id: item for item in items}
    if name.case_id in cases:
        return cases[name.case_id]
    if errors:
        raise OrtPerfError("\n".join(errors))
    near = difflib.get_close_matches(name.case_id, cases, n=3, cutoff=0)
    known = f"; near it are {', '.join(near)}" if near else ""
    raise SettingsError(f"no case is called {name.case_id}: {len(cases)} were collected{known}")
