"""Every reader of files of others, each with a sound file to start from: what hypothesis and atheris feed."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from pytest_ortperf.cases.model import Model
from pytest_ortperf.cases.model_list import read_models
from pytest_ortperf.execution.inputs.stored_data import find_data_sets, read_inputs
from pytest_ortperf.execution.model.external_data import check_external_data, load_external_data
from pytest_ortperf.execution.model.model_facts import describe_model
from pytest_ortperf.execution.model.model_file import check_model_file, load_graph
from pytest_ortperf.execution.profile.operator_profile import operators_of
from pytest_ortperf.execution.session.profile_events import read_events
from pytest_ortperf.execution.trtexec.log import parse_logs
from pytest_ortperf.records.codec import as_dict
from pytest_ortperf.records.pairs_file import read_pairs
from pytest_ortperf.records.store import encode_line, read_run
from pytest_ortperf.reports.comparison.sources.script_tables import read_pytest_benchmark, read_script_table
from pytest_ortperf.reports.writers import write_reports
from record_examples import make_end, make_header, make_latency, whole_record

SAMPLES = Path(__file__).parents[1] / "data"
META = SimpleNamespace(name="x", type="tensor(float)", shape=[1, 3])


@dataclass(frozen=True, slots=True)
class Reader:
    """One kind of file."""

    file: str
    """Its name, with the folders it lies in."""

    sound: bytes
    read: Callable[[Path], Any]
    """Reads the file, and looks at all that came out."""


def _tensor(**changes: Any) -> bytes:
    proto = numpy_helper.from_array(np.ones((1, 3), np.float32), "x")
    for key, value in changes.items():
        setattr(proto, key, value)
    data: bytes = proto.SerializeToString()
    return data


def _npz() -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, x=np.ones((1, 3), np.float32), y=np.zeros((2, 2), np.int64))
    return file.getvalue()


def _model() -> bytes:
    weight = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[3], data_location=TensorProto.EXTERNAL)
    weight.external_data.add(key="location", value="w.bin")
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 3]) for name in "xy")
    graph = helper.make_graph([helper.make_node("Add", ["x", "w"], ["y"])], "add", [x], [y], [weight])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    data: bytes = made.SerializeToString()
    return data


def _read_model(path: Path) -> None:
    (path.parent / "w.bin").write_bytes(bytes(12))
    size = check_model_file(path, Model(name="m", path=path, origin="models.json"))
    proto = load_graph(path, size)
    describe_model(proto, path, size, {})
    check_external_data(proto, path)
    load_external_data(proto, path.parent)
    assert isinstance(proto, onnx.ModelProto)


def _read_inputs(path: Path) -> None:
    model = Model(name="m", path=path, origin="models.json")
    for data_set in find_data_sets(path.parents[1]):
        read_inputs(data_set, [META], model)


def _records() -> bytes:
    record = whole_record(latencies=(make_latency(*range(1, 101)),))
    return encode_line(make_header()) + encode_line(record) + encode_line(make_end())


def _read_records(path: Path) -> None:
    run = read_run(path)
    write_reports(run, path.parent / "reports")
    for record in run.records:
        as_dict(record)


def _profile() -> bytes:
    def event(cat: str, name: str, ts: int, dur: int, **args: str) -> dict[str, Any]:
        return {"cat": cat, "pid": 1, "tid": 1, "dur": dur, "ts": ts, "ph": "X", "name": name, "args": args}

    node = {"provider": "CPUExecutionProvider", "op_name": "Add", "node_index": "0"}
    runs = [
        [
            event("Node", "add_kernel_time", start + 2, 3, **node),
            event("Session", "SequentialExecutor::Execute", start + 1, 6),
            event("Session", "model_run", start, 8),
        ]
        for start in (10, 30)
    ]
    return json.dumps([event("Session", "model_loading", 0, 5), *runs[0], *runs[1]]).encode()


def _read_profile(path: Path) -> None:
    operators_of(read_events(path.read_text(encoding="utf-8", errors="replace")), warm=0, runs=2)


_LIST = {
    "defaults": {"timeout": 6, "tolerance": {"rtol": 0.1}},
    "models": [
        {"name": "a", "path": "a.onnx", "tags": ["vision"], "inputs": {"x": {"shape": [1, 3], "fill": "ones"}}},
        {"name": "b", "path": "b.onnx", "dims": {"batch": [1, 8]}, "expect": {"p99_ms": 3}},
    ],
}
_LATENCY = (
    "Model,ORT-CPUFp32 mean (ms),ORT-CPUFp32 90th percentile (ms),ORT-CUDAFp32 mean (ms)\n"
    "bert,1.25,1.5,0.75\nresnet50,2.5,2.75,\n"
)
_BENCHMARK = {
    "machine_info": {"node": "host", "cpu": {"brand_raw": "EPYC", "count": 2}},
    "commit_info": {"id": "abc"},
    "benchmarks": [
        {
            "name": "t",
            "fullname": "test.py::t",
            "stats": {"rounds": 5, "mean": 0.1, "median": 0.1, "min": 0.09, "stddev": 0.01},
            "extra_info": {"ep": "cpu"},
        }
    ],
}


def _trtexec() -> bytes:
    return min((SAMPLES / "trtexec").rglob("*.*"), key=lambda path: path.stat().st_size).read_bytes()


READERS: dict[str, Reader] = {
    "model list": Reader("models.json", json.dumps(_LIST).encode(), lambda path: read_models(path, workspace=None)),
    "model": Reader("m.onnx", _model(), _read_model),
    "pb": Reader("data/test_data_set_0/input_0.pb", _tensor(), _read_inputs),
    "npz": Reader("data/test_data_set_0/inputs.npz", _npz(), _read_inputs),
    "records": Reader("records_20261123-210146.jsonl", _records(), _read_records),
    "pairs": Reader("pairs_20261123-210146.jsonl", b'{"type":"header","schema":1}\n', read_pairs),
    "csv": Reader("latency.csv", _LATENCY.encode(), read_script_table),
    "pytest-benchmark": Reader("b.json", json.dumps(_BENCHMARK).encode(), read_pytest_benchmark),
    "trtexec log": Reader(
        "trtexec.log",
        _trtexec(),
        lambda path: parse_logs(path.read_text(encoding="utf-8", errors="replace")),
    ),
    "profile": Reader("profile.json", _profile(), _read_profile),
}
