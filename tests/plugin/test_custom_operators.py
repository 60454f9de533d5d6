"""Custom operators: a library that is compiled here, in runs that load it and in one that does not."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pytest
from onnx import TensorProto, helper

from plugin.project import Project, tensor

SOURCE = Path(__file__).with_name("triple.c")
COMPILER = shutil.which(os.environ.get("CC", "cc"))
pytestmark = pytest.mark.skipif(COMPILER is None, reason="there is no C compiler here")


@functools.cache
def library() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "libtriple.so"
        subprocess.run([str(COMPILER), "-shared", "-fPIC", "-o", made, SOURCE], check=True)
        return made.read_bytes()


def model() -> bytes:
    """Return `y = triple(x)` for a vector."""
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n"]) for name in "xy")
    graph = helper.make_graph([helper.make_node("Triple", ["x"], ["y"], domain="ortperf.test")], "triple", [x], [y])
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ortperf.test", 1)]
    return bytes(helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString())


def give(project: Project, **entry: Any) -> None:
    project.write("t.onnx", model())
    project.write("ops/libtriple.so", library())
    project.write("data/test_data_set_0/input_0.pb", tensor([1, 2, -4], "x"))
    project.write("data/test_data_set_0/output_0.pb", tensor([3, 6, -12], "y"))
    project.models({"name": "t", "path": "t.onnx", "test_data": "data", **entry})


@pytest.mark.slow
def test_library_of_the_option_is_in_every_session(project: Project) -> None:
    give(project)

    result = project.run("--ortperf-custom-op-library=ops/libtriple.so", "--ortperf-iterations=3", mode="both")

    assert result.outcomes == {"t::validate[cpu]": "passed", "t::benchmark[cpu]": "passed"}, result.out
    verdict = next(record for record in result.records if record["mode"] == "validate")
    assert [it["reference"] for it in verdict["accuracy"]] == ["stored"]
    assert verdict["placement"]["op_types_by_provider"] == {"CPUExecutionProvider": {"Triple": 1}}
    timed = next(record for record in result.records if record["mode"] == "benchmark")
    assert [it["op_type"] for it in timed["operators"]["operators"]] == ["Triple"]


def test_library_of_the_model_list_lies_beside_it_and_is_in_the_reference_s_session_too(project: Project) -> None:
    give(project, session={"custom_op_libraries": ["ops/libtriple.so"]})

    result = project.run("--ortperf-input=random", "--ortperf-dim=n=5")

    record = result.by_model["t"]
    assert record["outcome"] == "passed", result.out
    assert [it["reference"] for it in record["accuracy"]] == ["CPU, graph optimisation off"]


def test_without_its_library_a_custom_operator_fails_with_the_way_out(project: Project) -> None:
    give(project)

    failure = project.run().by_model["t"]["failure"]

    assert (failure["stage"], failure["kind"]) == ("session", "session error")
    assert failure["message"].endswith(
        "ortperf.test:Triple(-1) is not a registered function/op; if it is a custom operator, name its library with "
        "--ortperf-custom-op-library, or as custom_op_libraries of 'session' in the model list"
    )
