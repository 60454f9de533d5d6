import importlib.util
from collections.abc import Iterator
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest

from pytest_ortperf.cases.sources import Source, find_source, light_networks
from pytest_ortperf.errors import ModelListError


@pytest.fixture(autouse=True)
def _own_cache() -> Iterator[None]:
    light_networks.cache_clear()
    yield
    light_networks.cache_clear()


@pytest.fixture
def onnx_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stands for the installed onnx; returns its folder of light networks."""
    spec = ModuleSpec("onnx", None, is_package=True)
    spec.submodule_search_locations = [str(tmp_path)]
    monkeypatch.setattr(importlib.util, "find_spec", {"onnx": spec}.get)
    folder = tmp_path / "backend/test/data/light"
    folder.mkdir(parents=True)
    return folder


def message_of(source: str) -> str:
    with pytest.raises(ModelListError) as caught:
        find_source(source)
    return str(caught.value)


def test_light_network_has_its_outputs_in_graph_order(onnx_package: Path) -> None:
    files = ["light_two.onnx", "light_output_1.onnx", "README", "light_other.onnx", "light_other_output_0.pb"]
    for name in [*files, *(f"light_two_output_{index}.pb" for index in range(11))]:
        (onnx_package / name).touch()

    assert find_source("onnx-light:two") == Source(
        "two",
        onnx_package / "light_two.onnx",
        tuple(onnx_package / f"light_two_output_{index}.pb" for index in range(11)),
    )
    assert find_source("onnx-light:output_1").stored_outputs == ()
    assert list(light_networks()) == ["other", "output_1", "two"]


def test_networks_of_the_installed_onnx_are_found() -> None:
    networks = light_networks()

    assert "resnet50" in networks
    assert [name for name, source in networks.items() if not source.path.is_file()] == []
    assert [name for name, source in networks.items() if not source.stored_outputs] == []


def test_unknown_network_lists_the_available(onnx_package: Path) -> None:
    for name in ("resnet50", "vgg19"):
        (onnx_package / f"light_{name}.onnx").touch()

    assert message_of("onnx-light:resnet") == (
        "unknown light network 'resnet'; did you mean 'resnet50'? Known light networks are resnet50, vgg19"
    )
    assert message_of("onnx-light:") == "unknown light network ''; known light networks are resnet50, vgg19"


def test_unknown_scheme_lists_the_schemes() -> None:
    assert message_of("zoo:resnet50") == (
        "unknown scheme 'zoo'; known schemes are onnx-light; a source looks like onnx-light:resnet50"
    )
    assert message_of("resnet50") == "'resnet50' has no scheme; a source looks like onnx-light:resnet50"


def test_missing_onnx_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", {}.get)

    assert message_of("onnx-light:resnet50") == (
        "onnx-light needs the onnx package, which is not installed; pip install onnx"
    )


def test_onnx_without_networks_is_named(onnx_package: Path) -> None:
    onnx_package.rmdir()

    assert message_of("onnx-light:resnet50") == (f"onnx-light finds no networks in {onnx_package}; reinstall onnx")
