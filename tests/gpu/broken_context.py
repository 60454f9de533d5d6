"""Break the CUDA context of this process for good: a kernel of our own, given to the driver as text, writes nowhere."""

from __future__ import annotations

import ctypes

ILLEGAL_ADDRESS = 700

KERNEL = b"""
.version 7.0
.target sm_75
.address_size 64
.visible .entry write_nowhere()
{
    .reg .u64 %address;
    .reg .u32 %value;
    mov.u64 %address, 64;
    mov.u32 %value, 1;
    st.global.u32 [%address], %value;
    ret;
}
"""


def break_context() -> None:
    """Make each later CUDA call of this process fail with error 700.

    Raises:
        RuntimeError: If the driver refuses a step, or does not notice.
    """
    driver = ctypes.CDLL("libcuda.so.1")
    context, module, function = ctypes.c_void_p(), ctypes.c_void_p(), ctypes.c_void_p()
    device = ctypes.c_int(0)
    require("cuInit", driver.cuInit(0))
    # the primary context is the one that ONNX Runtime works in
    require("cuDevicePrimaryCtxRetain", driver.cuDevicePrimaryCtxRetain(ctypes.byref(context), device))
    require("cuCtxSetCurrent", driver.cuCtxSetCurrent(context))
    require("cuModuleLoadData", driver.cuModuleLoadData(ctypes.byref(module), ctypes.c_char_p(KERNEL)))
    name = ctypes.c_char_p(b"write_nowhere")
    require("cuModuleGetFunction", driver.cuModuleGetFunction(ctypes.byref(function), module, name))
    require("cuLaunchKernel", driver.cuLaunchKernel(function, 1, 1, 1, 1, 1, 1, 0, None, None, None))
    require("cuCtxSynchronize", driver.cuCtxSynchronize(), ILLEGAL_ADDRESS)


def require(what: str, status: int, wanted: int = 0) -> None:
    """Check what a call of the driver returned."""
    if status != wanted:
        raise RuntimeError(f"{what} returned {status} instead of {wanted}")
