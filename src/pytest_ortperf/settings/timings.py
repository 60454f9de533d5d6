"""Reads `--ortperf-timing`."""

from __future__ import annotations

import pytest

from pytest_ortperf.records.record import TIMINGS
from pytest_ortperf.settings.options import split_names

AUTO = "auto"


def read_timings(text: str | None) -> tuple[str, ...]:
    """Return the timing modes asked for, the headline first; none is the choice by provider.

    Raises:
        pytest.UsageError: If one is unknown, or stands beside `auto`.
    """
    names = tuple(dict.fromkeys(split_names(None if text is None else [text])))
    if names == (AUTO,):
        return ()
    unknown = [name for name in names if name not in TIMINGS]
    if unknown:
        raise pytest.UsageError(
            f"--ortperf-timing: {', '.join(unknown)} cannot be used; give auto alone, or some of {', '.join(TIMINGS)}"
        )
    return names
