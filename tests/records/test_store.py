from __future__ import annotations

import json
import math
import os
import shutil
import signal
import stat
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_ortperf.errors import ResultsFileError
from pytest_ortperf.records.codec import as_dict, from_dict
from pytest_ortperf.records.record import Record, last_attempts
from pytest_ortperf.records.store import (
    RecordsFile,
    check_writable,
    earlier_durations,
    encode_line,
    find_run,
    new_run_id,
    read_run,
    records_path,
    runs_of,
    write_whole,
)
from record_examples import make_accuracy, make_end, make_header, make_output, make_record, whole_record

NOW = datetime(2026, 11, 23, 21, 1, 46, tzinfo=UTC)
RUN = "20261123-210146"


def write_run(folder: Path, *records: Record, run: str = RUN, ends: bool = True) -> Path:
    with RecordsFile.create(folder, run, make_header(run=run)) as file:
        for record in records:
            file.append(record)
        if ends:
            file.end(make_end())
    return file.path


def test_a_record_taken_apart_already_makes_the_same_line() -> None:
    record = whole_record()
    assert encode_line(record, as_dict(record)) == encode_line(record)


def test_a_run_is_read_as_it_was_written(tmp_path: Path) -> None:
    records = (whole_record(), make_record("vgg", "cpu", "validate", outcome="skipped", reason="no data"))
    run = read_run(write_run(tmp_path, *records))
    assert run.path == tmp_path / f"records_{RUN}.jsonl"
    assert run.header == replace(make_header(), options={"mode": "both", "iterations": None, "ep": ["cpu", "cuda"]})
    assert run.records == records
    assert run.end == make_end()
    assert run.notes == ()


def test_each_line_says_its_type_and_is_strict_ascii_json(tmp_path: Path) -> None:
    path = write_run(tmp_path, make_record("modèle\u2028"))
    lines = path.read_bytes().decode("ascii").splitlines()
    assert [next(iter(json.loads(line).items())) for line in lines] == [
        ("type", "header"),
        ("type", "record"),
        ("type", "end"),
    ]
    assert read_run(path).records[0].model == "modèle\u2028"


def test_each_record_is_on_disk_as_soon_as_it_is_appended(tmp_path: Path) -> None:
    child = os.fork()
    if child == 0:
        file = RecordsFile.create(tmp_path, RUN, make_header())
        file.append(make_record())
        os.kill(os.getpid(), signal.SIGKILL)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    run = read_run(records_path(tmp_path, RUN))
    assert (run.records, run.end, run.notes) == ((make_record(),), None, ())


def test_a_file_that_is_removed_with_its_folder_is_made_again_with_all_its_lines(tmp_path: Path) -> None:
    folder = tmp_path / "result"
    run = new_run_id(folder, NOW)
    with RecordsFile.create(folder, run, make_header(run=run)) as file:
        file.append(make_record("a"))
        shutil.rmtree(folder)
        file.append(make_record("b"))
        shutil.rmtree(folder)
        file.end(make_end())
    found = read_run(file.path)
    assert (found.header, found.records, found.end) == (
        make_header(run=run),
        (make_record("a"), make_record("b")),
        make_end(),
    )


def test_a_removed_file_that_cannot_be_made_again_is_told(tmp_path: Path) -> None:
    folder = tmp_path / "result"
    with RecordsFile.create(folder, new_run_id(folder, NOW), make_header()) as file:
        shutil.rmtree(folder)
        folder.write_text("in the way")
        with pytest.raises(ResultsFileError, match=r"result/records_.*: the record of .* was not written: File exists"):
            file.append(make_record("a"))
    with pytest.raises(ResultsFileError, match="result: the folder was not made: File exists"):
        new_run_id(folder, NOW)


def test_numbers_that_json_lacks_survive(tmp_path: Path) -> None:
    outputs = [make_output(math.inf), make_output(-math.inf), make_output(math.nan)]
    path = write_run(tmp_path, whole_record(accuracy=make_accuracy(*outputs)))
    assert '"max_abs_error":"Infinity"' in path.read_text()
    read = [output.max_abs_error for output in read_run(path).records[0].accuracy[0].outputs]
    assert read[:2] == [math.inf, -math.inf]
    assert read[2] is not None
    assert math.isnan(read[2])


