"""Public addresses that the package uses stand in one module; nothing else in it names a host of the network."""

from __future__ import annotations

import ast
import re
import urllib.parse
from pathlib import Path

import pytest

from pytest_ortperf.provision import addresses

SOURCES = Path(addresses.__file__).parents[1]
ONE_PLACE = Path(addresses.__file__)

URL = re.compile(r"[a-z][a-z0-9+.-]*://(?!\[\^)[^\s\"'`<>)\\\]}]+", re.IGNORECASE)
HOST = re.compile(
    r"(?<![\w@./-])(?:[a-z0-9-]+\.)+(?:ai|app|cloud|co|com|dev|edu|gov|io|net|org)(?=[/:\"'\s),]|$)", re.IGNORECASE
)

NAMES = {
    "http://www.w3.org/1999/xhtml",  # namespaces
    "http://www.w3.org/2000/svg",
    "https://json-schema.org/draft/2020-12/schema",
    "nvidia.com",  # a kind of device, for containers
    "https://github.com/leeoniya/uPlot",  # in the licence line of a library that is shipped
}
"""They look like addresses, and nobody asks them for anything."""

DOCUMENTATION: set[str] = set()
"""Links in docstrings, for readers of the code."""

ASKED = {name: value for name, value in vars(addresses).items() if callable(value) and not name.startswith("_")}
"""Functions that return an address; each docstring names the variable that replaces it."""


def texts() -> dict[Path, str]:
    """Return every file of the package, program or data."""
    paths = (path for path in SOURCES.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {path: path.read_bytes().decode("utf-8", "replace") for path in paths}


def strings(text: str) -> str:
    """Return the texts in a program, docstrings included; what looks like a host elsewhere is an attribute."""
    values = (node.value for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Constant))
    return "\n".join(value for value in values if isinstance(value, str))


def docstrings(text: str) -> str:
    """Return the docstrings of a program, those of attributes included."""
    expressions = (node.value for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Expr))
    return "\n".join(str(each.value) for each in expressions if isinstance(each, ast.Constant))


def found_in(text: str, *, program: bool = False) -> set[str]:
    """Return what names a host in a file."""
    urls = {match.rstrip(".,;:") for match in URL.findall(text)}
    urls = {url for url in urls if "." in urllib.parse.urlsplit(url).netloc.rpartition("@")[2]}  # not https://HOST/
    hosts = HOST.findall(text)
    if hosts and program:
        hosts = HOST.findall(strings(text))
    return urls | {host for host in hosts if not any(host in url for url in urls)}


def test_no_other_file_names_a_host() -> None:
    wrong = []
    for path, text in texts().items():
        program = path.suffix == ".py"
        found = found_in(text, program=program) - NAMES
        if found and program:
            found -= DOCUMENTATION & found_in(docstrings(text))
        wrong += [f"{path.relative_to(SOURCES)}: {each}" for each in sorted(found) if path != ONE_PLACE]
    assert wrong == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("x = 'https://evil.example/a'  # s3://a.b/key", {"https://evil.example/a", "s3://a.b/key"}),
        ("pull('nvcr.io/nvidia/tensorrt')", {"nvcr.io"}),
        ('host = f"files.mirror.org/{name}"', {"files.mirror.org"}),
        ("self.model.io(model.onnx, 'e.g. this.', numpy.core)", set()),
    ],
)
def test_a_host_is_found_in_programs(text: str, found: set[str]) -> None:
    assert found_in(text, program=True) == found


def test_a_host_is_found_in_data() -> None:
    assert found_in('{"a": "git+ssh://u@h.x/x", "b": "nvcr.io/nvidia", "c": "https://HOST/x"}') == {
        "git+ssh://u@h.x/x",
        "nvcr.io",
    }


@pytest.mark.parametrize("name", ASKED)
def test_each_address_can_be_replaced_and_the_documents_say_how(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    address = ASKED[name]
    match = re.search(r"`([A-Z_]+)` replaces it", address.__doc__ or "")
    assert match is not None
    monkeypatch.delenv(match[1], raising=False)
    default = address()
    monkeypatch.setenv(match[1], "https://mirror.example")
    assert (bool(default), address()) == (True, "https://mirror.example")
    pages = "".join(path.read_text("utf-8") for path in (Path(__file__).parents[1] / "docs").rglob("*.md"))
    assert f"`{match[1]}`" in pages
