"""Whatever a run says of latency under a provider's name: in its records, CSV files, terminal output and JUnit file."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from pathlib import Path

from plugin.project import Project, Result, junit_values

_TIMED = re.compile(r"(?<!wait_for_hardware)(_ms|_s|throughput_per_s|gain_percent)$")
"""A wait until the hardware is free is no time of a provider: a case has it before its session is made."""


def latency_traces(project: Project, result: Result, provider: str) -> list[str]:
    """Return each place that gives a time under a provider's short name; the run wrote `j.xml`.

    A time of session creation has `creation` in its line.
    """
    return [
        *_in_records(result, provider),
        *_in_tables(project.path / "result", provider),
        *_in_terminal(result.out, provider),
        *_in_junit(project, provider),
    ]


def _in_records(result: Result, provider: str) -> Iterator[str]:
    for record in result.records:
        if record["provider"] == provider:
            if record["latencies"]:
                yield f"record {record['case_id']}: latencies"
            if record["session"]:
                yield f"record {record['case_id']}: session creation"


def _in_tables(folder: Path, provider: str) -> Iterator[str]:
    for path in sorted(folder.glob("benchmark_*.csv")):
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                for column, value in row.items():
                    if value and _TIMED.search(column) and (row.get("provider") == provider or provider in column):
                        yield f"csv {path.name} {column}: {value}"


def _in_terminal(out: str, provider: str) -> Iterator[str]:
    # rows of the latency table: model, variant, numbers
    for line in out.splitlines():
        if re.match(rf"\S+ +{provider} +[\d.]", line):
            yield f"terminal {line}"


def _in_junit(project: Project, provider: str) -> Iterator[str]:
    for case in project.junit().iter("testcase"):
        if f"[{provider}]" in case.attrib["name"]:
            for name in junit_values(case):
                if _TIMED.search(name):
                    yield f"junit {case.attrib['name']}: {name}"
