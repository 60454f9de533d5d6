"""Live progress: lines below pytest's own output while a case runs, in the controller's terminal.

The last one is about the case that runs, those above it about the latest results.

A thread of the parent looks at the journal four times a second; the process that is measured writes there between
blocks of iterations anyway, and does nothing else for it. What is shown is erased before pytest writes.

What is said of a case while it runs, from the last notes in its journal.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
import threading
import time
from collections import deque
from collections.abc import Generator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from pytest_ortperf.plain_text import plain_line
from pytest_ortperf.running.outcome import is_case_id
from pytest_ortperf.running.run import NOTES_FOLDER
from pytest_ortperf.running.test_reports import ROW
from pytest_ortperf.settings import options

_HEAD_BYTE = 1024
_TAIL_BYTE = 4096
"""Samples come as long lines; progress, which stands after them, as a short one."""

_MINUTES_S = 100

WAITING = "waiting for the hardware"

_STAGES = {
    "session": "creating the session",
    "first_run": "first run",
    "warm_up": "warming up",
    "reference": "computing the reference",
    "lease": WAITING,
}


def recent_notes(descriptor: int) -> dict[str, Any]:
    """Return the first note of a journal, which says which case it is about, and the last ones, by key.

    Only the file's first and last few KiB are read, so that this costs the same after hours of samples.

    Args:
        descriptor: Of the journal's notes.
    """
    size = os.fstat(descriptor).st_size
    head = os.pread(descriptor, _HEAD_BYTE, 0).partition(b"\n")[0]
    start = max(0, size - _TAIL_BYTE)
    lines = os.pread(descriptor, _TAIL_BYTE, start).split(b"\n")[1 if start else 0 : -1]
    found: dict[str, Any] = {}
    for line in lines:
        found = _followed(found, _parsed(line))
    return _parsed(head) | found


def _followed(found: dict[str, Any], entry: Mapping[str, Any]) -> dict[str, Any]:
    # a stage that is entered ends the progress of the one before
    return dict(entry) if "stage" in entry else {**found, **entry}


def _parsed(line: bytes) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def status_text(case: str, notes: Mapping[str, Any], elapsed_s: float) -> str:
    """Return one line without line end, such as `n=84, half-width 1.4 % -> 1.0 %, 3 s left` after the case.

    Args:
        case: Its id.
        notes: The last ones, by key.
        elapsed_s: Time since the case began.
    """
    progress = notes.get("progress")
    if progress:
        return f"{case} {progress['timing']}: {_progress_text(progress)}"
    stage = notes.get("stage")
    what = _STAGES.get(stage, stage.replace("_", " ")) if stage else "starting"
    return f"{case}: {what}, {_seconds(elapsed_s)}"


def _progress_text(progress: Mapping[str, Any]) -> str:
    width, target, left = (progress.get(key) for key in ("half_width", "target", "seconds_left"))
    parts = [f"n={progress['iterations']}"]
    if width is not None:
        parts.append(f"half-width {_percent(width)}" + (f" -> {_percent(target)}" if target is not None else ""))
    if left is not None:
        parts.append(f"{_seconds(left)} left")
    return ", ".join(parts)


def _percent(share: float) -> str:
    return f"{share * 100:.1f} %"


def _seconds(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < _MINUTES_S else f"{seconds / 60:.0f} min"


NAME = "ortperf-progress"
PERIOD_S = 0.25
QUIET_S = 0.5
"""Of each case: what is shorter needs no progress."""

_LEAST_VERBOSITY = -1
_NARROWEST = 20
_LOW = 10
"""Lines of a terminal that has no room for results."""

_USUAL = 80
"""Columns of a terminal that does not say."""

MOST_RESULTS = 8
"""Rows of results above the line of the case that runs."""

_ERASE = "\x1b[K"
_ERASE_BELOW = "\x1b[J"


class Screen:
    """The lines below the cursor of a terminal. pytest's own line, and where it goes on in it, stay as they are."""

    def __init__(self, descriptor: int, config: pytest.Config) -> None:
        self._descriptor = descriptor
        self._writer = config.get_terminal_writer()
        self._shown = False

    def show(self, text: str, results: Sequence[str] = ()) -> None:
        """Show a line, and above it as many of the latest results as there is room for."""
        columns, height = os.get_terminal_size(self._descriptor)
        columns = columns or _USUAL
        if columns < _NARROWEST:
            return
        rows = list(results)[-min(MOST_RESULTS, max(height - 3, 0)) :] if height > _LOW else []
        lines = [plain_line(line) for line in (*rows, text)]
        lines = [line if len(line) < columns else f"{line[: columns - 4]}..." for line in lines]
        if self._writer.hasmarkup:
            lines[-1] = f"\x1b[2m{lines[-1]}\x1b[0m"
        self._write("".join(f"\n\r{line}{_ERASE}" for line in lines) + _ERASE_BELOW, len(lines))
        self._shown = True

    def erase(self) -> None:
        """Erase all lines that are shown."""
        if self._shown:
            self._write(f"\n\r{_ERASE_BELOW}", 1)
            self._shown = False

    def _write(self, text: str, lines: int) -> None:
        # not to the writer: that would count our text as part of pytest's line
        columns = os.get_terminal_size(self._descriptor).columns or _USUAL
        column = self._writer.width_of_current_line % columns + 1
        os.write(self._descriptor, f"{text}\x1b[{lines}A\x1b[{column}G".encode())


