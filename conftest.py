"""What holds for all tests of the repository."""

from __future__ import annotations

import functools
import signal
from collections.abc import Iterator

import pytest

pytest_plugins = ("pytester",)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip tests marked `gpu` where there is none."""
    if item.get_closest_marker("gpu") and (reason := no_gpu_reason()):
        pytest.skip(reason)


# What a surrounding CI or pytest says to its own run, not to those inside the tests.
OUTER_VARIABLES = ("CI", "BUILD_NUMBER", "PYTEST_ADDOPTS", "PYTEST_XDIST_WORKER", "GITHUB_ACTIONS")


@pytest.fixture(scope="session", autouse=True)
def own_surroundings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep runs inside tests from knowing of a CI, and from waiting for other workers, which measure nothing either."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # a shell that starts us in the background has Ctrl-C ignored, and processes hand that on
        signal.signal(signal.SIGINT, signal.default_int_handler)
    with pytest.MonkeyPatch.context() as patch:
        for name in OUTER_VARIABLES:
            patch.delenv(name, raising=False)
        patch.setenv("ORTPERF_LOCKS", str(tmp_path_factory.mktemp("locks")))
        yield


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
