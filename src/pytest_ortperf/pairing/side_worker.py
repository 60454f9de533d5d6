"""One side of all pairs of a round, in its own interpreter: collects its cases with pytest, and measures when told.

    python -m pytest_ortperf.pairing.side_worker READ WRITE [options of pytest ...]

READ and WRITE are descriptors of pipes. Each case is measured in a fresh child of this process, which holds no
session itself. Between two turns the child is stopped: no thread of an idle session spins on the cores that the other
side is measured on.
"""

from __future__ import annotations

import dataclasses
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

from pytest_ortperf.cases.matrix import applies
from pytest_ortperf.collection.one_case import with_cases
from pytest_ortperf.errors import CaseError, CaseSkipped, OrtPerfError
from pytest_ortperf.execution.execute import prepare_process
from pytest_ortperf.execution.interleaved import InterleavedWorker
from pytest_ortperf.execution.machine.devices import nvml_gpus
from pytest_ortperf.execution.machine.lease import Busy, claims_of, holding, lock_folder
from pytest_ortperf.execution.process.child import Child, ChildEnd, die_with_parent
from pytest_ortperf.execution.record_builder import waited_s
from pytest_ortperf.execution.session.session_config import session_config_of
from pytest_ortperf.execution.timing.timing_modes import modes_of
from pytest_ortperf.pairing.channel import Channel, Message, Silent
from pytest_ortperf.records.codec import as_dict
from pytest_ortperf.records.environment.host import collect_environment
from pytest_ortperf.records.record import Record
from pytest_ortperf.running.case_item import CaseItem
from pytest_ortperf.running.item_runner import uses_cuda
from pytest_ortperf.running.outcome import crash_of, expected_failure, failure_of, record_of
from pytest_ortperf.settings import options

ALWAYS = ("--ortperf-mode=benchmark", "-n0")
"""What every side is collected with."""

