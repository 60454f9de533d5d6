from __future__ import annotations

import dataclasses
import os
import time
from pathlib import Path

import pytest
from machine_trees import CONTAINER_V1, CONTAINER_V2, FIRECRACKER, INTEL, Tree, plant, stat_text

from pytest_ortperf.execution.machine.host_checks import own_cores
from pytest_ortperf.execution.machine.host_reading import host_changes, read_host
from pytest_ortperf.records.environment.machine_checks import HostReading

TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
QUIET = HostReading(
    at_ns=0,
    own_cpu_ns=0,
    busy_ns=0,
    steal_ns=0,
    runnable=0,
    load1=0.0,
    swapped_pages=7,
    quota_throttled_ns=5,
    thermal_events=3,
)


def told(before: HostReading, after: HostReading, *, cores: int = 8, virtual: bool = False) -> list[str]:
    changes = host_changes(before, after, cores, virtual=virtual)
    return [f"{found.level} {found.check}: {found.seen}" for found in changes]


def after(seconds: float = 2.0, **changes: int | None) -> HostReading:
    return dataclasses.replace(QUIET, at_ns=int(seconds * 1e9), **changes)


def test_everything_is_read_on_bare_metal(tmp_path: Path) -> None:
    reading = read_host(plant(tmp_path, INTEL), cores=range(8))
    assert reading.at_ns > 0
    assert reading.own_cpu_ns > 0
    assert dataclasses.replace(reading, at_ns=0, own_cpu_ns=0) == HostReading(
        at_ns=0,
        own_cpu_ns=0,
        busy_ns=(1000 + 40 + 60 + 20) * TICK_NS,
        steal_ns=0,
        cores=1,
        runnable=0,
        load1=0.31,
        swapped_pages=120,
        quota_throttled_ns=None,
        thermal_events=8 * 5,
    )


@pytest.mark.parametrize(
    ("tree", "throttled_ns", "runnable"),
    [(CONTAINER_V2, 1_500_000, 4), (CONTAINER_V1, 2_500_000, None), (FIRECRACKER, 0, 1), ({}, None, None)],
)
def test_containers_tell_what_they_can(
    tmp_path: Path, tree: Tree, throttled_ns: int | None, runnable: int | None
) -> None:
    reading = read_host(plant(tmp_path, tree))
    assert (reading.quota_throttled_ns, reading.runnable) == (throttled_ns, runnable)
    assert reading.thermal_events is None


def test_own_running_threads_are_no_others(tmp_path: Path) -> None:
    tasks = {f"proc/self/task/{n}/stat": f"{n} (a b) R) {state} 1 1\n" for n, state in enumerate("RRRSD")}
    tree = tasks | {"proc/stat": stat_text(user=1, running=5)}
    assert read_host(plant(tmp_path, tree)).runnable == 2


def test_of_many_cores_some_are_asked_for_heat(tmp_path: Path) -> None:
    count = "sys/devices/system/cpu/cpu{}/thermal_throttle/core_throttle_count"
    root = plant(tmp_path, {count.format(core): "1\n" for core in range(64)})
    assert read_host(root, cores=range(64)).thermal_events == 16
    assert read_host(root, cores=range(16)).thermal_events == 16
    assert read_host(root).thermal_events is None


def test_a_reading_here_takes_less_than_two_milliseconds() -> None:
    cores = sorted(own_cores())
    times = []
    for _ in range(20):
        start = time.perf_counter_ns()
        read_host(cores=cores)
        times.append(time.perf_counter_ns() - start)
    assert min(times) < 2_000_000


def test_a_quiet_machine_is_fine() -> None:
    assert told(QUIET, after()) == [
        "ok runnable: 0 other threads on 8 cores",
        "ok other-load: others kept 0.0 of 8 cores busy",
        "ok steal: 0.0% of the CPU time was stolen",
        "ok quota: threads were held back for 0.0 ms",
        "ok swapping: 0 pages were swapped",
        "ok cpu-heat: the CPU lowered its clock 0 times",
    ]


def test_what_was_off_has_its_number() -> None:
    before = dataclasses.replace(QUIET, runnable=3)
    later = after(
        own_cpu_ns=4_000_000_000,
        busy_ns=9_000_000_000,
        steal_ns=1_000_000_000,
        quota_throttled_ns=80_000_005,
        swapped_pages=9,
        thermal_events=5,
    )
    assert told(before, later) == [
        "warning runnable: 3 other threads on 8 cores",
        "warning other-load: others kept 2.5 of 8 cores busy",
        "warning steal: 10.0% of the CPU time was stolen",
        "warning quota: threads were held back for 80.0 ms",
        "warning swapping: 2 pages were swapped",
        "reject cpu-heat: the CPU lowered its clock 2 times",
    ]


def test_what_this_process_did_is_nobody_elses_load() -> None:
    assert told(QUIET, after(own_cpu_ns=16_000_000_000, busy_ns=15_900_000_000))[1] == (
        "ok other-load: others kept 0.0 of 8 cores busy"
    )


def test_a_short_part_has_no_shares() -> None:
    assert told(QUIET, after(seconds=0.05, busy_ns=40_000_000))[1:3] == [
        "unknown other-load: 50 ms are too short to tell",
        "unknown steal: 50 ms are too short to tell",
    ]


def test_a_virtual_machine_whose_host_never_told_of_steal_does_not_know() -> None:
    assert told(QUIET, after(), virtual=True)[2] == (
        "unknown steal: nothing since this virtual machine started: its host may not tell"
    )
    assert told(QUIET, after(steal_ns=1, busy_ns=1_000_000_000), virtual=True)[2] == (
        "ok steal: 0.0% of the CPU time was stolen"
    )


def test_what_cannot_be_read_is_unknown() -> None:
    blank = HostReading(at_ns=0, own_cpu_ns=0)
    assert told(blank, dataclasses.replace(blank, at_ns=2_000_000_000)) == [
        "unknown runnable: the kernel does not tell",
        "unknown other-load: the kernel does not tell",
        "unknown steal: the kernel does not tell",
        "unknown quota: no control group tells",
        "unknown swapping: the kernel does not tell",
        "unknown cpu-heat: the kernel does not tell",
    ]
