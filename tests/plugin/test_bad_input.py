"""What a user can get wrong: one clear message with the file, the entry and the way out; no traceback."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from plugin.project import MODEL, Project, Result, read_records, tensor

LFS_POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:0123\nsize 12345\n"
ENTRY = '{"name": "a", "path": "m.onnx"}'

BAD_LISTS = {
    "empty file": (
        "",
        '  - is empty; write a list of models such as [{"name": "resnet50", "path": "resnet50.onnx"}]',
    ),
    "empty list": ("[]", '  - holds no models; add an entry such as {"name": "resnet50", "path": "resnet50.onnx"}'),
    "wrong JSON": (
        f"[{ENTRY},]",
        "  - line 1, column 34: not JSON (Expecting value); JSON has no comments and no comma before a closing bracket",
    ),
    "duplicate name": (
        f"[{ENTRY}, {ENTRY}]",
        "  - models[1] 'a': the name \"a\" is taken by models[0] 'a'; rename one of the two",
    ),
    "unknown key": (
        '[{"name": "a", "path": "m.onnx", "pth": 1}]',
        "  - models[0] 'a': unknown key 'pth'; did you mean 'path'? Known keys are name, path,",
    ),
    "colons in a name": (
        '[{"name": "a::b", "path": "m.onnx"}]',
        "  - models[0] 'a::b': name: the name \"a::b\" holds '::', which pytest ids give a meaning; choose another",
    ),
    "control character in a name": (
        '[{"name": "a\\u0007b", "path": "m.onnx"}]',
        "  - models[0] 'a\\x07b': name: the name \"a\\u0007b\" holds a control or invisible character; choose another",
    ),
    "reserved tag": (
        '[{"name": "a", "path": "m.onnx", "tags": ["skip"]}]',
        "  - models[0] 'a': tags[0]: the tag 'skip' is reserved: it means something to pytest or a plugin;",
    ),
}


def assert_no_traceback(result: Result) -> None:
    for text in (result.out, result.err):
        assert "Traceback" not in text
        assert "INTERNALERROR" not in text
        assert ".py:" not in text


@pytest.mark.parametrize("what", BAD_LISTS)
def test_an_issue_of_a_list_is_named_with_its_place(project: Project, what: str) -> None:
    text, line = BAD_LISTS[what]
    project.write("models.json", text)
    result = project.collection()
    assert result.exit_code == 2
    assert_no_traceback(result)
    heading = result.out.index("ERROR collecting models.json")
    assert f"\nmodels.json:\n{line}" in result.out[heading:]


def test_every_issue_of_a_list_is_told_at_once(project: Project) -> None:
    project.write("models.json", '[{"name": "x::y", "path": "m.onnx"}, {"name": "b"}]')
    result = project.collection()
    assert "  - models[0] 'x::y': name:" in result.out
    assert "  - models[1] 'b': missing key 'path', or 'source'" in result.out


def test_a_missing_list_is_named_with_two_ways_out(project: Project) -> None:
    default = project.run()
    assert default.exit_code == 4
    assert default.err.strip() == (
        f"ERROR: no model list: {project.path / 'models.json'} does not exist. Name one with --ortperf-models=PATH "
        '(a JSON list or a directory of models), or create it: [{"name": "mine", "path": "model.onnx"}]'
    )
    given = project.run("--ortperf-models=gone.json")
    assert given.exit_code == 4
    assert given.err.strip() == (
        f"ERROR: --ortperf-models: {project.path / 'gone.json'} does not exist; give a model list (JSON) or a "
        "directory of models"
    )


def test_bad_files_fail_their_own_item_with_file_and_way_out(project: Project) -> None:
    names = {"wrong_count": 2, "wrong_dtype": 1, "wrong_shape": 1, "truncated_pb": 1, "lfs_pb": 1}
    data: dict[str, list[bytes]] = {
        "wrong_count": [tensor([[1, 2, 3]], "x"), tensor([[1, 2, 3]], "z")],
        "wrong_dtype": [tensor([[1, 2, 3]], "x", dtype=np.int64)],
        "wrong_shape": [tensor([[1, 2, 3, 4]], "x")],
        "truncated_pb": [tensor([[1, 2, 3]], "x")[:10]],
        "lfs_pb": [LFS_POINTER.encode()],
    }
    for name, files in data.items():
        assert len(files) == names[name]
        for number, content in enumerate(files):
            project.write(f"{name}/test_data_set_0/input_{number}.pb", content)
    project.write("truncated.onnx", MODEL[: len(MODEL) // 2])
    project.write("lfs.onnx", LFS_POINTER)
    project.write("empty.onnx", "")
    project.models(
        "good",
        {"name": "missing", "path": "gone.onnx"},
        {"name": "truncated", "path": "truncated.onnx"},
        {"name": "lfs", "path": "lfs.onnx"},
        {"name": "empty", "path": "empty.onnx"},
        *({"name": name, "test_data": name} for name in data),
        {"name": "no_data", "test_data": "gone"},
    )
    result = project.run()
    assert result.exit_code == 1
    assert_no_traceback(result)
    here = project.path
    expected = {
        "good": None,
        "missing": f"{here}/gone.onnx does not exist (named by models.json: models[1] 'missing')",
        "truncated": f"{here}/truncated.onnx is no ONNX model, or is cut short ({len(MODEL) // 2} bytes): it does not "
        "parse; write or download it again",
        "lfs": f"{here}/lfs.onnx is a Git-LFS pointer, not the model; fetch it with: git lfs pull",
        "empty": f"{here}/empty.onnx is empty (0 bytes); write or download it again",
        "wrong_count": f"{here}/wrong_count/test_data_set_0: 2 input files for 1 inputs ('x'); store one input_<n>.pb "
        "for each input",
        "wrong_dtype": f"{here}/wrong_dtype/test_data_set_0/input_0.pb: holds tensor(int64) for input 'x', which the "
        "model declares as tensor(float); store it as float",
        "wrong_shape": f"{here}/wrong_shape/test_data_set_0/input_0.pb: shape (1, 4) for input 'x', which the model "
        'declares as (batch, 3); store that shape, or cut it with "slices" in the model list',
        "lfs_pb": f"{here}/lfs_pb/test_data_set_0/input_0.pb: is a Git LFS pointer, not a tensor; fetch the data with "
        "`git lfs pull`",
        "no_data": f"{here}/gone: the folder cannot be read (No such file or directory); check the path and its "
        "permissions",
    }
    messages = {name: (record["failure"] or {}).get("message") for name, record in result.by_model.items()}
    cut = messages.pop("truncated_pb")
    assert cut.startswith(f"{here}/truncated_pb/test_data_set_0/input_0.pb: 10 bytes do not hold a TensorProto")
    assert messages == expected
    assert "FAILED models.json::lfs::validate[cpu] - " in result.out


def test_an_unreadable_directory_is_named(project: Project) -> None:
    folder = project.path / "zoo"
    (folder / "deep").mkdir(parents=True)
    (folder / "deep").chmod(0o000)
    below = project.run_without_override("--ortperf-models=zoo")
    folder.chmod(0o000)
    result = project.run_without_override("--ortperf-models=zoo")
    folder.chmod(0o700)
    (folder / "deep").chmod(0o700)
    assert below.exit_code == 2
    assert_no_traceback(below)
    assert '- "deep" cannot be read (Permission denied); make it readable, or move it elsewhere' in below.out
    assert result.exit_code == 4
    assert_no_traceback(result)
    assert f"ERROR: {folder}: the directory cannot be read (Permission denied); make it readable" in result.err


def test_results_that_may_not_be_written_are_named(project: Project) -> None:
    project.models("a")
    folder = project.path / "kept"
    folder.mkdir(mode=0o500)
    result = project.run_without_override("--ortperf-results=kept")
    folder.chmod(0o700)
    assert result.exit_code == 4
    assert_no_traceback(result)
    assert f"ERROR: {folder}: results cannot be written here: Permission denied" in result.err


def test_a_directory_without_models_is_named(project: Project) -> None:
    (project.path / "zoo").mkdir()
    result = project.collection("--ortperf-models=zoo")
    assert result.exit_code == 2
    assert_no_traceback(result)
    assert "ERROR collecting zoo" in result.out


def test_a_file_where_results_go_stops_the_run_before_the_first_case(project: Project) -> None:
    project.models("a")
    project.write("result", "a file")
    result = project.run()
    assert result.exit_code == 4
    assert_no_traceback(result)
    message = result.err.strip()
    assert message.startswith(f"ERROR: {project.path / 'result'}: results cannot be written here: File exists (")
    assert message.endswith("Make room or give another folder with --ortperf-results=DIR.")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Yield the mount point of a file system of 64 KiB."""
    if shutil.which("mount") is None or os.geteuid() != 0:
        pytest.skip("mounting a small file system needs root")
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder],  # noqa: S607
        check=False,
        capture_output=True,
        text=True,
    )
    if mounted.returncode:
        pytest.skip(f"a small file system cannot be mounted here: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", folder], check=True)  # noqa: S607


