from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_ortperf.cli import main
from pytest_ortperf.records.store import RecordsFile
from record_examples import make_end, make_header, make_latency, make_record

RUN = "20261123-210146"
ADDED = {"PYTHONPATH": os.pathsep.join(sys.path), "COLUMNS": "100"}


def write_run(folder: Path, run: str = RUN, model: str = "bert") -> Path:
    folder.mkdir(exist_ok=True)
    with RecordsFile.create(folder, run, make_header(run=run)) as file:
        file.append(make_record(model, latencies=(make_latency(1.0, 3.0),)))
        file.end(make_end())
    return file.path


def test_report_writes_the_tables_and_prints_the_summary(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.chdir(tmp_path)
    write_run(tmp_path / "result")
    assert main(["report", "result"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert out.splitlines() == [
        "latency in ms, host (arrays in, arrays out)",
        "model  variant   p50  mean   min  iterations  inferences/s",
        "bert   cpu      2.00  2.00  1.00           2         500.0",
        "",
        "1 model, 1 case: 1 passed in 14.2 s",
        f"run {RUN}, ONNX Runtime 1.31.1, AMD EPYC 9654, NVIDIA H100",
        "results in result:",
        f"  records_{RUN}.jsonl",
        f"  report_{RUN}.html",
        f"  report_{RUN}.md",
        "  benchmark_{fail, success, latency, metrics, op_metrics, status, session, accuracy,",
        f"  system_info}}_{RUN}.csv",
        "",
        f"next: compare a later run with this one: --ortperf-baseline={RUN}",
    ]
    assert len(list((tmp_path / "result").iterdir())) == 12


def test_report_takes_a_run_and_another_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old = write_run(tmp_path / "result", "20260101-000000", "old")
    write_run(tmp_path / "result")
    output = tmp_path / "new" / "folder"
    assert main(["report", str(old.parent), "--run", "20260101-000000", "--output", str(output)]) == 0
    assert "old" in capsys.readouterr().out
    assert len(list(output.iterdir())) == 11
    assert len(list(old.parent.iterdir())) == 2


def test_a_report_made_twice_is_the_same(tmp_path: Path) -> None:
    path = write_run(tmp_path / "result")
    main(["report", str(path)])
    first = {file.name: file.read_bytes() for file in path.parent.iterdir()}
    main(["report", str(path)])
    assert {file.name: file.read_bytes() for file in path.parent.iterdir()} == first


def test_a_report_goes_into_the_file_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_run(tmp_path / "result")
    outputs = [tmp_path / "deep" / f"run{ending}" for ending in (".html", ".md", ".json")]
    assert main(["report", str(path), *(part for output in outputs for part in ("-o", str(output)))]) == 0
    html, markdown, data = (output.read_text("utf-8") for output in outputs)
    assert html.startswith("<!DOCTYPE html>\n")
    assert markdown.startswith("### ortperf: 1 passed of 1 case\n")
    assert json.loads(data)["tables"]["success"][0]["latency_p50_ms"] == 2.0
    assert all(str(output) in capsys.readouterr().out for output in outputs[:1])
    assert list(path.parent.iterdir()) == [path]


def test_an_unknown_ending_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_run(tmp_path / "result")
    assert main(["report", str(path), "-o", str(tmp_path / "run.pdf")]) == 2
    message = f"ortperf: {tmp_path}/run.pdf: no report has the ending '.pdf'. Choose from .html, .md, .json.\n"
    assert capsys.readouterr() == ("", message)


def test_a_report_shows_what_changed_since_a_baseline(tmp_path: Path) -> None:
    base = write_run(tmp_path / "result", "20260101-000000")
    path = write_run(tmp_path / "result")
    assert main(["report", str(path), "--baseline", str(base), "-o", str(tmp_path / "x.html")]) == 0
    assert "<h2>Against the baseline</h2>" in (tmp_path / "x.html").read_text("utf-8")


def test_errors_are_one_message_and_exit_status_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(tmp_path)]) == 2
    assert capsys.readouterr() == (
        "",
        f"ortperf: {tmp_path}: holds no records_<run>.jsonl of a run; it is empty.\n",
    )


def ortperf(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error", "-m", "pytest_ortperf.cli", *arguments]
    return subprocess.run(command, env=os.environ | ADDED, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("arguments", [(), ("reprot",), ("report",), ("report", "a", "b")])
def test_wrong_arguments_are_exit_status_2(arguments: tuple[str, ...]) -> None:
    done = ortperf(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("usage: ortperf ")


def test_help_shows_commands_and_an_example() -> None:
    done = ortperf("--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert "    report    write the reports of a run again and print its summary\n" in done.stdout
    assert "  ortperf report result                            the newest run in the folder result\n" in done.stdout


def test_version_is_printed() -> None:
    done = ortperf("--version")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("ortperf ")


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys\nfrom pytest_ortperf.cli import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        "print(sorted({'numpy', 'onnx', 'onnxruntime', 'pandas', 'pytest', 'jinja2'} & set(sys.modules)))"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=os.environ | ADDED, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_reader_that_stops_early_is_no_error(tmp_path: Path) -> None:
    write_run(tmp_path / "result")
    command = [sys.executable, "-m", "pytest_ortperf.cli", "report", str(tmp_path / "result")]
    with subprocess.Popen(command, env=os.environ | ADDED, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        errors = process.stderr.read()
    assert (process.returncode, errors) == (0, b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_output_that_cannot_be_written_is_one_message(tmp_path: Path) -> None:
    write_run(tmp_path / "result")
    command = [sys.executable, "-m", "pytest_ortperf.cli", "report", str(tmp_path / "result")]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            command, env=os.environ | ADDED, stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert (done.returncode, done.stderr) == (2, "ortperf: No space left on device\n")
