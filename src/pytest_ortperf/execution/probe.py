"""Which execution providers take a node here, found out in a child that may crash."""

from __future__ import annotations

from pytest_ortperf.execution.child import Child, ChildEnd

TIMEOUT_S = 120.0
"""For all providers together; the first CUDA session of a machine takes seconds."""

NO_NODES = frozenset({"AzureExecutionProvider"})
"""Compiled into every wheel, takes no ordinary node."""


def probe_providers() -> dict[str, str | None]:
    """Return each provider of the installed ONNX Runtime by full name: `None` if usable, else why not."""
    listing = Child(_list_providers)
    try:
        names = listing.ask(None, TIMEOUT_S)
    finally:
        listing.end()
    if isinstance(names, ChildEnd):
        return {}
    return {name: _probe(name) for name in names if name not in NO_NODES}


def _probe(name: str) -> str | None:
    child = Child(_try_provider)
    try:
        answer = child.ask(name, TIMEOUT_S)
    finally:
        child.end()
    if isinstance(answer, ChildEnd):
        return f"its process ended (signal {answer.signal}, exit status {answer.exit_code})"
    return answer if answer is None else str(answer)


def _list_providers(_: None) -> list[str]:
    import onnxruntime

    return list(onnxruntime.get_available_providers())


def _try_provider(name: str) -> str | None:
    import onnxruntime
    from onnx import TensorProto, helper

    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4])
    result = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 4])
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "probe", [value], [result])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    if "CUDA" in name or "Tensorrt" in name:
        onnxruntime.preload_dlls()
    try:
        session = onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=[name, "CPUExecutionProvider"], enable_fallback=0
        )
    except Exception as error:  # noqa: BLE001 - any of ONNX Runtime's unrelated classes is a reason
        return f"{type(error).__name__}: {error}"
    got = {subgraph.ep_name for subgraph in session.get_provider_graph_assignment_info()}
    return None if name in got else f"a small model's node went to {', '.join(sorted(got))}"
