"""Timing modes on CUDA: what is bound gives the same outputs, graphs replay new inputs, and cases record all of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import TensorProto, helper

from gpu.project import GpuProject, graph_of, multilayer, nodes_on_cuda, told

FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64
ALL = ("host", "bound", "bound+copies", "graph")
SAME = 1e-5


def symbolic() -> onnx.ModelProto:
    """Return elementwise work on a symbolic batch."""
    nodes = [helper.make_node("Relu", ["x"], ["r"]), helper.make_node("Add", ["r", "x"], ["y"])]
    return graph_of(nodes, {"x": (FLOAT, ["batch", 64])}, {"y": (FLOAT, ["batch", 64])}, [])


def data_dependent() -> onnx.ModelProto:
    """Return a model one of whose outputs has a shape that only its data tell."""
    nodes = [helper.make_node("NonZero", ["x"], ["i"]), helper.make_node("Relu", ["x"], ["y"])]
    return graph_of(nodes, {"x": (FLOAT, [8, 64])}, {"i": (INT64, [2, "found"]), "y": (FLOAT, [8, 64])}, [])


def shape_as_input() -> onnx.ModelProto:
    """Return a model that reads one of its inputs on the host."""
    nodes = [helper.make_node("Relu", ["x"], ["r"]), helper.make_node("Reshape", ["r", "shape"], ["y"])]
    inputs = {"x": (FLOAT, [8, 64]), "shape": (INT64, [1])}
    return graph_of(nodes, inputs, {"y": (FLOAT, ["n"])}, [])


def looping() -> onnx.ModelProto:
    """Return a model with control flow, which no CUDA graph holds."""
    branch = [
        helper.make_graph(
            [helper.make_node(kind, ["x"], [f"{kind}_y"])],
            kind,
            [],
            [helper.make_tensor_value_info(f"{kind}_y", FLOAT, [8, 64])],
        )
        for kind in ("Relu", "Neg")
    ]
    nodes = [
        helper.make_node("ReduceSum", ["x"], ["s"], keepdims=0),
        helper.make_node("Cast", ["s"], ["positive"], to=TensorProto.BOOL),
        helper.make_node("If", ["positive"], ["y"], then_branch=branch[0], else_branch=branch[1]),
    ]
    return graph_of(nodes, {"x": (FLOAT, [8, 64])}, {"y": (FLOAT, [8, 64])}, [])


def compared(path: Path, model: onnx.ModelProto) -> dict[str, Any]:
    """Run `bound_on_cuda.py` on a model."""
    onnx.save_model(model, path / "m.onnx")
    script = Path(__file__).with_name("bound_on_cuda.py")
    done = subprocess.run(
        [sys.executable, str(script), str(path / "m.onnx")],
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    print(done.stdout)  # noqa: T201 - pytest shows it where the test fails
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize("model", [multilayer(), symbolic()], ids=["multilayer", "symbolic"])
def test_bound_runs_and_replayed_graphs_compute_what_run_does_for_new_inputs_too(
    model: onnx.ModelProto, tmp_path: Path
) -> None:
    found = compared(tmp_path, model)
    assert found["refused"] is None
    assert {name: found[name] <= SAME for name in ("bound", "bound+copies", "graph")} == dict.fromkeys(
        ("bound", "bound+copies", "graph"), True
    )
    assert (found["unshaped"], found["on_host"], found["device"]) == ([], [], ["cuda"])
    assert min(found["input_byte"], found["output_byte"]) >= 2 * 64 * 4


def test_an_output_whose_shape_depends_on_data_is_bound_without_shape(tmp_path: Path) -> None:
    found = compared(tmp_path, data_dependent())
    assert (found["bound"], found["bound+copies"], found["unshaped"]) == (0.0, 0.0, ["i"])
    assert found["refused"] is not None
    assert "only a run tells the shape of 'i'" in found["refused"] or "graph" in found["refused"].lower()


def test_an_input_that_is_read_on_the_host_stays_there(tmp_path: Path) -> None:
    found = compared(tmp_path, shape_as_input())
    assert (found["bound"], found["bound+copies"]) == (0.0, 0.0)
    if hasattr_memory_infos():
        assert found["on_host"] == ["shape"]


def hasattr_memory_infos() -> bool:
    """Whether this ONNX Runtime tells where inputs are used."""
    from onnxruntime import InferenceSession  # no session is made in this process

    return hasattr(InferenceSession, "get_input_memory_infos")


def test_all_modes_are_measured_in_one_item(project: GpuProject) -> None:
    project.models([{"name": "healthy"}], {"healthy": multilayer()})
    result = project.run(
        "--ortperf-mode=benchmark",
        "--ortperf-ep=cuda",
        f"--ortperf-timing={','.join(ALL)}",
        "--ortperf-concurrency=4",
        "--ortperf-min-time=0.2",
    )
    record = result.of("healthy")
    assert record.outcome == "passed", told(record)
    assert nodes_on_cuda(record) > 0
    assert record.refused_timings == {}
    assert [latency.timing for latency in record.latencies] == list(ALL)
    assert record.copies is not None
    assert (record.copies.to_device_byte, record.copies.to_host_byte) == (8 * 64 * 4, 8 * 64 * 4)
    assert min(record.copies.to_device_ns, record.copies.to_host_ns) > 0
    assert record.concurrent is not None
    assert (record.concurrent.timing, len(record.concurrent.iterations)) == ("bound", 4)
    assert "4 threads on one session, bound: " in result.out


def test_bound_is_the_headline_and_host_beside_it_gives_the_gain(project: GpuProject) -> None:
    project.models([{"name": "healthy"}], {"healthy": multilayer()})
    result = project.run("--ortperf-mode=benchmark", "--ortperf-ep=cpu cuda")
    modes = {record.provider: [latency.timing for latency in record.latencies] for record in result.records}
    assert modes == {"cpu": ["host"], "cuda": ["bound", "host"]}
    (row,) = (line.split() for line in result.out.splitlines() if "healthy" in line and "% cpu" in line)
    assert "host" in row


@pytest.mark.parametrize("model", [data_dependent(), looping()], ids=["data_dependent", "control_flow"])
def test_a_model_that_no_graph_holds_is_measured_otherwise_and_fails_only_if_nothing_else_was_asked_for(
    project: GpuProject, model: onnx.ModelProto
) -> None:
    project.models([{"name": "m"}], {"m": model})
    both = project.run("--ortperf-mode=benchmark", "--ortperf-ep=cuda", "--ortperf-timing=bound,graph").of("m")
    assert both.outcome == "passed", told(both)
    assert [latency.timing for latency in both.latencies] == ["bound", "host"]
    assert set(both.refused_timings) == {"graph"}
    alone = project.run("--ortperf-mode=benchmark", "--ortperf-ep=cuda", "--ortperf-timing=graph").of("m")
    assert alone.failure is not None
    assert (alone.outcome, alone.failure.kind) == ("failed", "timing unavailable")
    assert alone.failure.message.startswith("--ortperf-timing=graph cannot be measured: ")
    assert [latency.timing for latency in alone.latencies] == ["host"]


def test_the_lock_is_named_by_the_gpu(project: GpuProject, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORTPERF_LOCKS", str(project.path / "locks"))
    project.models([{"name": "healthy"}], {"healthy": multilayer()})
    project.run("--ortperf-mode=benchmark", "--ortperf-ep=cuda")
    locks = sorted(path.name for path in (project.path / "locks").glob("*.lock"))
    assert [name.partition("-")[0] for name in locks] == ["cpu.lock", "gpu"]
    uuid = locks[1].removeprefix("gpu-").removesuffix(".lock")
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    assert uuid.startswith(("GPU-", "MIG-")), f"{locks}, CUDA_VISIBLE_DEVICES={visible}"
