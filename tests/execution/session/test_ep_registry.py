from __future__ import annotations

from pathlib import Path

import onnxruntime
import pytest
from ort_models import AZURE, CPU

from pytest_ortperf.errors import CaseError
from pytest_ortperf.execution.session.ep_registry import providers_argument, register


def test_built_in_providers_are_listed_with_their_options() -> None:
    wanted = [(AZURE, {"a": "1"}), (CPU, {})]

    assert providers_argument(onnxruntime.SessionOptions(), wanted, {}, None) == [(AZURE, {"a": "1"}), (CPU, {})]


def test_provider_that_is_not_compiled_in_is_refused_with_what_is() -> None:
    with pytest.raises(CaseError) as raised:
        providers_argument(onnxruntime.SessionOptions(), [("NoneExecutionProvider", {})], {}, None)

    assert (str(raised.value), raised.value.stage, raised.value.kind) == (
        (
            f"NoneExecutionProvider is not part of this ONNX Runtime {onnxruntime.__version__}, which has "
            f"{', '.join(onnxruntime.get_available_providers())}; install the distribution or plugin package that has "
            "it, or leave it out of --ortperf-ep"
        ),
        "session",
        "provider unavailable",
    )


def test_library_that_is_none_is_refused_in_the_loader_s_words(tmp_path: Path) -> None:
    library = tmp_path / "none.so"
    library.write_text("no library")

    with pytest.raises(CaseError) as raised:
        register("NoneExecutionProvider", str(library))

    message = str(raised.value)
    assert message.startswith(f"plugin provider NoneExecutionProvider: {library} could not be registered: ")
    assert "file too short" in message or "invalid ELF header" in message
    assert (raised.value.stage, raised.value.kind) == ("session", "provider unavailable")


class Device:
    """As ONNX Runtime's `OrtEpDevice`: no plugin with two devices can be had."""

    def __init__(self, ep_name: str, kind: str) -> None:
        self.ep_name = ep_name
        self.device = type("Hardware", (), {"type": f"OrtHardwareDeviceType.{kind}"})()


class Options:
    """Notes the devices of a session."""

    def __init__(self) -> None:
        self.added: list[tuple[list[Device], dict[str, str]]] = []

    def add_provider_for_devices(self, devices: list[Device], options: dict[str, str]) -> None:
        self.added.append((devices, options))


DEVICES = [Device("Other", "CPU"), Device("Plugin", "GPU"), Device("Plugin", "NPU")]


@pytest.mark.parametrize(("wanted", "number"), [(None, 1), ("gpu", 1), ("NPU", 2), ("0", 1), ("1", 2)])
def test_device_of_a_plugin_is_chosen_by_type_or_index(
    monkeypatch: pytest.MonkeyPatch, wanted: str | None, number: int
) -> None:
    monkeypatch.setattr(onnxruntime, "get_ep_devices", lambda: DEVICES)
    options = Options()

    assert providers_argument(options, [("Plugin", {"a": "1"}), (CPU, {})], {"Plugin": "/p.so"}, wanted) is None
    assert options.added == [([DEVICES[number]], {"a": "1"})]


@pytest.mark.parametrize("wanted", ["cpu", "2", "-1", "first"])
def test_device_that_a_plugin_lacks_is_refused_with_those_it_has(monkeypatch: pytest.MonkeyPatch, wanted: str) -> None:
    monkeypatch.setattr(onnxruntime, "get_ep_devices", lambda: DEVICES)

    with pytest.raises(CaseError) as raised:
        providers_argument(Options(), [("Plugin", {})], {"Plugin": "/p.so"}, wanted)

    assert str(raised.value) == f"plugin provider Plugin has no device {wanted!r}; it has 0 (gpu), 1 (npu)"


def test_plugin_without_a_device_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnxruntime, "get_ep_devices", lambda: DEVICES[:1])
    monkeypatch.setattr(onnxruntime, "register_execution_provider_library", lambda *_: None)

    with pytest.raises(CaseError) as raised:
        providers_argument(Options(), [("Plugin", {})], {"Plugin": "/p.so"}, None)

    assert str(raised.value) == "plugin provider Plugin is registered but finds no device that it can use here"
