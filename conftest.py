"""What holds for all tests of the repository."""

from __future__ import annotations

import functools

import pytest

pytest_plugins = ("pytester",)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip tests marked `gpu` where there is none."""
    if item.get_closest_marker("gpu") and (reason := no_gpu_reason()):
        pytest.skip(reason)


@functools.cache
def no_gpu_reason() -> str | None:
    """Return why there is no CUDA device here, in the driver's words; `None` if there is one."""
    import pynvml  # only where a test asks for a GPU

    try:
        pynvml.nvmlInit()
        count = pynvml.nvmlDeviceGetCount()
        pynvml.nvmlShutdown()
    except pynvml.NVMLError as error:
        return f"no CUDA device: {error}"
    return None if count else "no CUDA device: the driver lists none"
