"""The machine around the timed parts of one benchmark: read, judged, measured again where it was spoiled.

The machine before a run's first benchmark: what holds for the whole run, and waiting until it is quiet.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from pytest_ortperf.cases.keys import EMPTY
from pytest_ortperf.cases.matrix import Case
from pytest_ortperf.cases.providers import Provider
from pytest_ortperf.errors import CaseError
from pytest_ortperf.execution.case_settings import ExecutionSettings
from pytest_ortperf.execution.machine.devices import nvml_gpus
from pytest_ortperf.execution.machine.gpu_checks import GpuSubject, gpu_findings, own_processes
from pytest_ortperf.execution.machine.gpu_reading import gpu_changes, is_spoiled, judge_spread, read_gpu
from pytest_ortperf.execution.machine.host_checks import LOAD_WARNING, ROOT, Host, host_findings, own_cores, read_load
from pytest_ortperf.execution.machine.host_reading import host_changes, read_host
from pytest_ortperf.execution.machine.lease import chosen_device
from pytest_ortperf.execution.machine.machine_files import is_virtual
from pytest_ortperf.execution.machine.nvml import Gpu, NoGpu, cuda_uuid, opened_gpu
from pytest_ortperf.records.environment.machine_catalogue import finding
from pytest_ortperf.records.environment.machine_checks import Finding, MachineState, Reading, Span, merged
from pytest_ortperf.records.resources import Clocks

LONGEST_WAIT_S = 240.0
WAIT_STEP_S = 5.0


def survey_machine(
    settings: ExecutionSettings, providers: Iterable[Provider], *, root: Path = ROOT
) -> tuple[Finding, ...]:
    """Return what holds for the whole run: one finding of each check of the host and of the GPUs that are used.

    Args:
        settings: Threads and devices asked for.
        providers: Those of the run.
        root: Folder that stands for `/`.
    """
    host = Host(root=root, cores=own_cores(), threads=settings.threads)
    devices = {cuda_device(row, settings) for row in providers} - {None}
    gpus = [found for device in sorted(devices, key=str) for found in _gpu_findings(device or 0, host)]
    return (*host_findings(host), *merged(gpus))


def _gpu_findings(device: int, host: Host) -> tuple[Finding, ...]:
    driver = nvml_gpus().driver
    # no `cuda_uuid` here: this process forks, and a CUDA driver that was started does not survive that
    with opened_gpu(device) as gpu:
        if isinstance(gpu, NoGpu):
            return gpu_findings(gpu)
        label = f"GPU {device}"
        own = own_processes()
        return gpu_findings(GpuSubject(gpu=gpu, label=label, driver=driver, cores=host.cores, own=own, root=host.root))


def wait_for_quiet(
    tell: Callable[[str], None],
    *,
    root: Path = ROOT,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Wait until the load average is low, for 240 s at most; what is still off then, the survey says.

    Args:
        tell: Told when waiting starts and ends; not called on a quiet machine.
        root: Folder that stands for `/`.
        clock: For tests.
        sleep: For tests.
    """
    start = clock()
    cores = len(Host(root=root, cores=own_cores()).online)
    load = read_load(root)
    if load is None or load <= LOAD_WARNING * cores:
        return
    tell(
        f"waiting up to {LONGEST_WAIT_S:.0f} s: the load is {load:g}, "
        f"on {cores} cores {LOAD_WARNING * cores:g} is quiet"
    )
    while load is not None and load > LOAD_WARNING * cores and clock() - start < LONGEST_WAIT_S:
        sleep(WAIT_STEP_S)
        load = read_load(root)
    tell(f"the load is {load if load is not None else 'unknown'} after {clock() - start:.0f} s")


T = TypeVar("T")

SPOILS = frozenset({"gpu-hardware-slowdown", "gpu-clock", "cpu-heat"})
"""Checks whose `reject` is of the samples: measured again, they may be good."""

MOST_DISCARDED = 1
PAUSE_S = 10.0
"""Before measuring again: at most this, and less where the GPU tells that it has recovered."""

PAUSE_STEP_S = 0.5


