"""The table of measured quantities: its rows can be read from records, and a new quantity needs one more row alone."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from plugin.project import Project, junit_values
from pytest_ortperf.quantities import CASE, OPERATOR, OUTPUT, QUANTITIES, TIMING, Quantity
from pytest_ortperf.records.record import OutputAccuracy, Record
from pytest_ortperf.records.resources import HostMemory, Resources
from pytest_ortperf.records.store import RecordsFile
from pytest_ortperf.reports.tables.columns import Placed, TimingRow
from record_examples import make_end, make_environment, make_header, make_latency, make_record, make_session

SOURCES = {CASE: Record, TIMING: TimingRow, OPERATOR: Placed, OUTPUT: OutputAccuracy}


def without_none(hint: Any) -> Any:
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        (hint,) = [each for each in typing.get_args(hint) if each is not type(None)]
    return hint


def type_at(source: type, path: str) -> Any:
    """Return the type at the end of a path of fields, properties and keys."""
    hint: Any = source
    for name in path.split("."):
        if typing.get_origin(hint) is Mapping:
            hint = typing.get_args(hint)[1]
        elif isinstance(found := getattr(hint, name, None), property):
            hint = typing.get_type_hints(found.fget)["return"]
        else:
            hint = typing.get_type_hints(hint)[name]
        hint = without_none(hint)
    return hint


@pytest.mark.parametrize("quantity", QUANTITIES, ids=lambda quantity: quantity.name)
def test_each_path_leads_to_a_number_of_the_record(quantity: Quantity) -> None:
    source = SOURCES[quantity.group.of]
    paths = () if callable(quantity.field) else [quantity.field] if isinstance(quantity.field, str) else quantity.field
    assert {type_at(source, path) for path in (*paths, *(quantity.interval or ()))} <= {int, float}
    if isinstance(quantity.group.timing, str):
        assert type_at(source, quantity.group.timing) is str
    fields = [quantity.bound, getattr(quantity.comparison, "against", None)]
    assert {type_at(source, field) for field in fields if field} <= {float}


@pytest.mark.parametrize("name", ["name", "junit", "expect"])
def test_no_two_quantities_share_a_name(name: str) -> None:
    names = [found for each in QUANTITIES if (found := getattr(each, name))]
    assert sorted(set(names)) == sorted(names)


def test_of_several_readings_the_highest_counts_and_an_absent_one_does_not() -> None:
    (peak,) = [each for each in QUANTITIES if each.name == "host_peak_memory_mib"]
    memory = HostMemory(
        baseline_byte=0, creation_peak_byte=3 * 2**20, creation_byte=0, run_peak_byte=None, run_byte=None
    )
    record = make_record(resources=Resources(host_memory=memory))
    assert peak.value(record) == 3.0
    higher = Resources(host_memory=dataclasses.replace(memory, run_peak_byte=4 * 2**20 + 2**10))
    assert (peak.value(make_record(resources=higher)), peak.cell(make_record(resources=higher))) == (4 + 2**-10, 4.0)
    assert (peak.value(make_record()), peak.cell(make_record())) == (None, None)


ONE_MORE = """
import dataclasses
from pytest_ortperf import quantities as table

RULE = dataclasses.replace(table.CREATION, share=0.0, least=0.0, sure_from=1)
table.QUANTITIES = (
    *table.QUANTITIES,
    table.Quantity(
        table.SESSION, "extra_s", "session.first_run_ns", table.S, "an extra measurement",
        junit="extra", expect="extra_limit_s", comparison=RULE, label="extra time",
    ),
)
"""
"""Replaces the table before anything reads it, as an edit of its file would."""

QUICK = ("--ortperf-iterations=5", "--ortperf-warmup=1", "--ortperf-ep=cpu", "--ortperf-env=off")


def python(project: Project, code: str) -> str:
    """Return what code prints that runs with one more quantity."""
    added = {"PYTHONPATH": os.pathsep.join([str(project.path), *sys.path])}
    command = [sys.executable, "-c", f"import conftest, sys\n{code}"]
    done = subprocess.run(command, cwd=project.path, env=os.environ | added, capture_output=True, text=True, check=True)
    return done.stdout


@pytest.fixture
def more(pytester: pytest.Pytester, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """Return a project whose runs have one more quantity."""
    monkeypatch.setenv("ORTPERF_LOCKS", str(tmp_path / "locks"))
    project = Project(pytester)
    project.write("conftest.py", ONE_MORE)
    return project


def test_one_more_row_is_a_column_a_property_and_a_limit(more: Project) -> None:
    more.models({"name": "a", "expect": {"extra_limit_s": 1e-9}})
    result = more.run(*QUICK, "--junit-xml=j.xml", mode="benchmark")
    record = result.by_model["a"]
    seconds = record["session"]["first_run_ns"] / 1e9
    assert [(each["name"], each["value"]) for each in record["limits"]] == [("extra_limit_s", seconds)]
    assert record["failure"]["message"].splitlines()[1] == (
        f"  extra_limit_s, an extra measurement: {seconds:.5g} s is above the most allowed, 1e-09 s (one measurement)"
    )
    (table,) = (more.path / "result").glob("benchmark_session_*.csv")
    names, row = (line.split(",") for line in table.read_text().splitlines())
    assert names.index("extra_s") == names.index("wait_for_hardware_s") + 1
    assert float(row[names.index("extra_s")]) == seconds
    properties = junit_values(more.junit())
    assert properties["ortperf.extra"] == f"{seconds:.6g}"


def test_one_more_row_is_compared(more: Project) -> None:
    for run, first_run_ns in (("20260101-000000", 1_000_000), ("20260102-000000", 3_000_000)):
        header = make_header(run=run, environment=make_environment(fingerprint="one machine"))
        record = make_record(latencies=(make_latency(1.0, 2.0),), session=make_session(first_run_ns=first_run_ns))
        with RecordsFile.create(more.path, run, header) as file:
            file.append(record)
            file.end(make_end())
    shown = python(
        more,
        "from pytest_ortperf.cli import main\n"
        "main(['compare', '20260101-000000', '20260102-000000', '--results', '.'])",
    )
    assert "SLOWER bert::benchmark[cpu]: extra time 1.0 -> 3.0 ms (+200.0 %)" in " ".join(shown.split())


def test_one_more_row_is_documented(more: Project) -> None:
    docs = Path(__file__).parents[1] / "docs"
    pages = "print(conf.quantities_page() + conf.model_list_tables()['expect'])"
    shown = python(more, f"sys.path.insert(0, {str(docs)!r})\nimport conf\n{pages}")
    assert "| `extra_s` | s | an extra measurement | `ortperf.extra` | `extra_limit_s` | creation |\n" in shown
    assert "| `extra_limit_s` | a number above 0 | At most this: an extra measurement, in s. |\n" in shown
    schema = json.loads(python(more, "from pytest_ortperf.cli import main\nmain(['schema'])"))
    assert schema["$defs"]["expect"]["properties"]["extra_limit_s"]["type"] == "number"
