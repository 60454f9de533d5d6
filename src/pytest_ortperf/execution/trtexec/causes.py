"""Why a run of trtexec failed: the first error that says something, for the last one is always generic.

The lines of trtexec's logs: split into runs and messages, without what terminals and people put around them.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

_HEAD = re.compile(r"(?:&(?:amp;)?){4} (?:RUNNING|PASSED|FAILED)")
_BANNER = re.compile(
    r"(?:&(?:amp;)?){4} (?P<word>RUNNING|PASSED|FAILED)\s+TensorRT\.trtexec(?:_safe)?"
    r"(?:\s+\[TensorRT v(?P<version>\d+(?:\.\d+)*)\])?(?:\s+\[(?P<tag>b\d+)\])?(?:\s+#\s*(?P<command>.*\S))?"
)
_TAG = re.compile(
    r"\[(?:\d\d/\d\d/\d{4}-\d\d:\d\d:\d\d\]\s*(?:\[TRT\]\s*)?\[(?P<level>[VIWEF])\]|(?P<bare>[VIWEF])\](?=\s))"
)
_ESCAPE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\))|[\x00\ufeff]")
_TORN = re.compile(r"^_\[?(?=\d\d/\d\d/)|^(?=\d\d/\d\d/\d{4}-\d\d:\d\d:\d\d\] |[VIWEF]\]\s)")
"""Where the first bracket of a line was: it went with the mark of an italic log, or was not copied."""

_AROUND = re.compile(
    r"^(?:\s+|[>#]\s?|\[?\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)?\]?\s+"
    r"|(?:\|\s+)?[\w.-]+\s+\|\s)+"
)
"""Before a line: indentation, marks of quotes and comments, the time of another log, the name of a service."""

_AFTER = ("\\n", "\\r", '"', "'", ",", "<br>", "<br/>")
"""After a line: what a notebook's file or a table has there."""


_IN_ROW = re.compile(r"(?=.*(?:=|ms\b)|s$)[a-z\d\s.,=%()+-]+$")
_ROW_WORDS = "min max mean median percentile ms"
"""Of a row of a summary; a line break can be inside one."""


@dataclass(frozen=True, slots=True)
class LogLine:
    """A line of a log and what is in it."""

    text: str
    banner: re.Match[str] | None
    """With `word`, `version`, `tag` and `command`."""

    messages: tuple[tuple[str, str], ...]
    """Level and text of each; two writers can have glued theirs together."""


def lines_of(text: str) -> list[LogLine]:
    """Return the lines of a log without colours, whatever ends them; a banner has one of its own."""
    lines = (line.rstrip("\r") for line in _ESCAPE.sub("", text).split("\n"))
    parts = (part for line in lines for part in (parts_of(line) if _may_hold_banner(line) else [line]))
    return [_line(part) for part in parts]


def plain(line: str) -> str:
    """Return a line without what others put before it."""
    around = _AROUND.match(line)
    return line[around.end() :] if around else line


def parts_of(line: str) -> list[str]:
    """Return a line cut before each tag and each banner but the first of them."""
    places = [tag.start() for tag in _TAG.finditer(line) if tag["level"]]
    places += [banner.start() for banner in _HEAD.finditer(line)]
    ends = [0, *sorted(places)[1:], len(line)]
    return [line[start:end] for start, end in itertools.pairwise(ends)]


def runs_of(lines: Iterable[LogLine]) -> Iterator[list[LogLine]]:
    """Yield the lines of each run, at least one: a run starts at its banner, or after the end of the one before."""
    run: list[LogLine] = []
    told = False  # more than errors, which can come before the banner of their run: they are not held back
    end, after = 0, False
    for line in lines:
        starts = line.banner is not None and line.banner["word"] == "RUNNING"
        ends = line.banner is not None and not starts
        if starts and told:
            yield run
            run, end, told = [], 0, False
        elif ends and end and after:
            yield run[:end]
            run, end = run[end:], 0
        run.append(line)
        told = told or line.banner is not None or any(level == "I" for level, _ in line.messages)
        after = not ends and (after or bool(line.messages))
        if ends:
            end = len(run)
    yield run


def messages_of(run: Sequence[LogLine]) -> Iterator[tuple[str, str]]:
    """Yield level and text of each message of a run; where no line has a tag, each is taken for information."""
    if any(line.messages for line in run):
        yield from _tagged_messages(run)
    else:
        for line in run:
            yield "I", _cleaned(plain(line.text))


def _tagged_messages(run: Iterable[LogLine]) -> Iterator[tuple[str, str]]:
    """Yield the messages of lines with tags; a row goes on over the lines that a terminal broke it into."""
    rest: list[tuple[str, str]] = []  # a row that may go on
    for line in run:
        if rest and not line.messages and _goes_on(plain(line.text)):
            level, row = rest.pop()
            piece = _cleaned(plain(line.text))
            rest = [(level, f"{row}, {piece}" if row.endswith("ms") else row + piece)]
            continue
        yield from rest
        rest = [message for message in line.messages[-1:] if " min = " in message[1]]
        yield from line.messages[: len(line.messages) - len(rest)]
    yield from rest


def _goes_on(text: str) -> bool:
    return bool(_IN_ROW.match(text)) and all(word in _ROW_WORDS for word in re.findall(r"[a-z]+", text))


def _line(text: str) -> LogLine:
    banner = _BANNER.search(text) if _may_hold_banner(text) else None
    said = text[: banner.start()] if banner else text
    said = _TORN.sub("[", said)
    return LogLine(text, banner, tuple(_tagged(said)))


def _may_hold_banner(line: str) -> bool:
    return "&&&& " in line or "&amp;&amp;" in line


def _tagged(line: str) -> Iterator[tuple[str, str]]:
    """Yield level and text of each message; a tag without a time is one only where a word starts."""
    tags = [tag for tag in _TAG.finditer(line) if tag["level"] or line[: tag.start()][-1:].strip() == ""]
    tags = [tag for number, tag in enumerate(tags) if not number or tag["bare"] not in {"V", "I"}]
    ends = [tag.start() for tag in tags[1:]] + [len(line)]
    for tag, end in zip(tags, ends, strict=False):
        yield tag["level"] or tag["bare"], _cleaned(line[tag.end() : end]).removeprefix("[TRT] ")


def _cleaned(text: str) -> str:
    text = text.strip()
    while text.endswith(_AFTER):
        text = text.removesuffix(next(end for end in _AFTER if text.endswith(end))).rstrip()
    return text


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
