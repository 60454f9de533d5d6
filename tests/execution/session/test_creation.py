from __future__ import annotations

import dataclasses
from pathlib import Path

import onnxruntime
import pytest
from ort_models import AZURE, CPU, NoHooks, add_relu, case

from pytest_ortperf.cases.case_id import Mode
from pytest_ortperf.errors import CaseError
from pytest_ortperf.execution.case_settings import ExecutionSettings
from pytest_ortperf.execution.session import creation as sessions
from pytest_ortperf.execution.session.creation import (
    create_session,
    make_session,
    requested_providers,
    require_active,
    session_options,
)
from pytest_ortperf.execution.session.session_config import SessionConfig

CUDA = "CUDAExecutionProvider"
MISSING = "libx.so.1: cannot open shared object file: No such file or directory"
LOAD_LINE = f"[E:onnxruntime:Default, b.cc:1 Get] Failed to load library /p/liby.so with error: {MISSING}"


def test_fact_of_a_session_tells_what_was_asked_for_and_made() -> None:
    settings = ExecutionSettings(threads=1, graph_optimization="basic")

    fact = create_session(add_relu(), case(provider=AZURE), settings, NoHooks()).fact

    assert (fact.requested_providers, fact.active_providers, fact.provider_options) == ((AZURE, CPU), (AZURE, CPU), {})
    assert (fact.graph_optimization, fact.intra_op_threads) == ("basic", 1)
    assert fact.creation_ns > 0


def test_knobs_become_session_options() -> None:
    options = session_options(
        SessionConfig(
            graph_optimization="extended",
            intra_op_threads=3,
            inter_op_threads=2,
            execution_mode="parallel",
            config={"session.use_env_allocators": "1"},
        )
    )

    assert options.graph_optimization_level == onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    assert (options.intra_op_num_threads, options.inter_op_num_threads) == (3, 2)
    assert options.execution_mode == onnxruntime.ExecutionMode.ORT_PARALLEL
    assert options.get_session_config_entry("session.use_env_allocators") == "1"
    assert options.get_session_config_entry("session.record_ep_graph_assignment_info") == "1"


def test_the_cpu_comes_after_the_provider_with_options_of_its_own() -> None:
    this = case(provider="openvino", ep_options={"openvino": {"a": "list", "b": "list"}, "cpu": {"c": "list"}})
    settings = ExecutionSettings(ep_options={"openvino": {"b": "line"}}, devices={"openvino": "NPU"})

    assert requested_providers(b"", this, settings) == [
        ("OpenVINOExecutionProvider", {"device_type": "NPU", "a": "list", "b": "line"}),
        (CPU, {"c": "list"}),
    ]


def test_companions_come_between_the_provider_and_the_cpu() -> None:
    found = requested_providers(add_relu(), case(provider="tensorrt"), ExecutionSettings())

    assert [name for name, _ in found] == ["TensorrtExecutionProvider", CUDA, CPU]


def test_device_of_a_plugin_is_no_option() -> None:
    settings = ExecutionSettings(devices={"openvino": "NPU"}, plugins={"OpenVINOExecutionProvider": "/p.so"})

    assert requested_providers(b"", case(provider="openvino"), settings) == [
        ("OpenVINOExecutionProvider", {}),
        (CPU, {}),
    ]


@pytest.mark.parametrize(("log", "why"), [((LOAD_LINE,), MISSING), ((), "ONNX Runtime's log does not say why")])
def test_session_without_the_provider_is_refused_with_the_log_s_reason(log: tuple[str, ...], why: str) -> None:
    with pytest.raises(CaseError) as raised:
        require_active(CUDA, [CPU], lambda: log)

    assert (str(raised.value), raised.value.stage, raised.value.kind) == (
        f"asked for {CUDA}, but the session has only {CPU}: {why}",
        "session",
        "provider unavailable",
    )


def test_session_with_the_provider_is_taken() -> None:
    require_active(CUDA, [CUDA, CPU], tuple)


class Refusing:
    """As `InferenceSession` of a provider whose library is missing: that of onnxruntime-gpu, without CUDA."""

    def __init__(self, *_: object, **__: object) -> None:
        raise RuntimeError("/o/state.cc:729 void Register(const Options&) Please install TensorRT libraries.")


