"""ONNX Runtime built from source by the checkout's own build.sh; the wheel is kept by commit and flags."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import filelock

from pytest_ortperf.errors import SettingsError
from pytest_ortperf.execution.model.artifact_cache import Artifact, ArtifactCache, default_folder
from pytest_ortperf.provision.addresses import onnxruntime_repository
from pytest_ortperf.provision.pip_program import ProvisionError

LOG = "build.log"

_WHEEL = "wheel"
"""Key of an artifact's facts that makes it the wheel of a build."""

_COMMIT = re.compile(r"[0-9a-f]{40}")
_PARSER = re.compile(r"^(onnx_tensorrt;)(.+/)[0-9a-f]{40}(\.zip);[0-9a-f]{40}$", re.MULTILINE)
_PROGRESS = re.compile(r"^\[\s*(\d+%|\d+/\d+)\]")
_LAST_LINES = 20
_DOWNLOAD_S = 60

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildRequest:
    """What to build, and how."""

    checkout: str | None = None
    """Folder of a checkout, or address of a git repository; ONNX Runtime's own unless given."""

    branch: str | None = None
    commit: str | None = None
    config: str = "Release"
    cuda_home: Path | None = None
    cudnn_home: Path | None = None
    tensorrt_home: Path | None = None
    parser: str | None = None
    """onnx-tensorrt in place of TensorRT's own parser: its commit, or empty for the one that the checkout names."""

    flags: Sequence[str] = ()
    """More flags for build.sh."""

    @property
    def options(self) -> list[str]:
        """Flags for build.sh that decide what comes out.

        Raises:
            SettingsError: If a folder is missing, or an option needs another one.
        """
        if self.tensorrt_home and not self.cuda_home:
            raise SettingsError("--tensorrt-home needs --cuda-home: TensorRT is built together with CUDA")
        if self.cudnn_home and not self.cuda_home:
            raise SettingsError("--cudnn-home needs --cuda-home")
        if self.parser is not None and not self.tensorrt_home:
            raise SettingsError("--oss-parser needs --tensorrt-home")
        options = ["--config", self.config, "--build_wheel", "--parallel", "--skip_tests"]
        if self.cuda_home:
            cuda = _home(self.cuda_home, "--cuda-home")
            cudnn = _home(self.cudnn_home, "--cudnn-home") if self.cudnn_home else cuda
            options += ["--use_cuda", "--cuda_home", cuda, "--cudnn_home", cudnn]
        if self.tensorrt_home:
            options += ["--use_tensorrt", "--tensorrt_home", _home(self.tensorrt_home, "--tensorrt-home")]
        if self.parser is not None:
            options.append("--use_tensorrt_oss_parser")
        return [*options, *self.flags]


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltWheel:
    """A wheel in the cache; it stays as long as this object is alive."""

    path: Path
    commit: str
    artifact: Artifact


@dataclass(frozen=True, slots=True, kw_only=True)
class _Source:
    origin: str
    """Folder or address."""

    commit: str
    in_place: bool
    """Whether the folder itself is built, not a copy of one of its commits."""

    changed: bool = False
    """Whether it holds changes that no commit has."""

    @property
    def label(self) -> str:
        return f"onnxruntime {self.commit[:10]}{' with uncommitted changes' if self.changed else ''}"


