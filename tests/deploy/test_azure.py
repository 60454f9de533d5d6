"""The pipeline for Azure: valid, the original's names, and its steps in order."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.ci_service import ROOT, Azure, Machine
from model_examples import relu

PIPELINE = ROOT / "deploy/azure/ortperf.yml"

# Folders are at the same path inside and outside: a container's program runs just as well without one.
DOCKER = """\
#!{python}
import json, os, sys
words = sys.argv[1:]
with open({log!r}, "a") as file:
    file.write(" ".join(words) + "\\n")
if words[:2] == ["image", "inspect"]:
    print(json.dumps([{{"Config": {{"User": "{user}", "Labels": {{"ortperf.device": "cuda"}}}}}}]))
elif words[0] == "run":
    place = next(index for index, word in enumerate(words) if word.startswith("pytest-ortperf:"))
    program = words[place + 1 :]
    os.chdir(next(word for word in words if word.startswith("--workdir=")).removeprefix("--workdir="))
    if program[0] == "pytest":
        os.execv({python!r}, [{python!r}, "-m", *program])
    os.execvp(program[0], program)
"""


def read() -> Any:
    return yaml.safe_load(PIPELINE.read_text())


def test_the_pipeline_is_valid() -> None:
    pytest.importorskip("check_jsonschema")
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.azure-pipelines", PIPELINE]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "ok -- validation done")


def test_parameters_have_the_originals_names() -> None:
    names = [each["name"] for each in read()["parameters"]]
    originals = [
        *["branch", "ep_list", "ModelsPath", "ModelGroups", "TrtVersion", "UseTensorrtOssParser", "MemTest"],
        *["ConcurrencyTest", "TrtEPOptions", "CUDAEPOptions", "PostToDashboard"],
    ]
    assert set(originals) <= set(names)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    machine = Machine(tmp_path / "agent")
    user = f"{os.getuid()}:{os.getgid()}" if os.getuid() else "10001:10001"
    machine.add_program("docker", DOCKER.format(python=sys.executable, log=str(machine.log / "docker"), user=user))
    machine.environment = {"ORTPERF_LOCKS": str(tmp_path / "locks")}
    for path in (tmp_path, machine.folder, machine.workspace):
        path.chmod(0o755)
    return machine


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """Return a folder with one group as a list and another one as a folder."""
    folder = tmp_path / "models"
    relu(folder / "relu.onnx", (2, 3))
    (folder / "first.json").write_text(json.dumps({"models": [{"name": "relu", "path": "relu.onnx"}]}))
    relu(folder / "second/other/other.onnx", (2, 3))
    return folder


def parameters(tmp_path: Path, models: Path, **more: str) -> dict[str, str]:
    return {
        "ep_list": "CPUExecutionProvider",
        "ModelsFolder": str(models),
        "ModelGroups": "first second",
        "TestedList": f"{models}/first.json",
        "TestedCase": "relu::validate[cpu]",
        "TrtEPOptions": "none",
        "RunOptions": "--ortperf-iterations=5 --ortperf-warmup=1 --ortperf-env=off",
        "HistoryFolder": str(tmp_path / "history"),
        "MemTest": "false",
        "ConcurrencyTest": "0",
        **more,
    }


def models_of_runs(machine: Machine) -> list[list[str]]:
    """Return the models of each run, the first run first."""
    files = sorted((machine.workspace / "result").glob("records_*.jsonl"))
    lines = [[json.loads(line) for line in file.read_text().splitlines()] for file in files]
    return [sorted({line["model"] for line in run if "outcome" in line}) for run in lines]


@pytest.mark.slow
def test_with_docker_an_image_is_built_and_each_group_runs_in_it(
    machine: Machine, models: Path, tmp_path: Path
) -> None:
    given = parameters(tmp_path, models, MemTest="true", ConcurrencyTest="2", TrtVersion="10.13.3.9")
    happened = Azure(machine, given).run(read())
    assert happened == ["Build", "Memory test", "Concurrency test", "Run", "Post to the dashboard"]
    said = machine.noted("docker")
    (build,) = [line for line in said if line.startswith("build ")]
    assert " --tag pytest-ortperf:7 " in build
    assert " --build-arg=TENSORRT_VERSION=10.13.3.9 " in build
    assert models_of_runs(machine)[-2:] == [["relu"], ["other"]]
    checks = [line for line in said if " ortperf check " in line]
    assert [line.split()[-1] for line in checks] == ["--leaks", "--threads=2"]
    assert (tmp_path / "history/site/index.html").is_file()


@pytest.mark.slow
def test_without_docker_a_branch_is_built_and_used(machine: Machine, models: Path, tmp_path: Path) -> None:
    """The build itself is `tests/provision/test_ort_build.py`'s."""
    machine.add_program(
        "ortperf", (machine.programs / "ortperf").read_text().replace("case ", BUILD.format(python=sys.executable), 1)
    )
    given = parameters(
        tmp_path, models, RunInDocker="false", branch="faster", UseTensorrtOssParser="true", PostToDashboard="false"
    )
    happened = Azure(machine, given | {"CUDAEPOptions": "none"}).run(read())
    assert happened == ["Build", "Run"]
    assert machine.noted("docker") == []
    assert machine.noted("pip") == ["env/bin install --quiet pytest-ortperf[gpu,history]"]
    assert machine.noted("ortperf") == [
        "ort build --branch=faster --cuda-home=/usr/local/cuda --cudnn-home=/usr --tensorrt-home=/usr --oss-parser"
    ]
    assert models_of_runs(machine) == [["relu"], ["other"]]


BUILD = 'if [ "$1 $2" = "ort build" ]; then echo {python}; exit; fi\ncase '


@pytest.mark.slow
def test_a_group_that_fails_keeps_neither_the_next_one_nor_the_dashboard_from_coming(
    machine: Machine, models: Path, tmp_path: Path
) -> None:
    given = parameters(tmp_path, models, RunInDocker="false", ModelGroups="gone second")
    assert Azure(machine, given).run(read()) == ["Build", "-Run", "Post to the dashboard"]
    assert models_of_runs(machine)[-1] == ["other"]


@pytest.mark.slow
def test_models_of_ones_own_take_the_place_of_the_groups(machine: Machine, models: Path, tmp_path: Path) -> None:
    given = parameters(
        tmp_path, models, RunInDocker="false", ModelsPath=f"{models}/second", TrtEPOptions="trt_a=1,trt_b=2"
    )
    assert "Build" in Azure(machine, given | {"CUDAEPOptions": "c=1", "PostToDashboard": "false"}).run(read())
    (said,) = [line.split() for line in machine.noted("python") if line.startswith("-m pytest ")]
    assert f"--ortperf-models={models}/second" in said
    assert [word for word in said if "ep-option" in word] == [
        "--ortperf-ep-option=tensorrt.trt_a=1",
        "--ortperf-ep-option=tensorrt.trt_b=2",
        "--ortperf-ep-option=cuda.c=1",
    ]
