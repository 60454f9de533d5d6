"""The interpreter of a side as its leader sees it: started, asked, ended, and with a log for what it prints."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_ortperf.errors import OrtPerfError
from pytest_ortperf.pairing.channel import Channel, Message, Silent
from pytest_ortperf.records.codec import from_dict
from pytest_ortperf.records.environment.run_header import Environment

START_S = 300.0
"""A side that has not collected its cases by then is given up: a probe of each provider is part of it."""

_LOG_LINES = 15


@dataclass(frozen=True, slots=True, kw_only=True)
class SideSpec:
    """What a side is made of."""

    name: str
    """`base` or `current`."""

    python: str
    """Its interpreter."""

    options: tuple[str, ...]
    """Of pytest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SideCase:
    """A case that a side has."""

    case_id: str
    nodeid: str
    model: str
    provider: str
    precision: str | None
    dims: Mapping[str, int]
    timings: tuple[str, ...]
    """Modes it can be measured in, the headline first."""

    on_device: bool
    """Whether its provider has memory of its own."""

    threads: int | None
    """Of its sessions, inside an operator; `None` is ONNX Runtime's choice."""

    skip: str | None
    """Why the model list leaves it out."""


class SideGoneError(OrtPerfError):
    """A side could not start, or ended by itself."""


class SideProcess:
    """One interpreter.

    Attributes:
        spec: What it was made of.
        cases: What it has collected, by id.
        environment: Of its interpreter.
        options: Of pytest-ortperf, as they took effect.
        is_gone: Whether it has ended.
    """

    def __init__(self, spec: SideSpec, log: Path) -> None:
        """Start it; `meet` waits for it.

        Raises:
            SideGoneError: If there is no such interpreter.
        """
        self.spec = spec
        self.cases: dict[str, SideCase] = {}
        self.environment: Environment | None = None
        self.options: Mapping[str, object] = {}
        self._log = log
        request_read, request_write = os.pipe()
        answer_read, answer_write = os.pipe()
        command = [spec.python, "-m", "pytest_ortperf.pairing.side_worker", str(request_read), str(answer_write)]
        try:
            with log.open("ab") as output:
                self._process = subprocess.Popen(  # noqa: S603 - the interpreter that the user names
                    [*command, *spec.options],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    pass_fds=(request_read, answer_write),
                    start_new_session=True,  # Ctrl-C is the leader's, which ends this side itself
                )
        except OSError as error:
            os.close(request_write)
            os.close(answer_read)
            raise SideGoneError(
                f"--{spec.name}-python={spec.python}: {error.strerror}; give a Python interpreter"
            ) from error
        finally:
            os.close(request_read)
            os.close(answer_write)
        self._channel = Channel(answer_read, request_write)
        self.is_gone = False

    def meet(self) -> None:
        """Wait until it has collected its cases.

        Raises:
            SideGoneError: If it cannot, or has none.
        """
        try:
            hello = self._channel.hear(START_S)
        except Silent as silent:
            raise SideGoneError(self._why(str(silent))) from silent
        if hello["errors"] or not hello.get("cases"):
            errors = (
                "\n".join(hello["errors"]) or "its options collect no case; see -k, --ortperf-ep and the model list"
            )
            raise SideGoneError(f"{self.spec.name}: {errors}")
        self.cases = {data["case_id"]: from_dict(SideCase, data) for data in hello["cases"]}
        self.environment = from_dict(Environment, hello["environment"])
        self.options = hello["options"]

    def ask(self, do: str, **arguments: Any) -> Message:
        """Return the answer to one request; the side keeps the deadlines of its cases itself.

        Raises:
            SideGoneError: If it is gone.
        """
        try:
            self._channel.tell({"do": do, **arguments})
            return self._channel.hear()
        except Silent as silent:
            raise SideGoneError(self._why(str(silent))) from silent

    def close_case(self) -> None:
        """Have it end the process of its case.

        Raises:
            SideGoneError: If it is gone.
        """
        self.ask("close")

    def end(self) -> None:
        """End it, its case and all that they started; more than once does no harm."""
        if self.is_gone:
            return
        self.is_gone = True
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._channel.close()

    def _why(self, what: str) -> str:
        self.end()
        lines = self._log.read_text(encoding="utf-8", errors="replace").splitlines()[-_LOG_LINES:]
        said = "\n  ".join(lines) or "it printed nothing"
        way_out = ""
        if any("No module named" in line and "pytest_ortperf" in line for line in lines):
            way_out = f"\nInstall this package there: {self.spec.python} -m pip install pytest-ortperf"
        return f"the {self.spec.name} side, {self.spec.python}: {what}:\n  {said}{way_out}"


def started(specs: Sequence[SideSpec], folder: Path) -> tuple[SideProcess, SideProcess]:
    """Return both sides, started beside each other, with their cases.

    Raises:
        SideGoneError: If one cannot start; the other is ended.
    """
    sides: list[SideProcess] = []
    try:
        for spec in specs:
            sides.append(SideProcess(spec, folder / f"{spec.name}.log"))  # noqa: PERF401 - what is started must be ended
        for side in sides:
            side.meet()
    except BaseException:
        for side in sides:
            side.end()
        raise
    base, current = sides
    return base, current
