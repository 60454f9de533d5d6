"""Sizes for the dimensions that nobody gave one, tried on the CPU provider with the model as given.

They are found once per model and hold for every provider, precision and run: latencies of different shapes cannot be
compared. What was found is kept in the cache by the content of the model.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import onnx

from pytest_ortperf.cases.matrix import Case
from pytest_ortperf.cases.providers import find_provider
from pytest_ortperf.errors import CaseError
from pytest_ortperf.execution.case_settings import ExecutionSettings
from pytest_ortperf.execution.inputs.assumed_sizes import Proposal, propose_sizes
from pytest_ortperf.execution.inputs.case_data import case_data, generates_inputs
from pytest_ortperf.execution.inputs.generated_inputs import VARIATIONS, generate_inputs, rule_for
from pytest_ortperf.execution.inputs.reference_facts import shows_nothing
from pytest_ortperf.execution.inputs.tensor_values import ModelRunner
from pytest_ortperf.execution.model.model_dimensions import free_inputs
from pytest_ortperf.execution.model.model_hash import content_key
from pytest_ortperf.execution.model.precision import PreparedModel, cache_of
from pytest_ortperf.execution.process.child import ChildEnd, answer_of
from pytest_ortperf.execution.session.creation import SessionHooks, create_session

TRIAL_S = 60.0
"""A model that is slower keeps the plausible sizes."""

_VERSION = 1
"""Of the rules; a change counts it up, and every model is tried anew."""

_OF_SHAPES = re.compile(
    r"shape|dimension|\bdims?\b|reshape|broadcast|concat|\baxis\b|\baxes\b|\brank\b|mismatch|incompatible|kernel|"
    r"out of (?:data )?bounds|out of range|\bsizes?\b|\blength|too short|invalid input|"
    r"must be (?:equal|divisible|greater|at least)",
    re.IGNORECASE,
)
_OF_SOMETHING_ELSE = re.compile(
    r"allocat|out of memory|bad_alloc|memory|not implemented|NOT_IMPLEMENTED|could not find an implementation",
    re.IGNORECASE,
)


def assume_shapes(case: Case, prepared: PreparedModel, settings: ExecutionSettings, hooks: SessionHooks) -> Case:
    """Return the case with a size for each dimension of its model that has none and is needed.

    Args:
        case: Its own dimensions and the shapes of its model's entry stay.
        prepared: Knows which dimensions there are.
        settings: Whether inputs are generated, and where the cache is.
        hooks: The users', for the session of the trial.
    """
    if not lacks_sizes(case, prepared, settings):
        return case
    path = case.model.path
    model = onnx.load_model(path, load_external_data=False)
    shaped = [item for item in free_inputs(model) if rule_for(case.model.inputs, item.name).shape is None]
    proposal = propose_sizes(model, shaped, dict(case.dims))
    if not proposal.sizes:
        return case
    key = {
        "assumed shapes": _VERSION,
        "content": content_key(path, cache_of(settings)),
        "given": [list(dim) for dim in case.dims],
        "inputs": repr(sorted(case.model.inputs.items())),
    }
    del model

    def find(_: Path) -> Mapping[str, Any]:
        return {"sizes": _found(case, proposal, settings, hooks)}

    sizes = cache_of(settings).get(key, find).facts["sizes"]
    return dataclasses.replace(case, assumed=tuple((name, int(size)) for name, size in sizes.items()))


def lacks_sizes(case: Case, prepared: PreparedModel, settings: ExecutionSettings) -> bool:
    """Whether inputs are generated of a model some of whose dimensions have no size."""
    given = {name for name, _ in case.dims}
    return any(name not in given for name in prepared.free_dims) and generates_inputs(case, settings)


def _found(case: Case, proposal: Proposal, settings: ExecutionSettings, hooks: SessionHooks) -> dict[str, int]:
    """Return the first sizes that the model takes; the plausible ones where none is, or nothing can be tried.

    In a child: the trial's memory and crashes are not those of the case.
    """
    answer = answer_of(lambda: _first_taken(case, proposal, settings, hooks), TRIAL_S)
    plausible = next(proposal.attempts())
    return plausible if isinstance(answer, ChildEnd) or answer is None else dict(answer)


def _first_taken(
    case: Case, proposal: Proposal, settings: ExecutionSettings, hooks: SessionHooks
) -> dict[str, int] | None:
    on_cpu = dataclasses.replace(case, provider=find_provider("cpu"), precision=None, mode="validate")
    try:
        session = create_session(str(case.model.path), on_cpu, settings, hooks).session
    except CaseError:
        return None
    metas = session.get_inputs()
    for sizes in proposal.attempts():
        try:
            inputs = generate_inputs(
                metas, model=case.model, dims=dict(case.dims), assumed=sizes, seed=settings.seed, check=False
            )
            ModelRunner(session, None, inputs).run()
        except Exception as error:  # noqa: BLE001 - ONNX Runtime raises classes without a common base
            if not is_shape_error(str(error)):
                return None
        else:
            return sizes
    return None


def livelier(case: Case, settings: ExecutionSettings, hooks: SessionHooks) -> Case | None:
    """Return the case with generated inputs whose outputs hold numbers; `None` if no variation gives any.

    Tried on the CPU provider with the model as given, in a child, and kept in the cache as assumed sizes are.
    """
    key = {
        "lively inputs": _VERSION,
        "content": content_key(case.model.path, cache_of(settings)),
        "sizes": sorted(case.sizes.items()),
        "inputs": repr(sorted(case.model.inputs.items())),
        "seed": settings.seed,
    }

    def find(_: Path) -> Mapping[str, Any]:
        answer = answer_of(lambda: _first_lively(case, settings, hooks), TRIAL_S)
        return {"variation": None if isinstance(answer, ChildEnd) else answer}

    found = cache_of(settings).get(key, find).facts["variation"]
    return None if found is None else dataclasses.replace(case, variation=int(found))


def _first_lively(case: Case, settings: ExecutionSettings, hooks: SessionHooks) -> int | None:
    on_cpu = dataclasses.replace(case, provider=find_provider("cpu"), precision=None, mode="validate")
    session = create_session(str(case.model.path), on_cpu, settings, hooks).session
    for number in range(len(VARIATIONS)):
        varied = dataclasses.replace(on_cpu, variation=number)
        try:
            data = next(iter(case_data(session, varied, settings)))
            outputs = ModelRunner(session, list(case.model.outputs) or None, data.inputs).run()
        except Exception:  # noqa: BLE001, S112 - these values are not for this model; the next ones may be
            continue
        if not shows_nothing(outputs):
            return number
    return None


def is_shape_error(text: str) -> bool:
    """Whether ONNX Runtime's message is about sizes; another size may mend it. Never of memory, or a lacking kernel."""
    return bool(_OF_SHAPES.search(text)) and not _OF_SOMETHING_ELSE.search(text)
