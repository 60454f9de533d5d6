"""Records files that are damaged, cut, foreign or hostile: what is wrong is named with its line, the rest is read."""

from __future__ import annotations

import base64
import copy
import json
import os
import random
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pytest_ortperf.errors import ResultsFileError
from pytest_ortperf.records.codec import as_dict
from pytest_ortperf.records.packed_numbers import MOST, PackedNumbers, pack
from pytest_ortperf.records.record import Concurrent, Copies, Failure
from pytest_ortperf.records.store import (
    encode_line,
    find_run,
    json_line,
    new_run_id,
    read_run,
    runs_of,
)
from pytest_ortperf.reports.terminal.summary import summary_lines
from pytest_ortperf.reports.writers import write_reports
from record_examples import make_end, make_header, make_latency, make_record, whole_record
from records.test_store import NOW, RUN, write_run

OTHERS: tuple[Any, ...] = (
    None,
    True,
    -1,
    1 << 80,
    1e300,
    "NaN",
    "",
    "x" * 5_000_000,
    "\ud800\x00\x1b[2J",
    [],
    [None],
    {},
    {"": [{}]},
)
"""What stands in the place of a value: other types, bounds, and texts that are hard to show."""

Place = tuple[str | int, ...]


def places(data: Any, place: Place = ()) -> Iterator[Place]:
    """Yield the place of every value in JSON, objects and lists included."""
    if place:
        yield place
    if isinstance(data, dict | list):
        for key, value in data.items() if isinstance(data, dict) else enumerate(data):
            yield from places(value, (*place, key))


def mutated(data: dict[str, Any], place: Place, value: Any) -> dict[str, Any]:
    changed = copy.deepcopy(data)
    inner: Any = changed
    for key in place[:-1]:
        inner = inner[key]
    if value is mutated:
        del inner[place[-1]]
    else:
        inner[place[-1]] = value
    return changed


def full_record() -> dict[str, Any]:
    threads = Concurrent(timing="host", iterations=(3, 4), p50_ns=(1.0, 2.0), thread_ns=(5, 6), wall_ns=7, batch=1)
    copies = Copies(to_device_ns=1.0, to_host_ns=2.0, to_device_byte=3, to_host_byte=4)
    latencies = (make_latency(*range(1, 101), batch=8), make_latency(1, 2, timing="bound"))
    failure = Failure(kind="runtime error", stage="timing", message="it broke", log_tail=("a", "b"))
    record = whole_record(latencies=latencies, concurrent=threads, copies=copies, failure=failure)
    return {"type": "record", **as_dict(record)}


@pytest.mark.slow
def test_each_of_500_changes_of_a_field_costs_at_most_its_line(tmp_path: Path) -> None:
    good = full_record()
    every = [(place, value) for place in places(good) for value in (*OTHERS, mutated)]
    chosen = random.Random(0).sample(every, 500)  # noqa: S311 - the same ones each time
    changed = [
        mutated({**good, "nodeid": f"{good['nodeid']}{number}"}, place, value)
        for number, (place, value) in enumerate(chosen)
    ]
    lines = [encode_line(make_header(run=RUN))]
    for number, data in enumerate(changed):
        lines += [json.dumps(data).encode() + b"\n", encode_line(make_record(f"good_{number}"))]
    path = tmp_path / f"records_{RUN}.jsonl"
    path.write_bytes(b"".join([*lines, encode_line(make_end())]))

    run = read_run(path)

    assert sum(record.model.startswith("good_") for record in run.records) == 500
    assert run.end == make_end()
    damaged = {int(note.split("line ")[1].split()[0]) for note in run.notes}
    assert len(damaged) == len(run.notes) > 200
    assert damaged <= set(range(2, 1002, 2))
    # a changed node id may be that of another record, whose last attempt counts then
    assert 0 <= 1000 - len(damaged) - len(run.records) < 20
    assert max(map(len, run.notes)) < 600
    # what passes is shown, whatever it says
    assert write_reports(run, tmp_path / "reports")
    assert write_reports(run, tmp_path / "reports", csv="original")
    assert write_reports(run, tmp_path / "reports", only_format="pytest-benchmark")
    shown = [text for text, _ in summary_lines(run, width=80, files=[], results=tmp_path)]
    assert [line[:200] for line in shown if len(line) > 10_000] == []


DAMAGED: dict[str, tuple[bytes, str]] = {
    "deep nesting": (b"[" * 100_000, "nested too deeply"),
    "deep nesting in a record": (b'{"type":"record","a":' + b"[" * 100_000, "nested too deeply"),
    "a number of 5,000 digits": (b"9" * 5_000, "Exceeds the limit"),
    "binary": (bytes(range(1, 10)) + bytes(range(11, 256)), "codec can't decode"),
    "zeros": (bytes(1000), "Expecting value"),
    "a type of five megabytes": (b'{"type":"' + b"x" * 5_000_000 + b'"}', "(5,000,002 characters) is not expected"),
    "a type that is a list": (b'{"type":[]}', "unhashable type"),
    "a record as a list": (b'[{"type":"record"}]', "list indices"),
    "a future line": (b'{"type":"energy","joule":1}', "a line of type 'energy' is not expected here"),
}


