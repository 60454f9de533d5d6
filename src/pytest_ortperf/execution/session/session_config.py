"""Session settings of one case: the options' over those of the model list, the more specific first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from pytest_ortperf.cases.keys import EMPTY
from pytest_ortperf.cases.matrix import Case
from pytest_ortperf.cases.rules import SessionRule
from pytest_ortperf.execution.case_settings import ExecutionSettings

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionConfig:
    """What a session's options are made of."""

    graph_optimization: str
    intra_op_threads: int | None = None
    """`None` is ONNX Runtime's default, as below."""

    inter_op_threads: int | None = None
    execution_mode: str = "sequential"
    config: Mapping[str, str] = field(default_factory=lambda: EMPTY)
    """Session config entries."""

    custom_op_libraries: tuple[str, ...] = ()


def session_config_of(case: Case, settings: ExecutionSettings) -> SessionConfig:
    """Return the session_config of a case.

    A value of the command line counts first, then that of the first rule of the model list that is about the case's
    provider and gives one. Config entries and custom-op libraries add up; entries of the command line win.
    """
    rules = [rule for rule in case.model.session if rule.provider in {None, case.provider.name}]
    config: dict[str, str] = {}
    for rule in reversed(rules):
        config.update(rule.config)
    libraries = [library for rule in rules for library in rule.custom_op_libraries]
    return SessionConfig(
        graph_optimization=_first(settings.graph_optimization, rules, "graph_optimization") or "all",
        intra_op_threads=_first(settings.threads, rules, "intra_op_threads"),
        inter_op_threads=_first(settings.inter_op_threads, rules, "inter_op_threads"),
        execution_mode=_first(settings.execution_mode, rules, "execution_mode") or "sequential",
        config={**config, **settings.session_config},
        custom_op_libraries=tuple(dict.fromkeys([*settings.custom_op_libraries, *libraries])),
    )


def _first(given: T | None, rules: list[SessionRule], name: str) -> T | None:
    values = (given, *(getattr(rule, name) for rule in rules))
    return next((value for value in values if value is not None), None)
