from __future__ import annotations

import dataclasses
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fake_nvml import MIB
from gpu_answers import GTX770, V100, Nvml, counter
from machine_trees import plant

from pytest_ortperf.execution.machine.gpu_checks import GpuSubject, gpu_findings, other_processes, own_family
from pytest_ortperf.execution.machine.gpu_reading import gpu_changes, is_spoiled, read_gpu, reason_words
from pytest_ortperf.execution.machine.nvml import Gpu, NoGpu
from pytest_ortperf.records.environment.machine_checks import GpuReading


def gpu(answers: dict[str, Any]) -> Gpu:
    return Gpu(Nvml(answers), "0")


def subject(answers: dict[str, Any], root: Path, **changes: Any) -> GpuSubject:
    values: dict[str, Any] = {"driver": "580.126.09", "cores": frozenset({0, 1})}
    return GpuSubject(gpu=gpu(answers), label="GPU 0", root=root, **(values | changes))


def told(findings: Any) -> list[str]:
    return [f"{found.level} {found.check}: {found.seen}" for found in findings]


def test_a_gpu_that_answers_everything(tmp_path: Path) -> None:
    plant(
        tmp_path,
        {
            "sys/bus/pci/devices/0000:03:00.0/numa_node": "0\n",
            "sys/devices/system/node/node0/cpulist": "0-15\n",
        },
    )
    assert told(gpu_findings(subject(V100, tmp_path))) == [
        "ok gpu-driver: GPU 0: driver 580.126.09",
        "ok gpu-ecc: GPU 0: error correction is on, 0 uncorrected errors",
        "ok gpu-mig: GPU 0: MIG is off",
        "advice gpu-persistence: GPU 0: persistence mode is off",
        "ok gpu-power-limit: GPU 0: 300 W set, 300 W in force, 300 W the board's own",
        "ok gpu-numa: GPU 0 is at node 0 (cores 0-15)",
        "ok gpu-processes: GPU 0: no other process",
    ]


def test_a_gpu_that_answers_almost_nothing_is_unknown(tmp_path: Path) -> None:
    refused = "GPU 0: NVML does not tell: Not Supported"
    assert told(gpu_findings(subject(GTX770, tmp_path, driver=None))) == [
        "unknown gpu-driver: GPU 0: driver of unknown version",
        f"unknown gpu-ecc: {refused}",
        f"unknown gpu-mig: {refused}",
        f"unknown gpu-persistence: {refused}",
        f"unknown gpu-power-limit: {refused}",
        f"unknown gpu-numa: {refused}",
        "unknown gpu-processes: GPU 0: NVML does not list processes",
    ]


def test_without_a_gpu_one_finding_has_the_reason() -> None:
    assert told(gpu_findings(NoGpu("Unknown Error"))) == ["unknown gpu-driver: NVML tells nothing: Unknown Error"]


def test_what_is_off_on_a_gpu(tmp_path: Path) -> None:
    # nvidia-smi 570 on a GH200: MIG enabled, 900 W, a process of 24402 MiB
    answers = V100 | {
        "TotalEccErrors": 2,
        "MigMode": (1, 1),
        "EnforcedPowerLimit": 250_000,
        "ComputeRunningProcesses": [
            SimpleNamespace(pid=3808491, usedGpuMemory=24402 * MIB),
            SimpleNamespace(pid=9, usedGpuMemory=None),
        ],
    }
    plant(
        tmp_path,
        {
            "proc/3808491/comm": "tritonserver\n",
            "sys/bus/pci/devices/0000:03:00.0/numa_node": "1\n",
            "sys/devices/system/node/node1/cpulist": "1-2\n",
        },
    )
    findings = gpu_findings(subject(answers, tmp_path))
    assert told(findings)[1:] == [
        "reject gpu-ecc: GPU 0: error correction is on, 2 uncorrected errors",
        "advice gpu-mig: GPU 0: MIG is on",
        "advice gpu-persistence: GPU 0: persistence mode is off",
        "warning gpu-power-limit: GPU 0: 300 W set, 250 W in force, 300 W the board's own",
        "advice gpu-numa: GPU 0 is at node 1 (cores 1-2), this process may use 0 too",
        "reject gpu-processes: GPU 0: process 3808491 (tritonserver, 24402 MiB), process 9",
    ]
    assert findings[5].advice == "numactl --cpunodebind=1 --membind=1 pytest ..."


