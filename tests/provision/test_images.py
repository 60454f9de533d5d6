"""Images: what is built from, and how containers are started. `test_containers.py` does it for real."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from plugin.test_interrupts import wait_for
from provision.local_index import write_module_wheel, write_wheel
from pytest_ortperf.cli import main
from pytest_ortperf.errors import OrtPerfError, SettingsError
from pytest_ortperf.provision import addresses
from pytest_ortperf.provision.images import (
    BASE_IMAGES,
    Engine,
    ImageRequest,
    build_context,
    docker_folder,
    find_engine,
    installed_pins,
)

ROOT = Path(__file__).parents[2]
DOCKERFILES = sorted((ROOT / "deploy/docker").glob("Dockerfile.*"))
RUNS_AS = "10001:10001" if os.getuid() == 0 else f"{os.getuid()}:{os.getgid()}"

ENGINE = """\
#!{python}
import json, sys
if sys.argv[1:3] == ["image", "inspect"]:
    label = {{"ortperf.device": "cuda"}} if "cuda" in sys.argv[3] else {{}}
    if sys.argv[3] == "gone":
        sys.exit("Error: no such image")
    print(json.dumps([{{"Config": {{"User": "10001:10001", "Labels": label}}}}]))
sys.exit({status})
"""


def write_engine(folder: Path, name: str, status: int = 0) -> Path:
    """Write a program that knows of images, and no more."""
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(ENGINE.format(python=sys.executable, status=status))
    path.chmod(0o755)
    return path


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with a model list, which is the current one; docker is there and nothing else."""
    monkeypatch.setenv("PATH", str(write_engine(tmp_path / "bin", "docker").parent))
    folder = tmp_path / "perf"
    (folder / "zoo").mkdir(parents=True)
    (folder / "models.json").write_text("[]")
    (folder / "many.json").write_text("[]")
    for path in (tmp_path, folder):
        path.chmod(0o755)
    monkeypatch.chdir(folder)
    return folder


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[str]:
    """Return the engine's command for `ortperf image run`, without the labels."""
    assert main(["image", "run", "--print", *arguments]) == 0
    words = capsys.readouterr().out.split()
    return [word for word in words if not word.startswith("--ortperf-label=")]


