"""Every block of README and docs that could be wrong is run or read, in order, one folder a document.

The comment in the line before a block says what happens to it:

`<!-- file: NAME -->`        it is written to NAME, for the blocks after it; a model list is read
`<!-- model list -->`        it is read as a model list, and no more
`<!-- run -->`               each `$ command` is run and what it prints is compared; `...` stands for any text
`<!-- run, numbers vary -->` the same, and any number, run of spaces or ruler stands for any other
`<!-- run, exit 1 -->`       the same, for a command that is to fail
`<!-- not run: REASON -->`   nothing

`python` blocks without a comment are run. `console` and `json` blocks need one.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("sybil", reason="needs the docs extra")

from sybil import Document, Example
from sybil.evaluators.python import PythonEvaluator
from sybil.example import SybilFailure
from sybil.parsers.myst import CodeBlockParser

from pytest_ortperf.cases import model_list

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])
LONG = (
    "README",
    "tutorial",
    "check-for-leaks",
    "command-line",
    "compare-two-runs",
    "find-the-wrong-node",
    "keep-a-history",
    "migrate-from-the-onnxruntime-script",
    "read-results-in-python",
    "set-limits",
    "show-a-dashboard",
    "test-your-own-code",
)
"""Documents whose commands measure for seconds."""

FORM = re.compile(
    r"(?P<model_list>model list)|file: (?P<file>[\w./-]+)|not run: (?P<reason>.+)"
    r"|(?P<run>run)(?P<vary>, numbers vary)?(, exit (?P<exit>\d+))?"
)


def documents() -> Iterator[Any]:
    """Yield every document; those that take long are slow tests."""
    for path in DOCUMENTS:
        yield pytest.param(path, marks=pytest.mark.slow) if path.stem in LONG else path


def comment_before(example: Example) -> re.Match[str] | None:
    """Return the parts of the comment in the line before a block."""
    lines = example.document.text[: example.region.start].splitlines()
    comment = re.fullmatch(r"<!-- (.*) -->", lines[-1]) if lines else None
    return FORM.fullmatch(comment[1]) if comment else None


def commands(text: str) -> list[tuple[str, str]]:
    """Return each `$ command` with the output that is expected of it."""
    parts = re.split(r"^\$ (.*)\n?", text, flags=re.MULTILINE)
    return list(zip(parts[1::2], parts[2::2], strict=True))


def without_numbers(text: str) -> str:
    """Return the text with each number, ruler and run of spaces made the same."""
    text = re.sub(r"[=─━-]{3,}", "---", text)
    text = re.sub(r"\d+([.,:]\d+)*", "0", text)
    return re.sub(r"[ \t]+", " ", text)


def matches(expected: str, got: str, *, vary: bool) -> bool:
    """Whether the output is as the document shows it."""
    if vary:
        expected, got = without_numbers(expected), without_numbers(got)
    pattern = ".*".join(re.escape(part) for part in expected.strip().split("..."))
    return re.fullmatch(pattern, got.strip(), flags=re.DOTALL) is not None


@dataclass
class Folder:
    """Where the blocks of one document take effect."""

    path: Path
    evaluated: list[str] = field(default_factory=list)

    def evaluate(self, example: Example) -> str | None:
        """Do what the comment says; return what is wrong, as sybil wants it."""
        form = comment_before(example)
        if form is None:
            return "the block needs a comment in the line before it, in one of the forms at the top of this file"
        if form["run"]:
            return self.run(example.parsed, form)
        if form["file"]:
            self.write(form["file"], example.parsed)
        elif form["model_list"]:
            self.write(f"list_{example.line}.json", example.parsed)
        self.evaluated.append(form[0])
        return None

    def write(self, name: str, text: str) -> None:
        """Write a file; a model list must be one that can be read."""
        target = self.path / name
        target.write_text(text, encoding="utf-8")
        if target.suffix == ".json":
            assert model_list.read_models(target, workspace=None)

    def run(self, text: str, form: re.Match[str]) -> str | None:
        """Run the commands of a block and compare what they print."""
        for command, expected in commands(text):
            if command.startswith(("pytest", "ortperf")) and not entry_points(group="pytest11", name="ortperf"):
                pytest.skip("pytest-ortperf is not installed in this environment")
            done = subprocess.run(
                ["/bin/sh", "-c", command],
                cwd=self.path,
                env=environment() | {"ORTPERF_LOCKS": f"{self.path}-locks"},  # other runs are not waited for
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                encoding="utf-8",
                timeout=120,
                check=False,
            )
            if done.returncode != int(form["exit"] or 0):
                return f"$ {command}\nexit status {done.returncode}\n{done.stdout}"
            if not matches(expected, done.stdout, vary=bool(form["vary"])):
                return f"$ {command}\nexpected:\n{expected}\ngot:\n{done.stdout}"
            self.evaluated.append(command)
        return None


def environment() -> dict[str, str]:
    """Return an environment as a user has it: this one, without what the tests add to pytest."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("CI", "COV_", "PYTEST_"))}
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    # neither what is off with this machine at this moment nor precise latencies are what the documents are about
    quick = "-o ortperf_env=off -o ortperf_warmup=1 -o ortperf_iterations=5"
    addopts = f"-p no:randomly -p no:cacheprovider {quick}"
    return kept | {"PATH": path, "COLUMNS": "110", "NO_COLOR": "1", "PYTEST_ADDOPTS": addopts}