@pytest.mark.parametrize("args", [(), ("-n", "2")])
@pytest.mark.slow
def test_a_full_disk_stops_the_run_and_keeps_what_was_written(
    project: Project, small_disk: Path, args: tuple[str, ...]
) -> None:
    project.models(*(f"m{number:02}" for number in range(40)))
    project.write(
        "conftest.py",
        "import pathlib\n"
        "def pytest_runtest_logreport(report):\n"
        "    if '::m05::' in report.nodeid:\n"
        f"        with pathlib.Path({str(small_disk / 'ballast')!r}).open('wb', buffering=0) as file:\n"
        "            try:\n"
        "                while True: file.write(bytes(4096))\n"
        "            except OSError: pass\n",
    )
    result = project.run(f"--ortperf-results={small_disk}", *args)
    assert result.exit_code not in (0, 1)
    assert_no_traceback(result)
    (path,) = small_disk.glob("records_*.jsonl")
    records, _ = read_records(path)
    assert 1 <= len(records) < 40
    assert result.counts["passed"] < 40
    assert f" {result.counts['passed']} passed in " in result.out.partition("= ortperf =")[2]
    assert "No space left on device" in result.out
    assert "Make room or give another folder with --ortperf-results=DIR." in result.out.replace("\n", " ")
    assert " passed in " in result.out
    assert "= ortperf =" in result.out


@pytest.mark.parametrize(
    "more",
    [(), pytest.param(("-n", "2"), marks=pytest.mark.slow), ("--ortperf-isolation=none",)],
    ids=["forked", "xdist", "none"],
)
def test_an_onnx_runtime_that_cannot_be_imported_fails_each_item_with_its_reason(
    project: Project, monkeypatch: pytest.MonkeyPatch, more: tuple[str, ...]
) -> None:
    project.models("a", "b")
    project.write("broken/onnxruntime.py", "raise ImportError('libmissing.so.1: cannot open shared object file')")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(project.path / "broken"), *sys.path]))

    result = project.run("--ortperf-ep=cpu", *more)

    assert result.exit_code == pytest.ExitCode.TESTS_FAILED, result.out + result.err
    assert_no_traceback(result)
    assert {record["failure"]["kind"] for record in result.by_model.values()} == {"environment"}
    assert {record["failure"]["message"].partition(";")[0] for record in result.records} == {
        "ONNX Runtime cannot be imported: ImportError: libmissing.so.1: cannot open shared object file"
    }
