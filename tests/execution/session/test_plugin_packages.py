from __future__ import annotations

from pathlib import Path

import pytest

from pytest_ortperf.execution.session import plugin_packages
from pytest_ortperf.execution.session.plugin_packages import PluginError, installed_plugins, plugin_library

PLUGIN = """
from pathlib import Path
def get_library_path(): return str(Path(__file__).with_name("{library}"))
def get_ep_names(): return {names}
"""


@pytest.fixture
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder to import from, with a library in it."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "lib.so").write_text("")
    return tmp_path


def module(folder: Path, name: str, text: str) -> None:
    (folder / f"{name}.py").write_text(text)


def test_library_is_taken_by_path(modules: Path) -> None:
    assert plugin_library(str(modules / "lib.so")) == str(modules / "lib.so")


def test_library_is_taken_from_a_module(modules: Path) -> None:
    module(modules, "plugin_a", PLUGIN.format(library="lib.so", names=["AExecutionProvider"]))

    assert plugin_library("plugin_a") == str(modules / "lib.so")


def test_path_that_does_not_exist_is_refused(modules: Path) -> None:
    with pytest.raises(PluginError) as raised:
        plugin_library(str(modules / "none.so"))

    assert str(raised.value) == f"{modules / 'none.so'} does not exist"


def test_name_of_nothing_is_refused() -> None:
    with pytest.raises(PluginError) as raised:
        plugin_library("no_such_plugin")

    assert str(raised.value) == "there is no library and no Python module 'no_such_plugin'"


def test_module_that_is_no_plugin_is_refused() -> None:
    with pytest.raises(PluginError) as raised:
        plugin_library("colorsys")

    assert str(raised.value) == (
        "module colorsys brings no plugin provider: module 'colorsys' has no attribute 'get_library_path'"
    )


def test_module_whose_library_is_not_there_is_refused(modules: Path) -> None:
    module(modules, "plugin_b", PLUGIN.format(library="none.so", names=["BExecutionProvider"]))

    with pytest.raises(PluginError) as raised:
        plugin_library("plugin_b")

    assert str(raised.value) == f"module plugin_b brings no plugin provider: {modules / 'none.so'} does not exist"


def test_module_that_names_no_provider_is_refused(modules: Path) -> None:
    module(modules, "plugin_c", PLUGIN.format(library="lib.so", names=[]))

    with pytest.raises(PluginError) as raised:
        plugin_library("plugin_c")

    assert str(raised.value) == "module plugin_c brings no plugin provider: it names no execution provider"


def test_installed_packages_that_bring_a_plugin_are_found(modules: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module(modules, "onnxruntime_ep_one", PLUGIN.format(library="lib.so", names=["OneExecutionProvider"]))
    module(modules, "onnxruntime_ep_two", PLUGIN.format(library="none.so", names=["TwoExecutionProvider"]))
    module(modules, "onnxruntime_ep_three", "")
    names = ("onnxruntime-ep-one", "onnxruntime-ep-two", "onnxruntime-ep-three", "onnxruntime-ep-no-module")
    monkeypatch.setattr(plugin_packages, "installed", lambda _: dict.fromkeys(names))

    assert installed_plugins() == {"OneExecutionProvider": str(modules / "lib.so")}
