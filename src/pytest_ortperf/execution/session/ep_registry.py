"""Built-in and plugin execution providers by one path: what a session needs to run on one of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import onnxruntime

from pytest_ortperf.errors import CaseError


def providers_argument(
    options: onnxruntime.SessionOptions,
    wanted: Sequence[tuple[str, Mapping[str, str]]],
    plugins: Mapping[str, str],
    device: str | None,
) -> list[tuple[str, dict[str, str]]] | None:
    """Prepare the options for the wanted providers; return what `InferenceSession` takes as `providers`.

    Args:
        options: Of the session about to be made; plugin providers are added to them.
        wanted: Full name and provider options, the one that matters first.
        plugins: Full name -> path of the library of each plugin provider.
        device: Type (`cpu`, `gpu`, `npu`) or index of a plugin's device; `None` takes its first.

    Returns:
        The list; `None` where the first is a plugin: ONNX Runtime adds the CPU provider by itself then.

    Raises:
        CaseError: Stage `session`, if a plugin cannot be registered or has no such device, or a built-in provider is
            not part of this ONNX Runtime.
    """
    name, given = wanted[0]
    if name not in plugins:
        _require_compiled_in(name)
        return [(full_name, dict(pairs)) for full_name, pairs in wanted]
    register(name, plugins[name])
    options.add_provider_for_devices([_device(name, device)], dict(given))
    return None


def register(name: str, library: str) -> None:
    """Make a plugin provider known to ONNX Runtime in this process.

    Raises:
        CaseError: Stage `session`, kind `provider unavailable`, with ONNX Runtime's reason.
    """
    if any(device.ep_name == name for device in onnxruntime.get_ep_devices()):
        return
    try:
        onnxruntime.register_execution_provider_library(name, library)
    except Exception as error:
        raise _unavailable(f"plugin provider {name}: {library} could not be registered: {error}") from error


def _device(name: str, wanted: str | None) -> Any:
    devices = [device for device in onnxruntime.get_ep_devices() if device.ep_name == name]
    if not devices:
        raise _unavailable(f"plugin provider {name} is registered but finds no device that it can use here")
    if wanted is None:
        return devices[0]
    types = [str(device.device.type).rpartition(".")[2].lower() for device in devices]
    if wanted.lower() in types:
        return devices[types.index(wanted.lower())]
    if wanted.isdecimal() and int(wanted) < len(devices):
        return devices[int(wanted)]
    raise _unavailable(f"plugin provider {name} has no device {wanted!r}; it has {_described(types)}")


def _described(types: Sequence[str]) -> str:
    return ", ".join(f"{index} ({kind})" for index, kind in enumerate(types))


def _require_compiled_in(name: str) -> None:
    available = onnxruntime.get_available_providers()
    if name not in available:
        raise _unavailable(
            f"{name} is not part of this ONNX Runtime {onnxruntime.__version__}, which has {', '.join(available)}; "
            f"install the distribution or plugin package that has it, or leave it out of --ortperf-ep"
        )


def _unavailable(message: str) -> CaseError:
    return CaseError(message, stage="session", kind="provider unavailable")
