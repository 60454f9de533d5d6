"""The pytest item of one case: how it is isolated, run and reported."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_ortperf.cases.matrix import Case, applies
from pytest_ortperf.errors import CaseError, CaseSkipped
from pytest_ortperf.plain_text import is_utf8, plain_line
from pytest_ortperf.running.other_plugins import outer_deadline_s, reruns_of
from pytest_ortperf.running.outcome import OWN_DEADLINE, PYTEST_TIMEOUT, error_text
from pytest_ortperf.running.resume import entry_key
from pytest_ortperf.settings import options
from pytest_ortperf.settings.option_table import Scope

if TYPE_CHECKING:
    from pytest_ortperf.execution.case_settings import KnownValidation
    from pytest_ortperf.execution.record_builder import RecordBuilder
    from pytest_ortperf.records.record import Record
    from pytest_ortperf.running.run import Run


_OF_OUTPUTS: tuple[Scope, ...] = ("outputs", "case")
"""Scopes of options that a command about a case's outputs repeats."""

_OF_RERUN: tuple[Scope, ...] = (*_OF_OUTPUTS, "measurement", "run")
"""Scopes of options that the command to run a case again repeats."""


BISECTED = frozenset({"result accuracy issue", "runtime error", "crash"})
"""Kinds of failure that `ortperf bisect` searches the graph for."""


