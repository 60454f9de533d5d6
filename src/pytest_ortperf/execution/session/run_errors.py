"""Calls of a session: which outputs they ask for, and how their errors become a case's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import onnxruntime

from pytest_ortperf.cases.matrix import Case
from pytest_ortperf.errors import CaseError
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
            f"the run failed: {type(error).__name__}: {str(error).strip()}",
            stage=facts.stage or "first_run",
            kind="runtime error",
        ) from error


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