texts = st.text(max_size=8)
whole_numbers = st.integers(min_value=0, max_value=2**63 - 1)
numbers = st.none() | st.floats(allow_nan=False)


@given(
    st.builds(
        whole_record,
        model=texts,
        reason=st.none() | texts,
        dims=st.dictionaries(texts, whole_numbers, max_size=2),
        tags=st.lists(texts, max_size=2).map(tuple),
        stage_ns=st.dictionaries(texts, whole_numbers, max_size=2),
        accuracy=st.lists(numbers, max_size=3).map(lambda errors: make_accuracy(*map(make_output, errors))),
        session=st.none(),
    )
)
def test_any_record_comes_back_from_its_line(record: Record) -> None:
    line = encode_line(record)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert from_dict(Record, json.loads(line)) == record


def test_a_run_cut_anywhere_in_its_last_line_keeps_all_before(tmp_path: Path) -> None:
    path = write_run(tmp_path, make_record("a"), make_record("b"), ends=False)
    data = path.read_bytes()
    start = data.rindex(b"\n", 0, -1) + 1
    a, b = make_record("a"), make_record("b")
    seen = []
    for size in range(start, len(data) + 1):
        path.write_bytes(data[:size])
        run = read_run(path)
        seen.append((run.records, run.notes))
    cut = f"records_{RUN}.jsonl: line 3 is cut off and was left out."
    half = len(data) - start - 2
    assert seen == [((a,), ()), *[((a,), (cut,))] * half, ((a, b), ()), ((a, b), ())]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b'{"type": "rec', "Unterminated string starting at: line 1 column 10 (char 9)"),
        (b"\xff\xfe\x00", "'utf-16-le' codec can't decode byte 0x00 in position 2: truncated data"),
        (b"[1]", "list indices must be integers or slices, not str"),
        (b"{}", "'type'"),
        (b'{"type": "header"}', "a line of type 'header' is not expected here"),
        (b'{"type": "sample"}', "a line of type 'sample' is not expected here"),
    ],
)
def test_a_damaged_line_is_named_and_left_out(tmp_path: Path, line: bytes, why: str) -> None:
    path = write_run(tmp_path, make_record("a"), make_record("b"))
    lines = path.read_bytes().splitlines()
    lines[1] = line
    path.write_bytes(b"\n".join(lines) + b"\n")
    run = read_run(path)
    assert run.records == (make_record("b"),)
    assert run.end == make_end()
    assert run.notes == (f"records_{RUN}.jsonl: line 2 is damaged ({why}) and was left out.",)


def test_a_record_without_a_field_is_damaged(tmp_path: Path) -> None:
    path = write_run(tmp_path, make_record("a"))
    path.write_text(path.read_text().replace('"outcome":"passed",', ""))
    why = "Record.__init__() missing 1 required keyword-only argument: 'outcome'"
    assert read_run(path).notes == (f"records_{RUN}.jsonl: line 2 is damaged ({why}) and was left out.",)


def refusal(call: Callable[[], object]) -> str:
    with pytest.raises(ResultsFileError) as caught:
        call()
    return str(caught.value)


def test_files_that_are_no_run_are_refused(tmp_path: Path) -> None:
    path = write_run(tmp_path)
    without_run = path.read_text().replace(f'"run":"{RUN}",', "")
    newer = path.read_text().replace('"schema":1', '"schema":2')
    texts = {
        "": "holds no run; it ended before its first line was written.",
        "[]": "line 1 is no header of a run (list indices must be integers or slices, not str).",
        '{"type": "end", "schema": 1}': "line 1 is no header of a run (its type is 'end').",
        without_run: "line 1 is no header of a run (RunHeader.__init__() missing 1 required keyword-only "
        "argument: 'run').",
        newer: "has schema version 2; this pytest-ortperf reads 1. Read it with the version that wrote it, "
        "or make the run again.",
    }
    for text, message in texts.items():
        path.write_text(text)
        assert refusal(lambda: read_run(path)) == f"{path}: {message}"


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    missing = tmp_path / "records_x.jsonl"
    assert refusal(lambda: read_run(missing)) == f"{missing}: cannot be read: No such file or directory."
    assert refusal(lambda: read_run(tmp_path)) == f"{tmp_path}: cannot be read: Is a directory."


