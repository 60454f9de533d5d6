"""The engine of a case: built once by trtexec, whole or not at all, and found again where engines are kept."""

from __future__ import annotations

import contextlib
import os
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pytest_ortperf.cases.matrix import Case
from pytest_ortperf.errors import CaseError
from pytest_ortperf.execution.case_settings import ExecutionSettings, Tool
from pytest_ortperf.execution.session.engine_cache import engine_folders
from pytest_ortperf.execution.trtexec.flags import BuildPlan, build_command
from pytest_ortperf.execution.trtexec.printed import TrtexecLog
from pytest_ortperf.execution.trtexec.program_run import Started, require_success

ENGINE = "model.engine"
TIMINGS = "timing.cache"


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """An engine on disk."""

    path: Path
    byte: int
    log: TrtexecLog | None = None
    """Of its build; `None` if it was there."""

    command: str | None = None
    wall_ns: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineBuild:
    """Where an engine is built: by whom, for whom, and where it stays."""

    tool: Tool
    case: Case
    settings: ExecutionSettings
    extra: Sequence[str]
    """Flags that users gave for the build."""


def engine_of(build: EngineBuild, plan: BuildPlan, started: Started) -> Engine:
    """Return the engine of a case, built now if it is not kept anywhere.

    Raises:
        CaseError: Stage `session`, with trtexec's first error.
    """
    folders = engine_folders(
        plan.model, build.case, build.settings, _options(build, plan), f"trtexec {build.tool.version_text}"
    )
    engines, timings = folders or (started.folder, None)
    path = engines / ENGINE
    if path.exists():
        return Engine(path=path, byte=path.stat().st_size)
    return _built(build, plan, started, path, timings / TIMINGS if timings else None)


def _built(build: EngineBuild, plan: BuildPlan, started: Started, path: Path, timings: Path | None) -> Engine:
    with _unfinished(path) as work:
        command = build_command(build.tool, plan, work, timings, build.extra)
        ended = started.run(command)
        log = require_success(ended, doing="building the engine", stage="session")
        if not work.exists() or not work.stat().st_size:
            raise CaseError(
                f"trtexec failed building the engine: it printed PASSED and wrote none to {work}",
                stage="session",
                kind="session error",
            )
        work.rename(path)
    return Engine(path=path, byte=path.stat().st_size, log=log, command=shlex.join(command), wall_ns=ended.wall_ns)


@contextlib.contextmanager
def _unfinished(path: Path) -> Iterator[Path]:
    work = path.with_name(f"unfinished-{os.getpid()}.engine")  # another validation may build it at the same time
    try:
        yield work
    finally:
        work.unlink(missing_ok=True)


def _options(build: EngineBuild, plan: BuildPlan) -> dict[str, str]:
    """Return what the engine depends on besides its model and builder."""
    profile = {name: str([list(size) for size in sizes]) for name, sizes in plan.profile.items()}
    return {"program": "trtexec", "fp16": str(plan.half), "flags": shlex.join(build.extra), **profile}
