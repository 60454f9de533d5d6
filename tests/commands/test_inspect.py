"""`ortperf inspect`: what it says of models, lists and directories, and its exit status."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import model_examples as examples
from pytest_ortperf.cli import main
from pytest_ortperf.records.store import RecordsFile
from record_examples import make_header, make_record

ADDED = {"PYTHONPATH": os.pathsep.join(sys.path), "COLUMNS": "80"}
CPU = "--ortperf-ep=cpu"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return a folder that is a project of its own, whatever lies above it."""
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    return tmp_path


def inspect(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest_ortperf.cli", "inspect", *arguments]
    return subprocess.run(
        command, cwd=folder, env=os.environ | ADDED, capture_output=True, text=True, timeout=120, check=False
    )


def without_time(text: str) -> list[str]:
    return re.sub(r"session in [\d.]+ ms", "session in 1 ms", text).splitlines()


def joined(text: str) -> str:
    return re.sub(r"\s+", " ", text)


def test_a_model_is_shown_with_its_dimensions_and_who_takes_it(project: Path) -> None:
    examples.with_cache(project / "decoder.onnx")
    np.savez(project / "test_data_0.npz", inputs=np.ones((2, 1, 1, 4)))
    np.savez(project / "calibration.npz", x=np.ones(3))
    done = inspect(project, "decoder.onnx", "--ortperf-ep=cpu,AzureExecutionProvider")
    assert (done.returncode, done.stderr) == (0, "")
    lines = without_time(done.stdout)
    assert lines[:4] == [
        "decoder.onnx",
        f"  size            {(project / 'decoder.onnx').stat().st_size} B",
        "  versions        IR 8, opset 17",
        "  precision       fp32",
    ]
    assert lines[4].startswith("  as fp16         can be converted, and has a session on the CPU")
    assert lines[6:18] == [
        "  nodes           1: 1 Concat",
        "  test data       test_data_0",
        "",
        "inputs  type     shape",
        "past    float32  (batch, past_length, 4)",
        "x       float32  (batch, sequence, 4)",
        "",
        "outputs  type     shape",
        "y        float32  unknown rank",
        "",
        "dimensions without a size, and what they are assumed to be: batch=1,",
        "past_length=0, sequence=128; give others with --ortperf-dim=batch=N",
    ]
    assert lines[19].startswith("on this machine alone, with onnxruntime")
    assert lines[20] == "  cpu             takes 1 of 1 nodes, session in 1 ms"
    assert joined(" ".join(lines[21:])) == (
        " AzureExecutionProvider no: asked for AzureExecutionProvider, 0 of 1 nodes ran there; CPUExecutionProvider "
        "got 1 Concat warnings: - calibration.npz beside it is not read; store tensors as test_data_set_0/input_0.pb"
    )


def test_json_holds_the_same_facts(project: Path) -> None:
    examples.unnamed(project / "edges.onnx")
    examples.store(project / "test_data_set_0", x=np.ones((1, 3, 8, 8)), y=np.ones((1, 2, 6, 6)))
    done = inspect(project, "edges.onnx", CPU, "--ortperf-dim=x.2=8", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    facts = json.loads(done.stdout)
    assert facts["model"]["inputs"] == [{"name": "x", "type": "float32", "shape": [None, 3, None, None]}]
    assert facts["model"]["free_dims"] == {"x.0": 1, "x.2": 224, "x.3": 224}
    [trial] = facts["trials"]
    assert (trial["variant"], trial["problem"], trial["assumed"]) == ("cpu-x.2=8", None, {"x.0": 1, "x.3": 224})
    assert trial["nodes_by_provider"] == {"CPUExecutionProvider": 1}
    assert (facts["fp16"]["fp16_from"], facts["fp16"]["problem"]) == ("converted", None)
    assert facts["test_data"] == ["test_data_set_0"]


def test_missing_external_data_is_exit_status_1(project: Path) -> None:
    examples.with_external_data(project / "split.onnx")
    whole = inspect(project, "split.onnx", CPU)
    assert whole.returncode == 0
    assert re.search(r"size +\d+ B, and 2\.0 KiB of external data in weights\.bin\n", whole.stdout)
    (project / "weights.bin").unlink()
    done = inspect(project, "split.onnx", CPU)
    assert done.returncode == 1
    assert "  - external data weights.bin is missing; it belongs beside the model\n" in done.stdout
    assert "  as fp16         not tried, its external data is missing\n" in done.stdout


def test_a_provider_that_cannot_be_used_and_one_that_refuses_are_shown_with_the_reason(project: Path) -> None:
    examples.custom(project / "custom.onnx")
    done = inspect(project, "custom.onnx", "--ortperf-ep=cpu,dml")
    assert done.returncode == 0
    text = joined(done.stdout)
    assert "cpu no: no session on CPUExecutionProvider: Fail: Load model from" in text
    assert "dml no: DmlExecutionProvider cannot be used here: DmlExecutionProvider is not part of this" in text
    assert "as fp16 not tried, it cannot run on the CPU as it is" in text
    assert (
        "warnings: - custom operators, which need their library (--ortperf-custom-op-library): 1 com.acme.Fold; "
        "a provider may bring its own"
    ) in text


def test_hooks_count_as_in_a_run_and_what_crashes_the_child_is_an_answer(project: Path) -> None:
    examples.relu(project / "a.onnx")
    (project / "conftest.py").write_text(
        "import os, signal\n\n"
        "def pytest_ortperf_configure_session(case, session_options):\n"
        "    if case.precision is None:\n"
        "        os.kill(os.getpid(), signal.SIGSEGV)\n"
    )
    done = inspect(project, "a.onnx", CPU)
    assert done.returncode == 0
    assert "  cpu             no: the process that tried it crashed (signal 11), in the" in done.stdout


def test_a_file_that_is_no_model_is_one_message(project: Path) -> None:
    (project / "text.onnx").write_text("text\n")
    done = inspect(project, "text.onnx", CPU)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f"ortperf: {project}/text.onnx is no ONNX model, or is cut short (5 bytes): it does not parse; write or "
        f"download it again\n"
    )


def list_of(folder: Path, *entries: dict[str, Any]) -> None:
    (folder / "models.json").write_text(json.dumps(list(entries)))


@pytest.fixture
def listed(project: Path) -> Path:
    examples.relu(project / "zoo/a.onnx")
    examples.store(project / "zoo/test_data_set_0", x=np.ones((3, 2)), y=np.ones((3, 2)))
    examples.refusing(project / "b.onnx")
    list_of(
        project,
        {"name": "first", "path": "zoo/a.onnx", "test_data": "zoo"},
        {"name": "other", "path": "b.onnx", "dims": {"rows": [1, 2]}},
    )
    return project


def test_a_list_is_a_line_for_each_model_and_the_cases_of_the_run(listed: Path) -> None:
    done = inspect(listed, "models.json", CPU, "--ortperf-fp16", "--ortperf-min-time=1")
    assert (done.returncode, done.stderr) == (0, "")
    a, b = ((listed / name).stat().st_size for name in ("zoo/a.onnx", "b.onnx"))
    assert done.stdout.splitlines() == [
        "model   size  precision  nodes  opset  data sets  cases  without size",
        f"first  {a:3} B  fp32           1     17          1      4  batch",
        f"other  {b:3} B  fp32           1     17  generated      8  rows, columns",
        "",
        "2 models, 12 cases: 3 validate[cpu], 3 validate[cpu-fp16], 3 benchmark[cpu], 3",
        "benchmark[cpu-fp16]",
        "expected: about 1 minute, one case after the other: 12 cases estimated at 1.5 s",
        "a validation, 3 s a benchmark and 1 s of iterations a timing mode (large models",
        "take longer)",
    ]


def test_what_ran_before_is_expected_to_take_as_long(listed: Path) -> None:
    (listed / "result").mkdir()
    for run, seconds in (("20260101-000000", 1000), ("20260102-000000", 240)):
        with RecordsFile.create(listed / "result", run, make_header(run=run)) as file:
            file.append(make_record("first", mode="validate", duration_ns=seconds * 10**9))
    done = inspect(listed, "models.json", CPU, "-k", "first and validate")
    assert done.stdout.splitlines()[-3:] == [
        "1 model, 1 case: 1 validate[cpu]",
        "expected: about 4 minutes, one case after the other: 1 case timed by earlier",
        "runs in result",
    ]
    facts = json.loads(inspect(listed, "models.json", CPU, "--ortperf-mode=validate", "--json").stdout)
    assert (facts["measured_cases"], facts["seconds"]) == (1, 243.0)
    assert facts["cases"] == {"validate[cpu]": 3}
    assert [model["data_sets"] for model in facts["models"]] == [["test_data_set_0"], None]


def test_files_that_a_list_names_and_that_are_not_there_are_exit_status_1(project: Path) -> None:
    examples.with_external_data(project / "split/model.onnx").with_name("weights.bin").unlink()
    (project / "text.onnx").write_text("text\n")
    list_of(
        project,
        {"name": "gone", "path": "gone.onnx", "fp16_path": "gone16.onnx", "test_data": "gone"},
        {"name": "split", "path": "split/model.onnx", "test_data": "split"},
        {"name": "text", "path": "text.onnx"},
    )
    done = inspect(project, "models.json", CPU)
    assert done.returncode == 1
    text = joined(done.stdout)
    assert (
        f"missing or unreadable: - gone: path {project}/gone.onnx - gone: fp16_path {project}/gone16.onnx "
        f"- gone: test_data {project}/gone - split: test_data {project}/split: no data set found;"
    ) in text
    assert "- split: external data weights.bin - text: " in text
    assert f"- text: {project}/text.onnx is no ONNX model" in text
    assert json.loads(inspect(project, "models.json", CPU, "--json").stdout)["models"][1]["model"]["external"] == {
        "weights.bin": None
    }


def test_issues_of_a_list_are_exit_status_1(project: Path) -> None:
    list_of(project, {"name": "a"}, {"name": "b", "path": "b.onnx", "dims": {"batch": -1}})
    done = inspect(project, "models.json", CPU)
    assert (done.returncode, done.stderr) == (1, "")
    assert joined(done.stdout).strip() == (
        "models.json cannot be used: - models[0] 'a': missing key 'path', or 'source' for a model that comes with a "
        "package - models[1] 'b': dims.batch: is -1; it must be an integer of 0 or more, a list of different ones, "
        "or a range with min, opt and max"
    )
    facts = json.loads(inspect(project, "models.json", CPU, "--json").stdout)
    assert [issue.partition(":")[0] for issue in facts["issues"]] == ["models[0] 'a'", "models[1] 'b'"]


def test_a_directory_says_what_it_passes_over(project: Path) -> None:
    examples.relu(project / "zoo/net/model.onnx")
    np.savez(project / "zoo/net/samples.npz", inputs=np.ones(3))
    examples.relu(project / "zoo/upper@home/MODEL.ONNX")
    done = inspect(project, "zoo", CPU, "--ortperf-mode=validate")
    assert done.returncode == 0
    assert joined(done.stdout).startswith("model size precision nodes opset data sets cases without size net ")
    assert (
        'warnings: - zoo: model left out: "upper@home/MODEL.ONNX": the name "upper@home" holds \'@\', which pytest ids '
        "give a meaning; rename the folder or file - zoo: passed over, though it looks like test data: "
        '"net/samples.npz"; '
        "name an .npz file test_data_<n>.npz, and put others into a folder test_data_set_<n> 1 model, 1 case"
    ) in joined(done.stdout)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-k", "nothing"], "ortperf: these options select no case of models.json"),
        (["--ortperf-colour=red"], "ortperf: pytest ended with exit status 4 before any case was reached"),
    ],
)
def test_options_that_cannot_be_used_are_exit_status_2(listed: Path, arguments: list[str], message: str) -> None:
    done = inspect(listed, "models.json", CPU, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[-1] == message


def test_arguments_are_checked_before_anything_is_read(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", "gone.onnx"]) == 2
    assert capsys.readouterr().err == (
        "ortperf: gone.onnx does not exist; name a model (.onnx), a model list (JSON) or a directory\n"
    )
    with pytest.raises(SystemExit):
        main(["inspect", "gone.onnx", "--deadline=0"])
    assert capsys.readouterr().err.splitlines()[-1] == (
        "ortperf inspect: error: argument --deadline: '0' is no number of seconds above 0"
    )
