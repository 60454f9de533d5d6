"""A model file looked at in a child with a deadline: what it says, and whether this machine runs it.

A hostile, huge or broken file may hang or crash whoever reads it; that is never the process that asks.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any, TypeVar

from pytest_ortperf.cases.matrix import Case
from pytest_ortperf.cases.model import Model
from pytest_ortperf.cases.names import name_issue
from pytest_ortperf.cases.providers import find_provider
from pytest_ortperf.errors import CaseError, OrtPerfError
from pytest_ortperf.execution.case_flow import Execution
from pytest_ortperf.execution.case_settings import ExecutionSettings
from pytest_ortperf.execution.inputs.assumed_sizes import propose_sizes
from pytest_ortperf.execution.inputs.case_data import case_data
from pytest_ortperf.execution.inputs.tensor_values import ModelRunner
from pytest_ortperf.execution.model.model_dimensions import dimension_key, free_inputs
from pytest_ortperf.execution.model.model_facts import describe_model
from pytest_ortperf.execution.model.model_file import check_model_file, load_graph, unreadable_model
from pytest_ortperf.execution.process.child import ChildEnd, answer_of
from pytest_ortperf.execution.record_builder import Journal, RecordBuilder
from pytest_ortperf.execution.session.creation import SessionHooks
from pytest_ortperf.execution.session.run_errors import running
from pytest_ortperf.records.inspections import DeclaredValue, ModelDescription, Trial

if TYPE_CHECKING:
    import onnxruntime

T = TypeVar("T")

OPENED = frozenset({"inputs", "reference", "first_run"})
"""Stages that come after the session."""


class NoHooks:
    """Hooks of a user who has none."""

    def configure_session(self, session_options: onnxruntime.SessionOptions) -> None:
        """Leave the options as they are."""

    def before_first_run(self, session: onnxruntime.InferenceSession) -> None:
        """Do nothing."""


def describe(model: Model, deadline_s: float) -> ModelDescription:
    """Return what the file of a model says.

    Raises:
        CaseError: If it cannot be read, or not before the deadline.
    """
    with closing(Journal()) as journal:
        found = _in_child(lambda: _described(model), journal, deadline_s)
    if isinstance(found, ModelDescription):
        return found
    text = f"{model.path} cannot be read: {_how(found, deadline_s)}" if isinstance(found, ChildEnd) else str(found)
    raise CaseError(text, stage="model", kind="model error")


def _described(model: Model) -> ModelDescription | str:
    """Return what it says, or why it cannot be read: an error of ours does not pass through a pipe."""
    try:
        size = check_model_file(model.path, model)
        proto = load_graph(model.path, size)
        if not proto.HasField("graph"):  # a short text may parse
            return str(unreadable_model(model.path, size))
        sizes = propose_sizes(proto, free_inputs(proto), {}).attempts()
        return describe_model(proto, model.path, size, next(sizes))
    except CaseError as error:
        return str(error)
    except Exception as error:  # noqa: BLE001 - whatever a broken model makes onnx raise
        return f"{model.path} cannot be read: {type(error).__name__}: {error}"


def try_case(
    case: Case, settings: ExecutionSettings, hooks: SessionHooks, deadline_s: float, *, runs: bool = False
) -> Trial:
    """Make the session of a case in a child, and see where its nodes are.

    Args:
        case: A validation.
        settings: How cases are run.
        hooks: The users'.
        deadline_s: The child is killed then.
        runs: Also run it once with each of its data sets, or with generated inputs.
    """
    with closing(Journal()) as journal:
        found = _in_child(lambda: _tried(case, settings, hooks, journal, runs=runs), journal, deadline_s)
        if not isinstance(found, ChildEnd):
            return found
        stage = journal.latest("stage")
    problem = _how(found, deadline_s) + (f", in the stage {stage}" if stage else "")
    return Trial(variant=case.variant, provider=case.provider.full_name, problem=problem, stage=stage)


def _tried(case: Case, settings: ExecutionSettings, hooks: SessionHooks, journal: Journal, *, runs: bool) -> Trial:
    facts = RecordBuilder(journal=journal)
    problem, done = None, []
    try:
        bench = Execution(case, settings, facts, hooks).bench()
        session = bench.open()
        for data in case_data(session, bench.case, settings) if runs else ():
            with facts.entering("first_run"), running(facts):
                ModelRunner(session, list(case.model.outputs) or None, data.inputs).run()
            done.append(data.name)
    except OrtPerfError as error:
        problem, facts.stage = str(error), getattr(error, "stage", facts.stage)
    except Exception as error:  # noqa: BLE001 - a run would show it with its traceback
        problem = f"{type(error).__name__}: {error}"
    return Trial(
        variant=case.variant,
        provider=case.provider.full_name,
        problem=problem,
        stage=facts.stage,
        nodes_by_provider=facts.placement.nodes_by_provider if facts.placement else {},
        creation_ns=facts.session.creation_ns if facts.session else None,
        fp16_from=facts.model_fact.fp16_from if facts.model_fact else None,
        note=facts.model_fact.note if facts.model_fact else None,
        assumed=dict(facts.assumed_dims),
        data_sets=tuple(done),
    )


def try_on_cpu(model: Model, deadline_s: float) -> tuple[Trial, str | None]:
    """Return what a run on the CPU showed, and why stored test data cannot be used, if so: it then ran without."""
    case = Case(model=model, mode="validate", provider=find_provider("cpu"), precision=None)
    trial = try_case(case, ExecutionSettings(), NoHooks(), deadline_s, runs=True)
    if model.test_data is None or trial.problem is None or trial.stage not in OPENED:
        return trial, None
    without = dataclasses.replace(case, model=dataclasses.replace(model, test_data=None))
    return try_case(without, ExecutionSettings(), NoHooks(), deadline_s, runs=True), trial.problem


def assumed_keys(inputs: Sequence[DeclaredValue], assumed: Mapping[str, int]) -> dict[str, Any]:
    """Return assumed sizes as the keys `dims` and `inputs` of a model list's entry.

    An input has its whole shape there if one of its dimensions has no name, or one that no case id can hold.
    """
    dims: dict[str, int] = {}
    shapes: dict[str, dict[str, list[int]]] = {}
    for value in inputs:
        keys = [(dimension_key(value.name, axis, dim), dim) for axis, dim in enumerate(value.shape or ())]
        named = {key: assumed[key] for key, _ in keys if key is not None and key in assumed}
        if any(key not in (value.shape or ()) or name_issue(key) for key in named):
            shapes[value.name] = {"shape": [int(str(dim)) if key is None else assumed.get(key, 1) for key, dim in keys]}
        else:
            dims |= named
    return {name: given for name, given in (("dims", dims), ("inputs", shapes)) if given}


def _in_child(work: Callable[[], T], journal: Journal, deadline_s: float) -> T | ChildEnd:
    """Return what work returns in a child, or how that ended instead; what it prints goes to the journal."""

    def captured() -> T:
        with journal.capture_output():
            return work()

    return answer_of(captured, deadline_s)


def _how(end: ChildEnd, deadline_s: float) -> str:
    if end.timed_out:
        return f"no answer within {deadline_s:g} s (--deadline gives it longer)"
    how = f"signal {end.signal}" if end.signal else f"exit status {end.exit_code}"
    return f"the process that tried it crashed ({how})"