def test_run_ids_of_one_second_are_numbered(tmp_path: Path) -> None:
    assert [new_run_id(tmp_path, NOW) for _ in range(3)] == [RUN, f"{RUN}-2", f"{RUN}-3"]
    assert records_path(tmp_path, f"{RUN}-3").read_bytes() == b""


def test_a_claimed_id_is_used_and_a_used_one_is_not(tmp_path: Path) -> None:
    write_run(tmp_path, run=new_run_id(tmp_path, NOW))
    path = records_path(tmp_path, RUN)
    before = path.read_bytes()
    message = refusal(lambda: RecordsFile.create(tmp_path, RUN, make_header()))
    assert message == f"{path}: already holds a run. Take another run id; new_run_id gives a free one."
    assert path.read_bytes() == before


def test_run_ids_follow_the_order_of_runs_where_the_clock_went_back(tmp_path: Path) -> None:
    later = NOW + timedelta(days=400)
    for now in (later, NOW, later, NOW):
        write_run(tmp_path, run=new_run_id(tmp_path, now))
    stamp = later.strftime("%Y%m%d-%H%M%S")
    assert [path.stem for path in runs_of(tmp_path)] == [
        f"records_{stamp}",
        *(f"records_{stamp}-{number}" for number in (2, 3, 4)),
    ]
    records_path(tmp_path, "of_my_own").touch()
    assert runs_of(tmp_path)[0] == records_path(tmp_path, "of_my_own")
    assert find_run(tmp_path) == records_path(tmp_path, f"{stamp}-4")


def test_the_newest_run_of_a_folder_is_found(tmp_path: Path) -> None:
    for run in ("20261123-210146", "20261123-210146-2", "20261123-210146-10", "20261122-235959"):
        write_run(tmp_path, run=run)
    records_path(tmp_path, "20261124-000000").touch()  # died before its first line
    assert find_run(tmp_path) == records_path(tmp_path, "20261123-210146-10")
    assert find_run(tmp_path, "20261122-235959") == records_path(tmp_path, "20261122-235959")
    given_file = records_path(tmp_path, "20261123-210146")
    assert find_run(given_file) == find_run(given_file, "20261123-210146") == given_file


def test_what_is_no_run_is_named_with_what_was_found(tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    assert refusal(lambda: find_run(missing)) == (
        f"{missing}: no such file or folder. Give a results folder or a records_<run>.jsonl in one."
    )
    assert refusal(lambda: find_run(tmp_path)) == f"{tmp_path}: holds no records_<run>.jsonl of a run; it is empty."
    for number in range(10):
        (tmp_path / f"{number}.csv").touch()
    assert refusal(lambda: find_run(tmp_path)) == (
        f"{tmp_path}: holds no records_<run>.jsonl of a run; found were 0.csv, 1.csv, 2.csv, 3.csv, 4.csv, "
        f"5.csv, 6.csv, 7.csv and 2 more."
    )
    assert refusal(lambda: find_run(tmp_path, "x")) == f"{tmp_path}: holds no run 'x'; its runs, newest first: none."
    path = write_run(tmp_path)
    assert refusal(lambda: find_run(tmp_path, "x")) == (f"{tmp_path}: holds no run 'x'; its runs, newest first: {RUN}.")
    assert refusal(lambda: find_run(path, "x")) == (
        f"{path}: is not the records file of run 'x'. Give its folder, or leave the run out."
    )


def test_a_writable_folder_is_made_and_left_empty(tmp_path: Path) -> None:
    check_writable(tmp_path / "a" / "b")
    assert list((tmp_path / "a" / "b").iterdir()) == []


def without_free_space(message: str) -> str:
    head, _, rest = message.partition(" (")
    return f"{head} (...{rest[rest.index(')') :]}"


def test_a_file_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "result").touch()
    for folder, reason in (
        (tmp_path / "result", "File exists"),
        (tmp_path / "result" / "a", "Not a directory"),
    ):
        assert without_free_space(refusal(lambda folder=folder: check_writable(folder))) == (
            f"{folder}: results cannot be written here: {reason} (...). "
            f"Make room or give another folder with --ortperf-results=DIR."
        )


