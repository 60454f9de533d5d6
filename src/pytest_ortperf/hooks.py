"""Hooks of this plugin: implement them in a `conftest.py` or another plugin."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnxruntime

    from pytest_ortperf.cases.matrix import Case


def pytest_ortperf_configure_session(case: Case, session_options: onnxruntime.SessionOptions) -> None:
    """Change the session options of a case, such as `register_custom_ops_library` or config entries.

    Called in the process that runs the case, before each session of the case's own provider is created.

    Args:
        case: The case; `case.model.name`, `case.provider.name`, `case.mode`, `case.precision`, `case.dims`.
        session_options: Those of the session about to be created.
    """


def pytest_ortperf_before_first_run(case: Case, session: onnxruntime.InferenceSession) -> None:
    """Act on the session of a case just before its first run.

    Args:
        case: The case.
        session: Its session; placement has been checked, nothing has run.
    """
