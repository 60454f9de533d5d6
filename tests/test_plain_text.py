"""What others wrote can neither steer a terminal nor command a CI system."""

from __future__ import annotations

import io

import pytest

from pytest_ortperf.cli import main
from pytest_ortperf.errors import CaseError
from pytest_ortperf.plain_text import PlainOutput, plain, plain_line, plain_log, without_password


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("resnet50", "resnet50"),
        ("größe\t日本", "größe\t日本"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b[2J\x1b[1;1Hgone", "gone"),
        ("\x9b31mred", "red"),
        ("\x1b]0;title\x07after", "after"),
        ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x9d0;title\x9cafter", "after"),
        ("\x1b]0;never ended", "0;never ended"),
        ("\x1bPq#0\x1b\\after", "after"),
        ("\x1bcreset", "reset"),
        ("\x1b", "\\u001b"),
        ("a\r\nb\rc", "a\nb\nc"),
        ("a\x08b\x00\x85", "a\\u0008b\\u0000\\u0085"),
        ("a\u202eb\u2066c\u200bd", "a\\u202eb\\u2066c\\u200bd"),
        ("\udcff\u2028", "\\udcff\\u2028"),
        ("a\ufff9b\ufffbc", "a\\ufff9b\\ufffbc"),
        ("דגם ערבית نموذج", "דגם ערבית نموذج"),
    ],
)
def test_what_is_left_of_a_text(text: str, expected: str) -> None:
    assert plain(text) == expected
    assert plain_line(text) == expected.replace("\n", " ").replace("\t", " ")
    assert str(CaseError(text, stage="model", kind="model error")) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("##[error]no", "# #[error]no"),
        ("a ##vso[task.setvariable variable=x]y", "a # #vso[task.setvariable variable=x]y"),
        ("one\n  ::error::no\n::add-mask::x", "one\n  : :error::no\n: :add-mask::x"),
        ("models.json::bert::validate[cpu]", "models.json::bert::validate[cpu]"),
        ("## heading", "## heading"),
    ],
)
def test_output_of_others_is_no_command(text: str, expected: str) -> None:
    assert plain_log(text) == expected


def test_a_stream_passes_on_plain_text_alone() -> None:
    inner = io.StringIO()
    stream = PlainOutput(inner)
    stream.write("\x1b[31mred \u202e\n")
    assert inner.getvalue() == "red \\u202e\n"
    assert (stream.isatty(), stream.getvalue()) == (False, "red \\u202e\n")


def test_messages_of_commands_are_plain(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "\x1b]0;title\x07nowhere\u202e"]) == 2
    assert capsys.readouterr().err.startswith("ortperf: nowhere\\u202e")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://ada:s3:cr%40t@host:5432/perf", "postgresql://ada:***@host:5432/perf"),
        (
            "--ortperf-history=postgresql+psycopg://:secret@host/perf",
            "--ortperf-history=postgresql+psycopg://:***@host/perf",
        ),
        ("postgresql://ada@host:5432/perf", "postgresql://ada@host:5432/perf"),
        ("a folder/history.db", "a folder/history.db"),
        ("see http://host:80/a@b", "see http://host:80/a@b"),
    ],
)
def test_passwords_of_addresses_are_hidden(text: str, shown: str) -> None:
    assert without_password(text) == shown


def test_the_message_of_a_case_is_cut_where_it_quotes_megabytes() -> None:
    text = str(CaseError("x" * 5_000_000, stage="session", kind="session error"))
    assert text == "x" * 20_000 + "... (5,000,000 characters)"
