"""pytest's view of cases: list file or directory -> model -> case item. Collection opens no model."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_ortperf.cases.matrix import Case, model_cases
from pytest_ortperf.cases.model import Condition, Model
from pytest_ortperf.cases.model_list import read_models
from pytest_ortperf.errors import CaseError, CaseSkipped, ModelListError
from pytest_ortperf.selection import chosen_below, named

if TYPE_CHECKING:
    from pytest_ortperf.execution.facts import Facts
    from pytest_ortperf.records.record import Record
    from pytest_ortperf.run import Run


BISECTED = frozenset({"result accuracy issue", "runtime error", "crash"})
"""Kinds of failure that `ortperf bisect` searches the graph for."""


class ModelCollector(pytest.Collector):
    """One model of a list or directory; its items stand together, so that a worker takes them together."""

    def __init__(self, *, model: Model, run: Run, chosen: Collection[str] = (), **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.model = model
        self.run = run
        self._chosen = chosen
        self.extra_keyword_matches.add(model.name)
        for tag in model.tags:
            self.add_marker(tag)

    def collect(self) -> Iterator[pytest.Item]:
        cases = [(case.label, case) for case in model_cases(self.model, self.run.settings.axes)]
        for case in named(cases, self._chosen, self):
            # as text: pytest 9.2 splits it at the bracket, as it does where it looks an id up
            nodeid = f"{self.nodeid}::{case.label}"
            yield CaseItem.from_parent(self, name=case.label, nodeid=nodeid, case=case, run=self.run)


class _ModelSource(pytest.Collector):
    """What a list file and a model directory share."""

    run: Run

    def collect(self) -> Iterable[pytest.Item | pytest.Collector]:
        try:
            models = read_models(self.path, workspace=self.run.settings.execution.workspace)
        except ModelListError as error:
            raise self.CollectError(str(error)) from error
        self.run.register_tags(tag for model in models for tag in model.tags)
        chosen = self._chosen()
        return [
            ModelCollector.from_parent(
                self, name=model.name, model=model, run=self.run, chosen=chosen.get(model.name, ())
            )
            for model in named([(model.name, model) for model in models], chosen, self)
        ]

    def _chosen(self) -> dict[str, set[str]]:
        """Return the labels of the cases that are chosen, by the name of their model; an empty set is all of them."""
        chosen: dict[str, set[str]] = {}
        whole = set()
        for rest in chosen_below(self.config, self.path):
            name, _, label = rest.partition("::")
            chosen.setdefault(name, set())
            if label:
                chosen[name].add(label)
            else:
                whole.add(name)
        return {name: set() if name in whole else labels for name, labels in chosen.items()}


class ModelListFile(_ModelSource, pytest.File):
    """A model list."""

    def __init__(self, *, run: Run, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.run = run


class ModelDirectory(_ModelSource, pytest.Directory):
    """A directory of models."""

    def __init__(self, *, run: Run, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.run = run


def source_id(path: Path, root: Path) -> str:
    """Return the node id of a list or directory: its path below `root`, else its name and a short hash of its path."""
    if path.is_relative_to(root) and path != root:
        return path.relative_to(root).as_posix()
    digest = hashlib.sha256(str(path).encode()).hexdigest()[:6]
    return f"{path.name}-{digest}"


class CaseItem(pytest.Item):
    """One case."""

    facts: Facts | None = None
    """What is known of the case so far; set when it starts."""

    record: Record | None = None
    """Set when it has ended."""

    validate_first: bool = False
    """Whether this benchmark has to validate by itself."""

    def __init__(self, *, case: Case, run: Run, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.case = case
        self.run = run
        self.extra_keyword_matches.update((case.provider.name, case.provider.full_name, case.mode))
        self.extra_keyword_matches.add(case.precision or "as-given")
        for condition in case.model.skip:
            if applies(condition, case):
                self.add_marker(pytest.mark.skip(reason=condition.reason))

    @cached_property
    def crash_expected(self) -> bool:
        """Whether the list says that this case crashes or never ends."""
        return any(condition.raises_crash and applies(condition, self.case) for condition in self.case.model.xfail)

    @property
    def timeout_s(self) -> float:
        """Deadline of this case."""
        return self.case.model.timeout_s or self.run.settings.timeout_s

    @property
    def isolation(self) -> str:
        """What keeps this case apart from the rest."""
        return self.run.runner_of(self)

    def start(self) -> None:
        """Start the clock of this case, in the process that runs it."""
        from pytest_ortperf.execution.facts import Facts

        self.facts = Facts(journal=self.run.journal)
        self.record = None

    def setup(self) -> None:
        self.start()
        self.run.journal.note(pid=os.getpid(), nodeid=self.nodeid, case=self.case.case_id)
        if self.run.runner != "none":
            self.run.journal.catch_faults()

    def runtest(self) -> None:
        from pytest_ortperf.execution.probe import import_problem
        from pytest_ortperf.outcome import require_limits

        if self.facts is None:
            raise RuntimeError(f"{self.nodeid}: runtest without setup")
        try:
            from pytest_ortperf.execution.execute import execute
        except ImportError as error:
            raise CaseError(import_problem(error), stage="settings", kind="environment") from error
        try:
            execute(self.case, self.run.settings.execution, self.facts, self.hooks, validate_first=self.validate_first)
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
            return f"{error_text(excinfo.value)}\n\n{self.advice(kind)}"
        excinfo.traceback = excinfo.traceback.cut(path=__file__)
        return super().repr_failure(excinfo, style)

    def advice(self, kind: str | None) -> str:
        """Return the command that runs this case again, and those that look into a failure of the graph.

        Args:
            kind: Of the failure; `None` where it is no case's.
        """
        lines = [f"run it again: {self.run.rerun_command(self)}"]
        if kind in BISECTED and self.case.provider.runner == "onnxruntime" and not self._is_within_tolerance():
            lines.append(f"find the node: {self.run.case_command(self, 'bisect')}")
        return "\n".join(lines)

    def _is_within_tolerance(self) -> bool:
        """Whether outputs fail by a bound on their precision's own error alone: a bisection goes by the tolerance."""
        accuracy = self.facts.accuracy if self.facts else ()
        wrong = [output for data_set in accuracy for output in data_set.outputs if output.verdict == "fail"]
        return bool(wrong) and all(output.own_error_allowed is not None for output in wrong)

    def reportinfo(self) -> tuple[Path, int, str]:
        return self.path, 0, self.case.case_id


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


def error_text(error: BaseException) -> str:
    """Return what an error says, for people; the headline above it names the case."""
    if isinstance(error, CaseError):
        return str(error)
    if isinstance(error, SystemExit):
        return f"asked the interpreter to exit with {error.code!r}"
    return f"{type(error).__name__}: {error}"


def applies(condition: Condition, case: Case) -> bool:
    """Whether a `skip` or `xfail` of the model list is about this case."""
    return (
        (not condition.providers or case.provider.name in condition.providers)
        and (not condition.precisions or (case.precision or "as-given") in condition.precisions)
        and (not condition.modes or case.mode in condition.modes)
    )
