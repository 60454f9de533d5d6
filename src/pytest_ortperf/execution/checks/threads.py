"""Threads that run a case at the same time, on one session and on a session each, against what one thread gets."""

from __future__ import annotations

import dataclasses
import itertools
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pytest_ortperf.cases.rules import Tolerance
from pytest_ortperf.execution.accuracy.consistency import same_bits
from pytest_ortperf.execution.accuracy.output_accuracy import compare
from pytest_ortperf.execution.accuracy.policy import choose_tolerance, tolerance_precision
from pytest_ortperf.execution.checks.checked_case import CheckedCase, Opened
from pytest_ortperf.execution.inputs.case_data import CaseData, case_data, tensor_facts
from pytest_ortperf.execution.inputs.tensor_types import Value
from pytest_ortperf.execution.inputs.tensor_values import ModelRunner
from pytest_ortperf.execution.session.run_errors import running, wanted_outputs
from pytest_ortperf.records.checks import SAME, STUCK, UNTOLD, WITHIN, WRONG, ThreadCheck, ThreadRun

if TYPE_CHECKING:
    import onnxruntime

ONE_SESSION, OWN_SESSIONS = "one session", "a session each"

_FEWEST_ITERATIONS = 5
_ALONE = 3
"""Runs of each set of inputs by one thread."""

_MOST_JUDGED = 50
"""Iterations with other bits that a thread compares by tolerance; more would only take time."""

_MOST_MESSAGES = 3
_SWITCH_S = 1e-5
"""After which Python lets another thread go on: the sooner, the more often their runs overlap."""

_POLL_S = 0.02

Outputs = Mapping[str, Value]
Tolerances = Callable[[str], Tolerance]


def check_threads(
    checked: CheckedCase, threads: int, *, seconds: float, stuck_s: float, deadline_s: float
) -> ThreadCheck:
    """Return whether threads get the outputs that one thread gets.

    Args:
        checked: The case.
        threads: How many.
        seconds: Of each of both ways.
        stuck_s: A thread is stuck that takes longer for one iteration.
        deadline_s: For the preparation of the case and the runs by one thread, beside them.

    Raises:
        CheckEndedError: If the case cannot be run by one thread, or its process ended.
    """
    # inputs of their own for all threads; stored ones come first
    settings = dataclasses.replace(checked.settings, seeds=max(threads, checked.settings.seeds or 0))
    checked = dataclasses.replace(checked, settings=settings)
    return checked.in_child(
        lambda opened: _checked(opened, threads, seconds, stuck_s), deadline_s + 2 * (seconds + stuck_s)
    )


def _checked(opened: Opened, threads: int, seconds: float, stuck_s: float) -> ThreadCheck:
    facts = opened.facts
    session = opened.bench.open()
    with facts.entering("inputs"):
        found = case_data(session, opened.case, opened.bench.settings)
        data_sets = list(itertools.islice(found, threads))
        facts.inputs = tensor_facts(data_sets[0])
    opened.bench.hooks.before_first_run(session)
    with facts.entering("first_run"), running(facts):
        alone = [_Alone.of(session, opened, data) for data in data_sets]
    runs: list[ThreadRun] = []
    sys.setswitchinterval(_SWITCH_S)
    with facts.entering("threads"):
        for name in (ONE_SESSION, OWN_SESSIONS):
            if runs and runs[-1].verdict in (STUCK, UNTOLD):
                break  # nothing could be started beside threads that hang
            opened.tell(f"{threads} threads, {name}: {seconds:.0f} s")
            with running(facts):
                sessions = [session, *(opened.create() for _ in range(threads - 1))]
            used = sessions if name == OWN_SESSIONS else [session] * threads
            together = _Together([_Thread(n, used, alone, opened) for n in range(threads)], len(data_sets), name)
            runs.append(together.run(seconds, stuck_s))
    return ThreadCheck(threads=threads, runs=tuple(runs))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Alone:
    """One set of inputs, and what one thread gets of it."""

    data: CaseData
    outputs: Outputs
    repeats: bool
    """Whether it gets that each time, to tolerance."""

    @classmethod
    def of(cls, session: onnxruntime.InferenceSession, opened: Opened, data: CaseData) -> _Alone:
        """Return what a session gives, run a few times."""
        runner = ModelRunner(session, wanted_outputs(session, opened.case), data.inputs)
        first, *others = (dict(zip(runner.output_names, runner.run(), strict=True)) for _ in range(_ALONE))
        tolerances = _tolerances(opened)
        return cls(data=data, outputs=first, repeats=all(not _outside(other, first, tolerances) for other in others))


def _tolerances(opened: Opened) -> Tolerances:
    fact, case = opened.facts.model_fact, opened.case
    storage = case.precision or (fact.precision if fact else None)
    precision = tolerance_precision(storage, fact.compute_precision if fact else None)
    return lambda output: choose_tolerance(
        case.model,
        precision=precision,
        provider=case.provider.name,
        output=output,
        command_line=opened.bench.settings.tolerance,
    )