def examples(path: Path, folder: Folder) -> list[Example]:
    """Return the blocks of a document that are run or read, in order."""
    run_python = PythonEvaluator()

    def python(example: Example) -> str | None:
        if comment_before(example):
            return folder.evaluate(example)
        run_python(example)
        return None

    parsers = [CodeBlockParser(language, folder.evaluate) for language in ("console", "json")]
    return list(Document.parse(str(path), *parsers, CodeBlockParser("python", python)))


@pytest.mark.parametrize("path", list(documents()), ids=lambda path: str(path.relative_to(ROOT)))
def test_blocks_say_the_truth(path: Path, tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    blocks = examples(path, folder)
    for block in blocks:
        block.evaluate()
    assert bool(blocks) == bool(re.search(r"^```(console|json|python)$", path.read_text(), re.MULTILINE))


def write_and_evaluate(tmp_path: Path, text: str) -> list[str]:
    document = tmp_path / "page.md"
    document.write_text(text, encoding="utf-8")
    folder = Folder(tmp_path)
    for block in examples(document, folder):
        block.evaluate()
    return folder.evaluated


@pytest.mark.parametrize(
    ("expected", "got", "vary", "same"),
    [
        ("a\n", "a\n", False, True),
        ("a\n", "b\n", False, False),
        ("a ... c\n", "a b\nb c\n", False, True),
        ("took 1.5 s", "took 12.25 s", False, False),
        ("took   1.5 s", "took 12.25 s", True, True),
        ("=== 2 passed ===", "====== 3 passed ======", True, True),
        ("2 passed", "2 failed", True, False),
        ("...", "", False, True),
    ],
)
def test_output_is_compared(expected: str, got: str, *, vary: bool, same: bool) -> None:
    assert matches(expected, got, vary=vary) is same


def test_a_block_without_comment_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SybilFailure, match="needs a comment in the line before it"):
        write_and_evaluate(tmp_path, "# Page\n\n```console\n$ true\n```\n")


def test_blocks_take_effect_in_order_in_one_folder(tmp_path: Path) -> None:
    text = "<!-- file: a.txt -->\n```json\n[1]\n```\n\n<!-- run -->\n```console\n$ cat a.txt\n[1]\n$ true\n```\n"
    assert write_and_evaluate(tmp_path, text) == ["file: a.txt", "cat a.txt", "true"]


@pytest.mark.parametrize(
    ("comment", "block", "message"),
    [
        ("run", "$ echo 2\n3\n", "$ echo 2\nexpected:\n3\n\ngot:\n2\n"),
        ("run", "$ echo 2; exit 3\n2\n", "$ echo 2; exit 3\nexit status 3\n2\n"),
        ("run, exit 3", "$ echo 2\n2\n", "$ echo 2\nexit status 0\n2\n"),
    ],
)
def test_a_command_that_does_something_else_fails(tmp_path: Path, comment: str, block: str, message: str) -> None:
    with pytest.raises(SybilFailure) as caught:
        write_and_evaluate(tmp_path, f"<!-- {comment} -->\n```console\n{block}```\n")
    assert str(caught.value).endswith(message)


def test_each_command_of_a_block_has_its_output() -> None:
    assert commands("$ echo a\na\n$ true\n$ echo b\nb\n") == [
        ("echo a", "a\n"),
        ("true", ""),
        ("echo b", "b\n"),
    ]
