"""Container images with this package, and runs in them, by docker or podman."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution, version
from pathlib import Path
from typing import Any, Literal

from packaging.requirements import Requirement

from pytest_ortperf.errors import SettingsError
from pytest_ortperf.provision.addresses import CPU_BUILD_IMAGE, CPU_IMAGE, CUDA_BUILD_IMAGE, CUDA_IMAGE
from pytest_ortperf.provision.pip_program import ProvisionError, is_version, run_pip

Device = Literal["cpu", "cuda"]
DEVICES: tuple[Device, ...] = ("cpu", "cuda")
ENGINES = ("docker", "podman")
BASE_IMAGES = {"cpu": (CPU_IMAGE, CPU_BUILD_IMAGE), "cuda": (CUDA_IMAGE, CUDA_BUILD_IMAGE)}
"""What an image is made from, and what ONNX Runtime is built in."""

USER = "10001:10001"
"""Of the images; whoever starts a container as root gets it."""

_PACKAGE = "pytest-ortperf"
_DISTRIBUTIONS = {"cpu": "onnxruntime", "cuda": "onnxruntime-gpu"}
_BRANCH = "branch:"
_LABEL = "ortperf.device"
_OCCUPIED = {Path(path) for path in ("/", "/bin", "/context", "/dev", "/etc", "/lib", "/opt", "/proc", "/sys", "/usr")}
"""Folders of the image that a volume must not hide."""

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Engine:
    """The program that builds and runs, with the options it is always given."""

    command: tuple[str, ...]

    @property
    def is_podman(self) -> bool:
        """Whether it takes podman's options, not docker's."""
        return "podman" in Path(self.command[0]).name

    def run(self, arguments: Sequence[str]) -> int:
        """Run it in sight of the user and return its exit status."""
        with subprocess.Popen([*self.command, *arguments]) as process:  # noqa: S603 - the user's engine
            while True:
                # Ctrl-C reaches it too: what is in the container ends well, and then it ends
                with contextlib.suppress(KeyboardInterrupt):
                    return process.wait()

    def read(self, arguments: Sequence[str]) -> subprocess.CompletedProcess[str]:
        """Run it and return what it printed."""
        return subprocess.run(  # noqa: S603 - the user's engine
            [*self.command, *arguments], stdin=subprocess.DEVNULL, capture_output=True, encoding="utf-8", check=False
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageRequest:
    """What to put into an image."""

    device: Device
    name: str
    base_image: str | None = None
    build_image: str | None = None
    onnxruntime: str | None = None
    """A version, a requirement, a wheel, or `branch:NAME`."""

    tensorrt: str | None = None
    """A version, or a tarball."""

    parser: str | None = None
    """onnx-tensorrt in place of TensorRT's own parser: its commit, or empty for the one that the branch names."""

    architectures: str | None = None
    wheels: Path | None = None
    """Folder of wheels; nothing else is installed then."""

    package: str | None = None
    """This package, as pip takes it; as it is here unless given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerRun:
    """A run in a container."""

    image: str
    models: Path
    """Folder that the models are in; it is seen at the same path, and cannot be written."""

    results: Path
    cache: Path | None = None
    gpus: str | None = None
    """`all`, `none`, or indexes with commas; unless given, all if the image is for CUDA."""

    options: Sequence[str] = ()
    """More options for the engine's `run`."""

    program: Sequence[str] = ("pytest",)
    arguments: Sequence[str] = ()
    """Options of the program, which takes those of pytest."""


def find_engine(given: str | None) -> Engine:
    """Return the engine that a user named, else the first one that answers.

    Raises:
        SettingsError: If there is none.
    """
    if given is not None:
        command = tuple(shlex.split(given))
        if not command or shutil.which(command[0]) is None:
            raise SettingsError(f"--engine={given}: there is no such program")
        return Engine(command)
    reasons = []
    for name in ENGINES:
        if shutil.which(name) is None:
            reasons.append(f"{name} is not installed")
            continue
        engine = Engine((name,))
        # of docker the client alone may be there
        done = engine.read(["info"])
        if done.returncode == 0:
            return engine
        said = done.stderr.strip().splitlines()[-1:] or [f"exit status {done.returncode}"]
        reasons.append(f"{name} cannot be used: {said[0]}")
    raise SettingsError(f"no container engine: {'; '.join(reasons)}. --engine=PROGRAM names another one")


def docker_folder() -> Path:
    """Return the folder with the Dockerfiles: inside the installed package, or in the checkout."""
    inside = Path(__file__).with_name("docker")
    return inside if inside.is_dir() else Path(__file__).parents[3] / "deploy/docker"


