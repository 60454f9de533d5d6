"""Small models for `same_results.py`, most of which fail on purpose; their results are exact on every machine."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

Array = npt.NDArray[Any]
Entry = dict[str, Any]

ROWS, COLUMNS = 2, 8
IN = np.arange(ROWS * COLUMNS, dtype=np.float32).reshape(ROWS, COLUMNS)
OUT = IN + IN
EVER = 2**40
"""Iterations of a loop that runs into every deadline."""

FIXTURE_FILE = """import pytest


def test_right(ortperf):
    verdict = ortperf.validate("double/model.onnx", ep="cpu", test_data="data/right")
    assert verdict.accuracy[0].within_tolerance
    assert ortperf.benchmark("double/model.onnx", iterations=5, warmup=1).latencies[0].timing == "host"


def test_wrong(ortperf):
    ortperf.validate("double/model.onnx", test_data="data/wrong", name="wrong")


def test_limit(ortperf):
    ortperf.benchmark("double/model.onnx", iterations=5, warmup=1, expect={"throughput": 1e12})


def test_argument(ortperf):
    ortperf.validate("double/model.onnx", ep="nowhere")


def test_nothing():
    pass
"""

BAD_LIST = {
    "defaults": {"timeout": -1, "name": "x"},
    "models": [
        {"name": "a", "path": "double/model.onnx", "colour": "red"},
        {"name": "a", "path": 7},
        {"path": "double/model.onnx"},
        {"name": "b[", "path": "double/model.onnx", "tags": ["skip", "no word"]},
        {"name": "c", "path": "double/model.onnx", "tolerance": {"rtol": "x", "precision": "fp12"}},
        {"name": "d", "path": "double/model.onnx", "expect": {"p50": 1}, "skip": {"modes": ["never"]}},
        {"name": "e", "source": "elsewhere:net", "dims": {"batch": 0}},
    ],
}
"""A model list with mistakes in every entry."""


def write_models(folder: Path) -> None:
    """Write all models, their data, the lists `odd.json`, `later.json` and `bad.json`, and a test file."""
    doubled = [helper.make_node("Add", ["x", "x"], ["y"], name="double")]
    _write_model(folder / "double", doubled, [_floats("x", ROWS, COLUMNS)], [_floats("y", ROWS, COLUMNS)])
    _write_model(folder / "rows", doubled, [_floats("x", "batch", COLUMNS)], [_floats("y", "batch", COLUMNS)])
    _write_model(folder / "two", _two_nodes(), [_floats("x", ROWS, COLUMNS)], [_floats("y", ROWS, COLUMNS), _TOP])
    _write_model(folder / "strange", _strange_nodes(), [_floats("x", ROWS)], [_floats("y", ROWS)], "nowhere")
    shape = helper.make_tensor_value_info("shape", TensorProto.INT64, [2])
    reshaped = [helper.make_node("Reshape", ["x", "shape"], ["y"], name="reshape")]
    _write_model(folder / "reshape", reshaped, [_floats("x", ROWS, COLUMNS), shape], [_floats("y", "a", "b")])
    _write_model(folder / "endless", _endless_nodes(), [_floats("x", 1)], [_floats("y", 1)])
    (folder / "broken").mkdir()
    (folder / "broken" / "model.onnx").write_bytes(b"not a model")
    _write_all_data(folder / "data")
    (folder / "odd.json").write_text(json.dumps({"models": entries()}), encoding="utf-8")
    (folder / "later.json").write_text(json.dumps({"models": later_entries()}), encoding="utf-8")
    (folder / "bad.json").write_text(json.dumps(BAD_LIST), encoding="utf-8")
    (folder / "test_fixture.py").write_text(FIXTURE_FILE, encoding="utf-8")


def entries() -> list[Entry]:
    """Return the entries of `odd.json`, with all outcomes and kinds of failure that a CPU can give."""
    no_bound = {"rtol": 0, "atol": 1, "percent_mismatch": 25}
    return [
        _entry("right", "double", "right", tags=["fine"]),
        _entry("wrong", "double", "wrong"),
        _entry("nearly", "double", "wrong", tolerance=[{"output": "z", "rtol": 1}, no_bound]),
        _entry("not finite", "double", "not_finite"),
        _entry("another shape", "double", "shape"),
        _entry("another type", "double", "type"),
        _entry("two sets", "double", "sets"),
        _entry("two outputs", "two", "two", tolerance={"output": "top", "top_k": 2}),
        _entry(
            "own rules", "double", "wrong", tolerance={"cosine": 0.9999, "snr_db": 60, "peak_percent": 1, "atol": 9}
        ),
        _entry("absent", "absent", None),
        _entry("broken", "broken", None),
        _entry("no kernel", "strange", None),
        _entry("cannot run", "reshape", "reshape"),
        _entry("no such data", "double", "nowhere"),
        _entry("another input", "double", "input"),
        _entry("endless", "endless", None, timeout=3, skip={"reason": "once will do", "modes": ["benchmark"]}),
        _entry("limit", "double", "right", expect=[{"p50_ms": 1e-9, "p99_ms": 5}, {"nodes_on_ep_percent": 100}]),
        _entry("expected", "double", "wrong", xfail={"reason": "planted", "modes": ["validate"]}),
        _entry("unexpected", "double", "right", xfail="never fails"),
        _entry("skipped", "double", "right", skip="not now"),
        _entry("a:colon", "double", "right"),
        _entry("naïve = name, quoted 'so'", "double", "right"),
        _entry(
            "swept", "rows", None, dims={"batch": [1, 3]}, inputs={"x": {"fill": "ramp"}, "*_mask": {"fill": "ones"}}
        ),
        _entry("fixed", "rows", None, dims={"batch": 2}, fix_dims=True, inputs={"x": {"fill": "ones"}}),
        _entry("settings", "double", "right", session={"intra_op_threads": 1, "graph_optimization": "basic"}),
    ]


def later_entries() -> list[Entry]:
    """Return the entries of `later.json`: one failure is new, one is fixed, some entries are gone, one is new."""
    data = {"right": "wrong", "wrong": "right", "nearly": "worse"}
    kept = [entry for entry in entries() if entry["name"] not in ("swept", "a:colon", "endless")]
    for entry in kept:
        if entry["name"] in data:
            entry["test_data"] = f"data/{data[entry['name']]}"
    return [*kept, _entry("new", "double", "right")]


def _entry(name: str, model: str, data: str | None, **more: Any) -> Entry:
    return {
        "name": name,
        "path": f"{model}/model.onnx",
        **({} if data is None else {"test_data": f"data/{data}"}),
        **more,
    }


def _write_all_data(folder: Path) -> None:
    wrong, worse, not_finite = OUT.copy(), OUT.copy(), OUT.copy()
    wrong[1, 2:5] += 1, -0.5, 0.25
    worse[1, 2:5] += 1, -0.5, 1
    not_finite[0, 1], not_finite[1, 7] = np.nan, np.inf
    top = np.array([[7, 6], [5, 6]], np.int64)
    sets: Mapping[str, tuple[Mapping[str, Array], Mapping[str, Array]]] = {
        "right": ({"x": IN}, {"y": OUT}),
        "wrong": ({"x": IN}, {"y": wrong}),
        "worse": ({"x": IN}, {"y": worse}),
        "not_finite": ({"x": IN}, {"y": not_finite}),
        "shape": ({"x": IN}, {"y": OUT[:, :4]}),
        "type": ({"x": IN}, {"y": OUT.astype(np.int32)}),
        "two": ({"x": IN}, {"y": OUT, "top": top}),
        "reshape": ({"x": IN, "shape": np.array([3, 5], np.int64)}, {}),
        "input": ({"z": IN, "more": IN}, {"y": OUT}),
    }
    for name, (inputs, outputs) in sets.items():
        _write_data(folder / name / "test_data_set_0", inputs, outputs)
    for number, outputs in enumerate((OUT, wrong)):
        _write_data(folder / "sets" / f"test_data_set_{number}", {"x": IN}, {"y": outputs})


def _write_data(folder: Path, inputs: Mapping[str, Array], outputs: Mapping[str, Array]) -> None:
    folder.mkdir(parents=True)
    for kind, arrays in (("input", inputs), ("output", outputs)):
        for number, (name, values) in enumerate(arrays.items()):
            path = folder / f"{kind}_{number}.pb"
            path.write_bytes(numpy_helper.from_array(np.ascontiguousarray(values), name).SerializeToString())


def _write_model(
    folder: Path,
    nodes: Sequence[NodeProto],
    inputs: Sequence[ValueInfoProto],
    outputs: Sequence[ValueInfoProto],
    *domains: str,
) -> None:
    folder.mkdir(parents=True)
    graph = helper.make_graph(nodes, folder.name, inputs, outputs)
    versions = [helper.make_opsetid("", 17), *(helper.make_opsetid(domain, 1) for domain in domains)]
    onnx.save(helper.make_model(graph, opset_imports=versions, ir_version=8), folder / "model.onnx")


def _floats(name: str, *shape: int | str) -> ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


_TOP = helper.make_tensor_value_info("top", TensorProto.INT64, [ROWS, 2])


def _two_nodes() -> list[NodeProto]:
    count = numpy_helper.from_array(np.array([2], np.int64))
    return [
        helper.make_node("Add", ["x", "x"], ["y"], name="double"),
        helper.make_node("Constant", [], ["k"], value=count),
        helper.make_node("TopK", ["x", "k"], ["largest", "top"], name="top"),
    ]


def _strange_nodes() -> list[NodeProto]:
    return [helper.make_node("Strange", ["x"], ["y"], name="strange", domain="nowhere")]


def _endless_nodes() -> list[NodeProto]:
    def scalar(name: str, kind: int) -> ValueInfoProto:
        return helper.make_tensor_value_info(name, kind, [])

    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["go_on"]), helper.make_node("Add", ["now", "now"], ["next"])],
        "body",
        [scalar("i", TensorProto.INT64), scalar("go", TensorProto.BOOL), _floats("now", 1)],
        [scalar("go_on", TensorProto.BOOL), _floats("next", 1)],
    )
    constants: Sequence[tuple[str, Callable[[], Array]]] = (
        ("times", lambda: np.array(EVER, np.int64)),
        ("true", lambda: np.array(1, np.bool_)),
    )
    return [
        *(helper.make_node("Constant", [], [name], value=numpy_helper.from_array(make())) for name, make in constants),
        helper.make_node("Loop", ["times", "true", "x"], ["y"], name="loop", body=body),
    ]
