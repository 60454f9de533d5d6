"""What becomes known of a case while it runs, and the journal that survives its process."""

from __future__ import annotations

import contextlib
import faulthandler
import fcntl
import io
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from pytest_ortperf.records.checks import LeakCheck, ThreadCheck, ValgrindCheck
from pytest_ortperf.records.environment.machine_checks import Canary, MachineState
from pytest_ortperf.records.latency import Latency
from pytest_ortperf.records.operators import OperatorProfile
from pytest_ortperf.records.pictures import ErrorPicture
from pytest_ortperf.records.program import ProgramFact
from pytest_ortperf.records.record import (
    Concurrent,
    ConsistencyCheck,
    Copies,
    DataSetAccuracy,
    LimitFact,
    ModelFact,
    Placement,
    SessionFact,
    TensorFact,
)
from pytest_ortperf.records.resources import Resources

LOG_TAIL_BYTE = 16_384
LOG_TAIL_LINES = 40
LOG_LINE_CHARACTERS = 500
"""A line of the log's tail is cut there."""

FAULT_LINES = 12
"""Of Python's stack at a fatal signal: the innermost calls."""


class Journal:
    """Three files shared by the process that runs a case and the one that watches it.

    They have no name (`tempfile.TemporaryFile`), so that nothing is left behind whatever dies. The child writes its
    process id, each stage it enters and the samples so far to the first; its standard output and error go to the
    second, and Python's stack at a fatal signal to the third.

    Args:
        captures: Whether output goes to the log. Without a process of its own a case leaves it to pytest, so that
            a debugger's prompt is seen.
        notes: File for the notes, which the controller of a pytest-xdist worker reads; `None` is one without a name.
    """

    def __init__(self, *, captures: bool = True, notes: Path | None = None) -> None:
        self._captures = captures
        self._notes = _append_file(notes)
        self._log = _append_file()
        self._faults = _append_file()

    def reset(self) -> None:
        """Empty all files for the next case."""
        for file in (self._notes, self._log, self._faults):
            os.ftruncate(file.fileno(), 0)

    @property
    def notes_descriptor(self) -> int:
        """Of the file of notes."""
        return self._notes.fileno()

    def catch_faults(self) -> None:
        """Send the stack at a fatal signal here instead of the terminal; in the process of a case alone."""
        faulthandler.enable(self._faults)

    def note(self, **entry: Any) -> None:
        """Append one entry, at once."""
        os.write(self._notes.fileno(), json.dumps(entry).encode() + b"\n")

    def entries(self) -> list[dict[str, Any]]:
        """Return what was noted; a cut last line is left out."""
        size = os.fstat(self._notes.fileno()).st_size
        lines = os.pread(self._notes.fileno(), size, 0).split(b"\n")
        return [json.loads(line) for line in lines[:-1]]

    def latest(self, key: str) -> Any:
        """Return the last value noted under a key; `None` if there is none."""
        return next((entry[key] for entry in reversed(self.entries()) if key in entry), None)

    def log_tail(self) -> tuple[str, ...]:
        """Return the last lines of the log, of 16 KiB at most, long ones cut; then the stack at a fatal signal."""
        size = os.fstat(self._log.fileno()).st_size
        text = os.pread(self._log.fileno(), LOG_TAIL_BYTE, max(0, size - LOG_TAIL_BYTE)).decode(errors="replace")
        stack = os.pread(self._faults.fileno(), LOG_TAIL_BYTE, 0).decode(errors="replace").splitlines()
        return (*last_lines(text), *stack[:FAULT_LINES])

    def save_log(self, path: Path) -> None:
        """Write the whole log to a file."""
        with path.open("wb") as target:
            os.lseek(self._log.fileno(), 0, os.SEEK_SET)
            shutil.copyfileobj(self._log, target)

    @contextmanager
    def capture_output(self) -> Iterator[None]:
        """Send standard output and error, Python's and native code's, to the log meanwhile."""
        if not self._captures:
            yield
            return
        saved = os.dup(1), os.dup(2)
        log = io.TextIOWrapper(
            io.FileIO(self._log.fileno(), "w", closefd=False), "utf-8", "backslashreplace", write_through=True
        )
        try:
            os.dup2(self._log.fileno(), 1)
            os.dup2(self._log.fileno(), 2)
            with contextlib.redirect_stdout(log), contextlib.redirect_stderr(log):
                yield
        finally:
            for target, source in enumerate(saved, 1):
                os.dup2(source, target)
                os.close(source)

    def close(self) -> None:
        """Give the files back."""
        for file in (self._notes, self._log, self._faults):
            file.close()