@contextmanager
def build_context(request: ImageRequest) -> Iterator[tuple[Path, list[str]]]:
    """Yield a folder with all that an image is built from, and the engine's `build` arguments that belong to it.

    Raises:
        SettingsError: If a file does not exist, or an option is not for this device.
        ProvisionError: If the wheel of this package cannot be made.
    """
    arguments = _build_arguments(request)
    with tempfile.TemporaryDirectory(prefix="ortperf-image-") as text:
        context = Path(text)
        for path in docker_folder().iterdir():
            shutil.copy(path, context)
        (context / "wheels").mkdir()
        (context / "tensorrt").mkdir()
        for wheel in sorted(request.wheels.glob("*.whl")) if request.wheels else ():
            shutil.copy(wheel, context / "wheels")
        if not any((context / "wheels").glob("pytest_ortperf-*.whl")):
            run_pip(["wheel", "--no-deps", "--wheel-dir", str(context / "wheels"), request.package or _own_source()])
        if _is_wheel(request.onnxruntime):
            shutil.copy(str(request.onnxruntime), context / "wheels")
        if _is_tarball(request.tensorrt):
            _link_or_copy(Path(str(request.tensorrt)), context / "tensorrt")
        (context / "constraints.txt").write_text("".join(f"{pin}\n" for pin in installed_pins()), "utf-8")
        yield (
            context,
            ["build", "--file", str(context / f"Dockerfile.{request.device}"), "--tag", request.name, *arguments],
        )


def run_arguments(engine: Engine, run: ContainerRun, *, is_terminal: bool) -> list[str]:
    """Return the engine's arguments for a run.

    Raises:
        SettingsError: If there is no such image or folder, or results could not be written.
    """
    device, user = _inspected(engine, run.image)
    for folder in (run.models, run.results):
        if folder in _OCCUPIED:
            raise SettingsError(f"{folder} would hide what the image has there: name a folder below it")
    if not run.models.is_dir():
        raise SettingsError(f"{run.models}: there is no such folder")
    own = f"{os.getuid()}:{os.getgid()}"
    as_user = user if os.getuid() == 0 else own
    if os.getuid() == 0 and not run.models.stat().st_mode & stat.S_IROTH:
        raise SettingsError(
            f"{run.models} cannot be read by user {as_user.partition(':')[0]}, whom the image runs as: chmod o+rx "
            f"{run.models}, or start as another user"
        )
    volumes = [f"{run.models}:{run.models}:ro"]
    for folder in filter(None, (run.results, run.cache)):
        _make_writable(folder, as_user)
        volumes.append(f"{folder}:{folder}")
    return [
        "run",
        "--rm",
        *["--tty"] * is_terminal,
        f"--user={as_user}",
        # without it, podman maps the user of this process to root inside
        *["--userns=keep-id"] * (engine.is_podman and os.getuid() != 0),
        *_gpu_options(engine, run.gpus or ("all" if device == "cuda" else "none")),
        *(f"--volume={volume}" for volume in volumes),
        *(["--env=XDG_CACHE_HOME=" + str(run.cache)] if run.cache else []),
        f"--workdir={run.models}",
        *run.options,
        run.image,
        *run.program,
        f"--ortperf-results={run.results}",
        *run.arguments,
    ]


def installed_pins() -> list[str]:
    """Return the versions of everything that this package needs, as they are installed here."""
    pins: dict[str, str] = {}
    names = [_PACKAGE]
    while names:
        name = names.pop()
        try:
            found = distribution(name)
        except PackageNotFoundError:
            continue  # of another platform, or run from source
        if name != _PACKAGE:
            pins[re.sub(r"[-_.]+", "-", name).lower()] = found.version
        for text in found.requires or ():
            requirement = Requirement(text)
            wanted = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
            if wanted and re.sub(r"[-_.]+", "-", requirement.name).lower() not in pins:
                names.append(requirement.name)
    return [f"{name}=={pins[name]}" for name in sorted(pins)]