def test_a_folder_without_permission_is_named(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may write anywhere; the read-only mount below stands for this")
    tmp_path.chmod(stat.S_IRUSR | stat.S_IXUSR)
    assert without_free_space(refusal(lambda: check_writable(tmp_path))) == (
        f"{tmp_path}: results cannot be written here: Permission denied (...). "
        f"Make room or give another folder with --ortperf-results=DIR."
    )


def test_a_read_only_file_system_is_named(small_disk: Callable[..., Path]) -> None:
    folder = small_disk("ro")
    assert refusal(lambda: check_writable(folder)) == (
        f"{folder}: results cannot be written here: Read-only file system (65,536 bytes free). "
        f"Make room or give another folder with --ortperf-results=DIR."
    )
    path = folder / f"records_{RUN}.jsonl"
    assert refusal(lambda: new_run_id(folder, NOW)) == (
        f"{path}: the file was not created: Read-only file system (65,536 bytes free). "
        f"Make room or give another folder with --ortperf-results=DIR."
    )
    assert refusal(lambda: RecordsFile.create(folder, RUN, make_header())) == (
        f"{path}: the file was not opened: Read-only file system (65,536 bytes free). "
        f"Make room or give another folder with --ortperf-results=DIR."
    )


def test_a_full_disk_costs_only_the_records_that_do_not_fit(small_disk: Callable[..., Path]) -> None:
    folder = small_disk("rw")
    check_writable(folder)
    big = make_record("big", failure=None, reason="x" * 100_000)
    file = RecordsFile.create(folder, RUN, make_header())
    file.append(make_record("a"))
    whole = file.path.read_bytes()
    assert refusal(lambda: file.append(big)) == (
        f"{file.path}: the record of big::benchmark[cpu] was not written: No space left on device "
        f"(0 bytes free). Make room or give another folder with --ortperf-results=DIR."
    )
    assert file.path.read_bytes() == whole
    file.append(make_record("b"))
    file.end(make_end())
    run = read_run(file.path)
    assert (run.records, run.end, run.notes) == ((make_record("a"), make_record("b")), make_end(), ())


def test_a_disk_without_room_for_the_header_keeps_no_file(small_disk: Callable[..., Path]) -> None:
    folder = small_disk("rw")
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file:
        assert file.write(b"x" * 100_000) == 65_536
    assert refusal(lambda: check_writable(folder)) == (
        f"{folder}: results cannot be written here: No space left on device (0 bytes free). "
        f"Make room or give another folder with --ortperf-results=DIR."
    )
    path = records_path(folder, RUN)
    assert refusal(lambda: RecordsFile.create(folder, RUN, make_header())) == (
        f"{path}: the header of run {RUN} was not written: No space left on device (0 bytes free). "
        f"Make room or give another folder with --ortperf-results=DIR."
    )
    assert list(folder.iterdir()) == [filler]


def test_short_writes_are_gone_on_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, data[:7]))
    assert read_run(write_run(tmp_path, whole_record())).records == (whole_record(),)


def test_a_half_line_that_cannot_be_dropped_costs_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = RecordsFile.create(tmp_path, RUN, make_header())
    write = os.write

    def fill_up(descriptor: int, data: bytes) -> int:
        if data.startswith(b"{"):
            return write(descriptor, data[:9])
        raise OSError(28, "No space left on device")

    def refuse(descriptor: int, size: int) -> None:
        raise OSError(5, f"Input/output error at {descriptor}, {size}")

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", fill_up)
        patch.setattr(os, "ftruncate", refuse)
        with pytest.raises(ResultsFileError):
            file.append(make_record("a"))
    file.append(make_record("b"))
    file.close()
    file.close()
    run = read_run(file.path)
    assert run.records == (make_record("b"),)
    why = "Unterminated string starting at: line 1 column 9 (char 8)"
    assert run.notes == (f"records_{RUN}.jsonl: line 2 is damaged ({why}) and was left out.",)


