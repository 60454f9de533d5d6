"""How runs of trtexec are judged."""

from __future__ import annotations

import pytest

from pytest_ortperf.errors import CaseError
from pytest_ortperf.execution.process.external_program import Ended
from pytest_ortperf.execution.trtexec.program_run import require_success


@pytest.mark.parametrize(
    "cause",
    [
        "Cuda failure: forward compatibility was attempted on non supported HW",
        "trtexec: symbol lookup error: /usr/lib/libnvinfer.so.8: undefined symbol: x",
        "trtexec: /lib/libc.so.6: version `GLIBC_2.38' not found (required by trtexec)",
        "Could not locate zlibwapi.dll. Please make sure it is in your library path!",
        "Unable to load any of {libcudnn_graph.so.9}",
    ],
)
def test_what_is_wrong_with_the_installation_is_no_fault_of_the_model(cause: str) -> None:
    ended = Ended(output=cause, exit_code=1, signal=None, wall_ns=1)
    with pytest.raises(CaseError) as caught:
        require_success(ended, doing="building the engine", stage="session")
    assert caught.value.kind == "provider unavailable"
    assert caught.value.args[0].endswith(f": {cause}")
