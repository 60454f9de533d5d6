"""What the benchmark scripts share: commands timed in turns, medians and ratios, one table for people and programs."""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TypeVar

Result = TypeVar("Result")

DISTRIBUTIONS = (
    "pytest-ortperf",
    "pytest",
    "pytest-benchmark",
    "pytest-forked",
    "pytest-xdist",
    "onnxruntime",
    "onnx",
    "numpy",
)


@dataclass(frozen=True, slots=True)
class Finished:
    """A command that ended."""

    seconds: float
    status: int
    output: str
    """Standard output and error together."""

    cpu_seconds: float
    """User and system time of the process and its descendants; other work on the machine changes it less."""

    peak_mib: float
    """Largest resident set of the process or of one of its descendants."""


def run_command(
    command: Sequence[str | Path], *, folder: Path, environment: Mapping[str, str] | None = None
) -> Finished:
    """Run a command to its end and time it, start and exit of its process included.

    A `PYTHONDONTWRITEBYTECODE` around it is not handed on: what is installed by pip has its modules compiled, and a
    checkout that has to compile its own in each process would be measured with that.
    """
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    with tempfile.TemporaryFile() as log:
        start = time.perf_counter()
        process = subprocess.Popen(
            list(map(str, command)),
            cwd=folder,
            env={**inherited, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        log.seek(0)
        output = log.read().decode(errors="replace")
    return Finished(seconds, process.returncode, output, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def in_turns(sides: Mapping[str, Callable[[], Result]], rounds: int) -> dict[str, list[Result]]:
    """Call each side once a round; every second round runs backwards, so that a drift favours nobody."""
    results: dict[str, list[Result]] = {name: [] for name in sides}
    for number in range(rounds):
        names = list(sides)[:: 1 if number % 2 == 0 else -1]
        for name in names:
            results[name].append(sides[name]())
    return results


def ratio(values: Sequence[float], baseline: Sequence[float]) -> float:
    """Return the median of the ratios of the rounds, which a drift over the rounds leaves alone."""
    return statistics.median(value / reference for value, reference in zip(values, baseline, strict=True))


def spread(values: Sequence[float], digits: int = 1) -> str:
    """Return least and greatest value as text; one value alone has no spread."""
    if len(values) == 1:
        return "-"
    return f"{min(values):.{digits}f} to {max(values):.{digits}f}"


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the value that `percent` of the values do not exceed, the nearest one of them."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


def table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table with its columns aligned; all but the first are right-aligned numbers."""
    widths = [max(len(row[index]) for row in (headers, *rows)) for index in range(len(headers))]

    def line(cells: Sequence[str]) -> str:
        first, *rest = zip(cells, widths, strict=True)
        padded = [first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in rest)]
        return f"| {' | '.join(padded)} |"

    rulers = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    return "\n".join([line(headers), line(rulers), *map(line, rows)])


@dataclass(frozen=True, slots=True)
class Target:
    """A promise, and what was measured against it."""

    text: str
    measured: str
    kept: bool

    def line(self) -> str:
        """Return the verdict as a list entry."""
        return f"- {'kept' if self.kept else 'MISSED'}: {self.text}: {self.measured}"


@dataclass(slots=True)
class Report:
    """What a script prints and writes."""

    title: str
    sections: list[str] = field(default_factory=list)
    targets: list[Target] = field(default_factory=list)
    data: dict[str, object] = field(default_factory=dict)
    """Everything measured, for JSON."""

    load_before: float = field(default_factory=lambda: os.getloadavg()[0])

    def markdown(self) -> str:
        """Return all of it as Markdown."""
        parts = [f"# {self.title}", self.environment(), *self.sections]
        if self.targets:
            parts.append("\n".join(target.line() for target in self.targets))
        return "\n\n".join(parts) + "\n"

    def environment(self) -> str:
        """Return date, machine, load and versions as a sentence each."""
        day = datetime.now(UTC).strftime("%Y-%m-%d")
        cores = len(os.sched_getaffinity(0))
        load = f"{self.load_before:.1f} before, {os.getloadavg()[0]:.1f} after"
        return (
            f"{day}, {_cpu_name()}, {cores} cores, load average {load}; Python {platform.python_version()}, "
            + ", ".join(f"{name} {number}" for name, number in versions().items())
            + "."
        )

    def finish(self, outputs: Sequence[Path]) -> None:
        """Print the report and write it to each file, as JSON where the name ends so."""
        print(self.markdown(), end="")
        for path in outputs:
            content = self.as_json() if path.suffix == ".json" else self.markdown()
            path.write_text(content, encoding="utf-8")

    def as_json(self) -> str:
        """Return everything measured."""
        head = {"title": self.title, "environment": self.environment()}
        targets = [{"text": it.text, "measured": it.measured, "kept": it.kept} for it in self.targets]
        return json.dumps({**head, **self.data, "targets": targets}, indent=2) + "\n"


def parser(description: str | None, *, rounds: int) -> argparse.ArgumentParser:
    """Return a parser with the options that every script has."""
    made = argparse.ArgumentParser(description=description)
    made.add_argument("--repeat", type=_at_least_one, default=rounds, help=f"rounds; default {rounds}")
    made.add_argument(
        "--output",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="write the report there too, as JSON if the name ends in .json, else as Markdown; repeatable",
    )
    return made


def versions() -> dict[str, str]:
    """Return the versions of what is measured; a distribution that is not there is left out."""
    found = {}
    for name in DISTRIBUTIONS:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _at_least_one(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is below 1")
    return number


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.machine()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())
