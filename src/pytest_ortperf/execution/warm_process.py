"""What the first session of a process costs once, paid before children are forked from it."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper

from pytest_ortperf.cases.model import Tolerance
from pytest_ortperf.execution.accuracy import compare
from pytest_ortperf.execution.placement import has_assignment_info, read_placement
from pytest_ortperf.execution.values import Runner


def warm_process() -> None:
    """Make, run and let go of a tiny session on the CPU provider, with one thread.

    ONNX Runtime registers its operators and kernels at the first session of a process, protobuf and numpy fill their
    caches: about 7 ms that each forked child would pay again. Nothing is left of the session when this returns, and it
    had no thread of its own, so that children inherit neither.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    session = onnxruntime.InferenceSession(_tiny_model(), options, providers=["CPUExecutionProvider"])
    if has_assignment_info():
        read_placement(session)
    runner = Runner(session, None, {"x": np.ones((2, 2), np.float32)})
    outputs = dict(zip(runner.output_names, runner.run(), strict=True))
    compare(outputs, outputs, lambda _: Tolerance(rtol=1e-3, atol=1e-5, percent_mismatch=0.0))


def _tiny_model() -> bytes:
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [2, 2]) for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node("MatMul", ["x", "x"], ["y"])], "warm", values[:1], values[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.load_model_from_string(model.SerializeToString())
    return bytes(model.SerializeToString())
