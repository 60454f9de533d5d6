"""`ortperf init`: what it writes, says and refuses, and that pytest runs what it wrote."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import model_examples as examples
from pausing import pausing
from plugin.test_interrupts import wait_for
from pytest_ortperf.cases.model_list import read_models

ADDED = {"PYTHONPATH": os.pathsep.join(sys.path), "COLUMNS": "80"}


def run(folder: Path, *command: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *command],
        cwd=folder,
        env=os.environ | ADDED | environ,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def init(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return run(folder, "pytest_ortperf.cli", "init", *arguments)


def entries(path: Path) -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads(path.read_text("utf-8"))["models"]
    return found


@pytest.mark.slow
def test_init_writes_a_list_that_pytest_runs_as_it_stands(tmp_path: Path) -> None:
    examples.relu(tmp_path / "zoo/named/model.onnx")
    examples.unnamed(tmp_path / "zoo/vision/edges.onnx")
    examples.with_cache(tmp_path / "zoo/decoder.onnx")
    examples.relu(tmp_path / "zoo/upper/NET.ONNX", [3, 2])
    examples.relu(tmp_path / "zoo/archive/model.onnx", [3, 2])
    np.savez(tmp_path / "zoo/archive/test_data_0.npz", inputs=np.ones((1, 3, 2), np.float32))
    examples.relu(tmp_path / "zoo/stored/model.onnx")
    for number in range(2):
        examples.store(
            tmp_path / f"zoo/stored/test_data_set_{number}",
            x=np.full((3, 2), number + 1),
            y=np.full((3, 2), number + 1),
        )
    examples.relu(tmp_path / "zoo/misfit/net.onnx", [2])
    examples.store(tmp_path / "zoo/misfit/test_data_set_0", x=np.ones((3, 2)), y=np.ones((3, 2)))
    examples.refusing(tmp_path / "zoo/refusing.onnx")
    (tmp_path / "zoo/broken.onnx").write_text("no model")
    examples.with_external_data(tmp_path / "zoo/split/model.onnx").with_name("weights.bin").unlink()
    examples.custom(tmp_path / "zoo/custom.onnx")

    done = init(tmp_path)

    assert (done.returncode, done.stderr) == (0, "")
    *listed, refused = sorted(entries(tmp_path / "models.json"), key=lambda entry: entry["name"] == "refusing")
    assert listed == [
        {"name": "archive", "path": "zoo/archive/model.onnx", "test_data": "zoo/archive"},
        {
            "name": "decoder",
            "path": "zoo/decoder.onnx",
            "dims": {"batch": 1, "past_length": 0, "sequence": 128},
        },
        {"name": "net", "path": "zoo/misfit/net.onnx"},
        {"name": "named", "path": "zoo/named/model.onnx", "dims": {"batch": 1}},
        {"name": "stored", "path": "zoo/stored/model.onnx", "test_data": "zoo/stored"},
        {"name": "NET", "path": "zoo/upper/NET.ONNX"},
        {"name": "edges", "path": "zoo/vision/edges.onnx", "inputs": {"x": {"shape": [1, 3, 224, 224]}}},
    ]
    assert (refused["path"], refused["dims"]) == ("zoo/refusing.onnx", {"rows": 1, "columns": 1})
    assert str(refused["skip"]).startswith("did not run when ortperf init made this list: Non-zero status code")

    # paths stay whole
    assert [line for line in done.stdout.splitlines() if len(line) > 80 and len(line.split()) > 1] == []
    text = re.sub(r"\n +", " ", done.stdout)
    for line in (
        "archive   zoo/archive/model.onnx; fp32; 1 data set",
        "decoder   zoo/decoder.onnx; fp32; assumed batch=1, past_length=0, sequence=128",
        "stored    zoo/stored/model.onnx; fp32; 2 data sets",
        "edges     zoo/vision/edges.onnx; fp32; assumed x.0=1, x.2=224, x.3=224",
        "split     left out: zoo/split/model.onnx: its external data weights.bin is missing",
        "wrote models.json: 8 models, 3 left out",
        "next: pytest --ortperf-mode=validate models.json",
    ):
        assert line in text.splitlines()
    assert re.search(
        r"^broken    left out: .*broken.onnx is no ONNX model, or is cut short \(8 bytes\)", text, re.MULTILINE
    )
    assert re.search(r"^custom    left out: no session on CPUExecutionProvider: .*com.acme:Fold", text, re.MULTILINE)
    assert re.search(r"^net       zoo/misfit/net.onnx; fp32; test data not used: .*shape \(3, 2\)", text, re.MULTILINE)
    assert re.search(
        r"^refusing  zoo/refusing.onnx; .*; listed with skip, because it does not run: Non-zero", text, re.MULTILINE
    )

    plain = ["-p", "no:randomly", "-c", os.devnull, "--rootdir=."]
    tested = run(tmp_path, "pytest", "--ortperf-mode=validate", "--ortperf-ep=cpu", "models.json", "-v", *plain)
    assert tested.returncode == 0, tested.stdout
    assert "7 passed, 1 skipped" in tested.stdout
    assert "models.json::decoder::validate[cpu-batch=1-past_length=0-sequence=128] PASSED" in tested.stdout


@pytest.mark.slow
def test_a_list_that_is_there_stays_unless_forced(tmp_path: Path) -> None:
    examples.relu(tmp_path / "a.onnx", [1])
    (tmp_path / "models.json").write_text("mine")
    done = init(tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "ortperf: models.json exists already; write over it with --force, or name another file with -o FILE\n"
    )
    assert (tmp_path / "models.json").read_text() == "mine"
    assert init(tmp_path, "--force").returncode == 0
    assert entries(tmp_path / "models.json") == [{"name": "a", "path": "a.onnx"}]


def test_paths_start_at_the_list_wherever_it_is(tmp_path: Path) -> None:
    examples.relu(tmp_path / "models here/a.onnx", [1, 2])
    examples.store(tmp_path / "models here/test_data_set_0", x=np.ones((1, 2)), y=np.ones((1, 2)))
    (tmp_path / "lists").mkdir()
    done = init(tmp_path, "models here", "-o", "lists/my list.json")
    assert done.returncode == 0
    written = tmp_path / "lists/my list.json"
    assert entries(written) == [
        {"name": "a", "path": "../models here/a.onnx", "test_data": "../models here"},
    ]
    [model] = read_models(written, workspace=None)
    assert model.path.samefile(tmp_path / "models here/a.onnx")
    assert shlex.split(done.stdout.splitlines()[-1]) == [
        *("next:", "pytest", "--ortperf-mode=validate"),
        "lists/my list.json",
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "no file that ends in .onnx lies below {folder}; name another folder"),
        (["gone"], "gone is no folder; name one with models below it"),
        (["-o", "gone/a.json"], "-o gone/a.json: the folder gone does not exist; make it first"),
    ],
)
def test_what_cannot_be_done_is_said_with_the_way_out(tmp_path: Path, arguments: list[str], message: str) -> None:
    done = init(tmp_path, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"ortperf: {message.format(folder=tmp_path)}\n"


def test_ctrl_c_is_one_line_and_writes_nothing(tmp_path: Path) -> None:
    examples.relu(tmp_path / "a.onnx")
    examples.relu(tmp_path / "slow.onnx")
    environ, paused = pausing(tmp_path / "pause", "slow.onnx")
    process = subprocess.Popen(
        [sys.executable, "-m", "pytest_ortperf.cli", "init"],
        cwd=tmp_path,
        env=os.environ | ADDED | environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    wait_for(paused.exists, "the model to be opened")
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=120)
    assert (process.returncode, err) == (130, "ortperf: interrupted\n")
    assert "slow" not in out
    assert not (tmp_path / "models.json").exists()


def test_nothing_is_written_where_no_model_can_be_opened_in_time(tmp_path: Path) -> None:
    examples.relu(tmp_path / "slow.onnx")
    environ, _ = pausing(tmp_path / "pause", "slow.onnx")
    done = run(tmp_path, "pytest_ortperf.cli", "init", "--deadline", "0.5", **environ)
    assert done.returncode == 1
    assert re.sub(r"\s+", " ", done.stdout) == (
        f"slow left out: {tmp_path}/slow.onnx cannot be read: no answer within 0.5 s (--deadline gives it longer) "
        "no model can be listed, so nothing was written "
    )
    assert not (tmp_path / "models.json").exists()
