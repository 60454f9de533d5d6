"""The runs and commands that `same_results.py` compares the results of."""

from __future__ import annotations

import gzip
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from same_results_document import Document, unique
from same_results_models import write_models

import pytest_ortperf

ROOT = Path(__file__).parents[1]
STORED = ROOT / "tests" / "data" / "comparison"
SOURCE = Path(pytest_ortperf.__file__).parents[1]
PYTEST = "-m pytest -p no:cacheprovider -p no:randomly"
COMMAND = "-m pytest_ortperf.cli"
FIXED = "--ortperf-ep=cpu --ortperf-iterations=5 --ortperf-warmup=2 --ortperf-seed=1"
BOTH = f"--ortperf-mode=both {FIXED} --ortperf-threads=1 --ortperf-operators=on"
"""Operators are profiled in any case: whether `auto` does it for a slow model depends on the load."""

ALL_TOPICS = "latency,failures,accuracy,placement,memory,creation,missing"
ODD_CASE = "'odd.json::wrong::validate[cpu]'"
WIDE, NARROW = 1000, 120
"""Terminal columns. The wide one keeps texts with paths from being wrapped or cut, which depends on their length."""

NOT_INHERITED = re.compile(r"PYTEST_|ORTPERF_|GITHUB_|CI$|BUILD_|COLUMNS$|NO_COLOR$|FORCE_COLOR$|PY_COLORS$")
"""Environment variables that would change the results."""

RUNS: dict[str, str] = {
    "models": BOTH,
    "models again": f"{BOTH} -m 'not light' --ortperf-timing=bound,host --ortperf-isolation=pool "
    "--ortperf-samples=drop --ortperf-keep=log,profile,graph --ortperf-label=branch=other",
    "models in fp16": f"{BOTH} -m 'not light' --ortperf-fp16",
    "models by threads": f"--ortperf-mode=benchmark {FIXED} --ortperf-concurrency=2 -k multi_io",
    "odd": f"--ortperf-mode=both {FIXED} --ortperf-models=odd.json",
    "later": "--ortperf-mode=validate --ortperf-models=later.json --ortperf-ep=cpu --ortperf-isolation=pool "
    f"-q --tb=no -rN --ortperf-baseline=odd --ortperf-fail-on={ALL_TOPICS}",
    "fixture": "test_fixture.py",
    "absent provider": "--ortperf-mode=validate --ortperf-models=odd.json --ortperf-ep=coreml -k 'right or wrong'",
}
"""Pytest arguments by the name of the run, which is also its results folder. Core ML does not exist on Linux."""

WITH_TERMINAL = ("later", "absent provider")
"""Runs that measure nothing: their terminal output is always the same."""

MESSAGES: dict[str, str] = {
    "bad list": f"{PYTEST} --ortperf-mode=validate --ortperf-models=bad.json",
    "bad provider": f"{PYTEST} --ortperf-mode=validate --ortperf-ep=nowhere",
    "bad number": f"{PYTEST} --ortperf-mode=benchmark --ortperf-iterations=x",
    "bad dimension": f"{PYTEST} --ortperf-mode=validate --ortperf-dim=batch",
    "no results": f"{COMMAND} report nowhere",
    "nothing to compare": f"{COMMAND} compare a b",
    "bad ending": f"{COMMAND} compare a b --output=c.txt",
    "no such case": f"{COMMAND} repro 'odd.json::nothing::validate[cpu]'",
}
SUBCOMMANDS = ("report", "compare", "ab", "bisect", "repro", "schema")


