from __future__ import annotations

from pathlib import Path

import pytest

from pytest_ortperf.execution.case_settings import Tool, tool_of_builtins
from pytest_ortperf.execution.trtexec.log import parse_log
from pytest_ortperf.execution.trtexec.tool import ToolError, ask_tool, locate, read_flags
from standin import VERSIONS, install_standin

HELP = Path(__file__).parents[2] / "data" / "trtexec_help"


def test_flags_are_those_of_the_recorded_help_with_their_section() -> None:
    found = {path.name: read_flags(path.read_text("utf-8")) for path in sorted(HELP.glob("*.txt"))}
    assert {name: len(flags) for name, flags in found.items()} == {
        "help_v100001.txt": 102,
        "help_v101601.txt": 122,
        "help_v8201.txt": 72,
        "help_v8500.txt": 78,
        "help_v8601.txt": 95,
    }
    for flags in found.values():
        sections = [flags[name] for name in ("onnx", "fp16", "loadInputs", "exportTimes", "device", "help")]
        assert sections == ["Model", "Build", "Inference", "Reporting", "System", "Help"]
    assert ["skipInference" in flags for flags in found.values()] == [True, True, False, False, True]
    assert ["buildOnly" in flags for flags in found.values()] == [False, False, True, True, False]


def test_flag_in_the_text_of_another_one_is_none() -> None:
    text = (
        "=== Build Options ===\n  --a=N   As --b\n      --c is in its text\n  --vc, --versionCompatible   Two names\n"
    )
    assert read_flags(text) == {"a": "Build", "vc": "Build", "versionCompatible": "Build"}


@pytest.mark.parametrize("version", VERSIONS)
def test_program_is_asked_for_version_and_flags(tmp_path: Path, version: str) -> None:
    path = install_standin(tmp_path, version)
    tool = ask_tool(path)
    assert (tool.path, tool.version_text) == (str(path), version)
    assert tool.build_tag == (None if version.startswith("8") else "b11")
    assert ("fp16" in tool.flags, "noCudaGraph" in tool.flags) == (version != "11.0.0", version == "11.0.0")
    assert tool_of_builtins(tool.as_builtins()) == tool


def test_path_given_counts_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = install_standin(tmp_path / "on_path", "8.6.1")
    monkeypatch.setenv("PATH", str(other.parent))
    given = install_standin(tmp_path / "given", "10.16.1", "trtexec-10")
    assert locate(given, None) == given
    assert locate(None, None) == other


def test_place_of_an_installation_is_looked_at_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    installed = install_standin(tmp_path / "usr" / "TensorRT-10.9" / "bin", "10.16.1")
    places = (f"{tmp_path}/usr/TensorRT*/bin",)
    assert locate(None, None, places) == installed
    below = install_standin(tmp_path / "work" / "deep" / "bin", "10.16.1")
    assert locate(None, tmp_path / "work", places) == below
    assert locate(None, tmp_path / "nothing", places) == installed


def test_file_that_is_none_or_cannot_be_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(ToolError) as caught:
        locate(tmp_path / "absent", None)
    assert str(caught.value) == f"trtexec was not found: {tmp_path / 'absent'} (--ortperf-trtexec) is no file"
    plain = tmp_path / "plain"
    plain.write_text("", encoding="utf-8")
    with pytest.raises(ToolError) as caught:
        locate(plain, None)
    assert str(caught.value) == (
        f"{plain} (--ortperf-trtexec) cannot be run: it is not executable; chmod +x makes it so"
    )


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("echo hello", "{path} --help ended with exit status 0: hello"),
        ("kill -9 $$", "{path} --help ended with signal 9: no output"),
        ("sleep 60", "{path} --help did not end within 0.5 s"),
    ],
)
def test_program_that_is_no_trtexec_says_so(tmp_path: Path, script: str, message: str) -> None:
    path = tmp_path / "trtexec"
    path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    path.chmod(0o755)
    with pytest.raises(ToolError) as caught:
        ask_tool(path, timeout_s=0.5)
    assert str(caught.value) == message.format(path=path)


SUPPORTED = "Logs of TensorRT 8.0 and newer are read; trtexec of TensorRT 8.6, 10.x and 11.x is supported for running."
INSTALL = (
    f"which is not supported. {SUPPORTED} Install one of these versions and name its program with "
    f"--ortperf-trtexec=PATH."
)
OF_HELP = "=== Model Options ===\n  --onnx=<file>  ONNX model"


@pytest.mark.parametrize(
    ("printed", "code", "message"),
    [
        (
            f"&&&& RUNNING TensorRT.trtexec # trtexec --help\n{OF_HELP}",
            0,
            "{path} is from TensorRT 7 or older (its banner names no version), {INSTALL}",
        ),
        (
            "&&&& RUNNING TensorRT.trtexec # trtexec --help\n&&&& FAILED TensorRT.trtexec # trtexec --help",
            1,
            "{path} is from TensorRT 7 or older (its banner names no version), {INSTALL}",
        ),
        (
            f"&&&& RUNNING TensorRT.trtexec [TensorRT v7203] # trtexec --help\n{OF_HELP}",
            0,
            "{path} is from TensorRT 7.2.3, {INSTALL}",
        ),
        (
            OF_HELP,
            0,
            "{path} --help names no version of TensorRT that is known. {SUPPORTED} {ANOTHER}",
        ),
    ],
)
def test_program_of_an_old_or_unknown_version_says_so(tmp_path: Path, printed: str, code: int, message: str) -> None:
    path = tmp_path / "trtexec"
    path.write_text(f"#!/bin/sh\ncat <<'END'\n{printed}\nEND\nexit {code}\n", encoding="utf-8")
    path.chmod(0o755)
    with pytest.raises(ToolError) as caught:
        ask_tool(path)
    assert str(caught.value) == message.format(
        path=path, INSTALL=INSTALL, SUPPORTED=SUPPORTED, ANOTHER="Name another program with --ortperf-trtexec=PATH."
    )


def test_program_of_another_machine_cannot_be_run(tmp_path: Path) -> None:
    path = tmp_path / "trtexec"
    path.write_bytes(b"\x7fELF of nobody")
    path.chmod(0o755)
    with pytest.raises(ToolError) as caught:
        ask_tool(path)
    assert str(caught.value) == f"{path} cannot be run: Exec format error"


def test_version_is_three_numbers() -> None:
    assert Tool(path="trtexec", version=(10, 16, 1)).version_text == "10.16.1"


@pytest.mark.parametrize(
    ("written", "version"),
    [("8601", (8, 6, 1)), ("101601", (10, 16, 1)), ("110100", (11, 1, 0)), ("11.1.0.106", (11, 1, 0)), ("86", None)],
)
def test_version_of_a_banner(written: str, version: tuple[int, int, int] | None) -> None:
    log = parse_log(f"&&&& RUNNING TensorRT.trtexec [TensorRT v{written}] [b48] # trtexec --help\n")
    assert (log.version, log.build_tag, log.command) == (version, "b48", "trtexec --help")