def _build_arguments(request: ImageRequest) -> list[str]:
    if request.device == "cpu" and (request.tensorrt or request.parser is not None or request.architectures):
        raise SettingsError("--tensorrt, --oss-parser and --cuda-architectures are for the image cuda")
    base, build = BASE_IMAGES[request.device]
    values = {"BASE_IMAGE": request.base_image or base}
    given = request.onnxruntime
    if given and given.startswith(_BRANCH):
        values["ONNXRUNTIME_BRANCH"] = given.removeprefix(_BRANCH)
        values["BUILD_IMAGE"] = request.build_image or (request.base_image or build)
    elif request.parser is not None:
        raise SettingsError("--oss-parser needs --onnxruntime=branch:NAME: a finished wheel has its parser")
    elif _is_wheel(given):
        values["ONNXRUNTIME"] = f"/context/wheels/{Path(str(given)).name}"
    elif given:
        values["ONNXRUNTIME"] = f"{_DISTRIBUTIONS[request.device]}=={given}" if is_version(given) else given
    if request.tensorrt and not _is_tarball(request.tensorrt):
        values["TENSORRT_VERSION"] = request.tensorrt
    if request.parser is not None:
        values["OSS_PARSER"] = request.parser or "source"
    if request.architectures:
        values["CUDA_ARCHITECTURES"] = request.architectures
    if request.wheels is not None:
        if not any(request.wheels.glob("*.whl")):
            raise SettingsError(f"--wheels={request.wheels}: holds no wheels")
        values["PIP_NO_INDEX"] = "1"
    return [f"--build-arg={name}={value}" for name, value in values.items()]


def _is_wheel(text: str | None) -> bool:
    return _is_file(text, ".whl", "--onnxruntime")


def _is_tarball(text: str | None) -> bool:
    return _is_file(text, ".tar.gz", "--tensorrt")


def _is_file(text: str | None, ending: str, option: str) -> bool:
    if text is None or not text.endswith(ending):
        return False
    if not Path(text).is_file():
        raise SettingsError(f"{option}={text}: there is no such file")
    return True


def _link_or_copy(path: Path, folder: Path) -> None:
    """Put a file of some GB into a folder, without a copy where that can be."""
    try:
        os.link(path, folder / path.name)
    except OSError:
        shutil.copy(path, folder)


def _own_source() -> str:
    """Return what pip makes the wheel of this package from: the checkout, or the version that is installed."""
    checkout = Path(__file__).parents[3]
    return str(checkout) if (checkout / "pyproject.toml").is_file() else f"{_PACKAGE}=={version(_PACKAGE)}"


def _inspected(engine: Engine, image: str) -> tuple[str, str]:
    """Return the device and the user of an image."""
    done = engine.read(["image", "inspect", image])
    if done.returncode:
        raise SettingsError(f"there is no image {image}: make it with ortperf image build, or name another one with -d")
    settings: dict[str, Any] = json.loads(done.stdout)[0].get("Config") or {}
    user = settings.get("User") or ""
    if not re.fullmatch(r"\d+(:\d+)?", user):
        user = USER  # a name says nothing about files on this side
    return (settings.get("Labels") or {}).get(_LABEL, "cpu"), user if ":" in user else f"{user}:{user}"


def _gpu_options(engine: Engine, gpus: str) -> list[str]:
    if gpus == "none":
        return []
    if not re.fullmatch(r"all|\d+(,\d+)*", gpus):
        raise SettingsError(f"--gpus={gpus}: give all, none, or indexes such as 0,1")
    if engine.is_podman:
        return [f"--device=nvidia.com/gpu={index}" for index in gpus.split(",")]
    # docker reads the value as CSV, so several indexes stand in quotes
    return ["--gpus=all" if gpus == "all" else f'--gpus="device={gpus}"']


def _make_writable(folder: Path, user: str) -> None:
    """Make a folder that a user can write to.

    Raises:
        SettingsError: If it belongs to somebody else.
    """
    uid, gid = map(int, user.split(":"))
    is_new = not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if is_new and os.getuid() == 0:
            os.chown(folder, uid, gid)
    except OSError as error:
        raise SettingsError(f"{folder} cannot be made: {error.strerror}") from error
    status = folder.stat()
    if os.getuid() == 0 and uid not in {0, status.st_uid} and not status.st_mode & stat.S_IWOTH:
        raise SettingsError(
            f"{folder} cannot be written by user {uid}, whom the image runs as: chown {user} {folder}, or name another "
            f"folder"
        )


def built(engine: Engine, request: ImageRequest, options: Sequence[str], tell: Tell) -> None:
    """Build an image.

    Raises:
        SettingsError: If the request cannot be used.
        ProvisionError: If the engine fails; what it said is on the screen.
    """
    tell(f"{request.name}: collecting what it is built from")
    with build_context(request) as (context, arguments):
        tell(f"{request.name}: {' '.join(engine.command)} build")
        status = engine.run([*arguments, *options, str(context)])
    if status:
        raise ProvisionError(f"{request.name}: {' '.join(engine.command)} build failed with exit status {status}")
    tell(f"{request.name}: built. Run it: ortperf image run -d {request.name} -m models.json")
