"""Why a run of trtexec failed: the first error that says something, for the last one is always generic."""

from __future__ import annotations

import re

_TAGGED = re.compile(r"\[(?P<level>[EF])\]\s+(?P<text>.*)")
_ANY_TAG = re.compile(r"\[\d\d/\d\d/\d{4}-\d\d:\d\d:\d\d\]|(?:^|\s)\[[VIWEF]\]\s|&&&&|^<<<")
_UNTAGGED = re.compile(
    r"^\s*(?:Cuda failure\b|Killed\b|Aborted\b|Segmentation fault\b|Bus error\b|terminate called\b"
    r"|Trace/breakpoint trap\b|.*\((?:core dumped|核心已转储)\)"
    r"|.*error while loading shared libraries:|ERROR: |While parsing node number \d+)"
)
"""What a parser of old, the C++ runtime, the loader and a shell print without a tag."""

_FRAME = re.compile(r"--- (?:Begin|End) node ---|^(?:\[TRT\] )?\S+\.(?:cpp|h|hpp):\d+: *$")
"""Lines around an error that say nothing of it."""

_PARSING = re.compile(r"While parsing node number \d+")

_UNREACHED = re.compile(r"CUDA initialization failure with error: \d+")
"""A warning that is the only hint of what follows."""

GENERIC = re.compile(
    r"Failed to parse onnx file|Parsing model failed|Failed to create engine from model|Engine could not be created"
    r"|Engine set up failed|Inference set up failed|Building engine failed|Got invalid engine"
    r"|Engine deserialization failed"
)
"""What trtexec says after every error of a kind."""

MOST_LINES = 4


def is_error(line: str) -> bool:
    """Whether a line reports an error, by its tag or, without one, by its words."""
    tagged = _TAGGED.search(line)
    if tagged and re.search(r"(?:^|\]|\s)\s*\[[EF]\]", line[: tagged.start() + 3]):
        return True
    return not _ANY_TAG.search(line) and bool(_UNTAGGED.match(line))


def find_cause(lines: list[str]) -> str | None:
    """Return the first error that says something, joined with the untagged lines that go on with it.

    A tactic that runs out of memory while others are tried is an error too, and comes first then.
    """
    errors = [number for number, line in enumerate(lines) if is_error(line) and not _FRAME.search(_text(line))]
    telling = [number for number in errors if not GENERIC.search(lines[number])]
    if not telling:
        hints = [line for line in lines if _UNREACHED.search(line)]
        if hints:
            return _text(hints[0])
        return _text(lines[errors[0]]) if errors else None
    return _joined(lines, telling[0])


def _joined(lines: list[str], first: int) -> str:
    """Return an error with its untagged lines; a parser that names the node says what is wrong with it further on."""
    text = _with_rest(lines, first)
    if not _PARSING.search(text) or len(text.split("ERROR: ")) > 1:
        return text
    reasons = [number for number in range(first + 1, len(lines)) if "ERROR: " in lines[number]]
    return f"{text} {_with_rest(lines, reasons[0])}" if reasons else text


def _with_rest(lines: list[str], first: int) -> str:
    parts = [_text(lines[first])]
    for line in lines[first + 1 : first + MOST_LINES]:
        if _ANY_TAG.search(line):
            break
        parts.append(line.strip())
    return " ".join(part for part in parts if part)


def _text(line: str) -> str:
    tagged = _TAGGED.search(line)
    text = tagged["text"] if tagged else line
    return text.removeprefix("[TRT] ").strip()
