"""Calls of a session: which outputs they ask for, and how their errors become a case's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import onnxruntime

from pytest_ortperf.cases.matrix import Case
from pytest_ortperf.errors import CaseError
from pytest_ortperf.execution.inputs.case_data import GENERATED
from pytest_ortperf.execution.inputs.generated_inputs import generated_text
from pytest_ortperf.execution.inputs.tensor_types import Meta
from pytest_ortperf.execution.record_builder import RecordBuilder


@contextmanager
def running(facts: RecordBuilder) -> Iterator[None]:
    """Around calls into ONNX Runtime alone: it raises classes without a common base.

    Raises:
        CaseError: Kind `runtime error`, with the stage that `facts` are in.
    """
    try:
        yield
    except CaseError:
        raise
    except Exception as error:
        raise CaseError(
            f"the run failed: {type(error).__name__}: {str(error).strip()}"
            f"{assumed_text(facts.assumed_dims)}{generated_text(_generated(facts))}",
            stage=facts.stage or "first_run",
            kind="runtime error",
        ) from error


def _generated(facts: RecordBuilder) -> list[str]:
    return [fact.name for fact in facts.inputs if fact.origin == GENERATED]


def assumed_text(sizes: Mapping[str, int]) -> str:
    """Return what an error says about sizes that nobody gave, with the way out; nothing if there are none."""
    if not sizes:
        return ""
    listed = ", ".join(f"{name}={size}" for name, size in sizes.items())
    first = next((name for name, size in sizes.items() if size > 1), next(iter(sizes)))
    return (
        f"\nThese sizes were assumed, because nothing gives them: {listed}. If the model needs others, give them: "
        f'--ortperf-dim={first}=N, or in the model list "dims": {{"{first}": N}} or the "shape" of an input in "inputs"'
    )


def undeclared_shapes(metas: Sequence[Meta], shapes: Mapping[str, Sequence[int] | None]) -> list[str]:
    """Return a note for each output whose shape is not the declared one.

    Args:
        metas: Of the session's outputs; ONNX Runtime says [] of scalars and of unknown ranks alike.
        shapes: As computed, by name; `None` for anything but a tensor.
    """
    notes = []
    for meta in metas:
        shape, declared = shapes.get(meta.name), list(meta.shape or ())
        if shape is None or not declared:
            continue
        fits = len(shape) == len(declared) and all(
            not isinstance(dim, int) or dim == size for dim, size in zip(declared, shape, strict=True)
        )
        if not fits:
            shown = ", ".join("?" if dim is None else str(dim) for dim in declared)
            notes.append(f"output '{meta.name}' has shape ({', '.join(map(str, shape))}); the model declares ({shown})")
    return notes


def wanted_outputs(session: onnxruntime.InferenceSession, case: Case) -> list[str] | None:
    """Return the outputs that the model list asks for; `None` is all.

    Raises:
        CaseError: Stage `inputs`, if the model has no such output.
    """
    wanted = list(case.model.outputs)
    names = [meta.name for meta in session.get_outputs()]
    unknown = sorted(set(wanted) - set(names))
    if unknown:
        raise CaseError(
            f"the model list asks for outputs {', '.join(unknown)}; the model has {', '.join(names)}",
            stage="inputs",
            kind="input error",
        )
    return wanted or None
