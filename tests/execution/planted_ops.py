"""A custom operator with planted faults, compiled here, and a case that uses it."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
from onnx import TensorProto, helper
from ort_models import case

from pytest_ortperf.cases.matrix import Case
from pytest_ortperf.cases.rules import SessionRule

SOURCE = Path(__file__).parents[1] / "plugin" / "triple.c"
COMPILER = shutil.which(os.environ.get("CXX", "g++"))
needs_compiler = pytest.mark.skipif(COMPILER is None, reason="there is no C++ compiler here")

LEAK_RUN, LEAK_SESSION, RACE, HANG, CRASH = "LEAK_RUN=1024", "LEAK_SESSION=4096", "RACE", "HANG", "CRASH"


@functools.cache
def library(*faults: str) -> bytes:
    """Return the library with faults."""
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "libtriple.so"
        defines = [f"-D{fault}" for fault in faults]
        command = [str(COMPILER), "-x", "c", "-g", "-shared", "-fPIC", *defines, "-o", made, SOURCE]
        subprocess.run(command, check=True)
        return made.read_bytes()


def triple_model(size: int | str = 64) -> bytes:
    """Return `y = triple(x)` for a vector."""
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [size]) for name in "xy")
    graph = helper.make_graph([helper.make_node("Triple", ["x"], ["y"], domain="ortperf.test")], "triple", [x], [y])
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ortperf.test", 1)]
    return bytes(helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString())


def planted_case(folder: Path, *faults: str) -> Case:
    """Return a case with faults, its files in a folder."""
    model, made = folder / "triple.onnx", folder / "libtriple.so"
    model.write_bytes(triple_model())
    made.write_bytes(library(*faults))
    return case(model, session=(SessionRule(custom_op_libraries=(str(made),)),))