def _outside(outputs: Outputs, expected: Outputs, tolerances: Tolerances) -> str | None:
    """Return what lies outside tolerance; `None` if nothing, or if all bits are the same."""
    if _same(outputs, expected):
        return None
    found = compare(outputs, expected, tolerances)
    return next((f"output '{each.name}' {each.message}" for each in found if not each.within_tolerance), None)


def _same(outputs: Outputs, expected: Outputs) -> bool:
    return all(same_bits(outputs[name], value) for name, value in expected.items())


@dataclass(slots=True)
class _Thread:
    """One of the threads; read by the main thread while it runs."""

    number: int
    sessions: Sequence[onnxruntime.InferenceSession]
    alone: Sequence[_Alone]
    opened: Opened
    iterations: int = 0
    differing: int = 0
    wrong: int = 0
    since: float | None = None
    """When its current iteration began."""

    ended: bool = False
    messages: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Of the first, 1."""
        return f"thread {self.number + 1} of {len(self.sessions)}"

    @property
    def own(self) -> _Alone:
        """Its inputs."""
        return self.alone[self.number % len(self.alone)]

    def work(self, start: threading.Barrier, seconds: float) -> None:
        """Run until the time is over."""
        try:
            session = self.sessions[self.number]
            runner = ModelRunner(session, wanted_outputs(session, self.opened.case), self.own.data.inputs)
            tolerances = _tolerances(self.opened)
            start.wait()
            end = time.monotonic() + seconds
            while time.monotonic() < end or self.iterations < _FEWEST_ITERATIONS:
                self.since = time.monotonic()
                values = runner.run()
                self.since = None
                self.iterations += 1
                self._judge(dict(zip(runner.output_names, values, strict=True)), tolerances)
        except threading.BrokenBarrierError:
            return  # another thread could not start, and says why
        except Exception as error:  # noqa: BLE001 - ONNX Runtime's have no common base
            start.abort()
            self.wrong += 1
            self._say(f"in iteration {self.iterations + 1} {type(error).__name__}: {str(error).strip()}")
        finally:
            self.since, self.ended = None, True

    def _judge(self, outputs: Outputs, tolerances: Tolerances) -> None:
        if _same(outputs, self.own.outputs):
            return
        self.differing += 1
        if self.differing > _MOST_JUDGED:
            return
        problem = _outside(outputs, self.own.outputs, tolerances)
        if problem is not None:
            self.wrong += 1
            self._say(f"in iteration {self.iterations} {self._whose(outputs)}{problem}")

    def _whose(self, outputs: Outputs) -> str:
        """Say so if the outputs belong to the inputs of others."""
        owners = [each for each in self.alone if each is not self.own and _same(outputs, each.outputs)]
        return f"got the outputs that belong to the inputs {owners[0].data.name}: " if owners else ""

    def _say(self, text: str) -> None:
        if not self.messages:
            self.messages.append(f"{self.name} {text}")


class _Together:
    """All threads of one way, started at the same moment."""

    def __init__(self, threads: Sequence[_Thread], inputs: int, sessions: str) -> None:
        self._threads = threads
        self._inputs = inputs
        self._sessions = sessions

    def run(self, seconds: float, stuck_s: float) -> ThreadRun:
        """Run them all; return at the latest when one iteration has taken `stuck_s`."""
        start = threading.Barrier(len(self._threads))
        for thread in self._threads:
            # daemons: a thread that hangs in native code never ends
            threading.Thread(target=thread.work, args=(start, seconds), daemon=True).start()
        while not all(thread.ended or self._is_stuck(thread, stuck_s) for thread in self._threads):
            time.sleep(_POLL_S)
        return ThreadRun(
            sessions=self._sessions,
            iterations=tuple(thread.iterations for thread in self._threads),
            inputs=self._inputs,
            verdict=self._verdict(),
            differing=sum(thread.differing for thread in self._threads),
            wrong=sum(thread.wrong for thread in self._threads),
            messages=tuple(itertools.islice(self._messages(), _MOST_MESSAGES + len(self._threads))),
        )

    @staticmethod
    def _is_stuck(thread: _Thread, stuck_s: float) -> bool:
        since = thread.since
        return since is not None and time.monotonic() - since > stuck_s

    def _verdict(self) -> str:
        wrong = [thread for thread in self._threads if thread.wrong]
        if wrong:
            # outputs that differ on one thread too say nothing of threads
            return WRONG if any(thread.own.repeats for thread in wrong) else UNTOLD
        if not all(thread.ended for thread in self._threads):
            return STUCK
        return WITHIN if any(thread.differing for thread in self._threads) else SAME

    def _messages(self) -> Iterator[str]:
        now = time.monotonic()
        for thread in self._threads:
            if not thread.ended:
                took = f"for {now - thread.since:.0f} s" if thread.since else ""
                yield f"{thread.name} is stuck in iteration {thread.iterations + 1} {took}".strip()
        told = [message for thread in self._threads for message in thread.messages]
        yield from told[:_MOST_MESSAGES]
