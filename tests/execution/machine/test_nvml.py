from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from fake_nvml import GH200, MIB, FakeNvml

from pytest_ortperf.execution.machine.nvml import Gpu, GpuProcess, NoGpu, opened_gpu


def found(nvml: FakeNvml, device: int = 0, environ: Mapping[str, str] | None = None, uuid: str | None = None) -> Any:
    with opened_gpu(device, nvml=nvml, environ=environ or {}, uuid_of=lambda _: uuid) as gpu:
        return gpu.uuid if isinstance(gpu, Gpu) else gpu


@pytest.mark.parametrize(
    ("visible", "device", "expected"),
    [
        (None, 1, "GPU-of-1"),
        ("1,0", 0, "GPU-of-1"),
        (" 0 , 1", 1, "GPU-of-1"),
        ("GPU-8d1c,0", 0, "GPU-of-GPU-8d1c"),
        ("", 0, NoGpu("CUDA_VISIBLE_DEVICES= hides CUDA device 0")),
        ("0,-1,1", 1, NoGpu("CUDA_VISIBLE_DEVICES=0,-1,1 hides CUDA device 1")),
        ("7", 0, NoGpu("NVML does not open GPU 7: Invalid Argument")),
    ],
)
def test_a_device_number_counts_what_cuda_sees(visible: str | None, device: int, expected: object) -> None:
    environ = {} if visible is None else {"CUDA_VISIBLE_DEVICES": visible}
    assert found(FakeNvml(names=("NVIDIA H200", "NVIDIA H200")), device, environ) == expected


def test_the_driver_is_asked_only_where_its_order_may_differ() -> None:
    alike, unlike = ("NVIDIA H200",) * 2, ("NVIDIA T400", "NVIDIA H200")
    assert found(FakeNvml(names=alike), uuid="1f") == "GPU-of-0"
    assert found(FakeNvml(names=unlike), uuid="1f") == "GPU-of-GPU-1f"
    assert found(FakeNvml(names=unlike), environ={"CUDA_DEVICE_ORDER": "PCI_BUS_ID"}, uuid="1f") == "GPU-of-0"
    assert found(FakeNvml(names=unlike), environ={"CUDA_VISIBLE_DEVICES": "GPU-2e"}, uuid="1f") == "GPU-of-GPU-2e"
    assert found(FakeNvml(mig=True), uuid="1f") == "GPU-of-GPU-1f"
    assert found(FakeNvml(mig=True)) == "GPU-of-0"


def test_nvml_that_does_not_open_says_why() -> None:
    assert found(FakeNvml(refuses_to_open="Driver Not Loaded")) == NoGpu("Driver Not Loaded")


def test_nvml_is_open_only_inside() -> None:
    nvml = FakeNvml()
    with opened_gpu(nvml=nvml, environ={}):
        assert nvml.opened == 1
    assert nvml.opened == 0


def test_what_is_not_answered_is_absent_with_its_reason() -> None:
    gpu = Gpu(FakeNvml(GH200 | {"CurrentClocksThrottleReasons": 4}), "0")
    assert gpu.used_memory_byte == 29465 * MIB
    assert gpu.processes == (GpuProcess(3808491, 24402 * MIB),)
    assert gpu.clock_event_reasons == 4
    assert (gpu.total_energy_mj, gpu.sm_clock_mhz) == (None, None)
    assert gpu.refusals == {
        "GetCurrentClocksEventReasons": "Not Supported",
        "GetTotalEnergyConsumption": "Not Supported",
        "GetClockInfo": "Not Supported",
    }
