"""The runs and commands whose results `same_results.py` compares."""

from __future__ import annotations

import gzip
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from same_results_document import Document, unique
from same_results_models import write_models

import pytest_ortperf

ROOT = Path(__file__).parents[1]
STORED = ROOT / "tests" / "data" / "comparison"
SOURCE = Path(pytest_ortperf.__file__).parents[1]
PYTEST = ("-m", "pytest", "-p", "no:cacheprovider", "-p", "no:randomly")
COMMAND = ("-m", "pytest_ortperf.cli")
ONE_THREAD = "--ortperf-threads=1"
"""Threads of two runs at once would wait for each other."""

FIXED = ("--ortperf-ep=cpu", "--ortperf-iterations=5", "--ortperf-warmup=2", "--ortperf-seed=1")
ODD_CASE = "odd.json::wrong::validate[cpu]"
WIDE, NARROW = 1000, 120
"""Columns of the terminal: what holds paths of this machine is neither cut nor wrapped, what holds none is."""

NOT_INHERITED = re.compile(r"PYTEST_|ORTPERF_|GITHUB_|CI$|BUILD_|COLUMNS$|NO_COLOR$|FORCE_COLOR$|PY_COLORS$")

RUNS: dict[str, tuple[str, ...]] = {
    "models": ("--ortperf-mode=both", *FIXED, ONE_THREAD),
    "models again": (
        *(
            "--ortperf-mode=both",
            *FIXED,
            ONE_THREAD,
            "-m",
            "not light",
            "--ortperf-timing=bound,host",
            "--ortperf-isolation=pool",
        ),
        *("--ortperf-samples=drop", "--ortperf-keep=log,profile,graph", "--ortperf-label=branch=other"),
    ),
    "models in fp16": ("--ortperf-mode=both", "--ortperf-fp16", *FIXED, ONE_THREAD, "-m", "not light"),
    "models by threads": ("--ortperf-mode=benchmark", "--ortperf-concurrency=2", *FIXED, "-k", "multi_io"),
    "odd": ("--ortperf-mode=both", "--ortperf-models=odd.json", *FIXED),
    "later": (
        *("--ortperf-mode=validate", "--ortperf-models=later.json", "--ortperf-ep=cpu", "--ortperf-isolation=pool"),
        *(
            "-q",
            "--tb=no",
            "-rN",
            "--ortperf-baseline=odd",
            "--ortperf-fail-on=latency,failures,accuracy,placement,memory,creation,missing",
        ),
    ),
    "fixture": ("test_fixture.py",),
    "absent provider": (
        *("--ortperf-mode=validate", "--ortperf-models=odd.json", "--ortperf-ep=coreml"),
        *("-k", "right or wrong"),
    ),
}
"""Name, which is that of the results folder too, and arguments. `CoreML` is on no machine that this runs on."""

WITH_TERMINAL = ("later", "absent provider")
"""Runs whose terminal output is the same each time: nothing in it was measured."""

MESSAGES: dict[str, tuple[str, ...]] = {
    "bad list": (*PYTEST, "--ortperf-mode=validate", "--ortperf-models=bad.json"),
    "bad provider": (*PYTEST, "--ortperf-mode=validate", "--ortperf-ep=nowhere"),
    "bad number": (*PYTEST, "--ortperf-mode=benchmark", "--ortperf-iterations=x"),
    "bad dimension": (*PYTEST, "--ortperf-mode=validate", "--ortperf-dim=batch"),
    "no results": (*COMMAND, "report", "nowhere"),
    "nothing to compare": (*COMMAND, "compare", "a", "b"),
    "bad ending": (*COMMAND, "compare", "a", "b", "--output=c.txt"),
    "no such case": (*COMMAND, "repro", "odd.json::nothing::validate[cpu]"),
}
HELP: dict[str, tuple[str, ...]] = {
    "ortperf": (*COMMAND, "--help"),
    **{name: (*COMMAND, name, "--help") for name in ("report", "compare", "ab", "bisect", "repro", "schema")},
}


