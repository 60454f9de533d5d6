"""What the plugin says of the memory of a model with 80 MiB of weights, beside a bare script in a process of its own.

    python benchmarks/memory_footprint.py [--weights MIB] [--parent MIB]

The model is made on the fly. The bare script imports ONNX Runtime, resets the kernel's peak, makes a session and runs
it twice; what its VmHWM is over what was resident before is the independent number. The plugin runs the same model
under a parent that holds as much as `--parent` says, which must not show.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from pytest_ortperf.records.resources import HostMemory
from pytest_ortperf.records.store import find_run, read_run

MIB = 2**20
ROWS = 4096
FORMS = ("inside", "external", "gathered")

BARE = """
import re, sys
import numpy as np
import onnxruntime

def sizes():
    with open("/proc/self/status") as file:
        text = file.read()
    return {name: int(size) * 1024 for name, size in re.findall(r"^(VmHWM|VmRSS):\\s*(\\d+) kB", text, re.M)}

def restart():
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")

before = sizes()["VmRSS"]
restart()
session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
made = sizes()
restart()
(meta,) = session.get_inputs()
x = np.ones(meta.shape, np.float32 if "float" in meta.type else np.int64)
for _ in range(2):
    session.run(None, {"x": x})
print(made["VmHWM"] - before, made["VmRSS"] - before, sizes()["VmHWM"] - before)
"""


def main() -> None:
    """Print both for each form of the model."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--weights", type=int, default=80, metavar="MIB")
    parser.add_argument("--parent", type=int, default=300, metavar="MIB")
    arguments = parser.parse_args()
    print(f"{arguments.weights} MiB of weights; MiB over what was there before the session")
    print(f"{'weights':10} {'':12} {'creation, peak':>15} {'session':>10} {'runs, peak':>12}")
    with tempfile.TemporaryDirectory() as folder:
        for form in FORMS:
            path = write_model(Path(folder), form, arguments.weights * MIB)
            plugin = plugin_numbers(path, arguments.parent * MIB)
            for name, numbers in (("bare script", bare_numbers(path)), ("plugin", plugin)):
                print(f"{form:10} {name:12} {numbers[0]:15.1f} {numbers[1]:10.1f} {numbers[2]:12.1f}")


def write_model(folder: Path, form: str, byte: int) -> Path:
    """Write a model with weights of that size, multiplied with or, of `gathered`, looked up; return its path."""
    weight = np.random.default_rng(0).normal(size=(ROWS, byte // ROWS // 4)).astype(np.float32)
    width = weight.shape[1]
    operator, kind, shape = ("Gather", TensorProto.INT64, [1]) if form == "gathered" else ("MatMul", 1, [1, ROWS])
    names = ["w", "x"] if form == "gathered" else ["x", "w"]
    x = helper.make_tensor_value_info("x", kind, shape)
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, width])
    node = helper.make_node(operator, names, ["y"])
    graph = helper.make_graph([node], form, [x], [y], [numpy_helper.from_array(weight, "w")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path = folder / f"{form}.onnx"
    outside = {"save_as_external_data": True, "location": f"{form}.bin"} if form != "inside" else {}
    onnx.save_model(model, path, **outside)
    return path


def bare_numbers(model: Path) -> list[float]:
    """Return what a process of its own tells of itself, in MiB."""
    done = subprocess.run([sys.executable, "-c", BARE, str(model)], check=True, capture_output=True, text=True)
    return [int(text) / MIB for text in done.stdout.split()]


def plugin_numbers(model: Path, parent_byte: int) -> list[float]:
    """Return what the plugin's record says, in MiB, under a parent of that size."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "pytest.ini").touch()
        (folder / "models.json").write_text(json.dumps([{"name": "heavy", "path": str(model)}]), encoding="utf-8")
        holding = f"import numpy as np\nheld = np.ones({parent_byte} // 8)\n"
        (folder / "conftest.py").write_text(holding, encoding="utf-8")
        options = ("--ortperf-mode=benchmark", "--ortperf-ep=cpu", "--ortperf-iterations=3", "--ortperf-warmup=1")
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options, "--ortperf-operators=off"]
        subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
        (record,) = read_run(find_run(folder / "result")).records
    memory = record.resources.host_memory if record.resources else None
    return [] if memory is None else [(byte or 0) / MIB for byte in _told(memory)]


def _told(memory: HostMemory) -> tuple[int | None, ...]:
    return memory.creation_peak_byte, memory.creation_byte, memory.run_peak_byte


if __name__ == "__main__":
    main()
