"""`ortperf check`: leaks of a case, and whether threads get the outputs that one thread gets."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from pytest_ortperf.commands.ab import seconds
from pytest_ortperf.errors import CaseError, SettingsError

if TYPE_CHECKING:
    from pytest_ortperf.execution.checks.checked_case import CheckedCase
    from pytest_ortperf.execution.record_builder import RecordBuilder
    from pytest_ortperf.records.record import Failure, Record
    from pytest_ortperf.running.case_item import CaseItem

DESCRIPTION = """\
Look for what neither a validation nor a benchmark shows, in child processes.

--leaks repeats runs on one session, then creates, runs and destroys sessions, in
rounds of ever more calls, and reads after each round: heap, resident memory, GPU
memory, file descriptors, threads. What grows in proportion to the calls is a leak.
What grows is tried again without ONNX Runtime's arena, which only holds memory.

--valgrind runs a few sessions under valgrind and lists the memory that is
definitely lost with ONNX Runtime, the provider or a custom-op library on the stack.

--threads=N runs N threads with inputs of their own on one session, then on a
session each, and compares every output with what one thread alone gets.

The result is a run in the results folder: `ortperf report`, tables and page show it.
All further options are pytest's, as in a run: --ortperf-..., -c, --rootdir.

Exit status: 0 nothing was found, 1 something was, or the case cannot be run,
2 for arguments that cannot be used, 3 the check cannot tell."""

EXAMPLES = """\
examples:
  ortperf check 'models.json::bert::validate[cpu]' --leaks
  ortperf check 'bert::validate[cuda]' --leaks --threads=4
  ortperf check 'bert::validate[tensorrt]' --valgrind --ortperf-timeout=1800
