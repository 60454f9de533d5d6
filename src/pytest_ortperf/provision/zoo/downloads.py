"""Several files at once, with one line that says how far they are."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pytest_ortperf.pairing.status_line import StatusLine
from pytest_ortperf.provision.zoo.catalogue import ZooError
from pytest_ortperf.provision.zoo.folder import ModelFolder
from pytest_ortperf.provision.zoo.transfer import JOBS, STALLED_S, Arrived, Stopped, Wanted, Watch, fetch
from pytest_ortperf.reports.terminal.inspection_text import byte_text

_BAR = 10
_SHOW_S = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetching:
    """How files are fetched."""

    folder: ModelFolder
    status: StatusLine
    jobs: int = JOBS
    stalled_s: float = STALLED_S


@dataclass(slots=True)
class _Progress:
    """What is there of several files."""

    wanted: Sequence[Wanted]
    status: StatusLine
    have: dict[Path, int] = field(default_factory=dict)
    totals: dict[Path, int | None] = field(default_factory=dict)
    done: int = 0
    begin_byte: int = 0
    begin_s: float = field(default_factory=time.monotonic)
    shown_s: float = 0.0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        for each in self.wanted:
            have = each.part.stat().st_size if each.part.exists() else 0
            self.have[each.target] = have
            self.totals[each.target] = each.byte
        self.begin_byte = sum(self.have.values())

    def grown_of(self, wanted: Wanted) -> Callable[[int, int | None], None]:
        def grown(have: int, total: int | None) -> None:
            with self.lock:
                self.have[wanted.target] = have
                self.totals[wanted.target] = total
                if time.monotonic() - self.shown_s > _SHOW_S:
                    self._show()

        return grown

    def finished(self, text: str) -> None:
        with self.lock:
            self.done += 1
            self.status.tell(text)
            self._show()

    def _show(self) -> None:
        self.shown_s = time.monotonic()
        have = sum(self.have.values())
        known = [total for total in self.totals.values() if total is not None]
        byte_s = max(have - self.begin_byte, 0) / max(self.shown_s - self.begin_s, 0.001)
        files = f"{self.done} of {len(self.wanted)} files"
        if len(known) < len(self.wanted) or not sum(known):
            self.status.show(f"{files}, {byte_text(have)}, {byte_text(int(byte_s))}/s", None)
            return
        total = sum(known)
        share = min(have / total, 1.0)
        bar = "#" * int(share * _BAR)
        text = f"[{bar:.<{_BAR}}] {share:.0%} of {byte_text(total)}, {files}, {byte_text(int(byte_s))}/s"
        self.status.show(text, (total - have) / byte_s if byte_s else None)


def fetch_all(wanted: Sequence[Wanted], fetching: Fetching) -> dict[Path, Arrived | ZooError]:
    """Get several files at once, and return by their final names what came, or why it did not.

    Each is remembered as finished. Ctrl-C ends it at once; part files stay.

    Raises:
        ZooError: If a file cannot be written.
    """
    if not wanted:
        return {}
    progress = _Progress(wanted, fetching.status)
    stop = threading.Event()
    waiting: queue.SimpleQueue[Wanted] = queue.SimpleQueue()
    over: queue.SimpleQueue[tuple[Wanted, Arrived | BaseException]] = queue.SimpleQueue()
    for each in wanted:
        waiting.put(each)

    def work() -> None:
        while not stop.is_set():
            try:
                mine = waiting.get_nowait()
            except queue.Empty:
                return
            watch = Watch(progress.grown_of(mine), stop, fetching.stalled_s, fetching.folder.check_room)
            try:
                over.put((mine, fetch(mine, watch)))
            except BaseException as error:  # noqa: BLE001 - the main thread raises it again
                over.put((mine, error))

    # daemons: one that waits for a server does not keep the process from its end
    for number in range(min(fetching.jobs, len(wanted))):
        threading.Thread(target=work, name=f"ortperf-fetch-{number}", daemon=True).start()
    found: dict[Path, Arrived | ZooError] = {}
    try:
        for _ in wanted:
            mine, result = over.get()
            found[mine.target] = _taken(mine, result, progress, fetching.folder)
    finally:
        stop.set()
    return found


def _taken(
    wanted: Wanted, result: Arrived | BaseException, progress: _Progress, folder: ModelFolder
) -> Arrived | ZooError:
    if isinstance(result, Arrived):
        folder.remember(wanted.target, result.sha256, wanted.identity)
        note = f"; {result.note}" if result.note else ""
        progress.finished(f"{wanted.name}: {byte_text(result.byte)}{note}")
        return result
    if isinstance(result, ZooError):
        progress.finished(f"{wanted.name}: failed")
        return result
    if isinstance(result, OSError):
        raise ZooError(
            f"{wanted.target}: not written: {result.strerror or result}. What has come is kept, and the same command "
            f"goes on there."
        ) from result
    if isinstance(result, Stopped):
        raise KeyboardInterrupt from result
    raise result
