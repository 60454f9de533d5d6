from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import venv
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from pytest_ortperf.collection.one_case import collecting_options, read_case_id
from pytest_ortperf.errors import SettingsError
from pytest_ortperf.records.bisection import Bisection
from pytest_ortperf.records.codec import from_dict

ADDED = {"PYTHONPATH": os.pathsep.join(sys.path), "COLUMNS": "120"}


def model(path: Path, scale: float) -> None:
    nodes = [
        helper.make_node("Abs", ["x"], ["a"], name="first"),
        helper.make_node("Mul", ["a", "scale"], ["b"], name="second"),
        helper.make_node("Sigmoid", ["b"], ["y"], name="third"),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 3])],
        [numpy_helper.from_array(np.array(scale, np.float32), "scale")],
    )
    onnx.save_model(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return a folder with a model list, a model that is off, and the one that is right."""
    model(tmp_path / "model.onnx", 1.1)
    model(tmp_path / "sound.onnx", 1.0)
    (tmp_path / "models.json").write_text('[{"name": "tiny", "path": "model.onnx"}]')
    return tmp_path


def ortperf(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest_ortperf.cli", *arguments]
    return subprocess.run(
        command, cwd=folder, env=os.environ | ADDED, capture_output=True, text=True, timeout=120, check=False
    )


def test_bisect_prints_the_node_and_keeps_model_page_and_data(project: Path) -> None:
    done = ortperf(project, "bisect", "models.json::tiny::validate[cpu]", "--against", "sound.onnx", "--keep", "found")
    assert (done.returncode, done.stderr.splitlines()[0]) == (
        0,
        "session 3 of at most 8: nodes 0 to 0 of 3: good, error 0",
    )
    lines = done.stdout.splitlines()
    assert "goes wrong at second (Mul), node 1 of 3" in lines
    assert lines[-1] == "pictures: found/bisection.html"
    found = from_dict(Bisection, json.loads((project / "found/bisection.json").read_text("utf-8")))
    assert (found.suspect.name if found.suspect else None, found.fails_alone, found.sessions) == ("second", True, 5)
    assert (project / "found/bisection.html").read_text("utf-8").startswith("<!DOCTYPE html>")
    assert sorted(path.relative_to(project / "found").as_posix() for path in (project / "found").rglob("*.*")) == [
        "bisection.html",
        "bisection.json",
        "smallest/model.onnx",
        "smallest/test_data_set_0/input_0.pb",
        "smallest/test_data_set_0/output_0.pb",
    ]


def branching_model(path: Path, op_type: str) -> None:
    branch = helper.make_graph(
        [
            helper.make_node("Abs", ["a"], ["b"], name="inner_first"),
            helper.make_node(op_type, ["b"], ["c"], name="inner_second"),
        ],
        "branch",
        [],
        [helper.make_tensor_value_info("c", TensorProto.FLOAT, None)],
    )
    nodes = [
        helper.make_node("Relu", ["x"], ["a"], name="first"),
        helper.make_node("If", ["yes"], ["y"], name="choice", then_branch=branch, else_branch=branch),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 3])],
        [numpy_helper.from_array(np.array(True), "yes")],  # noqa: FBT003 - a tensor
    )
    onnx.save_model(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)


def test_bisect_names_and_keeps_the_node_inside_a_branch(project: Path) -> None:
    branching_model(project / "model.onnx", "Tanh")
    branching_model(project / "sound.onnx", "Sigmoid")
    path = "node 'choice' > then_branch > node 'inner_second'"

    done = ortperf(project, "bisect", "models.json::tiny::validate[cpu]", "--against", "sound.onnx", "--keep", "found")

    assert done.returncode == 0
    lines = done.stdout.splitlines()
    at = lines.index("goes wrong at choice (If), node 1 of 2")
    assert lines[at + 1] == f"inside it: {path} (Tanh)"
    assert "the node inside alone: found/inside" in lines
    assert "in node 'choice' > then_branch: nodes 0 to 0 of 2: good, error 0" in done.stderr
    found = from_dict(Bisection, json.loads((project / "found/bisection.json").read_text("utf-8")))
    assert (found.path, found.inside_folder) == (path, "found/inside")
    assert "Inside it, node &#39;choice&#39; &gt; then_branch" in (project / "found/bisection.html").read_text("utf-8")
    assert sorted(path.name for path in (project / "found/inside").rglob("*.*")) == [
        "input_0.pb",
        "model.onnx",
        "output_0.pb",
    ]


def test_bisect_of_what_is_right_finds_nothing(project: Path) -> None:
    done = ortperf(project, "bisect", "tiny::benchmark[cpu-batch=2]")
    assert done.returncode == 1
    assert "tiny::validate[cpu-batch=2], generated (seed 0): nothing" in done.stdout
    assert done.stdout.splitlines()[-2:] == [
        "The outputs are within tolerance of the reference (CPU, graph optimisation off): there is nothing to search.",
        f"pictures: {project}/result/bisect_tiny_cpu-batch=2/bisection.html",
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["tiny"],
            (
                "ortperf: 'tiny' is no case: give an id as pytest prints it, such as "
                "'models.json::bert::validate[cuda-fp16]', or without the list, 'bert::validate[cuda-fp16]'\n"
            ),
        ),
        (
            ["tinny::validate[cpu]"],
            "ortperf: no case is called tinny::validate[cpu]: 1 were collected; near it are tiny::validate[cpu]\n",
        ),
        (
            ["tiny::validate[cpu]", "--against", "gone.onnx"],
            "ortperf: --against: gone.onnx is no file; give an ONNX model\n",
        ),
        (
            ["tiny::validate[cpu]", "--keep", "models.json"],
            "ortperf: models.json: cannot be made (File exists); name another folder\n",
        ),
    ],
)
def test_what_cannot_be_searched_is_told_with_status_2(project: Path, arguments: list[str], message: str) -> None:
    done = ortperf(project, "bisect", *arguments)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", message)


def test_an_option_that_pytest_does_not_know_is_told_by_pytest(project: Path) -> None:
    done = ortperf(project, "bisect", "tiny::validate[cpu]", "--ortperf-colour=red")
    assert done.returncode == 2
    assert "error: unrecognized arguments: --ortperf-colour=red" in done.stderr
    assert done.stderr.splitlines()[-1] == (
        "ortperf: pytest ended with exit status 4 before tiny::validate[cpu] was reached"
    )


def test_other_commands_refuse_what_they_do_not_know(project: Path) -> None:
    done = ortperf(project, "schema", "--ortperf-seed=1")
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == "ortperf: error: unrecognized arguments: --ortperf-seed=1"


def test_a_failed_validation_names_the_command_and_its_page(project: Path) -> None:
    data = project / "data" / "test_data_set_0"
    data.mkdir(parents=True)
    onnx.save_tensor(numpy_helper.from_array(np.ones((1, 3), np.float32), "x"), data / "input_0.pb")
    onnx.save_tensor(numpy_helper.from_array(np.zeros((1, 3), np.float32), "y"), data / "output_0.pb")
    (project / "models.json").write_text('[{"name": "tiny", "path": "model.onnx", "test_data": "data"}]')
    run = [sys.executable, "-m", "pytest", "--ortperf-mode=validate", "--ortperf-ep=cpu", "--ortperf-seed=3"]
    done = subprocess.run(
        [*run, "--ortperf-max-time=1", "-c", os.devnull, "--rootdir=."],
        cwd=project,
        env=os.environ | ADDED,
        capture_output=True,
        text=True,
        check=False,
    )
    command = re.findall("find the node: (.*)", done.stdout)
    assert command == ["ortperf bisect 'models.json::tiny::validate[cpu]' --ortperf-seed=3"]
    [page] = re.findall("  pictures: (.*)", done.stdout)
    assert "<svg" in Path(page).read_text("utf-8")
    [records] = (project / "result").glob("records_*.jsonl")
    record = json.loads(records.read_text("utf-8").splitlines()[1])
    assert record["kept"] == {"picture": page}
    assert record["error_pictures"][0]["outside"] == 3
    again = ortperf(project, *shlex.split(command[0])[1:])
    assert again.returncode == 1
    assert "only the stored outputs differ" in re.sub(r"\s+", " ", again.stdout)


def test_names_are_taken_apart() -> None:
    case = read_case_id("lists/my models.json::a b::benchmark[cuda-fp16-batch=2-length=128]")
    assert (case.source, case.format()) == ("lists/my models.json", "a b::validate[cuda-fp16-batch=2-length=128]")
    assert collecting_options(case) == [
        "--ortperf-mode=validate",
        "--ortperf-ep=cuda",
        "--ortperf-models=lists/my models.json",
        "--ortperf-fp16",
        "--ortperf-dim=batch=2",
        "--ortperf-dim=length=128",
    ]
    odd = read_case_id("models.json::a:b::validate[cpu-batch-size=2-length=128]")
    assert (odd.source, odd.format()) == ("models.json", "a:b::validate[cpu-batch-size=2-length=128]")
    assert (odd.precision, odd.dims) == (None, (("batch-size", 2), ("length", 128)))
    with pytest.raises(SettingsError, match="is no case: give an id as pytest prints it"):
        read_case_id("models.json::bert")


@pytest.mark.parametrize("extra", [[], pytest.param(["--smallest"], marks=pytest.mark.slow)], ids=["whole", "smallest"])
def test_repro_writes_a_folder_whose_script_shows_the_mismatch(project: Path, extra: list[str]) -> None:
    done = ortperf(project, "repro", "tiny::validate[cpu]", "--against", "sound.onnx", "--output", "bug", *extra)
    output = "b" if extra else "y"
    assert done.returncode == 0
    assert f"WRONG: '{output}': 100 % of elements outside rtol=0.001, atol=" in done.stdout
    assert done.stdout.splitlines()[-1] == "wrote bug: README.md, case.json, data, model.onnx, run.py"
    alone = subprocess.run(
        [sys.executable, "-P", "run.py"], cwd=project / "bug", capture_output=True, text=True, check=False
    )
    assert alone.returncode == 1
    [first, second] = alone.stdout.splitlines()
    assert first == f"onnxruntime {onnxruntime.__version__}, numpy {np.__version__}, CPUExecutionProvider, model.onnx"
    assert second in (project / "bug/README.md").read_text("utf-8")
    missing = [sys.executable, "run.py", "--provider", "NoSuchExecutionProvider"]
    elsewhere = subprocess.run(missing, cwd=project / "bug", capture_output=True, text=True, check=False)
    assert elsewhere.returncode == 125
    assert elsewhere.stdout.splitlines()[1].startswith("cannot tell: this onnxruntime has no NoSuchExecutionProvider")


@pytest.mark.slow
def test_the_script_is_content_once_the_model_is_right(project: Path) -> None:
    ortperf(project, "repro", "tiny::validate[cpu]", "--against", "sound.onnx", "--output", "bug")
    model(project / "bug/model.onnx", 1.0)
    done = subprocess.run([sys.executable, "run.py"], cwd=project / "bug", capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "right: 'y'")


@pytest.mark.slow
def test_the_script_runs_with_onnxruntime_and_numpy_alone(
    project: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    ortperf(project, "repro", "tiny::validate[cpu]", "--against", "sound.onnx", "--output", "bug")
    place = tmp_path_factory.mktemp("venv")
    venv.create(place, with_pip=True)
    python = place / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "-q", "onnxruntime", "numpy"], check=True, timeout=300)
    listed = subprocess.run([python, "-m", "pip", "list"], capture_output=True, text=True, check=True).stdout
    assert not {"onnx", "pytest", "pytest-ortperf"} & set(listed.lower().split())
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [python, "run.py"], cwd=project / "bug", env=environ, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (1, "")
    assert "WRONG: 'y': 100 % of elements outside" in done.stdout
