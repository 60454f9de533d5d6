from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest

from pytest_ortperf.execution.machine.devices import nvml_gpus, survey
from pytest_ortperf.records.environment.host import GpuSurvey
from pytest_ortperf.records.environment.run_header import GpuFact


class NvmlError(Exception):
    pass


class Nvml:
    """NVML of a machine with two GPUs; what `refused` names raises its text."""

    NVMLError = NvmlError

    def __init__(self, refused: Mapping[str, str] | None = None, names: tuple[Any, ...] = ("H100", b"T4")) -> None:
        self._refused = refused or {}
        self._names = names
        self.shut_down = False

    def _answer(self, question: str, answer: Any) -> Any:
        if question in self._refused:
            raise NvmlError(self._refused[question])
        return answer

    def nvmlInit(self) -> None:  # noqa: N802
        self._answer("init", None)

    def nvmlShutdown(self) -> None:  # noqa: N802
        self.shut_down = True

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802
        return self._answer("count", len(self._names))

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:  # noqa: N802
        return index

    def nvmlDeviceGetName(self, handle: int) -> Any:  # noqa: N802
        return self._names[handle]

    def nvmlDeviceGetUUID(self, handle: int) -> str:  # noqa: N802
        return self._answer("uuid", f"GPU-{handle}")

    def nvmlDeviceGetMemoryInfo(self, handle: int) -> Any:  # noqa: N802
        return self._answer("memory", SimpleNamespace(total=handle + 80))

    def nvmlSystemGetDriverVersion(self) -> bytes:  # noqa: N802
        return self._answer("driver", b"550.54.15")

    def nvmlSystemGetCudaDriverVersion_v2(self) -> int:  # noqa: N802
        return self._answer("cuda", 12040)


def test_gpus_and_driver_are_told() -> None:
    nvml = Nvml()
    assert survey(nvml) == GpuSurvey(
        gpus=(
            GpuFact(index=0, name="H100", uuid="GPU-0", memory_byte=80),
            GpuFact(index=1, name="T4", uuid="GPU-1", memory_byte=81),
        ),
        driver="550.54.15",
        cuda_driver_max="12.4",
    )
    assert nvml.shut_down


@pytest.mark.parametrize(
    ("nvml", "found"),
    [
        (Nvml({"init": "Driver Not Loaded"}), GpuSurvey(reason="Driver Not Loaded")),
        (Nvml({"count": "Unknown Error"}), GpuSurvey(driver="550.54.15", reason="Unknown Error")),
        (
            Nvml(
                {"uuid": "Not Supported", "memory": "Not Supported", "driver": "", "cuda": ""},
                names=("Orin",),
            ),
            GpuSurvey(gpus=(GpuFact(index=0, name="Orin"),)),
        ),
        (
            Nvml(names=()),
            GpuSurvey(driver="550.54.15", cuda_driver_max="12.4", reason="NVML lists no GPU"),
        ),
    ],
)
def test_what_nvml_refuses_is_left_out(nvml: Nvml, found: GpuSurvey) -> None:
    assert survey(nvml) == found


def test_this_machine_has_gpus_or_a_reason() -> None:
    found = nvml_gpus()
    assert bool(found.gpus) != bool(found.reason)