@pytest.mark.parametrize(
    ("node", "online", "expected"),
    [
        ("-1\n", "0\n", "ok gpu-numa: GPU 0: the machine has one node"),
        ("-1\n", "0-1\n", "unknown gpu-numa: GPU 0: the node of 0000:03:00.0 is not shown"),
    ],
)
def test_a_gpu_without_node(tmp_path: Path, node: str, online: str, expected: str) -> None:
    tree = {"sys/bus/pci/devices/0000:03:00.0/numa_node": node, "sys/devices/system/node/online": online}
    assert expected in told(gpu_findings(subject(V100, plant(tmp_path, tree))))


def test_error_correction_that_is_off_has_no_errors(tmp_path: Path) -> None:
    answers = V100 | {"EccMode": (0, 0)}
    assert told(gpu_findings(subject(answers, tmp_path)))[1] == "ok gpu-ecc: GPU 0: error correction is off"


def listed(*pids: int) -> Gpu:
    return gpu({"ComputeRunningProcesses": [SimpleNamespace(pid=pid, usedGpuMemory=MIB) for pid in pids]})


def test_own_processes_are_no_neighbours(tmp_path: Path) -> None:
    assert other_processes(listed(5, 6), {5}, tmp_path) == ["process 6 (1 MiB)"]
    assert other_processes(listed(5), {5}, tmp_path, holds_one=True) == []


def test_in_a_container_with_other_ids_one_of_the_processes_is_this_one(tmp_path: Path) -> None:
    assert other_processes(listed(900), {5}, tmp_path, holds_one=True) == []
    assert other_processes(listed(900, 901), {5}, tmp_path, holds_one=True) == [
        "1 of the processes process 900 (1 MiB), process 901 (1 MiB)"
    ]
    assert other_processes(listed(), {5}, tmp_path, holds_one=True) == []


def test_a_family_goes_up_to_the_first_process(tmp_path: Path) -> None:
    tree = {"proc/9/stat": "9 (a) b) S 7 9\n", "proc/7/stat": "7 (sh) S 1 7\n", "proc/1/stat": "1 (init) S 0 1\n"}
    assert own_family(9, plant(tmp_path, tree)) == {9, 7, 1}
    assert own_family(12, tmp_path) == {12}


def test_everything_that_changes_is_read() -> None:
    assert read_gpu(gpu(V100), {1}) == GpuReading(
        sm_clock_mhz=1380,
        default_sm_clock_mhz=1312,
        temperature_c=40,
        slowdown_temperature_c=90,
        clock_event_reasons=0,
        limited_ns={"power cap": 0, "heat slowdown": 0},
        pcie_generation=3,
        max_pcie_generation=3,
        pcie_width=16,
        max_pcie_width=16,
        other_processes=(),
    )


def test_what_is_refused_is_absent() -> None:
    assert read_gpu(gpu(GTX770), {1}) == GpuReading(temperature_c=52)


def test_counters_that_a_driver_does_not_have_are_left_out() -> None:
    answers = {"FieldValues": [counter(7), counter(1, refused=3)]}
    assert read_gpu(gpu(answers), {1}).limited_ns == {"power cap": 7}


READING = read_gpu(gpu(V100), {1})


def changes(before: GpuReading, after: GpuReading) -> list[str]:
    return told(gpu_changes("GPU 0", before, after, 1_000_000_000))


