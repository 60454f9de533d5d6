"""NVML at its boundary: answers come from a table, and a question that has none is refused as the driver words it."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

MIB = 2**20
GH200 = {
    # nvidia-smi 570.133.20 on a GH200: GPU 0 and its first process
    "MemoryInfo": SimpleNamespace(used=29465 * MIB, total=97871 * MIB),
    "ComputeRunningProcesses": [SimpleNamespace(pid=3808491, usedGpuMemory=24402 * MIB)],
}


class NvmlError(Exception):
    pass


class FakeNvml:
    """NVML of some GPUs; `answers` by the question without `nvmlDeviceGet`, a callable is asked each time."""

    NVMLError = NvmlError
    NVML_CLOCK_SM = 1

    def __init__(
        self,
        answers: Mapping[str, Any] | None = None,
        *,
        names: tuple[str, ...] = ("NVIDIA H200",),
        refuses_to_open: str = "",
        mig: bool = False,
    ) -> None:
        self.names = names
        self.opened = 0
        self._answers = dict(answers or {})
        self._refusal = refuses_to_open
        self._mig = mig

    def nvmlInit(self) -> None:  # noqa: N802
        if self._refusal:
            raise NvmlError(self._refusal)
        self.opened += 1

    def nvmlShutdown(self) -> None:  # noqa: N802
        self.opened -= 1

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802
        return len(self.names)

    def nvmlDeviceGetName(self, handle: str) -> str:  # noqa: N802
        return self.names[int(handle)]

    def nvmlDeviceGetHandleByIndex(self, index: int) -> str:  # noqa: N802
        if index >= len(self.names):
            raise NvmlError("Invalid Argument")
        return str(index)

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> str:  # noqa: N802
        if not uuid.startswith("GPU-"):
            raise NvmlError("Not Found")
        return uuid

    def nvmlDeviceGetMigMode(self, handle: str) -> tuple[int, int]:  # noqa: N802
        del handle
        return int(self._mig), int(self._mig)

    def nvmlDeviceGetUUID(self, handle: str) -> bytes:  # noqa: N802
        return f"GPU-of-{handle}".encode()

    def __getattr__(self, name: str) -> Any:
        question = name.removeprefix("nvmlDeviceGet")
        if question == name:
            raise AttributeError(name)

        def answer(*_: object) -> Any:
            if question not in self._answers:
                raise NvmlError("Not Supported")
            value = self._answers[question]
            return value() if callable(value) else value

        return answer