class CaseItem(pytest.Item):
    """One case."""

    facts: RecordBuilder | None = None
    """What is known of the case so far; set when it starts."""

    record: Record | None = None
    """Set when it has ended."""

    validate_first: bool = False
    """Whether this benchmark has to validate by itself."""

    known_validation: KnownValidation | None = None
    """Of a benchmark: what this run or a stored one says of its validation."""

    def __init__(self, *, case: Case, run: Run, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.case = case
        self.run = run
        precision = case.precision or "as-given"
        self.extra_keyword_matches.update((case.provider.name, case.provider.full_name, case.mode, precision))
        for condition in case.model.skip:
            if applies(condition, case):
                self.add_marker(pytest.mark.skip(reason=condition.reason))

    @cached_property
    def crash_expected(self) -> bool:
        """Whether the list says that this case crashes or never ends."""
        return any(condition.raises_crash and applies(condition, self.case) for condition in self.case.model.xfail)

    @property
    def timeout_s(self) -> float:
        """Deadline of this case: its own, or pytest-timeout's where that is shorter."""
        return min(self._own_timeout_s, outer_deadline_s(self) or self._own_timeout_s)

    @property
    def timeout_origin(self) -> str:
        """What gives more time than the deadline."""
        return OWN_DEADLINE if self.timeout_s == self._own_timeout_s else PYTEST_TIMEOUT

    @property
    def entry_key(self) -> str:
        """What the model list says of this case, as a hash."""
        return entry_key(self.case)

    @property
    def settled(self) -> Record | None:
        """The record that stands for this case where the run is resumed; `None` if it has to run."""
        earlier = self.run.earlier
        return earlier.settled(self.nodeid, self.case, self.timeout_s) if earlier else None

    @property
    def may_be_settled(self) -> bool:
        """The same, before anything of the model is read."""
        return self.run.earlier is not None and self.run.earlier.may_settle(self.nodeid)

    @property
    def _own_timeout_s(self) -> float:
        return self.case.model.timeout_s or self.run.settings.timeout_s

    @property
    def isolation(self) -> str:
        """What keeps this case apart from the rest.

        Validations are many and small, and nothing is timed: our own runner forks for the next one while the last
        still runs. pytest-forked takes what is measured, and all items where `--forked` or a marker asks for it.
        """
        runner = self.run.runner
        asked = self.case.mode != "validate" or any(mark.name == "forked" for mark in self.own_markers)
        if runner == "pytest-forked" and not asked and not self.config.getoption("forked"):
            return "own runner"
        # pytest-forked runs an item once
        return "own runner" if runner == "pytest-forked" and reruns_of(self) else runner

    def start(self) -> None:
        """Start the clock of this case, in the process that runs it."""
        from pytest_ortperf.execution.record_builder import RecordBuilder

        self.facts = RecordBuilder(journal=self.run.journal)
        self.record = None

    def setup(self) -> None:
        self.start()
        self.run.journal.note(pid=os.getpid(), nodeid=self.nodeid, case=self.case.case_id)
        if self.run.runner != "none":
            self.run.journal.catch_faults()

    def runtest(self) -> None:
        from pytest_ortperf.execution.session.probe import import_problem
        from pytest_ortperf.running.outcome import require_limits

        if self.facts is None:
            raise RuntimeError(f"{self.nodeid}: runtest without setup")
        if not is_utf8(self.case.model.path):
            raise CaseError(
                f"the path {plain_line(str(self.case.model.path))} is not UTF-8, and ONNX Runtime takes no other; "
                f"rename its folder or file",
                stage="model",
                kind="input error",
            )
        try:
            from pytest_ortperf.execution.execute import execute
        except ImportError as error:
            raise CaseError(import_problem(error), stage="settings", kind="environment") from error
        try:
            execute(
                self.case,
                self.run.settings.execution,
                self.facts,
                self.hooks,
                validate_first=self.validate_first,
                known=self.known_validation,
            )
        except CaseSkipped as error:
            # told with the list, not with this line
            raise pytest.skip.Exception(str(error), _use_item_location=True) from error
        require_limits(self)

    @property
    def hooks(self) -> UserHooks:
        """The users' hooks that apply where this item's list stands."""
        return UserHooks(self.ihook, self.case)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        if isinstance(excinfo.value, CaseError | SystemExit):
            kind = getattr(excinfo.value, "kind", None)
            return f"{error_text(excinfo.value)}\n\n{advice(self.commands(kind))}"
        excinfo.traceback = excinfo.traceback.cut(path=__file__)
        return super().repr_failure(excinfo, style)

    def commands(self, kind: str | None) -> dict[str, str]:
        """Return the command that runs this case again, and those that look into a failure of the graph.

        Args:
            kind: Of the failure; `None` where it is no case's.
        """
        found = {"run it again": self.rerun_command()}
        if kind in BISECTED and self.case.provider.runner == "onnxruntime" and not self._is_within_tolerance():
            found["find the node"] = self.case_command("bisect")
        return found

    def rerun_command(self) -> str:
        """Return a command that runs this item again, from where pytest was started."""
        source = self.parent.parent.path  # type: ignore[union-attr]
        here = self.config.invocation_params.dir
        path = source.relative_to(here) if source.is_relative_to(here) else source
        models = [] if path.suffix == ".json" else [f"--ortperf-models={path}"]
        mode = f"--ortperf-mode={self.case.mode}"
        fp16 = ["--ortperf-fp16"] if self.case.precision else []
        dims = [f"--ortperf-dim={name}={value}" for name, value in self.case.dims]
        provider = f"--ortperf-ep={self.case.provider.name}"
        others = options.flags(self.config, _OF_RERUN)
        return shlex.join(["pytest", mode, *models, provider, *fp16, *dims, *others, f"{path}::{self.case.case_id}"])

    def case_command(self, name: str) -> str:
        """Return the `ortperf` command about this item, such as `bisect`, from where pytest was started."""
        source = self.parent.parent.path  # type: ignore[union-attr]
        here = self.config.invocation_params.dir
        path = source.relative_to(here) if source.is_relative_to(here) else source
        others = options.flags(self.config, _OF_OUTPUTS)
        return shlex.join(["ortperf", name, f"{path}::{self.case.case_id}", *others])

    def _is_within_tolerance(self) -> bool:
        """Whether outputs fail by a bound on their precision's own error alone: a bisection goes by the tolerance."""
        accuracy = self.facts.accuracy if self.facts else ()
        wrong = [output for data_set in accuracy for output in data_set.outputs if output.verdict == "fail"]
        return bool(wrong) and all(output.own_error_allowed is not None for output in wrong)

    def reportinfo(self) -> tuple[Path, int, str]:
        return self.path, 0, self.case.case_id


def advice(commands: Mapping[str, str]) -> str:
    """Return what `CaseItem.commands` found as lines."""
    return "\n".join(f"{what}: {command}" for what, command in commands.items())


class UserHooks:
    """Calls the users' hooks for one case."""

    def __init__(self, ihook: Any, case: Case) -> None:
        self._ihook = ihook
        self._case = case

    @property
    def changes_sessions(self) -> bool:
        """Whether somebody implements the hook that configures sessions."""
        return bool(self._ihook.pytest_ortperf_configure_session.get_hookimpls())

    def configure_session(self, session_options: Any) -> None:
        self._ihook.pytest_ortperf_configure_session(case=self._case, session_options=session_options)

    def before_first_run(self, session: Any) -> None:
        self._ihook.pytest_ortperf_before_first_run(case=self._case, session=session)
