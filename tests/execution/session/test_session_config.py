from __future__ import annotations

from ort_models import case

from pytest_ortperf.cases.rules import SessionRule
from pytest_ortperf.execution.case_settings import ExecutionSettings
from pytest_ortperf.execution.session.session_config import SessionConfig, session_config_of

RULES = (
    SessionRule(provider="cuda", intra_op_threads=3, config={"a": "cuda"}, custom_op_libraries=("/c.so",)),
    SessionRule(provider="cpu", intra_op_threads=5, config={"a": "cpu", "b": "cpu"}, custom_op_libraries=("/x.so",)),
    SessionRule(
        graph_optimization="basic",
        intra_op_threads=7,
        inter_op_threads=2,
        execution_mode="parallel",
        config={"b": "all", "c": "all"},
        custom_op_libraries=("/y.so", "/x.so"),
    ),
)


def test_nothing_given_is_onnx_runtime_s_own_choice() -> None:
    assert session_config_of(case(), ExecutionSettings()) == SessionConfig(graph_optimization="all")


def test_first_rule_about_the_provider_that_gives_a_value_counts() -> None:
    assert session_config_of(case(session=RULES), ExecutionSettings()) == SessionConfig(
        graph_optimization="basic",
        intra_op_threads=5,
        inter_op_threads=2,
        execution_mode="parallel",
        config={"a": "cpu", "b": "cpu", "c": "all"},
        custom_op_libraries=("/x.so", "/y.so"),
    )


def test_rule_of_another_provider_does_not_count() -> None:
    found = session_config_of(case(provider="openvino", session=RULES), ExecutionSettings())

    assert (found.intra_op_threads, found.config) == (7, {"b": "all", "c": "all"})


def test_command_line_wins_key_by_key() -> None:
    settings = ExecutionSettings(
        graph_optimization="disable",
        threads=1,
        inter_op_threads=4,
        execution_mode="sequential",
        session_config={"b": "line", "d": "line"},
        custom_op_libraries=("/z.so", "/y.so"),
    )

    assert session_config_of(case(session=RULES), settings) == SessionConfig(
        graph_optimization="disable",
        intra_op_threads=1,
        inter_op_threads=4,
        execution_mode="sequential",
        config={"a": "cpu", "b": "line", "c": "all", "d": "line"},
        custom_op_libraries=("/z.so", "/y.so", "/x.so"),
    )