USAGE_ERROR = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve one side until its pipe is closed; return the exit status."""
    read, write, *given = sys.argv[1:] if arguments is None else arguments
    # at once, also while a case opens or waits for hardware; the end of the pipe is seen only between two requests
    die_with_parent()
    channel = Channel(int(read), int(write))

    def work(items: Sequence[CaseItem], errors: Sequence[str]) -> int:
        SideWorker(channel, items, errors).serve()
        return 0

    try:
        return with_cases([*ALWAYS, *given], work, "any case")
    except OrtPerfError as error:
        sys.stderr.write(f"{error}\n")
        return USAGE_ERROR


class SideWorker:
    """The cases of a side, and the child that has one of them open."""

    def __init__(self, channel: Channel, items: Sequence[CaseItem], errors: Sequence[str]) -> None:
        self._channel = channel
        self._items = {item.case.case_id: item for item in items}
        self._errors = errors
        self._case: _OpenCase | None = None
        self._answers: Mapping[str, Callable[[Message], Message]] = {
            "open": self._open,
            "turn": self._turn,
            "close": self._close,
        }

    def serve(self) -> None:
        """Answer until nobody is there."""
        try:
            self._channel.tell(self._hello())
            while True:
                request = self._channel.hear()
                self._channel.tell(self._answers[request["do"]](request))
        except Silent:
            return
        finally:
            self._close({})

    def _hello(self) -> Message:
        if not self._items:
            return {"errors": list(self._errors)}
        first = next(iter(self._items.values()))
        run = first.run
        prepare_process(uses_cuda=uses_cuda(run))
        environment = collect_environment(nvml_gpus(), workspace=run.settings.execution.workspace)
        return {
            "errors": list(self._errors),
            "cases": [_described(item) for item in self._items.values()],
            "environment": as_dict(environment),
            "options": as_dict(options.effective(run.config)),
        }

    def _open(self, request: Message) -> Message:
        self._close({})
        self._case = _OpenCase(self._items[request["case_id"]], request["timing"], request["held"], request["cores"])
        return self._case.ask(("open", None))

    def _turn(self, request: Message) -> Message:
        if self._case is None:
            raise RuntimeError("a turn of no case")
        return self._case.ask(("turn", (request["runs"], request["lead_in"])))

    def _close(self, _: Message) -> Message:
        if self._case is not None:
            self._case.end()
            self._case = None
        return {}


def _described(item: CaseItem) -> Message:
    case = item.case
    return {
        "case_id": case.case_id,
        "nodeid": item.nodeid,
        "model": case.model.name,
        "provider": case.provider.name,
        "precision": case.precision,
        "dims": dict(case.dims),
        "timings": list(modes_of(case.provider, item.run.settings.execution.timing)),
        "on_device": case.provider.memory is not None,
        "threads": session_config_of(case, item.run.settings.execution).intra_op_threads,
        "skip": _skip_reason(item),
    }


def _skip_reason(item: CaseItem) -> str | None:
    """Return why the model list leaves a case out."""
    return next((each.reason for each in item.case.model.skip if applies(each, item.case)), None)


class _OpenCase:
    """A child of this process that has a case open, stopped but for its turns."""

    def __init__(self, item: CaseItem, timing: str, held: Sequence[str], cores: Sequence[int]) -> None:
        self._item = item
        self._cores = cores
        self._timing = timing
        self._others = frozenset(held)
        journal = item.run.journal
        journal.reset()
        item.start()
        self._taker: InterleavedWorker | None = None
        self._leases = ExitStack()
        self._child = Child(self._serve, lambda: waited_s(journal))

    def ask(self, request: tuple[str, Any]) -> Message:
        """Let the child go on until it has answered."""
        if not self._child.dead():
            os.kill(self._child.pid, signal.SIGCONT)
        answer = self._child.ask(request, self._item.timeout_s)
        if isinstance(answer, ChildEnd):
            return {"record": as_dict(crash_of(self._item, answer, self._item.run.journal))}
        if not self._child.dead():
            os.kill(self._child.pid, signal.SIGSTOP)
        message: Message = answer
        return message

    def end(self) -> None:
        """End the child."""
        self._child.end()

    # from here on in the child

    def _serve(self, request: tuple[str, Any]) -> Message:
        what, arguments = request
        with self._item.run.journal.capture_output():
            try:
                return self._opened() if what == "open" else self._turned(*arguments)
            except Busy as busy:
                return {"busy": str(busy)}
            except CaseSkipped as error:
                record = record_of(self._item, "skipped", reason=str(error))
            except Exception as error:  # noqa: BLE001 - whatever it is, the record tells it
                record = self._failed(error)
            # the other side is opened all the same, and this process lives on
            self._leases.close()
            return {"record": as_dict(record)}

    def _opened(self) -> Message:
        item = self._item
        item.run.journal.note(pid=os.getpid(), nodeid=item.nodeid, case=item.case.case_id)
        item.run.journal.catch_faults()
        settings = dataclasses.replace(item.run.settings.execution, timing=(self._timing,))
        if item.facts is None:
            raise RuntimeError(f"{item.nodeid}: not started")
        reason = _skip_reason(item)
        if reason is not None:
            raise CaseSkipped(reason)
        claims = self._claim(settings)
        if self._cores:
            os.sched_setaffinity(0, self._cores)
        self._taker = InterleavedWorker(item.case, settings, item.facts, item.hooks)
        opened = self._taker.open()
        return {"opened": dataclasses.asdict(opened), "held": claims, "record": as_dict(record_of(item, "passed"))}

    def _claim(self, settings: Any) -> list[str]:
        """Hold the hardware that the case needs and the other side does not hold already, until this process ends."""
        item = self._item
        if item.facts is None:
            raise RuntimeError(f"{item.nodeid}: not started")
        found = []
        with item.facts.entering("lease"):
            folder = lock_folder()
            for claim in claims_of(item.case, settings):
                if claim.name not in self._others:
                    # who waits with something in hand keeps others waiting, and they may have what it waits for
                    waits = not self._others
                    self._leases.enter_context(holding(folder, claim, item.facts.journal, waits=waits))
                    found.append(claim.name)
        return found

    def _turned(self, runs: int, lead_in: int) -> Message:
        if self._taker is None:
            raise RuntimeError("a turn before the case is open")
        return self._taker.turn(runs, lead_in)

    def _failed(self, error: Exception) -> Record:
        captured = "" if isinstance(error, CaseError) else f"{type(error).__name__}: {error}"
        failure = failure_of(self._item, error, captured)
        expected = expected_failure(self._item)
        if expected is not None:
            return record_of(self._item, "xfailed", failure=failure, reason=expected.reason)
        return record_of(self._item, "failed", failure=failure)


if __name__ == "__main__":
    sys.exit(main())
