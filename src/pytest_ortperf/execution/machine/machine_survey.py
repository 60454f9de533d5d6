"""The machine before a run's first benchmark: what holds for the whole run, and waiting until it is quiet."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from pathlib import Path

from pytest_ortperf.cases.providers import Provider
from pytest_ortperf.execution.case_settings import ExecutionSettings
from pytest_ortperf.execution.machine.devices import nvml_gpus
from pytest_ortperf.execution.machine.gpu_checks import Subject, gpu_findings, own_processes
from pytest_ortperf.execution.machine.host_checks import LOAD_WARNING, ROOT, Host, host_findings, own_cores, read_load
from pytest_ortperf.execution.machine.machine_state import cuda_device
from pytest_ortperf.execution.machine.nvml import NoGpu, opened_gpu
from pytest_ortperf.records.environment.machine_checks import Finding, merged

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
        return gpu_findings(Subject(gpu=gpu, label=label, driver=driver, cores=host.cores, own=own, root=host.root))


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