def test_a_run_sees_the_models_and_writes_results(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(capsys, "-m", "models.json", "-e", "cpu cuda", "-k", "bert") == [
        "docker",
        "run",
        "--rm",
        f"--user={RUNS_AS}",
        f"--volume={here}:{here}:ro",
        f"--volume={here}/result:{here}/result",
        f"--workdir={here}",
        "pytest-ortperf:cpu",
        *["pytest", "-p", "no:cacheprovider"],
        f"--ortperf-results={here}/result",
        f"--ortperf-models={here}/models.json",
        "--ortperf-ep=cpu,cuda",
        "--ortperf-mode=both",
        *["-k", "bert"],
    ]
    status = (here / "result").stat()
    assert f"{status.st_uid}:{status.st_gid}" == RUNS_AS


def test_the_originals_options_are_taken(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    perf = here.parent / "elsewhere"
    command = printed(capsys, "-d", "mine:1", "-v", str(here), "-o", "many", "-p", str(perf), "-e", "cpu")
    assert f"--ortperf-models={here}/many.json" in command
    assert f"--volume={perf}/result:{perf}/result" in command
    assert command[command.index("pytest") - 1] == "mine:1"
    assert f"--ortperf-models={here}/zoo" in printed(capsys, "-o", "zoo")
    assert printed(capsys, "-m", "zoo", "--", "-v", "-m", "slow")[-3:] == ["-v", "-m", "slow"]
    selected = printed(capsys, "-o", "selected-models", "-m", "zoo")
    assert (f"--ortperf-models={here}/zoo" in selected, f"--volume={here}/zoo:{here}/zoo:ro" in selected) == (
        True,
        True,
    )


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("engine", "gpus", "options"),
    [
        ("docker", "all", ["--gpus=all"]),
        ("docker", "0,1", ["'--gpus=\"device=0,1\"'"]),
        ("podman", "all", ["--device=nvidia.com/gpu=all"]),
        ("podman", "0,1", ["--device=nvidia.com/gpu=0", "--device=nvidia.com/gpu=1"]),
        ("podman", "none", []),
    ],
)
def test_each_engine_has_its_own_words_for_gpus(
    engine: str, gpus: str, options: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    program = write_engine(tmp_path / "bin", engine)
    command = printed(capsys, f"--engine={program}", f"--gpus={gpus}")
    assert [word for word in command if "gpu" in word] == options
    assert ("pytest-ortperf:cuda" in command) == (gpus != "none")


@pytest.mark.usefixtures("here")
def test_an_image_for_cuda_gets_all_gpus(capsys: pytest.CaptureFixture[str]) -> None:
    assert "--gpus=all" in printed(capsys, "-d", "cuda:1")
    assert "--gpus=all" not in printed(capsys, "-d", "cuda:1", "--gpus=none")


def test_another_program_and_options_of_the_engine_are_passed_on(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = printed(
        capsys, "--program=ortperf check", "--engine-option=--cpuset-cpus=0-3", "--cache=kept", "bert", "--leaks"
    )
    end = [*["ortperf", "check"], f"--ortperf-results={here}/result", *["bert", "--leaks"]]
    assert command[-7:] == ["--cpuset-cpus=0-3", "pytest-ortperf:cpu", *end]
    assert f"--env=XDG_CACHE_HOME={here}/kept" in command


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-d", "gone"], "there is no image gone: make it with ortperf image build, or name another one with -d"),
        (["--gpus=first"], "--gpus=first: give all, none, or indexes such as 0,1"),
        (["-o", "selected-models"], "-o selected-models needs -m PATH: a model list, a folder or a model"),
        (["-o", "partner"], "-o partner: {here} has neither partner.json nor a folder partner"),
        (["-m", "gone.json"], "-m {here}/gone.json: there is no such file or folder"),
        (["-v", "zoo", "-m", "models.json"], "{here}/models.json: not below {here}/zoo, which is all that the"),
        (["-v", "/usr"], "/usr would hide what the image has there: name a folder below it"),
        (["-v", "gone"], "{here}/gone: there is no such folder"),
        (["--engine=nerdctl"], "--engine=nerdctl: there is no such program"),
    ],
)
def test_what_cannot_be_run_is_named(
    arguments: list[str], message: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["image", "run", "--print", *arguments]) == 2
    assert capsys.readouterr().err.startswith(f"ortperf: {message.format(here=here)}")


@pytest.mark.skipif(os.getuid() != 0, reason="only root's files can belong to somebody else")
def test_folders_that_the_images_user_cannot_use_are_named(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "result").mkdir()
    assert main(["image", "run"]) == 2
    (here / "result").rmdir()
    here.chmod(0o700)
    assert main(["image", "run"]) == 2
    unwritable, unreadable = capsys.readouterr().err.splitlines()
    assert unwritable.startswith(
        f"ortperf: {here}/result cannot be written by user 10001, whom the image runs as: chown "
    )
    assert unreadable.startswith(f"ortperf: {here} cannot be read by user 10001, whom the image runs as: chmod o+rx ")


def test_ctrl_c_is_left_to_the_container(here: Path) -> None:
    """It writes what it has and ends; whoever started it waits for that."""
    program = write_engine(here.parent / "bin", "slow")
    program.write_text(
        program.read_text()
        + "import pathlib, time\n"
        + "try:\n    pathlib.Path('started').touch()\n    time.sleep(60)\n"
        + "except KeyboardInterrupt:\n    time.sleep(0.1)\n    sys.exit(7)\n"
    )
    program.write_text(program.read_text().replace("sys.exit(0)", "if sys.argv[1] != 'run': sys.exit(0)"))
    command = [sys.executable, "-m", "pytest_ortperf.cli", "image", "run", f"--engine={program}"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(command, env=environment, start_new_session=True) as process:
        wait_for(lambda: Path("started").exists(), "the container")
        os.killpg(process.pid, signal.SIGINT)
    assert process.returncode == 7


def test_the_engine_that_answers_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "bin"
    monkeypatch.setenv("PATH", str(folder))
    with pytest.raises(SettingsError, match="no container engine: docker is not installed; podman is not installed"):
        find_engine(None)
    write_engine(folder, "docker", status=1)
    with pytest.raises(SettingsError, match="docker cannot be used: exit status 1; podman is not installed"):
        find_engine(None)
    write_engine(folder, "podman")
    assert find_engine(None) == Engine(("podman",))
    write_engine(folder, "docker")
    assert find_engine(None) == Engine(("docker",))
    assert find_engine("podman --storage-driver=vfs").command == ("podman", "--storage-driver=vfs")


def test_the_context_holds_all_that_an_image_is_built_from(tmp_path: Path) -> None:
    wheels = tmp_path / "wheels"
    write_module_wheel(wheels, "pytest_ortperf")
    wheel = write_wheel(tmp_path, "1.90.0")
    tarball = tmp_path / "TensorRT-10.tar.gz"
    tarball.write_bytes(b"many")
    request = ImageRequest(
        device="cuda", name="perf:1", onnxruntime=str(wheel), tensorrt=str(tarball), wheels=wheels, base_image="base:1"
    )
    with build_context(request) as (context, arguments):
        files = sorted(str(path.relative_to(context)) for path in context.rglob("*") if path.is_file())
        pins = (context / "constraints.txt").read_text().splitlines()
    assert files == [
        "Dockerfile.cpu",
        "Dockerfile.cuda",
        "constraints.txt",
        "install-python.sh",
        "install-tensorrt.sh",
        "tensorrt/TensorRT-10.tar.gz",
        "wheels/onnxruntime-1.90.0-py3-none-any.whl",
        "wheels/pytest_ortperf-1.0-py3-none-any.whl",
    ]
    assert arguments == [
        *["build", "--file", f"{context}/Dockerfile.cuda", "--tag", "perf:1"],
        "--build-arg=BASE_IMAGE=base:1",
        "--build-arg=ONNXRUNTIME=/context/wheels/onnxruntime-1.90.0-py3-none-any.whl",
        "--build-arg=PIP_NO_INDEX=1",
    ]
    assert not context.exists()
    assert {"numpy", "onnx", "pytest"} <= {pin.partition("==")[0] for pin in pins}
    assert pins == installed_pins()


def arguments_of(wheels: Path, **more: object) -> dict[str, str]:
    """Return the build arguments of a request."""
    request = ImageRequest(name="perf:1", wheels=wheels, **more)  # type: ignore[arg-type]
    with build_context(request) as (_, arguments):
        pairs = [text.removeprefix("--build-arg=").split("=", 1) for text in arguments[5:]]
        return {name: value for name, value in pairs if name not in {"BASE_IMAGE", "PIP_NO_INDEX"}}


def test_runtimes_and_tensorrt_become_build_arguments(tmp_path: Path) -> None:
    write_module_wheel(tmp_path, "pytest_ortperf")
    assert arguments_of(tmp_path, device="cpu", onnxruntime="1.31.0") == {"ONNXRUNTIME": "onnxruntime==1.31.0"}
    assert arguments_of(tmp_path, device="cpu", onnxruntime="onnxruntime-openvino==1.24.1") == {
        "ONNXRUNTIME": "onnxruntime-openvino==1.24.1"
    }
    assert arguments_of(tmp_path, device="cuda", onnxruntime="1.31.1", tensorrt="10.13.3.9") == {
        "ONNXRUNTIME": "onnxruntime-gpu==1.31.1",
        "TENSORRT_VERSION": "10.13.3.9",
    }
    assert arguments_of(tmp_path, device="cuda", onnxruntime="branch:main", parser="", architectures="90") == {
        "ONNXRUNTIME_BRANCH": "main",
        "BUILD_IMAGE": addresses.CUDA_BUILD_IMAGE,
        "OSS_PARSER": "source",
        "CUDA_ARCHITECTURES": "90",
    }


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (
            {"device": "cpu", "tensorrt": "10"},
            "--tensorrt, --oss-parser and --cuda-architectures are for the image cuda",
        ),
        ({"device": "cuda", "parser": ""}, "--oss-parser needs --onnxruntime=branch:NAME"),
        ({"device": "cpu", "onnxruntime": "gone.whl"}, "--onnxruntime=gone.whl: there is no such file"),
        ({"device": "cuda", "tensorrt": "gone.tar.gz"}, "--tensorrt=gone.tar.gz: there is no such file"),
    ],
)
def test_what_cannot_be_built_is_named(more: dict[str, object], message: str, tmp_path: Path) -> None:
    write_module_wheel(tmp_path, "pytest_ortperf")
    with pytest.raises(OrtPerfError, match=re.escape(message)):
        arguments_of(tmp_path, **more)


