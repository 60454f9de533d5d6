"""Why a run of trtexec failed: the first error that says something, for the last one is always generic."""

from __future__ import annotations

import re
from collections.abc import Sequence

from pytest_ortperf.execution.trtexec.messages import parts_of, plain

_TAGGED = re.compile(r"(?:\[|^)(?P<level>[EF])\]\s+(?P<text>.*)")
_ANY_TAG = re.compile(r"\[\d\d/\d\d/\d{4}-\d\d:\d\d:\d\d\]|(?:^|\s)\[[VIWEF]\]\s|&&&&|&amp;&amp;|<<< SAMPLE NOTE")
_ENDED = (
    r"(?:Killed|Abort(?:ed)?|Terminated(?=\s|$)|Segmentation fault|Memory fault|Bus error|Illegal instruction"
    r"|Floating point exception|Trace/breakpoint trap)"
)
_SHELL = re.compile(
    rf"^(?:\S+: line \d+: +\d+ |\[\d+\]\S?\s+(?:\d+ +)?|(?:\w*sh: )(?:line \d+: +)?(?:\d+ +)?)?{_ENDED}\b"
    r"|.*\((?:core dumped|核心已转储|コアダンプ)\)|^(?:已杀死|段错误|已放弃|已中止|已终止)"
    r"|^(?:Program|Thread \d+ .*|The target application) (?:received|terminated with) signal \S+"
    r"|^Command terminated by signal \d+|^Process finished with exit code \d+ \(interrupted by signal"
    r"|.*\bOut of memory: Kill(?:ed)? process \d+",
    re.IGNORECASE,
)
"""What a shell, a debugger, a profiler or the kernel says of a program that a signal ended."""

_WORDS = (
    r"ERROR: |(?:\S+\.cpp:\d+: )?While parsing node number \d+|\[\d+\] Assertion failed:",
    r"\[libprotobuf (?:ERROR|FATAL) |NVRTC Compilation failure|NVMEDIA_DLA *:.*\bERROR:",
    r"cuda (?:failure|(?:runtime |driver )?error)\b|.*- Cuda Error in \w+:",
    r"#?assertion\b.*[,:]|.*Assertion [`'].*' failed|.*-- assertion failed\s*$",
    r"terminate called\b|pure virtual method called|libc\+\+abi: terminating",
    r"(?:double free|(?:free|malloc|realloc|malloc_consolidate|munmap_chunk)\(\)|corrupted (?:size|double))",
    r"\*\*\* (?:stack smashing|buffer overflow|Error in )",
    r"Could not (?:open file|load library|locate) |Unable to load any of \{|Invalid handle\. Cannot load symbol",
    r".*(?:error while loading shared libraries:|symbol lookup error:|: version [`'][\w.]+' not found)",
    r".*\btrtexec: (?:(?:command )?not found|No such file or directory|Permission denied|cannot execute)",
    r"docker: Error response",
)
"""What a parser of old, a library, a plugin, the C++ runtime, the C library, the loader and a shell print untagged."""

_UNTAGGED = re.compile("|".join(_WORDS), re.IGNORECASE)

_FRAME = re.compile(
    r"--- (?:Begin|End) node ---"
    r"|^(?:\[TRT\] )?\S+\.(?:cpp|h|hpp):\d+: *(?:$|(?:input|output|name|op_type): \"|attribute \{)"
)
"""Lines around an error that say nothing of it."""

_SAID_LATER = (
    (re.compile(r"While parsing node number \d+"), re.compile(r"ERROR: ")),
    (re.compile(r"NVMEDIA_DLA *:"), re.compile(r"\[E\] .*\bDLA\b")),
)
"""An error that names the place, and one that says what is wrong there."""

_UNREACHED = re.compile(r"CUDA initialization failure with error: \d+.*")
"""A warning that is the only hint of what follows."""

GENERIC = re.compile(
    r"Failed to parse onnx file|Parsing model failed|Failed to create engine from model|Engine could not be created"
    r"|(?:Engine|Builder|Network|Config) creation failed|Network And Config setup failed|Engine set up failed"
    r"|Inference set up failed|Building engine failed|Got invalid engine"
    r"|Engine deserialization failed|Error occurred during inference|Failed to parse ONNX model from file"
)
"""What trtexec says after every error of a kind."""

_STARTS = re.compile(r"(?:&(?:amp;)?){4} RUNNING")
_USAGE = re.compile(r"=== \w+ Options ===|\s*--\w")
"""What trtexec prints after an option that it does not take."""

MOST_LINES = 4


def is_error(line: str) -> bool:
    """Whether a line reports an error, by its tag or, without one, by its words."""
    tagged = _TAGGED.search(line)
    if tagged and re.search(r"(?:^|\]|\s)\s*\[?$", line[: tagged.start("level")]):
        return True
    return not _ANY_TAG.search(line) and bool(_SHELL.match(plain(line)) or _UNTAGGED.match(plain(line)))


def find_cause(lines: Sequence[str]) -> str | None:
    """Return the first error that says something, joined with the untagged lines that go on with it.

    A tactic that runs out of memory while others are tried is an error too, and comes first then.
    """
    lines = [part for line in lines for part in (parts_of(line) if is_error(line) else [line])]
    errors = [number for number, line in enumerate(lines) if is_error(line) and not _FRAME.search(_text(line))]
    telling = [number for number in errors if not GENERIC.search(lines[number])]
    telling = _own(lines, telling) or telling
    if not telling:
        hints = [hint for line in lines if (hint := _UNREACHED.search(line))]
        if hints:
            return _text(hints[0][0])
        return _text(lines[errors[0]]) if errors else None
    return _joined(lines, telling[0])


def _own(lines: Sequence[str], errors: Sequence[int]) -> list[int]:
    """Return the errors that are trtexec's for sure: those without a tag above its first line can be anyone's."""
    starts = next((number for number, line in enumerate(lines) if _STARTS.search(line)), -1)
    return [number for number in errors if number > starts or _TAGGED.search(lines[number])]


def _joined(lines: Sequence[str], first: int) -> str:
    """Return an error with its untagged lines, and the line further on that says what is wrong, where there is one."""
    text = _with_rest(lines, first)
    for names, says in _SAID_LATER:
        if names.search(text) and not says.search(text):
            found = [number for number in range(first + 1, len(lines)) if says.search(lines[number])]
            return f"{text} {_with_rest(lines, found[0])}" if found else text
    return text


def _with_rest(lines: Sequence[str], first: int) -> str:
    parts = [_text(lines[first])]
    if not _SHELL.match(parts[0]):
        for line in map(plain, lines[first + 1 : first + MOST_LINES]):
            if _ANY_TAG.search(line) or _USAGE.match(line) or not line.strip():
                break
            if line.strip() != parts[-1]:
                parts.append(line.strip())
    return " ".join(parts)


def _text(line: str) -> str:
    tagged = _TAGGED.search(line)
    text = tagged["text"] if tagged else plain(line)
    return text.removeprefix("[TRT] ").strip()