@pytest.mark.parametrize("what", DAMAGED)
def test_a_line_of_anything_is_named_in_few_words(tmp_path: Path, what: str) -> None:
    line, why = DAMAGED[what]
    path = write_run(tmp_path, make_record("a"), make_record("b"))
    first, _, *rest = path.read_bytes().splitlines()
    path.write_bytes(b"\n".join([first, line, *rest]) + b"\n")
    run = read_run(path)
    assert [record.model for record in run.records] == ["b"]
    assert len(run.notes) == 1
    assert run.notes[0].startswith(f"records_{RUN}.jsonl: line 2 is damaged (")
    assert why in run.notes[0]
    assert len(run.notes[0]) < 600


def test_a_key_and_a_type_of_the_future_change_nothing(tmp_path: Path) -> None:
    path = write_run(tmp_path, make_record("a"))
    path.write_bytes(path.read_bytes().replace(b'{"type":"record",', b'{"type":"record","joule":[1],'))
    assert read_run(path).records == (make_record("a"),)


def test_packed_samples_are_checked_before_they_take_memory(tmp_path: Path) -> None:
    """A few hundred bytes may claim to be gigabytes of zeros."""
    packer = zlib.compressobj(9)
    zeros = bytes(1 << 20)
    bomb = b"".join([*(packer.compress(zeros) for _ in range(8 * (MOST >> 20) + 1)), packer.flush()])
    data = {"type": "record", **as_dict(make_record("a", latencies=(make_latency(*range(1, 101)),)))}
    data["latencies"][0]["samples_ns"] = base64.b64encode(bomb).decode()
    path = write_run(tmp_path, make_record("b"), ends=False)
    with path.open("ab") as file:
        file.write(json_line(data))
    run = read_run(path)
    assert [record.model for record in run.records] == ["b"]
    why = f"packed numbers are damaged: they claim to be more than {MOST:,}"
    assert run.notes == (f"records_{RUN}.jsonl: line 3 is damaged ({why}) and was left out.",)


def test_samples_stay_in_the_file_until_they_are_looked_at(tmp_path: Path) -> None:
    record = make_record("a", latencies=(make_latency(*range(1, 101)),))
    path = write_run(tmp_path, make_record("b"), record)
    (read,) = read_run(path).records[1].latencies
    assert isinstance(read.samples_ns, PackedNumbers)
    assert read == record.latencies[0]
    assert read.samples_ns.text == pack(record.latencies[0].samples_ns)
    assert read.samples_ns.array().tolist() == list(read.samples_ns) == [*record.latencies[0].samples_ns]
    path.write_bytes(bytes(path.stat().st_size))
    with pytest.raises(ResultsFileError, match=r"records_.*\.jsonl: has changed since it was read\. Start again"):
        list(read.samples_ns)


def pipe(path: Path) -> None:
    os.mkfifo(path)


def device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def nowhere(path: Path) -> None:
    path.symlink_to(path.with_name("gone"))


def ring(path: Path) -> None:
    path.symlink_to(path)


def gigabytes(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(20 << 30)


FOREIGN: dict[str, Callable[[Path], object]] = {
    "a folder": Path.mkdir,
    "a pipe": pipe,
    "an endless device": device,
    "a link to nothing": nowhere,
    "a link to itself": ring,
    "sparse gigabytes": gigabytes,
    "binary": lambda path: path.write_bytes(bytes(range(256)) * 40),
    "nested": lambda path: path.write_bytes(b"[" * 100_000),
    "a future version": lambda path: path.write_text('{"type":"header","schema":99}\n'),
    "of somebody else": lambda path: path.write_text('{"a": 1}\n{"b": 2}\n'),
}


@pytest.mark.parametrize("what", FOREIGN)
def test_a_foreign_file_in_the_results_is_refused_and_stops_no_new_run(tmp_path: Path, what: str) -> None:
    path = tmp_path / "records_20991231-235959.jsonl"
    FOREIGN[what](path)
    with pytest.raises(ResultsFileError) as caught:
        read_run(path)
    assert str(path) in str(caught.value)
    assert len(str(caught.value)) < 800
    run = new_run_id(tmp_path, NOW)
    assert write_run(tmp_path, make_record("a"), run=run) in runs_of(tmp_path)
    assert find_run(tmp_path, run).name == f"records_{run}.jsonl"
