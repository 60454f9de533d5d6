"""Command lines of trtexec: what each version calls the same thing, held against what its own `--help` lists."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pytest_ortperf.cases.matrix import Case
from pytest_ortperf.errors import CaseError
from pytest_ortperf.execution.case_settings import ExecutionSettings, Tool
from pytest_ortperf.execution.machine.lease import device_of
from pytest_ortperf.execution.model.precision import STRONGLY_TYPED_MAJOR
from pytest_ortperf.execution.session.tensorrt import Sizes
from pytest_ortperf.execution.trtexec.program_tensors import shapes_text
from pytest_ortperf.execution.trtexec.tool import NAME

TIMINGS: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "bound": (
        ("--noDataTransfers", "--useSpinWait"),
        ("--noCudaGraph",),
    ),
    "bound+copies": (
        ("--exposeDMA", "--useSpinWait"),
        ("--includeDataTransfers", "--exposeDMA", "--noCudaGraph"),
    ),
    "graph": (
        ("--noDataTransfers", "--useCudaGraph", "--useSpinWait"),
        (),
    ),
}
"""Timing mode -> flags before TensorRT 11, and from it on, where graphs, spinning and no copies are the defaults.

`--exposeDMA` keeps the copies of one query from running beside the computation of another.
"""

OURS = frozenset(
    {
        "onnx",
        "saveEngine",
        "loadEngine",
        "skipInference",
        "buildOnly",
        "timingCacheFile",
        "minShapes",
        "optShapes",
        "maxShapes",
        "shapes",
        "loadInputs",
        "iterations",
        "duration",
        "warmUp",
        "exportTimes",
        "exportOutput",
        "device",
        "fp16",
        "help",
        "noDataTransfers",
        "includeDataTransfers",
        "useSpinWait",
        "noSpinWait",
        "useCudaGraph",
        "noCudaGraph",
        "exposeDMA",
        "percentile",
    }
)
"""Flags that users cannot give: what is measured, and where files are, is settled here."""

PROFILERS = frozenset({"dumpProfile", "exportProfile"})
SEPARATE = "separateProfileRun"

BUILD_SECTIONS = ("Model", "Build", "System")
RUN_SECTIONS = ("Inference", "Reporting", "System")


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildPlan:
    """What an engine is built from, apart from files it is written to."""

    model: str
    """Path."""

    profile: Mapping[str, Sequence[Sizes]]
    half: bool
    """Whether half precision is allowed by a flag; from TensorRT 11 on the model alone says it."""


def build_command(tool: Tool, plan: BuildPlan, engine: Path, timings: Path | None, extra: Sequence[str]) -> list[str]:
    """Return the command that builds and saves an engine, and measures nothing."""
    shapes = [f"--{kind}Shapes={shapes_text(plan.profile, at)}" for at, kind in enumerate(("min", "opt", "max"))]
    flags = [
        f"--onnx={plan.model}",
        f"--saveEngine={engine}",
        "--skipInference" if "skipInference" in tool.flags else "--buildOnly",
        *([f"--timingCacheFile={timings}"] if timings and "timingCacheFile" in tool.flags else []),
        *(shapes if plan.profile else []),
        *(["--fp16"] if plan.half else []),
        *extra,
    ]
    return _checked(tool, flags)


def run_command(tool: Tool, engine: Path, flags: Sequence[str]) -> list[str]:
    """Return the command that runs an engine."""
    return _checked(tool, [f"--loadEngine={engine}", *flags])


def timing_flags(timing: str, version: tuple[int, int, int]) -> tuple[str, ...]:
    """Return what makes a version measure a timing mode."""
    before, since = TIMINGS[timing]
    return since if version[0] >= STRONGLY_TYPED_MAJOR else before


def half_flag(tool: Tool, *, asked: bool) -> bool:
    """Whether half precision is asked for by a flag."""
    return asked and tool.version[0] < STRONGLY_TYPED_MAJOR


def user_flags(tool: Tool, case: Case, settings: ExecutionSettings, sections: Sequence[str]) -> list[str]:
    """Return the flags that users give as options of this provider, and the device, for a part of the work.

    Raises:
        CaseError: Stage `session`, for a flag that this version does not take, or that is settled here.
    """
    given = {**case.model.ep_options.get(NAME, {}), **settings.ep_options.get(NAME, {})}
    device = device_of(case, settings)
    given.pop("device_id", None)
    for key in given:
        if key in OURS:
            raise _error(f"trtexec option '{key}' cannot be given: the case settles it")
        if key not in tool.flags:
            raise _unknown(tool, key)
    if PROFILERS & given.keys() and SEPARATE in tool.flags and tool.version[0] < STRONGLY_TYPED_MAJOR:
        given[SEPARATE] = "true"  # a profiler in the measured run spoils its times, or leaves none; 11 keeps it apart
    chosen = [_flag(key, value) for key, value in given.items() if tool.flags[key] in sections]
    return [*([f"--device={device}"] if device != "0" else []), *chosen]


def _flag(key: str, value: str) -> str:
    return f"--{key}" if value.lower() in {"", "true"} else f"--{key}={value}"


def _checked(tool: Tool, flags: Sequence[str]) -> list[str]:
    for flag in flags:
        name = flag.removeprefix("--").partition("=")[0]
        if name not in tool.flags:
            raise _unknown(tool, name)
    return [tool.path, *flags]


def _unknown(tool: Tool, name: str) -> CaseError:
    return _error(f"trtexec {tool.version_text} ({tool.path}) does not list --{name} in its --help")


def _error(text: str) -> CaseError:
    return CaseError(text, stage="session", kind="session error")