class OrtBuilds:
    """Builds wheels and finds them again.

    Args:
        tell: Told what happens, in a line.
        show: Told where a build stands, many times.
        cache: Folder of the cache; the user's unless given.
        limit_gib: What the cache may hold; sources and build trees do not count.
    """

    def __init__(self, tell: Tell, show: Tell, cache: Path | None, limit_gib: float) -> None:
        self._tell = tell
        self._show = show
        self._cache = ArtifactCache(cache or default_folder(), int(limit_gib * 2**30))

    def wheel(self, request: BuildRequest) -> BuiltWheel:
        """Return the wheel of a request, built now if there is none.

        Raises:
            SettingsError: If the request names something that does not exist.
            ProvisionError: If the source cannot be fetched, or the build fails.
        """
        options = request.options
        source = _find_source(request)
        key: dict[str, Any] = {
            _WHEEL: source.commit,
            "options": options,
            "parser": request.parser,
            "python": sys.version,
        }
        if source.changed:
            key["time"] = time.time_ns()
        was_built = False

        def make(folder: Path) -> Mapping[str, Any]:
            nonlocal was_built
            was_built = True
            wheel = self._build(source, request.parser, options)
            shutil.copy(wheel, folder / wheel.name)
            return {_WHEEL: {"name": wheel.name, "commit": source.commit, "options": options}}

        artifact = self._cache.get(key, make)
        if artifact.note:
            self._tell(artifact.note)
        path = artifact.folder / artifact.facts[_WHEEL]["name"]
        if not was_built:
            self._tell(f"{source.label}: built before with these flags: {path}")
        return BuiltWheel(path=path, commit=source.commit, artifact=artifact)

    def _build(self, source: _Source, parser: str | None, options: Sequence[str]) -> Path:
        work = self._cache.folder / "builds" / _hash(source.origin)
        work.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(work / "lock")
        try:
            lock.acquire(blocking=False)
        except filelock.Timeout:
            self._tell(f"{source.label}: waiting for another build in {work}")
            lock.acquire()
        with lock:
            folder = Path(source.origin) if source.in_place else self._fetched(source, work / "source")
            if parser:
                self._use_parser(folder, parser)
            return self._run(source, folder, work / _hash(json.dumps([options, parser, sys.version])), options)

    def _fetched(self, source: _Source, folder: Path) -> Path:
        if not (folder / ".git").exists():
            _git("init", "--quiet", str(folder))
        self._tell(f"{source.label}: fetching from {source.origin}")
        _git("-C", str(folder), "fetch", "--quiet", "--depth=1", source.origin, source.commit)
        _git("-C", str(folder), "checkout", "--quiet", "--force", "--detach", source.commit)
        return folder

    def _use_parser(self, folder: Path, commit: str) -> None:
        """Replace the commit of onnx-tensorrt, and the checksum of its archive."""
        path = folder / "cmake/deps.txt"
        text = path.read_text("utf-8") if path.is_file() else ""
        match = _PARSER.search(text)
        if match is None:
            raise ProvisionError(f"{path} names no onnx-tensorrt whose commit could be replaced: leave out the commit")
        address = f"{match[2]}{commit}{match[3]}"
        self._tell(f"onnx-tensorrt {commit[:10]}: reading {address}")
        try:
            with urllib.request.urlopen(address, timeout=_DOWNLOAD_S) as archive:  # noqa: S310 - as the checkout names it
                digest = hashlib.file_digest(archive, "sha1").hexdigest()
        except (urllib.error.URLError, OSError) as error:
            raise ProvisionError(f"{address} cannot be read: {error}. Is the commit right?") from error
        path.write_text(f"{text[: match.start()]}{match[1]}{address};{digest}{text[match.end() :]}", "utf-8")

    def _run(self, source: _Source, folder: Path, tree: Path, options: Sequence[str]) -> Path:
        script, config = folder / "build.sh", options[1]
        if not script.is_file():
            raise SettingsError(f"{source.origin} is no ONNX Runtime: it holds no build.sh")
        dist = tree / config / "dist"
        shutil.rmtree(dist, ignore_errors=True)
        tree.mkdir(parents=True, exist_ok=True)
        log, began = tree / LOG, time.monotonic()
        self._tell(f"{source.label}: building; log: {log}")
        as_root = ["--allow_running_as_root"] if os.geteuid() == 0 else []
        command = ["bash", str(script), "--build_dir", str(tree), *options, *as_root]
        status, last = self._logged(command, folder, log, source.label)
        minutes = f"{(time.monotonic() - began) / 60:.1f} min"
        if status:
            raise ProvisionError(_failure(f"build.sh failed with exit status {status} after {minutes}", last, log))
        wheels = sorted(dist.glob("*.whl"))
        if len(wheels) != 1:
            raise ProvisionError(_failure(f"build.sh left {len(wheels)} wheels in {dist}", last, log))
        self._tell(f"{source.label}: built {wheels[0].name} in {minutes}")
        return wheels[0]

    def _logged(self, command: Sequence[str], folder: Path, log: Path, label: str) -> tuple[int, Sequence[str]]:
        """Run a command with all it prints in a log; return its exit status and last lines."""
        # build.sh takes the first python3
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
        last: deque[str] = deque(maxlen=_LAST_LINES)
        done, began = "", time.monotonic()
        with (
            log.open("w", encoding="utf-8") as file,
            subprocess.Popen(  # noqa: S603 - the user's checkout
                command,
                cwd=folder,
                env={**os.environ, "PATH": path},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                encoding="utf-8",
                errors="replace",
            ) as process,
        ):
            for line in process.stdout or ():
                file.write(line)
                file.flush()
                last.append(line.rstrip())
                match = _PROGRESS.match(line)
                done = f", {match[1]}" if match else done
                self._show(f"{label}: {(time.monotonic() - began) / 60:.0f} min{done}: {line.strip()}")
        self._show("")
        return process.returncode, last