@pytest.mark.parametrize(
    ("log", "tail", "kind"), [((LOAD_LINE,), f" ({MISSING})", "provider unavailable"), ((), "", "session error")]
)
def test_loader_s_reason_in_the_log_is_told_with_the_runtime_s(
    monkeypatch: pytest.MonkeyPatch, log: tuple[str, ...], tail: str, kind: str
) -> None:
    monkeypatch.setattr(sessions.onnxruntime, "InferenceSession", Refusing)

    with pytest.raises(CaseError) as raised:
        make_session(b"", onnxruntime.SessionOptions(), [], "TensorrtExecutionProvider", lambda: log)

    assert (str(raised.value), raised.value.stage, raised.value.kind) == (
        f"no session on TensorrtExecutionProvider: RuntimeError: Please install TensorRT libraries.{tail}",
        "session",
        kind,
    )


def test_model_that_is_none_is_a_session_error_in_the_runtime_s_words() -> None:
    with pytest.raises(CaseError) as raised:
        create_session(b"no model", case(), ExecutionSettings(), NoHooks())

    assert str(raised.value).startswith(f"no session on {CPU}: InvalidProtobuf: ")
    assert (raised.value.stage, raised.value.kind) == ("session", "session error")


def test_custom_op_library_that_is_none_is_named(tmp_path: Path) -> None:
    library = tmp_path / "ops.so"
    library.write_text("no library")

    with pytest.raises(CaseError) as raised:
        session_options(SessionConfig(graph_optimization="all", custom_op_libraries=(str(library),)))

    assert str(raised.value).startswith(f"custom-op library {library} could not be loaded: ")
    assert (raised.value.stage, raised.value.kind) == ("session", "session error")


def test_users_hook_changes_the_options() -> None:
    class Hooks(NoHooks):
        def configure_session(self, session_options: onnxruntime.SessionOptions) -> None:
            session_options.logid = "mine"

    session = create_session(add_relu(), case(), ExecutionSettings(), Hooks()).session

    assert session.get_session_options().logid == "mine"


def test_entry_that_the_runtime_refuses_beside_the_cpu_has_an_option_that_does_the_same() -> None:
    settings = ExecutionSettings(session_config={"session.disable_cpu_ep_fallback": "1"})

    with pytest.raises(CaseError, match=r"; --ortperf-fallback=fail refuses nodes on the CPU instead$"):
        create_session(add_relu(), case(), settings, NoHooks())


RECORDS = "session.record_ep_graph_assignment_info"


class SwitchesOff(NoHooks):
    def configure_session(self, session_options: onnxruntime.SessionOptions) -> None:
        session_options.add_session_config_entry(RECORDS, "0")


@pytest.mark.parametrize(
    ("settings", "hooks"),
    [(ExecutionSettings(session_config={RECORDS: "0"}), NoHooks()), (ExecutionSettings(), SwitchesOff())],
    ids=["option", "hook"],
)
def test_what_shows_where_nodes_ran_cannot_be_switched_off(settings: ExecutionSettings, hooks: NoHooks) -> None:
    with pytest.raises(CaseError, match=f"config entry {RECORDS} has been switched off; .* leave it out of") as raised:
        create_session(add_relu(), case(), settings, hooks)

    assert (raised.value.stage, raised.value.kind) == ("session", "session error")


@pytest.mark.parametrize(
    ("mode", "given", "seen"),
    [
        ("validate", {}, "0"),
        ("validate", {"session.intra_op.allow_spinning": "1"}, "1"),
        ("benchmark", {}, "as ONNX Runtime has it"),
    ],
)
def test_idle_threads_sleep_in_validations(mode: Mode, given: dict[str, str], seen: str) -> None:
    entries = []

    class Hooks(NoHooks):
        def configure_session(self, session_options: onnxruntime.SessionOptions) -> None:
            try:
                entries.append(session_options.get_session_config_entry("session.intra_op.allow_spinning"))
            except RuntimeError:  # there is no such entry
                entries.append("as ONNX Runtime has it")

    that = dataclasses.replace(case(), mode=mode)
    create_session(add_relu(), that, ExecutionSettings(session_config=given), Hooks())
    assert entries == [seen]
