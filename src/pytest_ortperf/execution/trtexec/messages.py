"""The lines of trtexec's logs: split into runs and messages, without what terminals and people put around them."""

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
