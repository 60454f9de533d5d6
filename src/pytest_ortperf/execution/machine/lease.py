"""Benchmarks that must not overlap wait for each other: on one CPU, and on one GPU.

Across the processes of a user on one machine: pytest-xdist's workers, and other pytest runs. A benchmark holds what it
measures exclusively, a validation shares it. The locks are `flock`s, which the kernel gives back whatever becomes of
their holder; `filelock`'s cannot be shared.
"""

from __future__ import annotations

import fcntl
import functools
import os
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from pytest_ortperf.cases.matrix import Case
from pytest_ortperf.cases.providers import Provider
from pytest_ortperf.errors import CaseError
from pytest_ortperf.execution.case_settings import ExecutionSettings
from pytest_ortperf.execution.machine.nvml import NoGpu, cuda_uuid, opened_gpu
from pytest_ortperf.execution.process.lock_wait import Wait
from pytest_ortperf.execution.record_builder import Journal, RecordBuilder
from pytest_ortperf.safe_files import network_file_system, private_folder

CPU = "cpu"

FOLDER_VARIABLE = "ORTPERF_LOCKS"
"""Environment variable: the folder of the locks, such as one that several containers share."""

WAIT_S = 14_400.0
"""For hardware that somebody measures on; each case of a run gives it back, so this is a run that hangs."""

_SHORTEST_S, _LONGEST_S = 0.001, 0.02
_LOOK_S = 0.5


class Busy(Exception):  # noqa: N818 - a fact about hardware, for who does not wait for it
    """Somebody else holds what was claimed; the text is its name."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What a case needs of one piece of hardware."""

    name: str
    shared: bool


@contextmanager
def lease(case: Case, settings: ExecutionSettings, facts: RecordBuilder) -> Iterator[None]:
    """Hold the hardware that a case uses; the stage `lease` is the wait for it.

    Raises:
        CaseError: Stage `lease`, if there is no folder for locks, or the hardware does not come free.
    """
    with ExitStack() as held:
        with facts.entering("lease"):
            folder = lock_folder()
            for claim in claims_of(case, settings):
                held.enter_context(holding(folder, claim, facts.journal))
        yield


def claims_of(case: Case, settings: ExecutionSettings) -> tuple[Claim, ...]:
    """Return what a case needs, always in the same order, so that no two cases wait for each other.

    A benchmark on a device shares the CPU with others on other devices, but not with one that measures the CPU.
    """
    validates = case.mode == "validate"
    if case.provider.device != "gpu":
        return (Claim(CPU, shared=validates),)
    return (Claim(f"gpu-{_gpu_name(case, settings)}", shared=validates), Claim(CPU, shared=True))


@contextmanager
def holding(folder: Path, claim: Claim, journal: Journal, *, waits: bool = True) -> Iterator[None]:
    """Hold one claim; the journal is told while it waits.

    Whoever waits for it alone stands at a gate that those who would share it have to pass too: they cannot keep it
    waiting for ever.

    Args:
        folder: Of the locks.
        claim: What.
        journal: Told of a wait.
        waits: Whether to wait at all.

    Raises:
        Busy: If it is not free at once, and nobody waits for it.
        CaseError: Stage `lease`, if its holder is stopped, or keeps it longer than `WAIT_S`.
    """
    with ExitStack() as files:
        descriptors = {name: _opened(folder / f"{claim.name}.{name}", files) for name in ("gate", "lock")}
        kind = fcntl.LOCK_SH if claim.shared else fcntl.LOCK_EX
        wanted = ((descriptors["gate"], fcntl.LOCK_EX), (descriptors["lock"], kind))
        if not all(_taken_at_once(*each) for each in wanted):
            if not waits:
                raise Busy(claim.name)
            with _waiting(journal):
                for name, (descriptor, how) in zip(("gate", "lock"), wanted, strict=True):
                    _wait_for(folder / f"{claim.name}.{name}", descriptor, how)
        fcntl.flock(descriptors["gate"], fcntl.LOCK_UN)
        yield


def lock_folder() -> Path:
    """Return the folder of this user's locks, for all runs on this machine with the same folder for temporary files.

    Where somebody else has made it, another one is taken, the same for all runs of this user.

    Raises:
        CaseError: Stage `lease`, if there is none, or it is on a network file system: there a lock may keep nobody
            out, and the hardware of several machines is not the same.
    """
    chosen = os.environ.get(FOLDER_VARIABLE)
    if chosen:
        folder: Path | None = Path(chosen)
        try:
            Path(chosen).mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise _unusable(f"{FOLDER_VARIABLE}={chosen}: {error.strerror}") from error
    else:
        folder = private_folder("pytest-ortperf-locks")
    if folder is None:
        raise _unusable(f"no folder for locks can be made in {tempfile.gettempdir()}")
    kind = network_file_system(folder)
    if kind is not None:
        raise _unusable(f"{folder} is on a network file system ({kind}), where locks may keep nobody out")
    return folder


def _unusable(what: str) -> CaseError:
    return CaseError(
        f"{what}; benchmarks cannot wait for each other there. Set {FOLDER_VARIABLE} to a folder on this machine",
        stage="lease",
        kind="environment",
    )


def _gpu_name(case: Case, settings: ExecutionSettings) -> str:
    device = device_of(case, settings)
    name = _nvidia_uuid(int(device)) if case.provider.nvidia and device.isdecimal() else None
    return name or f"{case.provider.memory or case.provider.name}-{device}".replace("/", "-")


@functools.cache
def _nvidia_uuid(device: int) -> str | None:
    """Return the UUID of the GPU that a CUDA device number means, with `CUDA_VISIBLE_DEVICES` in mind."""
    with opened_gpu(device, uuid_of=cuda_uuid) as gpu:
        return None if isinstance(gpu, NoGpu) else gpu.uuid


def device_of(case: Case, settings: ExecutionSettings) -> str:
    """Return the device that a case's provider is given, `0` unless somebody chose."""
    return chosen_device(case.provider, settings, case.model.ep_options)


def chosen_device(provider: Provider, settings: ExecutionSettings, of_model: Mapping[str, Mapping[str, str]]) -> str:
    """Return the device that a provider is given with these options of a model, `0` unless somebody chose."""
    key, name = provider.device_option, provider.name
    for options in (settings.ep_options.get(name, {}), of_model.get(name, {})):
        if key and key in options:
            return options[key]
    return settings.devices.get(name, "0")


def _opened(path: Path, files: ExitStack) -> int:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    files.callback(os.close, descriptor)
    return descriptor


def _taken_at_once(descriptor: int, how: int) -> bool:
    try:
        fcntl.flock(descriptor, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _wait_for(path: Path, descriptor: int, how: int) -> None:
    wait, pause_s = Wait(path, WAIT_S), _SHORTEST_S
    looked = time.monotonic()
    while not _taken_at_once(descriptor, how):
        time.sleep(pause_s)
        pause_s = min(pause_s * 1.5, _LONGEST_S)
        if time.monotonic() - looked < _LOOK_S:
            continue
        looked = time.monotonic()
        problem = wait.problem()
        if problem:
            raise CaseError(problem, stage="lease", kind="environment")


@contextmanager
def _waiting(journal: Journal) -> Iterator[None]:
    start = time.monotonic()
    # of all processes of a machine the same clock
    journal.note(waiting=start)
    yield
    journal.note(waited_s=time.monotonic() - start)
