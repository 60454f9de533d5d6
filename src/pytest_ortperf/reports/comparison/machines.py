"""Whether two sides were made on the same machine, and in what their environments differ."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pytest_ortperf.records.environment.run_header import Environment
from pytest_ortperf.reports.comparison.side import RunSide, Side

_APART = ("packages", "environment_variables", "gpus", "fingerprint", "gpu_reason")
_OF_THE_RUN = frozenset({"results", "baseline", "fail-on", "label", "progress", "mode"})
"""Options that change nothing of a case."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One thing that is not the same."""

    name: str
    base: str
    current: str


def same_machine(base: Side, current: Side) -> str | None:
    """Return `None` if every run has the same fingerprint, else the words for what stands against it."""
    prints = [{run.fingerprint for run in side.runs} for side in (base, current)]
    if any(None in each for each in prints):
        return "it is not known on which machine it was measured"
    if prints[0] != prints[1] or len(prints[0]) > 1:
        return "it was measured on another machine"
    return None


def differences(base: Side, current: Side) -> tuple[Difference, ...]:
    """Return in what environment and options differ, of the last run on each side."""
    facts = [dict(_facts(side.runs[-1])) for side in (base, current)]
    names = dict.fromkeys([*facts[0], *facts[1]])
    return tuple(
        Difference(name=name, base=facts[0].get(name, "absent"), current=facts[1].get(name, "absent"))
        for name in names
        if facts[0].get(name) != facts[1].get(name)
    )


def _facts(run: RunSide) -> Iterator[tuple[str, str]]:
    if run.environment is not None:
        yield from _environment_facts(run.environment)
    for name, value in run.options.items():
        if name not in _OF_THE_RUN:
            yield f"--ortperf-{name}", " ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _environment_facts(environment: Environment) -> Iterator[tuple[str, str]]:
    for field in dataclasses.fields(environment):
        value = getattr(environment, field.name)
        if field.name not in _APART and value is not None:
            yield field.name, str(value)
    yield from ((f"gpu {gpu.index}", gpu.name) for gpu in environment.gpus)
    yield from _texts(environment.packages)
    yield from _texts(environment.environment_variables)


def _texts(values: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    yield from sorted(values.items())