def test_the_newest_run_that_ran_a_case_tells_how_long_it_takes(tmp_path: Path) -> None:
    def case(model: str, seconds: int | None, **changes: object) -> Record:
        duration_ns = None if seconds is None else seconds * 10**9
        return make_record(model, duration_ns=duration_ns, **changes)

    write_run(tmp_path, case("a", 1), case("b", 2), case("c", 3), case("d", 4), run="20260101-000000")
    write_run(tmp_path, case("a", 5), case("b", 0, outcome="skipped"), case("c", None), run="20260102-000000-2")
    write_run(tmp_path, case("a", 6, outcome="failed"), run="20260102-000000-10")
    with records_path(tmp_path, "20260102-000000-2").open("a") as file:
        file.write('{"type": "record"\n[]\nnull\n')
    names = [f"models.json::{model}::benchmark[cpu]" for model in "abcx"]
    assert earlier_durations(tmp_path, names) == dict(zip(names, (6.0, 2.0, 3.0), strict=False))
    assert earlier_durations(tmp_path / "gone", names) == {}


@pytest.mark.parametrize("rest", [b"", b'{"type":"rec', b"\xff"])
def test_a_run_that_was_cut_off_is_continued_after_its_last_whole_line(tmp_path: Path, rest: bytes) -> None:
    path = write_run(tmp_path, make_record("a"), ends=False)
    path.write_bytes(path.read_bytes() + rest)
    with RecordsFile.resume(path) as file:
        file.append(make_record("b"))
        file.end(make_end())
    run = read_run(path)
    assert [record.model for record in run.records] == ["a", "b"]
    assert run.end
    assert run.notes == ()


def test_a_whole_line_without_its_end_is_kept(tmp_path: Path) -> None:
    path = write_run(tmp_path, make_record("a"), make_record("b"), ends=False)
    path.write_bytes(path.read_bytes().removesuffix(b"\n"))
    with RecordsFile.resume(path) as file:
        file.append(make_record("c"))
    assert [record.model for record in read_run(path).records] == ["a", "b", "c"]


def test_a_run_that_was_resumed_and_cut_off_has_no_end(tmp_path: Path) -> None:
    path = write_run(tmp_path, make_record("a"))
    with RecordsFile.resume(path) as file:
        file.append(make_record("b"))
    assert read_run(path).end is None


def test_a_file_that_is_still_written_is_not_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pytest_ortperf.records.store._LOCKED_S", 0)
    with (
        RecordsFile.create(tmp_path, RUN, make_header(run=RUN)) as file,
        pytest.raises(ResultsFileError, match="still being written"),
    ):
        RecordsFile.resume(file.path)


def test_the_last_attempt_at_a_case_counts() -> None:
    listed = make_record("a", "cpu", "validate", outcome="failed")
    again = replace(listed, outcome="passed", attempt=2)
    other = make_record("b")
    assert last_attempts([listed, other, again]) == (other, again)


def test_a_test_of_a_user_keeps_all_records_of_its_last_attempt() -> None:
    first = replace(make_record("a"), nodeid="test_it.py::test_it")
    again = replace(first, attempt=2)
    assert last_attempts([first, first, again, again]) == (again, again)
    assert last_attempts([first, first]) == (first, first)


@pytest.mark.parametrize("name", ["table.csv", "x" * 250 + ".csv"])
def test_a_file_that_is_written_whole_leaves_nothing_beside_it(tmp_path: Path, name: str) -> None:
    write_whole(tmp_path / name, b"new")
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [(name, b"new")]


def test_a_pipe_is_written_to_and_a_link_followed(tmp_path: Path) -> None:
    (tmp_path / "target").write_bytes(b"old")
    (tmp_path / "link").symlink_to("target")
    write_whole(tmp_path / "link", b"new")
    assert (tmp_path / "target").read_bytes() == b"new"
    assert (tmp_path / "link").is_symlink()
    write_whole(Path("/dev/null"), b"new")
    assert Path("/dev/null").is_char_device()


def test_a_full_disk_keeps_the_old_file_whole(small_disk: Callable[..., Path]) -> None:
    path = small_disk("rw") / "table.csv"
    write_whole(path, b"old")
    with pytest.raises(OSError, match="No space left"):
        write_whole(path, b"new" * 100_000)
    assert [(each.name, each.read_bytes()) for each in path.parent.iterdir()] == [("table.csv", b"old")]