class Sources:
    """The notes of the cases that run now: of one journal here, or one file for each pytest-xdist worker."""

    def __init__(self) -> None:
        self.descriptors: dict[str, int] = {}
        self.finished: set[str] = set()
        """Node ids that nothing is shown of any more."""

        self._begun: dict[str, tuple[str, float]] = {}

    def watch_folder(self, folder: Path) -> None:
        """Read every file of a folder from now on."""
        for path in folder.iterdir():
            if path.name not in self.descriptors:
                self.descriptors[path.name] = os.open(path, os.O_RDONLY)

    def forget(self, name: str) -> None:
        """Close the file of a worker that is no more."""
        descriptor = self.descriptors.pop(name, None)
        if descriptor is not None:
            os.close(descriptor)

    def text(self, now_s: float) -> str:
        """Return what is to be shown; nothing for cases that have just begun."""
        lines = (self._line(name, recent_notes(descriptor), now_s) for name, descriptor in self.descriptors.items())
        # who waits, waits for who measures
        return " | ".join(sorted((line for line in lines if line), key=lambda line: (WAITING in line, line)))

    def _line(self, name: str, notes: Mapping[str, Any], now_s: float) -> str:
        case = notes.get("case")
        if case is None or notes.get("nodeid") in self.finished:
            self._begun.pop(name, None)
            return ""
        known, begun_s = self._begun.get(name, (case, now_s))
        begun_s = begun_s if known == case else now_s
        self._begun[name] = (case, begun_s)
        is_new = now_s - begun_s < QUIET_S
        return "" if is_new else f"{name} {status_text(case, notes, now_s - begun_s)}".lstrip()


