"""The environment gate of a run, in the controller: look at the machine once, before any worker starts."""

from __future__ import annotations

import dataclasses

import pytest

from pytest_ortperf.recording.recorder import MachineNotes, machine_key
from pytest_ortperf.records.environment.machine_checks import Canary
from pytest_ortperf.running.run import Run
from pytest_ortperf.settings import options
from pytest_ortperf.settings.run_settings import UNFIT


class MachineGate:
    """Looks at the machine where a run measures."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._notes = MachineNotes()
        self._canary: Canary | str | None = None
        run.config.stash[machine_key] = self._notes

    @property
    def _gate(self) -> str:
        return self._run.settings.execution.environment if self._run.settings.mode != "validate" else "off"

    # before pytest-xdist starts its workers
    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionstart(self) -> None:
        if self._gate == "off":
            return
        from pytest_ortperf.execution.machine.machine_state import rejection_text, survey_machine, wait_for_quiet

        settings = self._run.settings
        if self._gate == "strict":
            wait_for_quiet(self._tell)
        self._notes.findings = survey_machine(settings.execution, settings.axes.providers)
        unfit = [rejection_text(found) for found in self._notes.findings if found.level == "reject"]
        options.share_with_workers(self._run.config, UNFIT, unfit)
        # ours were read before
        execution = dataclasses.replace(settings.execution, unfit=tuple(unfit))
        self._run.settings = dataclasses.replace(settings, execution=execution)
        self._canary = self._run_canary()
        self._notes.canary_before = _known(self._canary)

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, exitstatus: int) -> None:
        if self._canary is None or exitstatus == pytest.ExitCode.INTERRUPTED:
            return
        from pytest_ortperf.execution.machine.canary import judge_canary

        after = self._run_canary()
        self._notes.canary_after = _known(after)
        if self._gate == "strict":
            self._notes.run_findings = (judge_canary(self._canary, after),)

    def _run_canary(self) -> Canary | str:
        from pytest_ortperf.execution.machine.canary import CANARY_S, LONG_CANARY_S, run_canary_in_child

        return run_canary_in_child(LONG_CANARY_S if self._gate == "strict" else CANARY_S)

    def _tell(self, text: str) -> None:
        writer = self._run.config.get_terminal_writer()
        writer.line(f"ortperf: {text}")
        writer.flush()


def _known(canary: Canary | str) -> Canary | None:
    return canary if isinstance(canary, Canary) else None