@dataclass(frozen=True, slots=True)
class Workshop:
    """The folder in which all of it runs, and the document that it becomes."""

    folder: Path
    document: Document

    def call(self, arguments: Sequence[str | Path], *, check: bool = False, columns: int = WIDE) -> str:
        """Run Python with these arguments; return standard output and error with the exit status."""
        kept = {name: value for name, value in os.environ.items() if not NOT_INHERITED.match(name)}
        ended = subprocess.run(
            [sys.executable, *map(str, arguments)],
            cwd=self.folder,
            env={
                **kept,
                "PYTHONPATH": os.pathsep.join(filter(None, (str(SOURCE), os.environ.get("PYTHONPATH")))),
                "COLUMNS": str(columns),
                "LC_ALL": "C.UTF-8",
                "TERM": "dumb",
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
        """Run the plugin, one run after another; keep what the terminal shows."""
        for name in names:
            options = (f"--ortperf-results={name}", f"--junit-xml={name}/junit.xml")
            output = self.call((*PYTEST, *RUNS[name], *options), check=True)
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
            if file.suffix == ".html":
                document.add_text(f"pages/{name}/{file.name}", file.read_text(encoding="utf-8"), is_long=True)
        if name in WITH_TERMINAL:
            document.add_text(f"terminal/{name}", (self.folder / f"{name}.txt").read_text(encoding="utf-8"))

    def hide_machine(self) -> None:
        """Have the machine's own words replaced, as a run names them."""
        with _one(self.folder / "odd", "records_*.jsonl").open(encoding="utf-8") as opened:
            environment = json.loads(next(opened))["environment"]
        self.document.words.update({environment["fingerprint"]: "<machine>", environment["cpu"]: "<CPU>"})

    def compare(self, name: str, base: str, current: str, *more: str) -> None:
        """Compare two results in every form that can be written."""
        place = self.folder / f"compare {name}"
        files = [f"--output={place}/result{ending}" for ending in (".json", ".csv", ".md", ".html")]
        columns = NARROW if name == "stored" else WIDE
        output = self.call((*COMMAND, "compare", base, current, *files, *more), check=True, columns=columns)
        path = f"compare {name}"
        self.document.add_tree(f"{path}/json", name, json.loads((place / "result.json").read_text(encoding="utf-8")))
        if name == "models":
            return  # all else is full of times
        self.document.add_text(f"{path}/terminal", output)
        self.document.add_text(f"{path}/markdown", (place / "result.md").read_text(encoding="utf-8"))
        self.document.add_text(f"{path}/html", (place / "result.html").read_text(encoding="utf-8"), is_long=True)
        self.document.add_table(f"{path}/csv", name, place / "result.csv")

    def stored(self) -> None:
        """Report and compare runs that were recorded once: all of it is the same each time, times too."""
        place = self.folder / "stored"
        place.mkdir()
        for number, path in enumerate(sorted(STORED.glob("*.gz"))[:2]):
            (place / f"{number}.jsonl").write_bytes(gzip.decompress(path.read_bytes()))
        self.compare("stored", "stored/0.jsonl", "stored/1.jsonl", "--all", "--explain=small_cnn")
        output = self.call((*COMMAND, "report", "stored/0.jsonl", "--output=tables"), columns=NARROW)
        self.document.add_text("stored/report", output)
        for file in sorted((self.folder / "tables").glob("*.csv")):
            self.document.add_text(f"stored/{file.name}", file.read_text(encoding="utf-8"), is_long=True)

    def searches(self) -> None:
        """Search for the node of a failure, and write a folder that shows it."""
        self.document.add_text("bisect/output", self.call((*COMMAND, "bisect", ODD_CASE, "--keep=bisected")))
        self.document.add_tree(
            "bisect/json",
            "bisect",
            json.loads((self.folder / "bisected" / "bisection.json").read_text(encoding="utf-8")),
        )
        self.document.add_text("repro/output", self.call((*COMMAND, "repro", ODD_CASE, "--output=bug")))
        for name in ("README.md", "case.json"):
            self.document.add_text(f"repro/{name}", (self.folder / "bug" / name).read_text(encoding="utf-8"))

    def messages(self) -> None:
        """Add what is printed for mistakes."""
        for name, arguments in MESSAGES.items():
            self.document.add_text(f"messages/{name}", self.call(arguments))

    def help(self) -> None:
        """Add all help texts, and the JSON Schema."""
        for name, arguments in HELP.items():
            self.document.add_text(f"help/{name}", self.call(arguments, check=True, columns=NARROW))
        text = self.call((*PYTEST, "--help"), check=True, columns=NARROW)
        self.document.add_text("help/pytest", "\n".join(own_help(text)))
        self.document.add_text("schema", self.call((*COMMAND, "schema"), check=True), is_long=True)


def add_all(document: Document, folder: Path) -> None:
    """Run everything in a folder, two things at once: times are not compared."""
    work = Workshop(folder, document)
    (folder / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    shutil.copytree(ROOT / "models", folder / "models", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "models.json", folder)
    write_models(folder)
    document.words |= {str(folder): "<folder>", str(SOURCE): "<source>", sys.prefix: "<python>"}
    others = [name for name in RUNS if name != "models"]
    # what is stored names another machine: it comes before the words of this one are hidden
    _at_once(lambda: work.run("models"), lambda: work.run(*others), work.stored)
    work.hide_machine()
    for name in RUNS:
        work.add_run(name)
    _at_once(
        lambda: work.compare("models", "models", "models again"),
        lambda: work.compare("odd", "odd", "later", "--fail-on=missing"),
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
        raise SystemExit(f"{folder}: {len(found)} files {pattern}, not 1")
    return found[0]


def own_help(text: str) -> list[str]:
    """Return the lines of pytest's help that are about this package: its group of options, and its ini values."""
    found: list[str] = []
    inside = False
    for line in text.splitlines():
        if not line.startswith("   "):
            inside = line.startswith(("ortperf", "  --ortperf", "  ortperf_"))
        if inside:
            found.append(line)
    return found
