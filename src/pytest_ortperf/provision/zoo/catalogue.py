"""The models of the ONNX Model Zoo as of its last commit: paths, sizes and checksums, shipped with this package."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pytest_ortperf.errors import OrtPerfError

SHIPPED = Path(__file__).with_name("onnx_models.json")
_TOP = "validated/"


class ZooError(OrtPerfError):
    """A model that cannot be got, or an archive that cannot be used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileFacts:
    """What a complete file must be."""

    path: str
    """In its repository."""

    byte: int | None
    sha256: str | None
    """`None` where nobody says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ZooModel:
    """One model of the zoo."""

    file: FileFacts
    archive: FileFacts | None
    """The zoo's archive of the model with its test data."""

    opset: int | None
    original: bool
    """Whether it is one of the 46 models of the ONNX Runtime script's list."""

    @property
    def name(self) -> str:
        """Its file name without the suffix; no two models share one."""
        return PurePosixPath(self.file.path).stem

    @property
    def tags(self) -> tuple[str, ...]:
        """What it is for, such as `vision` and `classification`; valid pytest markers."""
        return tuple(self.file.path.removeprefix(_TOP).split("/")[:2])


def read_catalogue(path: Path | None = None) -> dict[str, ZooModel]:
    """Return the zoo's models by name, sorted by path."""
    rows = json.loads((path or SHIPPED).read_text("utf-8"))["models"]
    models = [_model(*row) for row in rows]
    return {model.name: model for model in models}


def _model(
    path: str,
    byte: int,
    sha256: str,
    opset: int | None,
    archive_byte: int | None,
    archive_sha256: str | None,
    original: int,
) -> ZooModel:
    whole = f"{_TOP}{path}"
    archive = None
    if archive_sha256 is not None:
        archive_path = f"{whole.removesuffix('.onnx')}.tar.gz"
        archive = FileFacts(path=archive_path, byte=archive_byte, sha256=archive_sha256)
    file = FileFacts(path=whole, byte=byte, sha256=sha256)
    return ZooModel(file=file, archive=archive, opset=opset, original=bool(original))


def nearest(name: str, known: Iterable[str]) -> str:
    """Return `; did you mean 'mnist-8'?` for a name close to a known one, else nothing."""
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.7)
    return f"; did you mean {near[0]!r}?" if near else ""


def matching(models: Iterable[ZooModel], expression: str | None) -> list[ZooModel]:
    """Return the models that an expression such as `resnet and not int8` selects.

    Raises:
        ZooError: If it is no expression.
    """
    if expression is None:
        return list(models)
    selects = _Expression(expression).read()
    return [model for model in models if selects(f"{model.name}/{model.file.path}".lower())]


Test = Callable[[str], bool]


class _Expression:
    """Words, `and`, `or`, `not` and brackets; a word selects what it is a part of, in any case."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._left: list[str] = re.findall(r"[()]|[^\s()]+", text)

    def read(self) -> Test:
        found = self._either()
        if self._left:
            raise self._error()
        return found

    def _either(self) -> Test:
        parts = self._parts("or", self._both)
        return lambda text: any(part(text) for part in parts)

    def _both(self) -> Test:
        parts = self._parts("and", self._single)
        return lambda text: all(part(text) for part in parts)

    def _parts(self, between: str, read: Callable[[], Test]) -> Sequence[Test]:
        parts = [read()]
        while self._left[:1] == [between]:
            self._left.pop(0)
            parts.append(read())
        return parts

    def _single(self) -> Test:
        word = self._left.pop(0) if self._left else ")"
        if word == "not":
            negated = self._single()
            return lambda text: not negated(text)
        if word == "(":
            inside = self._either()
            if self._left[:1] != [")"]:
                raise self._error()
            self._left.pop(0)
            return inside
        if word in {")", "and", "or"}:
            raise self._error()
        return lambda text: word.lower() in text

    def _error(self) -> ZooError:
        return ZooError(
            f"-k {self._text!r} is no expression; write words with and, or, not and brackets, such as "
            f"-k 'resnet and not int8'"
        )
