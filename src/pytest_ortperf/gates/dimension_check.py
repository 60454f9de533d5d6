"""`--ortperf-dim` with a name that no model has: one failure for the run, where each case is only skipped."""

from __future__ import annotations

from collections.abc import Collection, Generator

import pytest

from pytest_ortperf.cases.dimensions import lacking_in
from pytest_ortperf.gates import run_failures
from pytest_ortperf.gates.run_failures import RunFailure
from pytest_ortperf.running.test_reports import RECORD, TAKEN_OVER


class DimensionCheck:
    """Registered in the controller, which sees the record of every case."""

    def __init__(self, names: Collection[str]) -> None:
        self._lacked = dict.fromkeys(names, 0)
        self._had: set[str] = set()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        record = getattr(report, RECORD, None)
        if hasattr(report, TAKEN_OVER):
            # nothing that was skipped is taken over
            self._had.update(self._lacked)
        if record is None:
            return
        lacking = lacking_in(record["reason"] or "") if record["outcome"] == "skipped" else ()
        for name in self._lacked:
            if name in lacking:
                self._lacked[name] += 1
            elif not lacking:
                self._had.add(name)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtestloop(self, session: pytest.Session) -> Generator[None, object, object]:
        result = yield
        lacked = [name for name, count in self._lacked.items() if count and name not in self._had]
        run_failures.report([_failure(name) for name in lacked], session)
        return result


def _failure(name: str) -> RunFailure:
    text = f"--ortperf-dim: no model that was run has a dimension {name!r}; the skipped cases say what they have"
    return RunFailure(nodeid=f"--ortperf-dim={name}", text=text)
