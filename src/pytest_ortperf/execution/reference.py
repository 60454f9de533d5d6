"""Reference outputs by the CPU provider in the model's own precision, without graph optimisation."""

from __future__ import annotations

import dataclasses

from pytest_ortperf.cases.matrix import Case
from pytest_ortperf.cases.providers import find_provider
from pytest_ortperf.errors import CaseError
from pytest_ortperf.execution.case_data import CaseData, cast_floats
from pytest_ortperf.execution.session import SessionHooks, create_session
from pytest_ortperf.execution.settings import ExecutionSettings
from pytest_ortperf.execution.tensor_types import Value
from pytest_ortperf.execution.values import Runner


def cpu_reference(
    case: Case, settings: ExecutionSettings, hooks: SessionHooks, data: CaseData
) -> tuple[dict[str, Value], str]:
    """Return the outputs of the model as given on the CPU, and what to call them.

    Graph optimisation is off, so that a wrong fusion shows; the CPU's own cases are checked against it too.

    Raises:
        CaseError: Stage `reference`, if the CPU cannot run the model either.
    """
    plain = dataclasses.replace(case, provider=find_provider("cpu"), precision=None)
    options = dataclasses.replace(settings, graph_optimization="disable")
    try:
        path = settings.given.reference_model or case.model.path
        session = create_session(str(path), plain, options, hooks).session
        runner = Runner(session, list(case.model.outputs) or None, cast_floats(data.inputs, session.get_inputs()))
        outputs = runner.run()
    except Exception as error:
        raise CaseError(
            f"no reference outputs: the CPU provider cannot run the model with graph optimisation off: {error}. "
            f"Give stored outputs with test_data in the model list",
            stage="reference",
            kind="runtime error",
        ) from error
    name = "CPU, graph optimisation off"
    if settings.given.reference_model:
        name = f"{settings.given.reference_model.name} on the {name}"
    return dict(zip(runner.output_names, outputs, strict=True)), name
