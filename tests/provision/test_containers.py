"""Images that are really built, and containers that really run, by podman on a base made by debootstrap."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from model_examples import relu
from provision.local_index import write_module_wheel, write_wheel
from pytest_ortperf.cli import main
from pytest_ortperf.provision.images import installed_pins

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
PROGRAMS = ("podman", "runc", "debootstrap")
BASE = "localhost/base:1"

# What podman needs where the host has cgroups in hybrid mode and a shell with low limits; no registry is asked.
CONTAINERS = """\
[containers]
netns = "none"
default_ulimits = ["nofile=1024:1024", "nproc=1000:1000"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "none"
"""
STORAGE = """\
[storage]
driver = "{driver}"
graphroot = "{folder}/graph"
runroot = "{folder}/run"
"""
REGISTRIES = """\
[[registry]]
location = "nvcr.io"
blocked = true
"""


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return the name of a base image with Python, known to a podman with settings and storage of its own."""
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")
    if os.getuid() != 0:
        pytest.skip("debootstrap needs root")
    folder = tmp_path_factory.mktemp("podman")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CONTAINERS_CONF", str(folder / "containers.conf"))
        patch.setenv("CONTAINERS_REGISTRIES_CONF", str(folder / "registries.conf"))
        patch.setenv("CONTAINERS_STORAGE_CONF", str(folder / "storage.conf"))
        patch.setenv("BUILDAH_ISOLATION", "chroot")
        patch.setenv("BUILDAH_LAYERS", "false")
        (folder / "containers.conf").write_text(CONTAINERS)
        (folder / "registries.conf").write_text(REGISTRIES)
        for driver in ("overlay", "vfs"):
            (folder / "storage.conf").write_text(STORAGE.format(driver=driver, folder=folder))
            known = subprocess.run(["podman", "info"], capture_output=True, text=True, check=False)  # noqa: S607
            if known.returncode == 0:
                break
        else:
            pytest.skip(f"podman cannot be used: {known.stderr.strip().splitlines()[-1:]}")
        import_base(folder / "root")
        yield BASE
        shutil.rmtree(folder, ignore_errors=True)


def import_base(root: Path) -> None:
    made = subprocess.run(
        ["debootstrap", "--variant=minbase", "--include=python3-venv", "bookworm", root],  # noqa: S607
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode:
        pytest.skip(f"debootstrap cannot make a base: {made.stdout.strip().splitlines()[-1:]}")
    with subprocess.Popen(["tar", "-C", root, "-c", "."], stdout=subprocess.PIPE) as tar:  # noqa: S607
        subprocess.run(["podman", "import", "-", BASE], stdin=tar.stdout, check=True, capture_output=True)  # noqa: S607
    assert tar.returncode == 0
    shutil.rmtree(root)


def inside(image: str, *command: str) -> str:
    """Return what a program in an image prints."""
    done = subprocess.run(["podman", "run", "--rm", image, *command], capture_output=True, text=True, check=True)  # noqa: S607
    return done.stdout.strip()


def test_the_cpu_image_leaves_results_of_a_user_who_is_not_root(
    base: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    wheels = tmp_path / "wheels"
    download = [sys.executable, "-m", "pip", "download", "--quiet", "--only-binary=:all:", "--python-version=3.11"]
    wanted = [*installed_pins(), "-c", ROOT / "constraints.txt", "onnxruntime"]
    subprocess.run([*download, "--dest", wheels, *wanted], check=True)
    engine = ["--engine=podman"]
    assert main(["image", "build", "cpu", *engine, f"--base-image={base}", f"--wheels={wheels}", "-t", "perf:cpu"]) == 0
    assert "perf:cpu: built. Run it:" in capfd.readouterr().err

    models = tmp_path / "models"
    relu(models / "relu.onnx", (2, 3))
    (models / "models.json").write_text('{"models": [{"name": "relu", "path": "relu.onnx"}]}')
    for folder in (tmp_path, models):
        folder.chmod(0o755)
    before = sorted(models.iterdir())
    run = [
        "image",
        "run",
        *engine,
        "-d",
        "perf:cpu",
        "-o",
        "selected-models",
        "-m",
        f"{models}/models.json",
        "-e",
        "cpu",
    ]
    options = ["-p", f"{tmp_path}/perf", "--ortperf-iterations=5", "--ortperf-env=off", "--ortperf-label=branch=mine"]
    assert main([*run, *options]) == 0
    (records,) = (tmp_path / "perf/result").glob("records_*.jsonl")
    assert {(path.stat().st_uid, path.stat().st_gid) for path in records.parent.iterdir()} == {(10001, 10001)}
    lines = [json.loads(line) for line in records.read_text().splitlines()]
    outcomes = [(line["mode"], line["outcome"]) for line in lines if "outcome" in line]
    assert sorted(outcomes) == [("benchmark", "passed"), ("validate", "passed")]
    assert '"branch":"mine"' in records.read_text().replace(" ", "")
    assert sorted(models.iterdir()) == before

    # the exit status is pytest's
    assert main([*run, "-p", f"{tmp_path}/perf", "-k", "nothing"]) == 5
    assert inside("perf:cpu", "id", "-u") == "10001"


def test_the_cuda_image_takes_tensorrt_from_a_tarball_and_else_needs_nvidias_registry(
    base: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Neither CUDA nor TensorRT is here: the Dockerfile is built with stand-ins for both and for Python packages."""
    wheels = tmp_path / "wheels"
    write_module_wheel(wheels, "pytest_ortperf")
    runtime = write_wheel(wheels, "1.90.0")
    home = tmp_path / "TensorRT-10.14.1.48"
    for name, text in (
        ("lib/libnvinfer.so.10", "code"),
        ("lib/libnvinfer_static.a", "code"),
        ("bin/trtexec", "#!/bin/sh\necho TensorRT v101401\n"),
        ("doc/manual.pdf", "words"),
    ):
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text(text)
        (home / name).chmod(0o755)
    tarball = tmp_path / "tensorrt.tar.gz"
    subprocess.run(["tar", "-C", tmp_path, "-czf", tarball, home.name], check=True)  # noqa: S607
    build = [
        "image",
        "build",
        "cuda",
        "--engine=podman",
        f"--wheels={wheels}",
        f"--onnxruntime={runtime}",
        "-t",
        "perf:cuda",
    ]
    assert main([*build, f"--base-image={base}", f"--tensorrt={tarball}"]) == 0
    listed = inside("perf:cuda", "sh", "-c", "id -u; trtexec; find /opt/tensorrt -type f; echo $CUDA_MODULE_LOADING")
    assert listed.splitlines()[:2] == ["10001", "TensorRT v101401"]
    assert sorted(listed.splitlines()[2:-1]) == ["/opt/tensorrt/bin/trtexec", "/opt/tensorrt/lib/libnvinfer.so.10"]
    assert listed.endswith("LAZY")
    capfd.readouterr()

    # as it is meant, the first step is NVIDIA's image, whose registry is out of reach in this test
    assert main(build) == 2
    said = capfd.readouterr()
    assert "STEP 2" not in said.out + said.err
    assert "registry nvcr.io is blocked" in said.err
