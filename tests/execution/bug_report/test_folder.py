from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from pytest_ortperf.cases.matrix import Case
from pytest_ortperf.cases.model import Model
from pytest_ortperf.cases.providers import find_provider
from pytest_ortperf.cases.rules import Tolerance
from pytest_ortperf.errors import CaseError
from pytest_ortperf.execution.accuracy.output_accuracy import compare, effective
from pytest_ortperf.execution.bisection.find import Search, bisect
from pytest_ortperf.execution.bug_report import folder
from pytest_ortperf.execution.bug_report import repro_script as script
from pytest_ortperf.execution.bug_report.folder import write_bug_report
from pytest_ortperf.execution.case_settings import ExecutionSettings, GivenData

BUNDLED = Path(__file__).parents[3] / "models"


class NoHooks:
    def configure_session(self, session_options: onnxruntime.SessionOptions) -> None:
        pass

    def before_first_run(self, session: onnxruntime.InferenceSession) -> None:
        pass


def search(path: Path, folder: Path, *, precision: str | None = None, **settings: Any) -> Search:
    model = Model(name="m", path=path, origin="models.json")
    return Search(
        case=Case(model=model, mode="validate", provider=find_provider("cpu"), precision=precision),
        settings=ExecutionSettings(cache=folder.parent / "cache", **settings),
        hooks=NoHooks(),
        timeout_s=60,
        folder=folder,
    )


def write(path: Path, nodes: list[onnx.NodeProto], inputs: list[onnx.ValueInfoProto], *outputs: str) -> Path:
    graph = helper.make_graph(nodes, "g", inputs, [onnx.ValueInfoProto(name=name) for name in outputs])
    onnx.save_model(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "run.py", *arguments], cwd=folder, capture_output=True, text=True, timeout=60, check=False
    )


def test_what_is_right_is_written_and_said_to_be_right(tmp_path: Path) -> None:
    path = write(
        tmp_path / "m.onnx",
        [helper.make_node("Abs", ["x"], ["y"])],
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2])],
        "y",
    )
    report = write_bug_report(search(path, tmp_path / "bug"))
    assert (report.shows_it, report.text.splitlines()[-1]) == (False, "right: 'y'")
    assert (
        (tmp_path / "bug/README.md")
        .read_text("utf-8")
        .startswith(
            "# CPUExecutionProvider: the outputs are within tolerance\n\nExpected: CPU, graph optimisation off.\n"
        )
    )
    with pytest.raises(CaseError, match="there is nothing to search"):
        write_bug_report(search(path, tmp_path / "small"), smallest=True)


def test_session_options_and_tolerances_are_those_of_the_case(tmp_path: Path) -> None:
    path = write(
        tmp_path / "m.onnx",
        [helper.make_node("Abs", ["x"], ["y"])],
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2])],
        "y",
    )
    asked = search(path, tmp_path / "bug", threads=1, graph_optimization="basic", session_config={"a.b": "1"})
    write_bug_report(asked)
    case = json.loads((tmp_path / "bug/case.json").read_text("utf-8"))
    assert case["providers"] == [["CPUExecutionProvider", {}]]
    assert case["session"] == {
        "graph_optimization": "basic",
        "intra_op_threads": 1,
        "inter_op_threads": None,
        "execution_mode": "sequential",
        "config": {"a.b": "1"},
        "free_dimensions": {},
        "custom_op_libraries": [],
    }
    assert case["tolerances"]["y"] | {"rtol": 1e-3, "percent_mismatch": 0.0} == case["tolerances"]["y"]
    assert 0 < case["tolerances"]["y"]["atol"] < 1e-5  # 1e-5 times the root mean square of values in [-1, 1)


