"""Text of others made harmless for terminals and logs: names in models, output of ONNX Runtime, error messages.

A terminal obeys escape sequences, a CI system obeys lines that begin with `::` or hold `##vso[`, and bidirectional
controls show a text in another order than it has.
"""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any, TextIO

_SEQUENCES = re.compile(
    r"(?:\x1b\]|\x9d)[^\x07\x1b\x9c\n]*(?:\x07|\x1b\\|\x9c)"  # operating system commands: titles, links, clipboard
    r"|(?:\x1b[PX^_]|[\x90\x98\x9e\x9f])[^\x1b\x9c\n]*(?:\x1b\\|\x9c)"  # strings for devices and applications
    r"|(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"  # colours, cursor, erasing
    r"|\x1b[ -/]*[0-~]"  # everything else that begins with an escape
)

_CONTROLS = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f"
    "\u061c\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"  # they hide, or turn round, what follows
    "\u2028\u2029"  # line ends that only some programs know
    "\ud800-\udfff]"  # halves of characters, of file names that are not UTF-8: they cannot be written
)

_BACKTICKS = re.compile("`+")
_PASSWORD = re.compile(r"(?P<before>\w+://[^\s/@:]*):[^\s/@]*(?=@)")

_COMMANDS = re.compile(r"##(?=\[|vso\[)|^(?P<before>[^\S\n]*):(?=:\S)", re.MULTILINE)


def plain(text: str) -> str:
    """Return the text without escape sequences; other control characters become visible, as in JSON.

    A carriage return ends a line. Tabs and line ends stay.
    """
    if text.isprintable():
        return text
    text = _SEQUENCES.sub("", text).replace("\r\n", "\n").replace("\r", "\n")
    return _CONTROLS.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def is_utf8(path: Path) -> bool:
    """Whether a path can be written as UTF-8; what a file system holds need not."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return False
    return True


def plain_line(text: str) -> str:
    """Return the same as one line: each line end or tab becomes a space."""
    return plain(text).replace("\n", " ").replace("\t", " ")


def plain_log(text: str) -> str:
    """Return output of others that CI systems take for no commands: `##[error]` becomes `# #[error]`."""
    return _COMMANDS.sub(lambda found: "# #" if found[0] == "##" else f"{found['before']}: ", plain(text))


def markdown_code(text: str, *, in_table: bool = True) -> str:
    """Return a text as code of Markdown: nothing in it is a link, a mention, HTML or the end of a table's cell."""
    text = plain_line(text)
    if in_table:
        text = text.replace("\\|", "\\ |").replace("|", "\\|")
    fence = "`" * (max(map(len, _BACKTICKS.findall(text)), default=0) + 1)
    space = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{fence}{space}{text}{space}{fence}" if text.strip() else ""


def without_password(text: str) -> str:
    """Return the text with `***` for the passwords of URLs in it."""
    return _PASSWORD.sub(r"\g<before>:***", text)


class PlainOutput(io.TextIOBase):
    """A text stream that passes on what is written to it as plain text."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        """For who writes control characters on purpose, and makes the rest plain itself."""

    def write(self, text: str) -> int:
        self.stream.write(plain(text))
        return len(text)

    def flush(self) -> None:
        self.stream.flush()

    def fileno(self) -> int:
        return self.stream.fileno()

    def isatty(self) -> bool:
        return self.stream.isatty()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)