@dataclass(frozen=True, slots=True)
class Workshop:
    """The folder that everything runs in, and the document that collects the results."""

    folder: Path
    document: Document

    def call(self, arguments: str, *, check: bool = False, columns: int = WIDE, locks: str = "locks") -> str:
        """Run Python with these arguments; return its output and exit status as one text.

        Args:
            arguments: As in a shell.
            check: Stop if the exit status is neither 0 nor 1.
            columns: Width of the terminal.
            locks: Folder for the locks of benchmarks: runs with different ones do not wait for each other.

        Raises:
            SystemExit: If `check` finds another exit status.
        """
        kept = {name: value for name, value in os.environ.items() if not NOT_INHERITED.match(name)}
        ended = subprocess.run(
            [sys.executable, *shlex.split(arguments)],
            cwd=self.folder,
            env={
                **kept,
                "PYTHONPATH": os.pathsep.join(filter(None, (str(SOURCE), os.environ.get("PYTHONPATH")))),
                "COLUMNS": str(columns),
                "LC_ALL": "C.UTF-8",
                "TERM": "dumb",
                "ORTPERF_LOCKS": str(self.folder / locks),
                "XDG_CACHE_HOME": str(self.folder / "cache"),
                "GIT_CEILING_DIRECTORIES": str(self.folder.parent),
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if check and ended.returncode not in (0, 1):
            raise SystemExit(f"{arguments} ended with {ended.returncode}:\n{ended.stdout}")
        return f"{ended.stdout}\nexit status {ended.returncode}"

    def run(self, *names: str) -> None:
        """Run the plugin once per name, and keep the terminal output."""
        for name in names:
            options = f"{RUNS[name]} '--ortperf-results={name}' '--junit-xml={name}/junit.xml'"
            output = self.call(f"{PYTEST} {options}", check=True, locks=f"locks of {name}")
            (self.folder / f"{name}.txt").write_text(output, encoding="utf-8")

    def add_run(self, name: str) -> None:
        """Add the results of a run."""
        document, results = self.document, self.folder / name
        lines = _one(results, "records_*.jsonl").read_text(encoding="utf-8").splitlines()
        found = [json.loads(line) for line in lines]
        items = unique(": ".join(filter(None, (name, each.get("case_id")))) for each in found)
        for item, each in zip(items, found, strict=True):
            document.add_tree(each.pop("type", "no type"), item, each)
        for file in sorted(results.glob("*.csv")):
            table = re.sub(r"benchmark_(.*)_\d{8}-\d{6}\.csv", r"\1", file.name)
            document.add_table(f"csv/{table}", name, file)
        document.add_junit("junit", name, results / "junit.xml")
        for file in sorted(results.rglob("*")):
            if file.is_file():
                document.add("files", f"{name}: {file.relative_to(results)}", "there")
            # the page of a run is made of its samples; those of pictures are not
            if file.suffix == ".html" and not file.name.startswith("report_"):
                document.add_file(f"pages/{name}/{file.name}", file, is_long=True)
        if name in WITH_TERMINAL:
            document.add_file(f"terminal/{name}", self.folder / f"{name}.txt")

    def hide_machine(self) -> None:
        """Replace the names of this machine in all texts added from now on."""
        with _one(self.folder / "odd", "records_*.jsonl").open(encoding="utf-8") as opened:
            environment = json.loads(next(opened))["environment"]
        self.document.words.update({environment["fingerprint"]: "<machine>", environment["cpu"]: "<CPU>"})

    def compare(self, name: str, arguments: str) -> None:
        """Compare two results, and write every format."""
        place = self.folder / f"compare {name}"
        files = " ".join(f"'--output={place}/result{ending}'" for ending in (".json", ".csv", ".md", ".html"))
        columns = NARROW if name == "stored" else WIDE
        output = self.call(f"{COMMAND} compare {arguments} {files}", check=True, columns=columns)
        path = f"compare {name}"
        self.document.add_tree(f"{path}/json", name, json.loads((place / "result.json").read_text(encoding="utf-8")))
        if name == "models":
            return  # the other formats show times
        self.document.add_text(f"{path}/terminal", output)
        self.document.add_file(f"{path}/markdown", place / "result.md")
        self.document.add_file(f"{path}/html", place / "result.html", is_long=True)
        self.document.add_file(f"{path}/csv", place / "result.csv", is_long=True)

    def stored(self) -> None:
        """Report and compare two runs of the test data: with them, times and verdicts are always the same too."""
        place = self.folder / "stored"
        place.mkdir()
        for number, path in enumerate(sorted(STORED.glob("*.gz"))[:2]):
            (place / f"{number}.jsonl").write_bytes(gzip.decompress(path.read_bytes()))
        self.compare("stored", "stored/0.jsonl stored/1.jsonl --all --explain=small_cnn")
        output = self.call(f"{COMMAND} report stored/0.jsonl --output=tables", columns=NARROW)
        self.document.add_text("stored/report", output)
        for file in sorted((self.folder / "tables").glob("*.csv")):
            self.document.add_file(f"stored/{file.name}", file, is_long=True)

    def searches(self) -> None:
        """Run `ortperf bisect` and `ortperf repro` on a failure."""
        self.document.add_text("bisect/output", self.call(f"{COMMAND} bisect {ODD_CASE} --keep=bisected"))
        text = (self.folder / "bisected" / "bisection.json").read_text(encoding="utf-8")
        self.document.add_tree("bisect/json", "bisect", json.loads(text))
        self.document.add_text("repro/output", self.call(f"{COMMAND} repro {ODD_CASE} --output=bug"))
        for name in ("README.md", "case.json"):
            self.document.add_file(f"repro/{name}", self.folder / "bug" / name)

    def messages(self) -> None:
        """Add the messages for wrong arguments and files."""
        for name, arguments in MESSAGES.items():
            self.document.add_text(f"messages/{name}", self.call(arguments))

    def help(self) -> None:
        """Add all help texts, and the JSON Schema of model lists."""
        text = self.call(f"{PYTEST} --help", check=True, columns=NARROW)
        self.document.add_text("help/pytest", "\n".join(own_help(text)))
        for name in ("", *SUBCOMMANDS):
            text = self.call(f"{COMMAND} {name} --help", check=True, columns=NARROW)
            self.document.add_text(f"help/{name or 'ortperf'}", text)
        self.document.add_text("schema", self.call(f"{COMMAND} schema", check=True), is_long=True)


def add_all(document: Document, folder: Path) -> None:
    """Run everything in a folder and add the results; two processes run at a time, because times do not matter."""
    work = Workshop(folder, document)
    (folder / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    shutil.copytree(ROOT / "models", folder / "models", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "models.json", folder)
    write_models(folder)
    document.words |= {str(folder): "<folder>", str(SOURCE): "<source>", sys.prefix: "<python>"}
    others = [name for name in RUNS if name != "models"]
    # the stored runs name the machine they were made on, so they are added before this machine's name is replaced
    _at_once(lambda: work.run("models"), lambda: work.run(*others), work.stored)
    work.hide_machine()
    for name in RUNS:
        work.add_run(name)
    _at_once(
        lambda: work.compare("models", "models 'models again'"),
        lambda: work.compare("odd", "odd later --fail-on=missing"),
        work.searches,
        work.messages,
        work.help,
    )


def _at_once(*calls: Callable[[], None]) -> None:
    with ThreadPoolExecutor(max_workers=2) as pool:
        for done in [pool.submit(call) for call in calls]:
            done.result()


def _one(folder: Path, pattern: str) -> Path:
    found = sorted(folder.glob(pattern))
    if len(found) != 1:
        raise SystemExit(f"{folder}: expected one file {pattern}, found {len(found)}")
    return found[0]


def own_help(text: str) -> list[str]:
    """Return the part of pytest's help about this package: its option group and its ini values."""
    found: list[str] = []
    inside = False
    for line in text.splitlines():
        if not line.startswith("   "):
            inside = line.startswith(("ortperf", "  --ortperf", "  ortperf_"))
        if inside:
            found.append(line)
    return found
