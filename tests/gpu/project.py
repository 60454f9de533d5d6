"""A project of a user on a GPU machine: its model list, and runs of pytest in processes of their own.

The process of these tests never makes a session: a CUDA context of its own would reach into what is tested.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from pytest_ortperf.records.record import Record
from pytest_ortperf.records.store import find_run, read_run

TIMEOUT_S = 120
CUDA = "CUDAExecutionProvider"
QUICK = ("--ortperf-iterations=10", "--ortperf-warmup=1", "--ortperf-timeout=40")


@dataclass
class Result:
    """One finished pytest run."""

    exit_code: int
    out: str
    records: tuple[Record, ...] = field(default=())

    def of(self, model: str) -> Record:
        """Return the one record of a model."""
        (record,) = (record for record in self.records if record.model == model)
        return record


class GpuProject:
    """A folder with a model list."""

    def __init__(self, path: Path) -> None:
        self.path = path
        (path / "pytest.ini").touch()

    def models(self, entries: list[dict[str, Any]], graphs: dict[str, onnx.ModelProto]) -> None:
        """Write the list and the model files; an entry's file has its name unless it gives a path."""
        for name, graph in graphs.items():
            onnx.save_model(graph, self.path / f"{name}.onnx")
        listed = [{"path": f"{entry['name']}.onnx", **entry} for entry in entries]
        (self.path / "models.json").write_text(json.dumps(listed), encoding="utf-8")

    def run(self, *args: str, exit_codes: tuple[int, ...] | None = (0, 1)) -> Result:
        """Run pytest and read its records.

        Args:
            args: After the quick settings.
            exit_codes: Allowed ones; `None` for a run that may die at its very end.
        """
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:randomly", *QUICK, *args]
        done = subprocess.run(
            command,
            cwd=self.path,
            env={**kept, "COLUMNS": "120"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            timeout=TIMEOUT_S,
            check=False,
        )
        print(done.stdout)  # noqa: T201 - pytest shows it where the test fails
        assert exit_codes is None or done.returncode in exit_codes, done.stdout
        return Result(done.returncode, done.stdout, read_run(find_run(self.path / "result")).records)


def multilayer() -> onnx.ModelProto:
    """Return two layers, small and without symbolic dimensions: what a healthy case runs."""
    rng = np.random.default_rng(0)
    weights = [numpy_helper.from_array(rng.normal(0, 0.1, (64, 64)).astype(np.float32), name) for name in ("a", "b")]
    nodes = [
        helper.make_node("MatMul", ["x", "a"], ["first"]),
        helper.make_node("Relu", ["first"], ["positive"]),
        helper.make_node("MatMul", ["positive", "b"], ["y"]),
    ]
    return graph_of(nodes, {"x": (TensorProto.FLOAT, [8, 64])}, {"y": (TensorProto.FLOAT, [8, 64])}, weights)


Values = dict[str, tuple[int, list[int | str]]]
"""Name -> element type and shape."""


def graph_of(
    nodes: list[onnx.NodeProto], inputs: Values, outputs: Values, weights: list[onnx.TensorProto]
) -> onnx.ModelProto:
    """Return a model of one graph, with Microsoft's operators beside the standard ones."""
    made = [helper.make_tensor_value_info(name, *kind) for name, kind in inputs.items()]
    results = [helper.make_tensor_value_info(name, *kind) for name, kind in outputs.items()]
    graph = helper.make_graph(nodes, "graph", made, results, weights)
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def nodes_on_cuda(record: Record) -> int:
    """Return how many nodes a case had on CUDA."""
    return record.placement.nodes_by_provider.get(CUDA, 0) if record.placement else 0


def told(record: Record) -> str:
    """Return everything that a record says about its failure."""
    return "" if record.failure is None else "\n".join([record.failure.message, *record.failure.log_tail])