@dataclass(kw_only=True)
class MachineWatch:
    """Reads the machine before and after each timed part.

    Args:
        gpu: The case's, where it uses an NVIDIA GPU.
        on: Whether anything is read.
        root: Folder that stands for `/`.
        sleep: For tests.
    """

    gpu: Gpu | NoGpu | None = None
    label: str = "GPU 0"
    on: bool = True
    root: Path = ROOT
    sleep: Callable[[float], None] = time.sleep
    cores: frozenset[int] = field(default_factory=own_cores)
    own: frozenset[int] = field(default_factory=own_processes)
    _spans: list[Span] = field(default_factory=list)
    _findings: list[Finding] = field(default_factory=list)

    @property
    def state(self) -> MachineState | None:
        """Of all parts so far; `None` if nothing was read."""
        if not self._spans:
            return None
        off = [found for found in merged(self._findings) if found.level != "ok"]
        return MachineState(spans=tuple(self._spans), findings=tuple(off))

    def take(self, timing: str, measure: Callable[[], T], warm: Callable[[], object]) -> T:
        """Return what a measurement returns, with the machine read around it.

        Where the machine spoiled it, it is thrown away and made once more after a pause; what the second one gives is
        kept and marked, whatever it is.

        Args:
            timing: Name of the timing mode.
            measure: The timed part; it may be called twice.
            warm: Called before the second time: the pause has cooled caches and clocks down.
        """
        if not self.on:
            return measure()
        for discarded in range(MOST_DISCARDED + 1):
            before = self.read()
            result = measure()
            after = self.read()
            findings = self._judge(before, after)
            spoiled = any(found.level == "reject" and found.check in SPOILS for found in findings)
            if not spoiled or discarded == MOST_DISCARDED:
                break
            self._pause()
            warm()
        self._spans.append(Span(timing=timing, before=before, after=after, discarded=discarded))
        self._findings += findings
        return result

    def note_clocks(self, clocks: Clocks | str) -> None:
        """Judge the GPU's clock in iterations that were watched and not timed; a text is why it is not known."""
        if self.on and isinstance(self.gpu, Gpu):
            self._findings.append(judge_spread(self.label, clocks))

    def read(self) -> Reading:
        """Return the machine now."""
        gpu = read_gpu(self.gpu, self.own, self.root) if isinstance(self.gpu, Gpu) else None
        return Reading(host=read_host(self.root, cores=sorted(self.cores)), gpu=gpu)

    def _judge(self, before: Reading, after: Reading) -> list[Finding]:
        host = Host(root=self.root, cores=self.cores)
        found = list(host_changes(before.host, after.host, len(host.online), virtual=bool(is_virtual(self.root))))
        if before.gpu is not None and after.gpu is not None:
            elapsed = after.host.at_ns - before.host.at_ns
            found += gpu_changes(self.label, before.gpu, after.gpu, elapsed)
        elif isinstance(self.gpu, NoGpu):
            found.append(finding("gpu-driver", "unknown", f"NVML tells nothing: {self.gpu.reason}"))
        return found

    def _pause(self) -> None:
        waited = 0.0
        while waited < PAUSE_S:
            self.sleep(PAUSE_STEP_S)
            waited += PAUSE_STEP_S
            if isinstance(self.gpu, Gpu) and not is_spoiled(read_gpu(self.gpu, self.own, self.root)):
                return


def unwatched() -> MachineWatch:
    """Return a watch that reads nothing."""
    return MachineWatch(on=False, cores=frozenset(), own=frozenset())


@contextmanager
def watched_machine(case: Case, settings: ExecutionSettings) -> Iterator[MachineWatch]:
    """Give the watch for one benchmark; NVML is open meanwhile if the case uses an NVIDIA GPU.

    Args:
        case: What is measured; its session exists already.
        settings: Whether anything is read.
    """
    if settings.environment == "off":
        yield unwatched()
        return
    device = cuda_device(case.provider, settings, case.model.ep_options)
    if device is None:
        yield MachineWatch()
        return
    with opened_gpu(device, uuid_of=cuda_uuid) as gpu:
        yield MachineWatch(gpu=gpu, label=f"GPU {device}")


def cuda_device(
    provider: Provider, settings: ExecutionSettings, of_model: Mapping[str, Mapping[str, str]] = EMPTY
) -> int | None:
    """Return the CUDA device number that a provider uses; `None` if it uses no NVIDIA GPU.

    Args:
        provider: Of a case, or of the run.
        settings: Device and options of the command line.
        of_model: Provider options of the case's model, by short name; without them the answer is the run's.
    """
    if not provider.nvidia:
        return None
    text = chosen_device(provider, settings, of_model)
    return int(text) if text.isdecimal() else None


def refuse_machine(settings: ExecutionSettings) -> None:
    """End a benchmark before it starts, where `strict` found the machine unfit for the whole run.

    Raises:
        CaseError: Kind `environment`.
    """
    if settings.environment == "strict" and settings.unfit:
        raise CaseError(_refusal(settings.unfit), stage="settings", kind="environment")


def refuse_state(state: MachineState | None, settings: ExecutionSettings) -> None:
    """End a benchmark after it was measured, where `strict` found that the machine spoiled it.

    Raises:
        CaseError: Kind `environment`, stage `timing`.
    """
    if settings.environment != "strict" or state is None:
        return
    bad = [rejection_text(found) for found in state.findings if found.level == "reject"]
    if bad:
        raise CaseError(_refusal(bad), stage="timing", kind="environment")


def rejection_text(found: Finding) -> str:
    """Return what was seen, why it matters and what to try, as one sentence each."""
    return f"{found.check}: {found.seen}. {found.why}. Try: {found.advice}"


def _refusal(texts: object) -> str:
    listed = "\n  ".join(texts) if isinstance(texts, (list, tuple)) else str(texts)
    return (
        f"the machine is not fit for --ortperf-env=strict:\n  {listed}\n"
        f"--ortperf-env=warn measures all the same and labels the record"
    )
