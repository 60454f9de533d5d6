"""The trtexec that the settings of a case mean."""

from __future__ import annotations

from pytest_ortperf.errors import CaseError
from pytest_ortperf.execution.case_settings import ExecutionSettings, Tool
from pytest_ortperf.execution.trtexec.tool import NAME, ToolError, find_tool


def chosen_tool(settings: ExecutionSettings) -> Tool:
    """Return the program that a run found for all its cases; where it found none, as in a user's own test, look now.

    Raises:
        CaseError: Stage `session`, kind `provider unavailable`, with the reason why none can be used.
    """
    if settings.trtexec_tool is not None:
        return settings.trtexec_tool
    problem = settings.unusable.get(NAME)
    if problem is not None:
        raise _unusable(problem)
    try:
        return find_tool(settings.trtexec, settings.workspace)
    except ToolError as error:
        raise _unusable(str(error)) from error


def _unusable(problem: str) -> CaseError:
    return CaseError(f"trtexec cannot be used here: {problem}", stage="session", kind="provider unavailable")