def test_an_empty_folder_of_wheels_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="holds no wheels"):
        arguments_of(tmp_path, device="cpu")


# The Dockerfiles


def defaults_of(path: Path) -> dict[str, str]:
    return dict(re.findall(r"^ARG (\w+)=(.+)$", path.read_text(), re.MULTILINE))


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.name)
def test_images_come_from_where_the_addresses_say(path: Path) -> None:
    device = path.suffix[1:]
    defaults = defaults_of(path)
    assert defaults["BASE_IMAGE"] == BASE_IMAGES[device][0]
    assert defaults["BUILD_IMAGE"] == "${BASE_IMAGE}"
    named = re.findall(r"[\w.-]+\.(?:io|com|org)/[\w./:-]+", path.read_text())
    assert named == [BASE_IMAGES[device][0]]


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.name)
def test_everything_is_pinned_and_nobody_is_root(path: Path) -> None:
    text = path.read_text()
    images = [image for pair in BASE_IMAGES.values() for image in pair]
    assert all(re.fullmatch(r"[\w.-]+/[\w/-]+:\d+\.\d+\.\d+[\w.-]*", image) for image in images)
    assert re.fullmatch(r"onnxruntime(-gpu)?==\d+\.\d+\.\d+", defaults_of(path)["ONNXRUNTIME"])
    packages = re.findall(r"pip install --no-cache-dir ([^&\\]+) &&", text)
    assert all("==" in word for line in packages for word in line.split() if word[0] not in '-/"')
    last = text[text.rindex("\nFROM ") :]
    assert re.findall(r"^USER (.*)$", last, re.MULTILINE) == ["10001:10001"]


def test_the_cpu_image_has_the_runtime_that_is_tested() -> None:
    pins = (ROOT / "constraints.txt").read_text().splitlines()
    assert defaults_of(docker_folder() / "Dockerfile.cpu")["ONNXRUNTIME"] in pins


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.name)
def test_hadolint_has_nothing_to_say(path: Path) -> None:
    hadolint = shutil.which("hadolint", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    if hadolint is None:
        pytest.skip("hadolint is not installed")
    done = subprocess.run([hadolint, "--format=json", path], capture_output=True, text=True, check=False)
    assert (done.returncode, json.loads(done.stdout)) == (0, [])