def test_values_that_numpy_lacks_strings_and_sequences_go_through_the_script(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Cast", ["b"], ["wide"], to=TensorProto.FLOAT),
        helper.make_node("Cast", ["wide"], ["narrow"], to=TensorProto.BFLOAT16),
    ]
    narrow = write(
        tmp_path / "bf16.onnx", nodes, [helper.make_tensor_value_info("b", TensorProto.BFLOAT16, [3])], "wide", "narrow"
    )
    given = GivenData(inputs={"b": np.array([1, 2.5, -3], ml_dtypes.bfloat16)})
    report = write_bug_report(search(narrow, tmp_path / "bf16", given=given))
    assert report.text.splitlines()[1:] == ["right: 'wide'", "right: 'narrow'"]
    nodes = [
        helper.make_node("Identity", ["s"], ["t"]),
        helper.make_node("SequenceConstruct", ["x", "x"], ["list"]),
    ]
    inputs = [
        helper.make_tensor_value_info("s", TensorProto.STRING, [2]),
        helper.make_tensor_value_info("x", TensorProto.FLOAT, [2]),
    ]
    others = write(tmp_path / "others.onnx", nodes, inputs, "t", "list")
    report = write_bug_report(search(others, tmp_path / "others"))
    assert report.text.splitlines()[1:] == ["right: 't'", "right: 'list'"]
    case = json.loads((tmp_path / "others/case.json").read_text("utf-8"))
    case["expected"][0][1]["strings"][0] = "something else"
    (tmp_path / "others/case.json").write_text(json.dumps(case), encoding="utf-8")
    done = run(tmp_path / "others")
    assert (done.returncode, done.stdout.splitlines()[1]) == (1, "WRONG: 't': strings differ")


def test_external_data_is_copied(tmp_path: Path) -> None:
    model = onnx.load(BUNDLED / "external_weights" / "model.onnx")
    assert model.graph.initializer
    report = write_bug_report(search(BUNDLED / "external_weights" / "model.onnx", tmp_path / "bug"))
    assert "weights.bin" in report.files
    assert report.text.splitlines()[-1].startswith("right: ")


def test_an_error_of_the_runtime_is_shown(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Constant", [], ["far"], value=numpy_helper.from_array(np.array([9]))),
        helper.make_node("Gather", ["x", "far"], ["y"]),
    ]
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2])]
    near = [helper.make_node("Identity", ["x"], ["y"])]
    sound = write(tmp_path / "sound.onnx", near, inputs, "y")
    faulty = write(tmp_path / "m.onnx", nodes, inputs, "y")
    report = write_bug_report(search(faulty, tmp_path / "bug", given=GivenData(reference_model=sound)))
    assert report.shows_it
    assert report.text.splitlines()[1].startswith("WRONG: InvalidArgument: ")


def test_a_real_crash_is_found_and_shown(tmp_path: Path) -> None:
    asked = search(BUNDLED / "lstm" / "model.onnx", tmp_path / "part", precision="fp16")
    found = bisect(asked)
    if found.symptom != "crash":
        pytest.skip("this ONNX Runtime does not crash on this model")
    assert found.suspect is not None
    assert found.sessions <= found.sessions_allowed
    assert len(found.part) < found.nodes
    report = write_bug_report(dataclasses.replace(asked, folder=tmp_path / "bug"), smallest=True)
    assert report.shows_it
    assert report.text.splitlines()[-1] == "ended by signal 11 (SIGSEGV)"
    assert run(tmp_path / "bug").returncode == -11
    assert run(tmp_path / "bug", "--graph-optimization", "disable").stdout.splitlines()[-1].startswith("right: ")


HALF = Tolerance(rtol=1e-2, atol=1e-3, percent_mismatch=0.0, cosine=0.999, peak_percent=1.0)
EIGHT_BITS = Tolerance(rtol=1e-3, atol=1e-5, cosine=0.99, snr_db=20.0, peak_percent=8.0)
FLAT = np.full((1, 1000), 1e-3, np.float32)
ROWS = np.array([[0.1, 0.7, 0.2], [0.5, 0.3, 0.2]], np.float32)


def changed(array: np.ndarray, index: Any, value: Any) -> np.ndarray:
    found = array.copy()
    found[index] = value
    return found


