"""Why a run of trtexec failed: the first error that says something, for the last one is always generic."""

from __future__ import annotations

import re
from collections.abc import Sequence

from pytest_ortperf.execution.trtexec.messages import parts_of, plain

_TAGGED = re.compile(r"\[(?P<level>[EF])\]\s+(?P<text>.*)")
_ANY_TAG = re.compile(r"\[\d\d/\d\d/\d{4}-\d\d:\d\d:\d\d\]|(?:^|\s)\[[VIWEF]\]\s|&&&&|&amp;&amp;|<<< SAMPLE NOTE")
_ENDED = (
    r"(?:Killed|Aborted|Segmentation fault|Bus error|Illegal instruction|Floating point exception"
    r"|Trace/breakpoint trap)"
)
_SHELL = re.compile(
    rf"^(?:\S+: line \d+: +\d+ |\[\d+\]\S?\s+(?:\d+ +)?|(?:\w*sh: )(?:line \d+: +)?(?:\d+ +)?)?{_ENDED}\b"
    r"|.*\((?:core dumped|核心已转储)\)|^(?:已杀死|段错误|已放弃)",
    re.IGNORECASE,
)
"""What a shell says of a program that a signal ended."""

_UNTAGGED = re.compile(
    r"^(?:cuda failure\b|terminate called\b|ERROR: |While parsing node number \d+|Could not (?:open file|load library) "
    r"|\[libprotobuf (?:ERROR|FATAL) |NVRTC Compilation failure|#?assertion\b.*[,:]|\[\d+\] Assertion failed:"
    r"|\*\*\* stack smashing|(?:double free|free\(\)|malloc\(\)|realloc\(\)|munmap_chunk\(\)|corrupted (?:size|double))"
    r"|.*(?:error while loading shared libraries:|symbol lookup error:|Assertion [`'].*' failed|- Cuda Error in \w+:))",
    re.IGNORECASE,
)
"""What a parser of old, a plugin, the C++ runtime, the loader and a library print without a tag."""

_FRAME = re.compile(r"--- (?:Begin|End) node ---|^(?:\[TRT\] )?\S+\.(?:cpp|h|hpp):\d+: *$")
"""Lines around an error that say nothing of it."""

_PARSING = re.compile(r"While parsing node number \d+")

_UNREACHED = re.compile(r"CUDA initialization failure with error: \d+")
"""A warning that is the only hint of what follows."""

GENERIC = re.compile(
    r"Failed to parse onnx file|Parsing model failed|Failed to create engine from model|Engine could not be created"
    r"|Engine creation failed|Network And Config setup failed|Engine set up failed|Inference set up failed"
    r"|Building engine failed|Got invalid engine"
    r"|Engine deserialization failed|Error occurred during inference|Failed to parse ONNX model from file"
)
"""What trtexec says after every error of a kind."""

MOST_LINES = 4


def is_error(line: str) -> bool:
    """Whether a line reports an error, by its tag or, without one, by its words."""
    tagged = _TAGGED.search(line)
    if tagged and re.search(r"(?:^|\]|\s)\s*\[[EF]\]", line[: tagged.start() + 3]):
        return True
    return not _ANY_TAG.search(line) and bool(_SHELL.match(plain(line)) or _UNTAGGED.match(plain(line)))


def find_cause(lines: Sequence[str]) -> str | None:
    """Return the first error that says something, joined with the untagged lines that go on with it.

    A tactic that runs out of memory while others are tried is an error too, and comes first then.
    """
    lines = [part for line in lines for part in (parts_of(line) if is_error(line) else [line])]
    errors = [number for number, line in enumerate(lines) if is_error(line) and not _FRAME.search(_text(line))]
    telling = [number for number in errors if not GENERIC.search(lines[number])]
    if not telling:
        hints = [line for line in lines if _UNREACHED.search(line)]
        if hints:
            return _text(hints[0])
        return _text(lines[errors[0]]) if errors else None
    return _joined(lines, telling[0])


def _joined(lines: Sequence[str], first: int) -> str:
    """Return an error with its untagged lines; a parser that names the node says what is wrong with it further on."""
    text = _with_rest(lines, first)
    if not _PARSING.search(text) or len(text.split("ERROR: ")) > 1:
        return text
    reasons = [number for number in range(first + 1, len(lines)) if "ERROR: " in lines[number]]
    return f"{text} {_with_rest(lines, reasons[0])}" if reasons else text


def _with_rest(lines: Sequence[str], first: int) -> str:
    parts = [_text(lines[first])]
    if not _SHELL.match(parts[0]):
        for line in map(plain, lines[first + 1 : first + MOST_LINES]):
            if _ANY_TAG.search(line) or not line.strip():
                break
            if line.strip() != parts[-1]:
                parts.append(line.strip())
    return " ".join(parts)


def _text(line: str) -> str:
    tagged = _TAGGED.search(line)
    text = tagged["text"] if tagged else plain(line)
    return text.removeprefix("[TRT] ").strip()