def waited_s(journal: Journal) -> float:
    """Return how long the process of a case has waited for hardware, up to now; it counts towards no deadline."""
    total, since = 0.0, None
    for entry in journal.entries():
        since = entry.get("waiting", since)
        if "waited_s" in entry:
            total, since = total + entry["waited_s"], None
    return total if since is None else total + time.monotonic() - since


def last_lines(text: str) -> tuple[str, ...]:
    """Return the last lines of a text, long ones cut."""
    lines = text.splitlines()[-LOG_TAIL_LINES:]
    return tuple(
        line if len(line) <= LOG_LINE_CHARACTERS else f"{line[:LOG_LINE_CHARACTERS]} ... ({len(line)} characters)"
        for line in lines
    )


def _append_file(path: Path | None = None) -> IO[bytes]:
    # closed by Journal.close
    if path is not None:
        return _appending(path.open("w+b", buffering=0))
    return _appending(tempfile.TemporaryFile(prefix="ortperf-", buffering=0))


def _appending(file: IO[bytes]) -> IO[bytes]:
    # because a child's offset outlives a reset by its parent
    fcntl.fcntl(file.fileno(), fcntl.F_SETFL, fcntl.fcntl(file.fileno(), fcntl.F_GETFL) | os.O_APPEND)
    return file


@dataclass(kw_only=True)
class RecordBuilder:
    """The parts of a record as they come in; what did not happen stays absent."""

    journal: Journal
    started: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="milliseconds"))
    started_ns: int = field(default_factory=time.perf_counter_ns)
    stage: str | None = None
    stage_ns: dict[str, int] = field(default_factory=dict)
    model_fact: ModelFact | None = None
    session: SessionFact | None = None
    placement: Placement | None = None
    inputs: tuple[TensorFact, ...] = ()
    assumed_dims: dict[str, int] = field(default_factory=dict)
    latencies: tuple[Latency, ...] = ()
    refused_timings: dict[str, str] = field(default_factory=dict)
    timing_notes: dict[str, str] = field(default_factory=dict)
    copies: Copies | None = None
    concurrent: Concurrent | None = None
    operators: OperatorProfile | None = None
    program: ProgramFact | None = None
    resources: Resources | None = None
    accuracy: tuple[DataSetAccuracy, ...] = ()
    checks: tuple[ConsistencyCheck, ...] = ()
    leak_check: LeakCheck | None = None
    valgrind_check: ValgrindCheck | None = None
    thread_check: ThreadCheck | None = None
    error_pictures: tuple[ErrorPicture, ...] = ()
    limits: tuple[LimitFact, ...] = ()
    machine: MachineState | None = None
    canary: Canary | None = None
    kept: Mapping[str, str] = field(default_factory=dict)
    validation: str | None = None
    reason: str | None = None
    """What is to be known of a case that passes, such as a graph without nodes."""

    def note(self, *texts: str | None) -> None:
        """Add what is to be known of a case that passes, each text once."""
        known = self.reason or ""
        new = [text for text in texts if text and text not in known]
        if new:
            self.reason = "; ".join([*([known] if known else []), *new])

    @contextmanager
    def entering(self, stage: str) -> Iterator[None]:
        """Note a stage, and add what it took; a stage may be entered again."""
        outer, self.stage = self.stage, stage
        self.journal.note(stage=stage)
        start = time.perf_counter_ns()
        try:
            yield
        finally:
            self.stage_ns[stage] = self.stage_ns.get(stage, 0) + time.perf_counter_ns() - start
        self.stage = outer

    def sampled(self, timing: str, samples_ns: Sequence[int], warmup_iterations: int) -> None:
        """Note samples so far, so that a crash does not lose them."""
        self.journal.note(samples={"timing": timing, "ns": list(samples_ns), "warmup": warmup_iterations})

    @property
    def duration_ns(self) -> int:
        """Time since the case started."""
        return time.perf_counter_ns() - self.started_ns