@pytest.mark.parametrize(
    ("output", "reference", "given"),
    [
        (FLAT, FLAT, HALF),
        (changed(FLAT, (0, 7), 1.1e-3), FLAT, HALF),  # all within atol, and 10 % of the largest
        (np.array([1000, 1001]), np.array([1000, 1000]), HALF),  # integers have no rtol
        (np.array([2**62 + 1]), np.array([2**62]), HALF),
        (np.array([2**62 + 1]), np.array([2**62]), Tolerance(atol=1.0)),
        (np.array([100, 101]), np.array([100, 100]), EIGHT_BITS),  # nor a cosine
        (np.array([True]), np.array([False]), EIGHT_BITS),
        (np.float32([1, 2, 100.5]), np.float32([1, 2.4, 100]), EIGHT_BITS),
        (np.float32([1, 2, 110]), np.float32([1, 2, 100]), EIGHT_BITS),
        (np.float32([1, np.nan, 100]), np.float32([1, 2, 100]), EIGHT_BITS),
        (np.float32([1, np.nan, 1]), np.ones(3, np.float32), Tolerance(percent_mismatch=50.0)),
        (np.float32([1, np.nan, 1]), np.ones(3, np.float32), Tolerance(percent_mismatch=50.0, nan_pattern="counted")),
        (np.float32([np.nan, np.inf]), np.float32([np.nan, np.inf]), HALF),
        (np.float32([1e-3]), np.float32([0]), EIGHT_BITS),
        (np.ones(2), np.ones(2, np.float32), HALF),
        (ROWS[:, ::-1].copy(), ROWS, Tolerance(top_k=1)),
        (ROWS / 2, ROWS, Tolerance(top_k=2)),
        (np.array([[3, 7, 9]]), np.array([[7, 3, 5]]), Tolerance(top_k=2)),
        (np.array([[3, 7, 9]]), np.array([[7, 3, 5]]), Tolerance(top_k=3)),
        ([{"cat": 0.5, "dog": 0.25}], [{"dog": 0.25, "cat": 0.75}], HALF),
        ([{"cat": 0.5, "dog": 0.25}], [{"dog": 0.25, "cat": 0.5}], HALF),
        ({1: 0.5}, {2: 0.5}, HALF),
        ([np.ones(2, np.float32)], [np.ones(3, np.float32)], HALF),
        (np.zeros((0, 3), np.float32), np.zeros((0, 3), np.float32), HALF),
        (np.array(1.5), np.array(1.0), HALF),
        (np.array([1 + 2j]), np.array([1 + 2.5j]), HALF),
        (None, None, HALF),
        (None, np.ones(1), HALF),
    ],
)
def test_the_script_decides_as_a_validation_does(output: Any, reference: Any, given: Tolerance) -> None:
    (found,) = compare({"y": output}, {"y": reference}, lambda _: given)
    limits = {**folder._limits(effective(given, output, reference)), "any_float": False}  # noqa: SLF001 - as case.json has them
    problem = script.compare(output, reference, None, limits)

    assert (problem is None) == found.within_tolerance, problem


def test_an_output_whose_largest_error_alone_is_wrong_is_shown(tmp_path: Path) -> None:
    nodes = [helper.make_node("Add", ["x", "w"], ["y"])]
    inputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 1000]) for name in "xw"]
    path = write(tmp_path / "m.onnx", nodes, inputs, "y")
    other = changed(FLAT, (0, 7), 1.1e-3)
    given = GivenData(inputs={"x": other, "w": np.zeros_like(FLAT)}, references={"y": FLAT})
    asked = search(path, tmp_path / "bug", given=given, tolerance=Tolerance(peak_percent=1.0, atol=1e-3))

    report = write_bug_report(asked)

    assert report.shows_it
    assert report.text.splitlines()[1] == (
        "WRONG: 'y': largest error 10 % of the largest value (allowed 1 %); worst at (0, 7): 0.0011 instead of 0.001"
    )
    title, symptom, *_ = (tmp_path / "bug/README.md").read_text("utf-8").split("\n\n")
    assert title == (
        "# CPUExecutionProvider: 'y': largest error 10 % of the largest reference (allowed 1 %), worst at (0, 7): "
        "0.0011 instead of 0.001"
    )
    assert symptom.startswith(f"{title.partition(': ')[2]}, rtol=0.001, atol=0.001; max abs error 0.0001, ")