class ProgressLine:
    """Shows progress, if pytest has a terminal for it; registered in the controller."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._screen: Screen | None = None
        self._lock = threading.Lock()
        self._sources: Sources | None = None
        self._wake = threading.Event()
        self._over = False
        self._folder: Path | None = None
        self._thread: threading.Thread | None = None
        self._results: deque[str] = deque(maxlen=MOST_RESULTS)

    def open(self) -> None:
        """Look for the terminal; without one nothing is ever shown."""
        descriptor = _terminal(self._config)
        self._screen = None if descriptor is None else Screen(descriptor, self._config)

    @contextlib.contextmanager
    def watching(self, descriptor: int) -> Iterator[None]:
        """Show the progress of one case meanwhile, from its journal's notes."""
        self._begin(descriptor)
        try:
            yield
        finally:
            self.pause()

    def pause(self) -> None:
        """Erase the line, and show nothing until the next case begins."""
        with self._writing():
            self._wake.clear()
            self._sources = None

    # before pytest-xdist starts its workers: they get the options as they are then
    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionstart(self) -> None:
        self.open()
        if self._screen is not None and self._config.pluginmanager.hasplugin("dsession"):
            self._folder = Path(tempfile.mkdtemp(prefix="ortperf-progress-"))
            options.share_with_workers(self._config, NOTES_FOLDER, str(self._folder))
            self._sources = Sources()
            self._start()

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_logstart(self, nodeid: str) -> Generator[None, None, None]:
        with self._writing():
            yield
        run = self._config.pluginmanager.getplugin("ortperf-run")
        if self._folder is None and is_case_id(nodeid) and run.runner != "none":
            self._begin(run.journal.notes_descriptor)
        elif self._sources is not None:
            self._sources.finished.discard(nodeid)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> Generator[None, None, None]:
        if self._folder is None:
            self.pause()
        row = getattr(report, ROW, "")
        if row and self._config.option.verbose <= 0:  # else pytest's own lines tell the results
            self._results.append(row)
        with self._writing():
            return (yield)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        with self._lock:
            if self._sources is not None:
                self._sources.finished.add(nodeid)

    @pytest.hookimpl(wrapper=True, tryfirst=True, optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> Generator[None, None, None]:
        with self._writing():
            if self._folder is not None and self._sources is not None:
                (self._folder / node.gateway.id).unlink(missing_ok=True)
                self._sources.forget(node.gateway.id)
            return (yield)

    @pytest.hookimpl(tryfirst=True)
    def pytest_keyboard_interrupt(self) -> None:
        self.pause()

    @pytest.hookimpl(tryfirst=True)
    def pytest_internalerror(self) -> None:
        self.pause()

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        self.pause()
        self._over = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        """Let pytest write: nothing is shown meanwhile."""
        with self._lock:
            if self._screen is not None:
                self._screen.erase()
            yield

    def _begin(self, descriptor: int) -> None:
        if self._screen is None:
            return
        sources = Sources()
        sources.descriptors[""] = descriptor
        with self._lock:
            self._sources = sources
        self._start()

    def _start(self) -> None:
        self._wake.set()
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="ortperf-progress", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while True:
            self._wake.wait()
            if self._over:
                return
            time.sleep(PERIOD_S)
            with self._lock:
                try:
                    self._draw()
                except OSError:  # the terminal is gone; the run goes on without
                    return

    def _draw(self) -> None:
        if self._sources is None or self._screen is None:
            return
        if self._folder is not None:
            self._sources.watch_folder(self._folder)
        text = self._sources.text(time.monotonic())
        if text:
            self._screen.show(text, tuple(self._results))
        else:
            self._screen.erase()


def progress_of(config: pytest.Config) -> ProgressLine:
    """Return what shows progress in this process, registered now if it was not."""
    found: ProgressLine | None = config.pluginmanager.getplugin(NAME)
    if found is None:
        found = ProgressLine(config)
        config.pluginmanager.register(found, NAME)
        found.open()
    return found


def _terminal(config: pytest.Config) -> int | None:
    """Return a descriptor of pytest's terminal of its own; `None` if it has none that lines can be redrawn in."""
    reporter = config.pluginmanager.getplugin("terminalreporter")
    if reporter is None or not reporter.isatty or os.environ.get("TERM", "dumb") == "dumb":
        return None
    if config.option.verbose < _LEAST_VERBOSITY or options.given(config, "progress") == "off":
        return None
    capture = config.pluginmanager.getplugin("capturemanager")
    # a test's output is captured while the fixture runs: this is for what is behind it
    with capture.global_and_fixture_disabled() if capture else contextlib.nullcontext():
        return os.dup(1) if os.isatty(1) else None