"""

SECONDS, STUCK_S = 40.0, 20.0
_FOUND, _NOTHING, _UNSURE = 1, 0, 3
_MOST_THREADS = 256
_THREAD_SECONDS = 5.0


def add_command(commands: Any) -> None:
    """Add the command to the subparsers of `ortperf`."""
    parser = commands.add_parser(
        "check",
        help="look for leaks, and for outputs that go wrong under threads",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("case", metavar="CASE", help="node id as pytest prints it, or case id: 'bert::validate[cuda]'")
    parser.add_argument("--models", metavar="PATH", help="model list or directory, where CASE names none")
    parser.add_argument("--leaks", action="store_true", help="watch memory, file descriptors and threads")
    parser.add_argument(
        "--valgrind", action="store_true", help="list lost memory with its place; slow: --ortperf-timeout is its limit"
    )
    parser.add_argument("--threads", type=_threads, metavar="N", help="compare the outputs of N threads; 2 or more")
    parser.add_argument(
        "--seconds",
        type=seconds,
        default=SECONDS,
        metavar="S",
        help=f"time of --leaks for calls (default: {SECONDS:g})",
    )
    parser.add_argument(
        "--stuck",
        type=seconds,
        default=STUCK_S,
        metavar="S",
        help=f"a thread whose iteration takes longer is stuck (default: {STUCK_S:g})",
    )
    parser.set_defaults(call=run, takes_more=True)


def _threads(text: str) -> int:
    if not text.isdecimal() or int(text) not in range(2, _MOST_THREADS + 1):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of threads from 2 to {_MOST_THREADS}")
    return int(text)


def run(arguments: argparse.Namespace) -> int:
    """Check, print, write the run, and return the exit status.

    Raises:
        OrtPerfError: If the case or an option cannot be used, or results cannot be written.
    """
    if not (arguments.leaks or arguments.valgrind or arguments.threads):
        raise SettingsError("ortperf check: say what to look for: --leaks, --valgrind or --threads=N")
    if arguments.valgrind:
        from pytest_ortperf.execution.checks.valgrind import find_valgrind

        find_valgrind()
    from pytest_ortperf.collection.one_case import read_case_id, with_case

    case = read_case_id(arguments.case)
    if arguments.models is not None:
        case = dataclasses.replace(case, source=arguments.models)
    return with_case(case, arguments.more, lambda item: _check(item, arguments))


def _check(item: CaseItem, arguments: argparse.Namespace) -> int:
    from pytest_ortperf.execution.execute import prepare_process
    from pytest_ortperf.recording.check_run import write_check
    from pytest_ortperf.records.store import check_writable
    from pytest_ortperf.reports.terminal.check_text import check_lines
    from pytest_ortperf.running.item_runner import uses_cuda

    check_writable(item.run.settings.results)
    prepare_process(uses_cuda=uses_cuda(item.run))
    record = _checked(item, arguments)
    status = _FOUND if record.failure else _UNSURE if _is_unsure(record) else _NOTHING
    for line in check_lines(record):
        print(line)
    paths = write_check(item, record, ("ortperf", *sys.argv[1:]), status)
    print(f"results: {paths[0]} and {len(paths) - 1} more beside it")
    return status


def _checked(item: CaseItem, arguments: argparse.Namespace) -> Record:
    """Make the checks one after the other; the first that the case does not survive is the last."""
    from pytest_ortperf.execution.checks.checked_case import CheckedCase, CheckEndedError
    from pytest_ortperf.execution.record_builder import RecordBuilder
    from pytest_ortperf.recording.check_run import CheckAttempt
    from pytest_ortperf.running.outcome import crash_of, failure_of, record_of

    facts = RecordBuilder(journal=item.run.journal)
    attempt = CheckAttempt.of(item, facts)
    checked = CheckedCase(case=item.case, settings=item.run.settings.execution, hooks=item.hooks, facts=facts)
    try:
        _make(checked, facts, arguments, item.timeout_s)
    except CheckEndedError as error:
        if error.end is not None:
            return crash_of(attempt, error.end, item.run.journal)
        return record_of(attempt, "failed", failure=error.failure)
    except CaseError as error:
        return record_of(attempt, "failed", failure=failure_of(attempt, error))
    failures = list(_failures(facts))
    if failures:
        outcome = "timed_out" if failures[0].kind == "timeout" else "failed"
        return record_of(attempt, outcome, failure=failures[0])
    facts.note(*_doubts(facts))
    return record_of(attempt, "passed")


def _make(checked: CheckedCase, facts: RecordBuilder, arguments: argparse.Namespace, deadline_s: float) -> None:
    from pytest_ortperf.execution.checks.leaks import check_leaks
    from pytest_ortperf.execution.checks.threads import check_threads
    from pytest_ortperf.execution.checks.valgrind import check_with_valgrind

    if arguments.leaks:
        facts.leak_check = check_leaks(checked, arguments.seconds, deadline_s)
    if arguments.valgrind:
        print(f"valgrind: up to {deadline_s:g} s", file=sys.stderr, flush=True)
        facts.valgrind_check = check_with_valgrind(checked, deadline_s)
    if arguments.threads:
        facts.thread_check = check_threads(
            checked, arguments.threads, seconds=_THREAD_SECONDS, stuck_s=arguments.stuck, deadline_s=deadline_s
        )


def _failures(facts: RecordBuilder) -> Iterator[Failure]:
    """Yield what was found, as failures of the case."""
    from pytest_ortperf.records.checks import LEAK, STUCK, WRONG
    from pytest_ortperf.records.record import Failure
    from pytest_ortperf.reports.terminal.check_text import growth_text, lost_text, run_text

    leaks, valgrind, threads = facts.leak_check, facts.valgrind_check, facts.thread_check
    if leaks and leaks.verdict == LEAK:
        texts = [growth_text(each) for each in leaks.growths if each.verdict == LEAK]
        yield Failure(kind="leak", stage="leaks", message=f"it leaks: {'; '.join(texts)}")
    if valgrind and valgrind.verdict == LEAK:
        texts = [lost_text(each) for each in valgrind.lost if each.again]
        yield Failure(kind="leak", stage="leaks", message=f"definitely lost, by valgrind: {'; '.join(texts)}")
    for run_ in threads.runs if threads else ():
        text = "; ".join((f"{threads.threads} threads, {run_text(run_)}", *run_.messages)) if threads else ""
        if run_.verdict == WRONG:
            yield Failure(kind="race", stage="threads", message=text)
        elif run_.verdict == STUCK:
            yield Failure(kind="timeout", stage="threads", message=text)


def _is_unsure(record: Record) -> bool:
    from pytest_ortperf.records.checks import UNSURE, UNTOLD

    checks = (record.leak_check, record.valgrind_check, record.thread_check)
    return any(check.verdict in (UNSURE, UNTOLD) for check in checks if check)


def _doubts(facts: RecordBuilder) -> Iterator[str]:
    """Yield what could not be told."""
    from pytest_ortperf.records.checks import UNSURE, UNTOLD, WITHIN

    for check, what in ((facts.leak_check, "leaks"), (facts.valgrind_check, "valgrind")):
        if check and check.verdict == UNSURE:
            yield f"{what}: unsure"
    if facts.thread_check and facts.thread_check.verdict == UNTOLD:
        yield "threads: unsure, since one thread alone gets other outputs each time"
    if facts.thread_check and facts.thread_check.verdict == WITHIN:
        yield "threads: outputs differ from those of one thread, within tolerance"
