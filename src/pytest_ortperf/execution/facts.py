"""What becomes known of a case while it runs, and the journal that survives its process."""

from __future__ import annotations

import fcntl
import json
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import IO, Any

from pytest_ortperf.records.record import (
    DataSetAccuracy,
    Latency,
    ModelFact,
    Placement,
    SessionFact,
    TensorFact,
)

LOG_TAIL_BYTE = 16_384
LOG_TAIL_LINES = 40


class Journal:
    """Two files shared by the process that runs a case and the one that watches it.

    They have no name (`tempfile.TemporaryFile`), so that nothing is left behind whatever dies. The child writes its
    process id, each stage it enters and the samples so far; and its standard output and error go to the log.
    """

    def __init__(self) -> None:
        self._notes = _append_file()
        self._log = _append_file()

    def reset(self) -> None:
        """Empty both files for the next case."""
        os.ftruncate(self._notes.fileno(), 0)
        os.ftruncate(self._log.fileno(), 0)

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
        """Return the last lines of the log, of 16 KiB at most."""
        size = os.fstat(self._log.fileno()).st_size
        text = os.pread(self._log.fileno(), LOG_TAIL_BYTE, max(0, size - LOG_TAIL_BYTE)).decode(errors="replace")
        return tuple(text.splitlines()[-LOG_TAIL_LINES:])

    @contextmanager
    def capture_output(self) -> Iterator[None]:
        """Send file descriptors 1 and 2, native code's too, to the log meanwhile."""
        saved = os.dup(1), os.dup(2)
        try:
            os.dup2(self._log.fileno(), 1)
            os.dup2(self._log.fileno(), 2)
            yield
        finally:
            for target, source in enumerate(saved, 1):
                os.dup2(source, target)
                os.close(source)

    def close(self) -> None:
        """Give the files back."""
        self._notes.close()
        self._log.close()


def _append_file() -> IO[bytes]:
    file = tempfile.TemporaryFile(prefix="ortperf-", buffering=0)  # noqa: SIM115 - closed by Journal.close
    # appending, because a child's offset outlives a reset by its parent
    fcntl.fcntl(file.fileno(), fcntl.F_SETFL, fcntl.fcntl(file.fileno(), fcntl.F_GETFL) | os.O_APPEND)
    return file


@dataclass(kw_only=True)
class Facts:
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
    latencies: tuple[Latency, ...] = ()
    accuracy: tuple[DataSetAccuracy, ...] = ()

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