def test_a_gpu_at_its_best_is_fine() -> None:
    assert changes(READING, READING) == [
        "ok gpu-hardware-slowdown: GPU 0: none",
        "ok gpu-power-cap: GPU 0: for 0% of the time",
        "ok gpu-clock: GPU 0: 1380 MHz, 105% of the default 1312 MHz",
        "ok gpu-temperature: GPU 0: 40 degrees, slows down at 90",
        "ok gpu-pcie: GPU 0: generation 3 x16 of 3 x16",
        "ok gpu-processes: GPU 0: no other process",
    ]


def test_a_gpu_that_tells_nothing_is_unknown() -> None:
    assert changes(GpuReading(), GpuReading()) == [
        "unknown gpu-hardware-slowdown: GPU 0: NVML does not tell",
        "unknown gpu-power-cap: GPU 0: NVML does not tell",
        "unknown gpu-clock: GPU 0: NVML does not tell",
        "unknown gpu-temperature: GPU 0: NVML does not tell",
        "unknown gpu-pcie: GPU 0: NVML does not tell",
        "unknown gpu-processes: GPU 0: NVML does not list processes",
    ]


def test_a_gpu_in_trouble() -> None:
    after = dataclasses.replace(
        READING,
        clock_event_reasons=0x8 | 0x4,
        sm_clock_mhz=600,
        temperature_c=88,
        pcie_width=8,
        limited_ns={**READING.limited_ns, "power cap": 500_000_000, "heat slowdown": 20_000_000},
        other_processes=("process 6",),
    )
    assert changes(READING, after) == [
        "reject gpu-hardware-slowdown: GPU 0: hardware slowdown, heat slowdown for 20.0 ms",
        "warning gpu-power-cap: GPU 0: for 50% of the time",
        "reject gpu-clock: GPU 0: 600 MHz, 46% of the default 1312 MHz",
        "warning gpu-temperature: GPU 0: 88 degrees, slows down at 90",
        "warning gpu-pcie: GPU 0: generation 3 x8 of 3 x16",
        "reject gpu-processes: GPU 0: process 6",
    ]


@pytest.mark.parametrize("bits", [0x1, 0x2])
def test_an_idle_or_fixed_clock_may_be_low(bits: int) -> None:
    after = dataclasses.replace(READING, sm_clock_mhz=345, clock_event_reasons=bits)
    assert (
        changes(READING, after)[2]
        == f"ok gpu-clock: GPU 0: 345 MHz, 26% of the default 1312 MHz ({reason_words(bits)[0]})"
    )


def test_without_counters_the_bits_decide() -> None:
    before = dataclasses.replace(READING, limited_ns={}, clock_event_reasons=0x40)
    after = dataclasses.replace(before, clock_event_reasons=0x4)
    assert changes(before, after)[:2] == [
        "reject gpu-hardware-slowdown: GPU 0: hardware heat slowdown",
        "warning gpu-power-cap: GPU 0: at the end",
    ]
    assert changes(after, dataclasses.replace(after, clock_event_reasons=0))[1] == "ok gpu-power-cap: GPU 0: none"


def test_a_link_that_sleeps_before_and_works_after_is_fine() -> None:
    before = dataclasses.replace(READING, pcie_generation=1)
    assert changes(before, READING)[4] == "ok gpu-pcie: GPU 0: generation 3 x16 of 3 x16"
    assert changes(READING, before)[4] == "ok gpu-pcie: GPU 0: generation 3 x16 of 3 x16"


def test_every_reason_has_its_word_and_four_spoil() -> None:
    assert reason_words(0x1FF) == [
        "idle",
        "clock setting",
        "power cap",
        "hardware slowdown",
        "sync boost",
        "software heat slowdown",
        "hardware heat slowdown",
        "hardware power brake",
        "display clock setting",
    ]
    spoiled = [bit for bit in (1 << n for n in range(9)) if is_spoiled(GpuReading(clock_event_reasons=bit))]
    assert spoiled == [0x8, 0x20, 0x40, 0x80]
    assert not is_spoiled(GpuReading())
