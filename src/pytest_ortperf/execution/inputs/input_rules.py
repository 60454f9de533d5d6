"""What a model list says about one input."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Mapping
from types import EllipsisType

from pytest_ortperf.cases.model import InputRule
from pytest_ortperf.errors import CaseError

_SLICE = re.compile(r"(-?\d+)?\s*:\s*(-?\d+)?\s*(?::\s*(-?\d+)?)?")
_NO_RULE = InputRule()


def rule_for(inputs: Mapping[str, InputRule], name: str) -> InputRule:
    """Return the rule with the very name, else the first whose glob matches, else an empty one."""
    if name in inputs:
        return inputs[name]
    return next((rule for glob, rule in inputs.items() if fnmatch.fnmatchcase(name, glob)), _NO_RULE)


def parse_slices(text: str) -> tuple[slice | EllipsisType, ...]:
    """Return Python slices written as text.

    Args:
        text: Such as `0:1`, `0:1, :, 2:`, `..., ::2`.

    Raises:
        CaseError: If it is not a list of slices; indices without a colon are not, as they would drop a
        dimension.
    """
    parts = [part.strip() for part in text.split(",")]
    return tuple(_parse_slice(part, text) for part in parts)


def _parse_slice(part: str, text: str) -> slice | EllipsisType:
    if part == "...":
        return ...
    match = _SLICE.fullmatch(part)
    if match is None or match[3] == "0":
        raise CaseError(
            f"slices {text!r}: {part!r} is not a slice; write Python slices such as '0:1' or '0:1, :, 2:'",
            stage="inputs",
            kind="input error",
        )
    return slice(*(None if number is None else int(number) for number in match.groups()))
