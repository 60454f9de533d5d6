"""The pairs file: written line by line, read as far as it is whole, gone on with, and never mistaken for another."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest

from pair_examples import PRINT, RUN, make_pair, make_pairs, make_pairs_header, make_side_record
from pytest_ortperf.errors import ResultsFileError
from pytest_ortperf.records.pairs import (
    BUDGET,
    CONFIRM,
    DONE,
    PAIRS_SCHEMA,
    SCREEN,
    FloorOfCase,
    NoiseFloor,
    RoundEnd,
    RunEnd,
)
from pytest_ortperf.records.pairs_file import (
    PairsFile,
    find_pairs,
    is_pairs_file,
    new_pairs,
    newest_first,
    pairs_path,
    read_floor,
    read_pairs,
    write_floor,
)
from record_examples import make_failure

NOW = datetime(2026, 11, 28, 3, 53, 10)  # noqa: DTZ001 - a local time, as in the name of a run


def written(folder: Path, pairs: int = 2) -> Path:
    """Return a pairs file with a header, a record, and pairs."""
    path = pairs_path(folder, RUN)
    with PairsFile(path) as file:
        file.append(make_pairs_header())
        file.append(make_side_record())
        for pair in make_pairs([1.5] * pairs):
            file.append(pair)
    return path


def message(call: Callable[[], object]) -> str:
    with pytest.raises(ResultsFileError) as caught:
        call()
    return str(caught.value)


def test_what_was_written_is_read_back(tmp_path: Path) -> None:
    path = pairs_path(tmp_path / "new" / "folder", RUN)
    failed = make_side_record("current", outcome="failed", failure=make_failure(), stage=CONFIRM, round=3)
    pairs = [make_pair(5), make_pair(-5, stage=CONFIRM, round=3, clocks=(1980.0, 1800.5), timing="bound")]
    with PairsFile(path) as file:
        file.append(make_pairs_header())
        file.append(make_side_record())
        file.append(pairs[0])
        file.append(RoundEnd(round=0, stage=SCREEN))
        file.append(failed)
        file.append(pairs[1])
    found = read_pairs(path)
    assert (found.path, found.header, found.notes) == (path, make_pairs_header(), ())
    assert found.pairs == tuple(pairs)
    assert found.records == (make_side_record(), failed)
    assert found.rounds == (RoundEnd(round=0, stage=SCREEN),)
    lines = [json.loads(line) for line in path.read_text("ascii").splitlines()]
    assert [line["type"] for line in lines] == ["header", "record", "pair", "round", "record", "pair"]


def test_why_a_run_stopped_is_what_its_file_ends_with(tmp_path: Path) -> None:
    path = written(tmp_path)
    assert read_pairs(path).end is None
    stopped = RunEnd(reason=BUDGET, cases=17, left=5, budget_s=60.0)
    with PairsFile(path) as file:
        file.append(stopped)
    assert read_pairs(path).end == stopped
    # it went on, and was killed
    with PairsFile(path) as file:
        file.append(make_pair(1, round=9))
    assert read_pairs(path).end is None
    with PairsFile(path) as file:
        file.append(RunEnd(reason=DONE, cases=17, left=0))
    assert read_pairs(path).end == RunEnd(reason=DONE, cases=17, left=0)


def test_each_line_is_on_disk_when_append_returns(tmp_path: Path) -> None:
    with PairsFile(pairs_path(tmp_path, RUN)) as file:
        file.append(make_pairs_header())
        assert read_pairs(file.path).pairs == ()
        file.append(make_pair(1))
        assert read_pairs(file.path).pairs == (make_pair(1),)


def test_a_half_line_is_cut_off_before_the_run_goes_on(tmp_path: Path) -> None:
    path = written(tmp_path)
    whole = path.read_bytes()
    path.write_bytes(whole[:-20])
    assert read_pairs(path).pairs == (make_pair(1.5),)
    (note,) = read_pairs(path).notes
    assert note.startswith(f"pairs_{RUN}.jsonl: line 4 is damaged (")
    assert note.endswith(") and was left out.")
    with PairsFile(path) as file:
        file.append(make_pair(1.5, round=1))
    assert path.read_bytes() == whole


def test_a_run_killed_in_its_header_begins_anew(tmp_path: Path) -> None:
    path = written(tmp_path)
    whole = path.read_bytes()
    for cut in (1, 10, 40):
        path.write_bytes(whole[:cut])
        PairsFile(path).close()
        assert path.read_bytes() == b""


def test_damaged_lines_are_named_and_the_rest_is_read(tmp_path: Path) -> None:
    path = written(tmp_path, pairs=1)
    first, second, third = path.read_bytes().splitlines()
    damaged = [
        b'{"type":"pair"',
        b'{"type":"pear","pear":{}}',
        b'{"type":"pair","pair":{"round":0}}',
        b"[]",
        b"\xff\xfe",
    ]
    path.write_bytes(b"\n".join([first, *damaged, second, b"", third, b""]))
    found = read_pairs(path)
    assert (len(found.pairs), len(found.records)) == (1, 1)
    name = path.name
    assert found.notes[1] == f"{name}: line 3 is damaged ('pear') and was left out."
    assert [note.partition(" is damaged (")[0] for note in found.notes] == [
        f"{name}: line {number}" for number in (2, 3, 4, 5, 6, 8)
    ]
    assert "missing 7 required keyword-only arguments" in found.notes[2]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "line 1 is no header of a pairs file (Expecting value: line 1 column 1 (char 0))."),
        ("[1]\n", "line 1 is no header of a pairs file (list indices must be integers or slices, not str)."),
        ('{"type":"header"}\n', "line 1 is no header of a pairs file ('schema')."),
        ('{"type":"header","schema":2}\n', "is no pairs file of schema 1."),
        ('{"type":"pair","schema":1}\n', "is no pairs file of schema 1."),
    ],
)
def test_what_is_no_pairs_file_of_this_schema_is_refused(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "pairs_1.jsonl"
    path.write_text(text)
    assert message(lambda: read_pairs(path)) == f"{path}: {said}"


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    path = tmp_path / "pairs_1.jsonl"
    assert message(lambda: read_pairs(path)) == f"{path}: cannot be read: No such file or directory."


@pytest.mark.parametrize("text", ['[{"name": "bert"}]', '{"name": "bert"}\n{"half', "a text"])
def test_a_file_of_something_else_is_left_as_it_is(tmp_path: Path, text: str) -> None:
    path = tmp_path / "pairs_1.jsonl"
    path.write_text(text)
    before = open_files()
    assert message(lambda: PairsFile(path)) == f"{path}: is no pairs file; it was left as it is."
    assert (path.read_text(), open_files()) == (text, before)


def test_two_processes_do_not_write_to_one_file(tmp_path: Path) -> None:
    path = written(tmp_path)
    with PairsFile(path):
        assert message(lambda: PairsFile(path)) == f"{path}: another process writes to it; wait for its end."
    PairsFile(path).close()


def test_two_runs_of_one_second_have_a_file_each(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "folder"
    names = [new_pairs(folder, NOW).name for _ in range(3)]
    assert names == [f"pairs_{RUN}.jsonl", f"pairs_{RUN}-2.jsonl", f"pairs_{RUN}-3.jsonl"]
    assert {path.stat().st_size for path in folder.iterdir()} == {0}


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for folder, reason in ((tmp_path / "file", "File exists"), (tmp_path / "file" / "deep", "Not a directory")):
        path = pairs_path(folder, RUN)
        assert message(lambda path=path: new_pairs(path.parent, NOW)) == (  # type: ignore[misc]
            f"{path}: was not opened: {reason}. Give another --results=DIR."
        )
        assert message(lambda path=path: PairsFile(path)) == (  # type: ignore[misc]
            f"{path}: was not opened: {reason}. Give another --results=DIR."
        )


def test_a_full_disk_is_told_and_what_is_whole_stays(tmp_path: Path) -> None:
    path = written(tmp_path)
    size = path.stat().st_size
    code = (
        "import resource, signal, sys\nfrom pathlib import Path\n"
        "from pair_examples import make_pair\nfrom pytest_ortperf.errors import ResultsFileError\n"
        "from pytest_ortperf.records.pairs_file import PairsFile\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({size + 30}, {size + 30}))\n"
        f"with PairsFile(Path({str(path)!r})) as file:\n"
        "    for _ in range(2):\n"
        "        try:\n            file.append(make_pair(1.5))\n"
        "        except ResultsFileError as error:\n            print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        f"{path}: no room is left. Make some, and go on with --resume.",
        f"{path}: was not written: File too large.",
    ]
    PairsFile(path).close()
    assert path.stat().st_size == size


def test_the_newest_run_is_found_by_second_and_number(tmp_path: Path) -> None:
    assert message(lambda: find_pairs(tmp_path, None)) == (
        f"{tmp_path}: holds no pairs of run (any); its runs, newest first: none."
    )
    names = ["20261127-235959", RUN, f"{RUN}-2", f"{RUN}-10", "20261128-035309-99"]
    for name in reversed(names):
        pairs_path(tmp_path, name).touch()
    # a run of pytest with --ortperf-paired
    pairs_path(tmp_path, "20261129-000000_cuda_cpu").touch()
    assert find_pairs(tmp_path, None) == pairs_path(tmp_path, f"{RUN}-10")
    assert find_pairs(tmp_path, f"{RUN}-2") == pairs_path(tmp_path, f"{RUN}-2")
    assert find_pairs(tmp_path, str(pairs_path(tmp_path, RUN))) == pairs_path(tmp_path, RUN)
    assert message(lambda: find_pairs(tmp_path, "gone")) == (
        f"{tmp_path}: holds no pairs of run gone; its runs, newest first: 20261129-000000_cuda_cpu, {RUN}-10, "
        f"{RUN}-2, {RUN}, 20261128-035309-99, 20261127-235959."
    )


def test_runs_of_a_folder_come_newest_first_without_those_of_gains(tmp_path: Path) -> None:
    names = [f"pairs_{RUN}{end}.jsonl" for end in ("-10", "", "_cuda_cpu", "-2")]
    for name in names:
        (tmp_path / name).touch()
    assert [path.name for path in newest_first(tmp_path)] == [names[0], names[3], names[1]]


def test_another_file_is_no_run(tmp_path: Path) -> None:
    models = tmp_path / "models.json"
    models.write_text("[]")
    assert message(lambda: find_pairs(tmp_path, str(models))) == (
        f"{tmp_path}: holds no pairs of run {models}; its runs, newest first: none."
    )
    assert not is_pairs_file(models)
    assert not is_pairs_file(tmp_path / "pairs_gone.jsonl")
    assert is_pairs_file(written(tmp_path))


FLOOR = NoiseFloor(
    schema=PAIRS_SCHEMA,
    run=RUN,
    fingerprint=PRINT,
    cases=(FloorOfCase(case_id="bert::benchmark[cpu]", timing="host", pairs=10, log_floor=0.0125),),
)


def test_a_floor_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "new" / "floor.json"
    write_floor(path, FLOOR)
    assert read_floor(path) == FLOOR
    assert FLOOR.of("bert::benchmark[cpu]", "host") == 0.0125
    assert FLOOR.of("bert::benchmark[cpu]", "bound") is None


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{}", "'schema'"),
        ("[]", "list indices must be integers or slices, not str"),
        ("floor", "Expecting value: line 1 column 1 (char 0)"),
        ('{"schema": 2}', "its schema is 2, not 1"),
    ],
)
def test_what_is_no_floor_is_told(tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "floor.json"
    path.write_text(text)
    assert message(lambda: read_floor(path)) == (
        f"{path}: is no noise floor ({reason}); make one with ortperf ab --aa."
    )


def test_a_floor_that_cannot_be_read_or_written_is_told(tmp_path: Path) -> None:
    assert message(lambda: read_floor(tmp_path)) == f"{tmp_path}: cannot be read: Is a directory."
    assert message(lambda: write_floor(tmp_path, FLOOR)) == f"{tmp_path}: was not written: Is a directory."


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))
