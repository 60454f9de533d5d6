"""Names, messages, labels and logs of others in every output: no control character, formula, command or markup."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest

from pytest_ortperf.commands.compare import WRITERS as COMPARED
from pytest_ortperf.plain_text import markdown_code
from pytest_ortperf.records.store import StoredRun
from pytest_ortperf.reports.ci_output import ci_lines
from pytest_ortperf.reports.comparison.compared_side import side_of
from pytest_ortperf.reports.comparison.comparison_text import comparison_lines
from pytest_ortperf.reports.comparison.run_comparison import Comparison, compare
from pytest_ortperf.reports.terminal.summary import summary_lines
from pytest_ortperf.reports.writers import WRITERS, ReportWriter
from reports.page.examples import HOSTILE, hostile

HIDDEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]")


def written(writer: ReportWriter, run: StoredRun, folder: Path) -> str:
    if writer.write is not None:
        return "".join(path.read_bytes().decode("utf-8") for path in writer.write(run, folder))
    return writer.text(run, compared()) if writer.text else ""


def compared() -> Comparison:
    return compare(side_of(HOSTILE["markup"], [hostile()]), side_of(HOSTILE["escapes"], [hostile()]))


def of_system(**variables: str) -> Callable[[Path], str]:
    return lambda folder: "\n".join(ci_lines(hostile(), (folder / HOSTILE["hash"],), variables))


def summary(width: int) -> str:
    return "\n".join(text for text, _ in summary_lines(hostile(), width=width, files=(), results=Path("result")))


OUTPUTS: dict[str, Callable[[Path], str]] = {
    **{writer.name: lambda folder, writer=writer: written(writer, hostile(), folder) for writer in WRITERS},  # type: ignore[misc]
    "terminal": lambda _: summary(80),
    "wide terminal": lambda _: summary(400),
    "GitHub": of_system(GITHUB_ACTIONS="true"),
    "Azure": of_system(TF_BUILD="True"),
    **{f"comparison{ending}": lambda _, write=write: write(compared(), (), ()) for ending, write in COMPARED.items()},  # type: ignore[misc]
    "comparison": lambda _: "\n".join(text for text, _ in comparison_lines(compared(), width=120, everything=True)),
}


@pytest.mark.parametrize("name", OUTPUTS)
def test_every_character_can_be_seen(name: str, tmp_path: Path) -> None:
    text = OUTPUTS[name](tmp_path).encode("utf-8", errors="backslashreplace").decode("utf-8")  # as files are written
    assert len(text) > 300
    assert HIDDEN.findall(text) == []


@pytest.mark.parametrize("name", ["Page", "comparison.html"])
def test_names_make_no_elements(name: str, tmp_path: Path) -> None:
    found: list[tuple[str, str]] = []
    parser = HTMLParser()
    parser.handle_starttag = lambda tag, attributes: found.extend((tag, each) for each, _ in (*attributes, ("", "")))  # type: ignore[method-assign]
    parser.feed(OUTPUTS[name](tmp_path))
    assert not {"img", "iframe", "object", "link"} & {tag for tag, _ in found}
    assert not [attribute for _, attribute in found if attribute.startswith("on")]
    assert [tag for tag, attribute in found if tag == "script" and not attribute] == ["script"] * (
        2 if name == "Page" else 0
    )


@pytest.mark.parametrize("name", [writer.name for writer in WRITERS if writer.csv])
def test_no_cell_is_a_formula(name: str, tmp_path: Path) -> None:
    OUTPUTS[name](tmp_path)
    texts = [path.read_text(encoding="utf-8") for path in tmp_path.glob("*.csv")]
    cells = [cell for text in texts for row in csv.reader(io.StringIO(text)) for cell in row]
    assert "'=1+1" in cells
    assert [cell for cell in cells if cell[:1] in {"=", "+", "@", "\t", "\r"}] == []


def test_no_line_is_a_command_of_a_ci_system(tmp_path: Path) -> None:
    for name in ("terminal", "wide terminal", "GitHub", "Azure"):
        lines = OUTPUTS[name](tmp_path).splitlines()
        commands = [line for line in lines if re.match(r"\s*(::|##\[)|.*##vso\[", line)]
        kinds = {"GitHub": r"::(error|warning) ", "Azure": r"##vso\[task\.logissue [^]]*\]"}
        assert all(re.match(kinds.get(name, "never"), line) for line in commands)
        assert bool(commands) == (name in kinds)


def test_markdown_holds_names_as_code_alone(tmp_path: Path) -> None:
    text = OUTPUTS["Markdown, for a comment"](tmp_path)
    assert markdown_code(HOSTILE["markup"])[1:-1] in text
    outside = re.sub(r"(`+).*?(?<!`)\1(?!`)", "", text)
    assert not re.search(r"<(?!br>)|\$\{|\{\{", outside)
