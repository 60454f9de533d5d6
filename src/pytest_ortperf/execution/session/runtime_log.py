"""ONNX Runtime's log lines: cleaned, and the one that says why a provider is not there.

The forms were read off real logs of ONNX Runtime 1.10 to 1.32.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from pytest_ortperf.plain_text import plain

_PLACE = re.compile(r"^(?:\d{4}-\d\d-\d\d [\d:.]+ )?\[[VIWEF]:onnxruntime:[^\]]*\]\s*(?P<text>.*)$")
_STATUS = re.compile(r"^.*?\[ONNXRuntimeError\] : \d+ : [A-Z_]+ : ")
_SOURCE = re.compile(r"^(?:EP Error )?\S+\.cc:\d+ .*?\)\s+")

_LOADER = (
    re.compile(r"Failed to load (?:shared )?library .* with error: (?P<reason>.+)"),
    re.compile(r"(?P<reason>LoadLibrary failed with error .+)"),
)
_REASONS = (
    *_LOADER,
    re.compile(r"(?P<reason>CUDA failure \d+: [^;]+?)\s*;"),
    re.compile(r"(?P<reason>CUDNN(?:_FE)? failure \d+: [^;]+?)\s*;"),
    re.compile(r"(?P<reason>Please install TensorRT libraries .+)"),
    re.compile(r"\[E:onnxruntime:[^\]]*\]\s*(?P<reason>.+)"),
    re.compile(r"(?P<reason>Failed to create \w+ExecutionProvider\..*)"),
)
"""Most telling first."""


def clean(lines: Iterable[str]) -> list[str]:
    """Return the lines without escape sequences and empty ones."""
    stripped = (plain(line).rstrip() for line in lines)
    return [line for line in stripped if line]


def reason(lines: Iterable[str]) -> str | None:
    """Return why a provider could not be used, in ONNX Runtime's own words; `None` if no line tells.

    Args:
        lines: Of a log, in order, or of an error's text.
    """
    return _first(_REASONS, lines)


def loader_reason(lines: Iterable[str]) -> str | None:
    """Return why a library could not be loaded, in the loader's own words; `None` if no line tells."""
    return _first(_LOADER, lines)


def _first(patterns: Iterable[re.Pattern[str]], lines: Iterable[str]) -> str | None:
    cleaned = clean(lines)
    for pattern in patterns:
        for line in cleaned:
            match = pattern.search(line)
            if match:
                return shortened(match["reason"])
    return None


def shortened(text: str) -> str:
    """Return a message without ONNX Runtime's status prefix and source location."""
    match = _PLACE.match(text)
    body = match["text"] if match else text
    return _SOURCE.sub("", _STATUS.sub("", body)).strip() or text.strip()