def _failure(what: str, last: Sequence[str], log: Path) -> str:
    return "\n  ".join([f"{what}. Its last lines:", *last]) + f"\nThe whole log: {log}"


def _home(path: Path, option: str) -> str:
    """Return a folder without links: the same link may lead to another version later."""
    if not path.is_dir():
        raise SettingsError(f"{option}={path}: there is no such folder")
    return str(path.resolve())


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _find_source(request: BuildRequest) -> _Source:
    given = request.checkout or onnxruntime_repository()
    if Path(given).is_dir():
        return _in_checkout(str(Path(given).resolve()), request)
    if request.checkout and "://" not in given:
        raise SettingsError(f"{given}: there is no such folder; give a checkout or the address of a git repository")
    if request.commit:
        if not _COMMIT.fullmatch(request.commit):
            raise SettingsError(f"--commit={request.commit}: give all 40 digits; only a checkout knows short ones")
        return _Source(origin=given, commit=request.commit, in_place=False)
    name = request.branch or "HEAD"
    lines = _git("ls-remote", given, name, f"{name}^{{}}").splitlines()
    found = {ref: commit for commit, ref in (line.split("\t") for line in lines)}
    wanted = (name, f"refs/heads/{name}", f"refs/tags/{name}^{{}}", f"refs/tags/{name}")
    commit = next((found[each] for each in wanted if each in found), None)
    if commit is None:
        raise SettingsError(f"{given} has no branch or tag {name}")
    return _Source(origin=given, commit=commit, in_place=False)


def _in_checkout(folder: str, request: BuildRequest) -> _Source:
    name = request.commit or request.branch
    if name is None and not request.parser:
        changed = bool(_git("-C", folder, "status", "--porcelain"))
        return _Source(origin=folder, commit=_revision(folder, "HEAD"), in_place=True, changed=changed)
    return _Source(origin=folder, commit=_revision(folder, name or "HEAD"), in_place=False)


def _revision(folder: str, name: str) -> str:
    for each in (name, f"origin/{name}"):
        done = _git_program("-C", folder, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{each}^{{commit}}")
        if done.returncode == 0:
            return done.stdout.strip()
    if _git_program("-C", folder, "rev-parse", "--git-dir").returncode:
        raise SettingsError(f"{folder} is no git checkout")
    raise SettingsError(f"{folder} has no branch or commit {name}; fetch it first")


def _git(*arguments: str) -> str:
    done = _git_program(*arguments)
    if done.returncode:
        said = done.stderr.strip().splitlines()[-1:] or [f"exit status {done.returncode}"]
        raise ProvisionError(f"git {' '.join(arguments)} failed: {said[0]}")
    return done.stdout


def _git_program(*arguments: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(  # noqa: S603
            ["git", *arguments],  # noqa: S607 - the user's git
            # a private address fails at once instead of asking for a password
            env={**os.environ, "GIT_TERMINAL_PROMPT": "0"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=False,
        )
    except FileNotFoundError as error:
        raise ProvisionError("git is not installed") from error
