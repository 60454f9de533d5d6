"""Public addresses that the package uses stand in one module; nothing else in it names a host of the network."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from pytest_ortperf.provision import addresses

SOURCES = Path(addresses.__file__).parents[1]
ONE_PLACE = Path(addresses.__file__)

URL = re.compile(r"[a-z][a-z0-9+.-]*://[^\s\"'`<>)\\\]}]+", re.IGNORECASE)
HOST = re.compile(
    r"(?<![\w@./-])(?:[a-z0-9-]+\.)+(?:ai|app|cloud|co|com|dev|edu|gov|io|net|org)(?=[/:\"'\s),]|$)", re.IGNORECASE
)

NAMES_OF_FORMATS = {
    "http://www.w3.org/1999/xhtml",
    "http://www.w3.org/2000/svg",
    "https://json-schema.org/draft/2020-12/schema",
    "https://git-lfs",
}
"""They look like addresses, and nobody asks them for anything."""

EXAMPLES = {
    "https://HOST/mnist-8.tar.gz",
    "https://HOST/models/mnist-8.tar.gz#sha256=...",
    "https://HOST/partner-models.zip",
}
"""In help and messages."""

DOCUMENTATION: set[str] = set()
"""Links in docstrings, for readers of the code."""

VARIABLES = {
    "nightly_index": "ORTPERF_NIGHTLY_INDEX",
    "model_hub": "HF_ENDPOINT",
    "zoo_organisation": "ORTPERF_ZOO_ORGANISATION",
}


def texts() -> dict[Path, str]:
    """Return every file of the package, program or data."""
    paths = (path for path in SOURCES.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {path: path.read_bytes().decode("utf-8", "replace") for path in paths}


def docstrings(text: str) -> str:
    """Return the docstrings of a program, those of attributes included."""
    constants = (node.value for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Expr))
    return "\n".join(each.value for each in constants if isinstance(each, ast.Constant) and isinstance(each.value, str))


def found_in(text: str) -> set[str]:
    urls = {match.rstrip(".,;:") for match in URL.findall(text)}
    return urls | {match for match in HOST.findall(text) if not any(match in url for url in urls)}


def test_no_other_file_names_a_host() -> None:
    wrong = []
    for path, text in texts().items():
        if path == ONE_PLACE:
            continue
        allowed = NAMES_OF_FORMATS | EXAMPLES
        if path.suffix == ".py":
            allowed |= DOCUMENTATION & found_in(docstrings(text))
        wrong += [f"{path.relative_to(SOURCES)}: {found}" for found in sorted(found_in(text) - allowed)]
    assert wrong == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("x = 'https://evil.example/a'", {"https://evil.example/a"}),
        ("pull('nvcr.io/nvidia/tensorrt')", {"nvcr.io"}),
        ('host = "files.mirror.org"', {"files.mirror.org"}),
        ("s3://bucket/key and git+ssh://h/x", {"s3://bucket/key", "git+ssh://h/x"}),
        ("model.onnx, cuda.io_binding(), e.g. this. numpy.core", set()),
    ],
)
def test_a_host_is_found_with_and_without_a_scheme(text: str, found: set[str]) -> None:
    assert found_in(text) == found


@pytest.mark.parametrize("name", VARIABLES)
def test_each_address_can_be_replaced_and_the_documents_say_how(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    variable = VARIABLES[name]
    address = getattr(addresses, name)
    monkeypatch.delenv(variable, raising=False)
    default = address()
    monkeypatch.setenv(variable, "https://mirror.example")
    assert (bool(default), address()) == (True, "https://mirror.example")
    pages = "".join(path.read_text("utf-8") for path in (Path(__file__).parents[1] / "docs").rglob("*.md"))
    assert variable in pages


def test_every_address_is_known_here() -> None:
    public = {name for name, value in vars(addresses).items() if callable(value) and not name.startswith("_")}
    assert public == set(VARIABLES)
