from __future__ import annotations

from pathlib import Path

import pytest

from pytest_ortperf.errors import CaseError
from pytest_ortperf.execution.case_settings import Tool
from pytest_ortperf.execution.trtexec.flags import BuildPlan, build_command, half_flag, run_command, timing_flags
from pytest_ortperf.execution.trtexec.log import version_of
from pytest_ortperf.execution.trtexec.tool import ask_tool, read_flags
from standin import VERSIONS, install_standin

HELP = Path(__file__).parents[2] / "data" / "trtexec_help"


def recorded_tool(name: str) -> Tool:
    """Return the trtexec whose `--help` was recorded."""
    version = version_of(name.removeprefix("help_v").removesuffix(".txt"))
    assert version is not None
    return Tool(path="trtexec", version=version, flags=read_flags((HELP / name).read_text("utf-8")))


@pytest.mark.parametrize("name", sorted(path.name for path in HELP.glob("*.txt")))
@pytest.mark.parametrize("timing", ["bound", "bound+copies", "graph"])
def test_every_command_holds_only_what_that_version_lists(name: str, timing: str) -> None:
    tool = recorded_tool(name)
    plan = BuildPlan(model="/m.onnx", profile={"x": [(1, 2, 4), (3, 3, 3)]}, half=half_flag(tool, asked=True))
    build = build_command(tool, plan, Path("/e"), Path("/t"), [])
    only = "--skipInference" if tool.version >= (8, 6, 0) else "--buildOnly"
    assert build == [
        "trtexec",
        "--onnx=/m.onnx",
        "--saveEngine=/e",
        only,
        "--timingCacheFile=/t",
        "--minShapes=x:1x3",
        "--optShapes=x:2x3",
        "--maxShapes=x:4x3",
        "--fp16",
    ]
    run = run_command(tool, Path("/e"), ["--loadInputs=x:f", "--warmUp=1", *timing_flags(timing, tool.version)])
    assert run[:2] == ["trtexec", "--loadEngine=/e"]


@pytest.mark.parametrize("version", VERSIONS)
def test_flags_of_another_version_are_refused_before_it_runs(tmp_path: Path, version: str) -> None:
    tool = ask_tool(install_standin(tmp_path, version))
    wrong = {"8.6.1": "noCudaGraph", "10.16.1": "includeDataTransfers", "11.0.0": "fp16"}[version]
    with pytest.raises(CaseError) as caught:
        run_command(tool, Path("/e"), [f"--{wrong}"])
    assert str(caught.value) == f"trtexec {version} ({tool.path}) does not list --{wrong} in its --help"


def test_static_shapes_and_full_precision_need_no_flag() -> None:
    tool = recorded_tool("help_v101601.txt")
    plan = BuildPlan(model="m.onnx", profile={}, half=False)
    assert build_command(tool, plan, Path("e"), None, ["--noTF32"]) == [
        "trtexec",
        "--onnx=m.onnx",
        "--saveEngine=e",
        "--skipInference",
        "--noTF32",
    ]


@pytest.mark.parametrize(("version", "flagged"), [((10, 16, 1), True), ((11, 0, 0), False)])
def test_half_precision_is_a_flag_before_11(version: tuple[int, int, int], flagged: bool) -> None:  # noqa: FBT001
    assert half_flag(Tool(path="trtexec", version=version), asked=True) is flagged
    assert half_flag(Tool(path="trtexec", version=version), asked=False) is False
