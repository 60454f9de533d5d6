"""The lines of trtexec's logs: split into runs and messages, without what terminals and people put around them."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence

BANNER = re.compile(
    r"(?:&(?:amp;)?){4} (?P<word>RUNNING|PASSED|FAILED)\s+TensorRT\.trtexec(?:_safe)?"
    r"(?:\s+\[TensorRT v(?P<version>\d+(?:\.\d+)*)\])?(?:\s+\[(?P<tag>b\d+)\])?(?:\s+#\s*(?P<command>.*\S))?"
)
_HEAD = re.compile(r"(?:&(?:amp;)?){4} (?:RUNNING|PASSED|FAILED)")
_TAG = re.compile(
    r"(?:\[|(?<=^_))\d\d/\d\d/\d{4}-\d\d:\d\d:\d\d\]\s*(?:\[TRT\]\s*)?\[(?P<level>[VIWEF])\]"
    r"|(?:^|(?<=\s))\[(?P<bare>[VIWEF])\](?=\s)"
)
_ESCAPE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\))|[\x00\ufeff]")
_AROUND = re.compile(
    r"^(?:\s+|[>#]\s?|\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)?\s+|[\w.-]+\s+\|\s)+"
)
"""Before a line: indentation, marks of quotes and comments, the time of a container's log, the name of a service."""

_AFTER = re.compile(r"(?:\\[nr]|[\"',]|<br\s*/?>|\s)+$")
"""After a line: what a notebook's file or a table has there."""


def lines_of(text: str) -> list[str]:
    """Return the lines of a log without colours, whatever ends them; a banner has one of its own."""
    lines = (line.rstrip("\r") for line in _ESCAPE.sub("", text).split("\n"))
    return [part for line in lines for part in (parts_of(line) if _HEAD.search(line) else [line])]


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


def runs_of(lines: Sequence[str]) -> Iterator[list[str]]:
    """Yield the lines of each run, at least one: a run starts at its banner, or after the end of the one before."""
    run: list[str] = []
    told = False  # more than errors, which can come before the banner of their run: they are not held back
    end, after = 0, False
    for line in lines:
        banner, levels = BANNER.search(line), {level for level, _ in _tagged(line)}
        starts = banner is not None and banner["word"] == "RUNNING"
        ends = banner is not None and not starts
        if starts and told:
            yield run
            run, end, told = [], 0, False
        elif ends and end and after:
            yield run[:end]
            run, end = run[end:], 0
        run.append(line)
        told = told or banner is not None or "I" in levels
        after = not ends and (after or bool(levels))
        if ends:
            end = len(run)
    yield run


def messages_of(run: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield level and text of each message of a run; where no line has a tag, each is taken for information."""
    tagged = [list(_tagged(line)) for line in run]
    if any(tagged):
        for messages in tagged:
            yield from messages
    else:
        for line in run:
            yield "I", _AFTER.sub("", plain(line))


def _tagged(line: str) -> Iterator[tuple[str, str]]:
    """Yield level and text of each message of a line: two writers can have glued theirs together."""
    tags = [tag for number, tag in enumerate(_TAG.finditer(line)) if not number or tag["bare"] not in {"V", "I"}]
    ends = [tag.start() for tag in tags[1:]] + [len(line)]
    for tag, end in zip(tags, ends, strict=False):
        text = _AFTER.sub("", line[tag.end() : end]).strip().removeprefix("[TRT] ")
        yield tag["level"] or tag["bare"], text
