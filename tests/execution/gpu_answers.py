"""What NVML answers about GPUs that were seen, at its boundary."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from fake_nvml import FakeNvml


class Nvml(FakeNvml):
    NVML_TEMPERATURE_GPU = 0
    NVML_TEMPERATURE_THRESHOLD_SLOWDOWN = 1
    NVML_MEMORY_ERROR_TYPE_UNCORRECTED = 1
    NVML_VOLATILE_ECC = 0

    def nvmlDeviceGetMigMode(self, handle: str) -> tuple[int, int]:  # noqa: N802
        answer: tuple[int, int] = self.__getattr__("nvmlDeviceGetMigMode")(handle)
        return answer


def counter(ns: int, *, refused: int = 0) -> Any:
    # NVML_VALUE_TYPE_UNSIGNED_LONG_LONG is 3
    return SimpleNamespace(nvmlReturn=refused, valueType=3, value=SimpleNamespace(ullVal=ns))


# nvidia-smi 580 on a V100: "40C  P0  41W / 300W  Off (persistence)  0 (uncorrected errors)  Default"
V100 = {
    "EccMode": (1, 1),
    "TotalEccErrors": 0,
    "MigMode": (0, 0),
    "PersistenceMode": 0,
    "PowerManagementLimit": 300_000,
    "EnforcedPowerLimit": 300_000,
    "PowerManagementDefaultLimit": 300_000,
    "PciInfo": SimpleNamespace(busId=b"00000000:03:00.0"),
    "ComputeRunningProcesses": [],
    "CurrentClocksEventReasons": 0x0,
    "ClockInfo": 1380,
    "DefaultApplicationsClock": 1312,
    "Temperature": 40,
    "TemperatureThreshold": 90,
    "CurrPcieLinkGeneration": 3,
    "CurrPcieLinkWidth": 16,
    "MaxPcieLinkGeneration": 3,
    "MaxPcieLinkWidth": 16,
    "FieldValues": [counter(0), counter(0)],
}

# nvidia-smi on a GTX 770: almost every cell is "[Not Supported]"
GTX770 = {"Temperature": 52}
