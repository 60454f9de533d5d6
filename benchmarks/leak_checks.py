"""Leaks and races planted in a custom operator, and the bundled models that have none: what `ortperf check` says.

Planted are 1 kB lost in each run, 4 kB lost in each session, and a buffer that threads share. Each check is made as the
command makes it, in child processes; leaks with its default of seconds, threads with those of `--thread-seconds`.

Exit status: 1 if a target is missed.
"""

from __future__ import annotations

import dataclasses
import itertools
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

from measuring import Report, Target, parser, percentile, table

from pytest_ortperf.cases.matrix import Case
from pytest_ortperf.cases.model_list import read_models
from pytest_ortperf.cases.providers import CPU
from pytest_ortperf.commands.check import SECONDS, STUCK_S
from pytest_ortperf.execution.case_settings import ExecutionSettings
from pytest_ortperf.execution.checks.checked_case import CheckedCase, CheckEndedError
from pytest_ortperf.execution.checks.leaks import check_leaks
from pytest_ortperf.execution.checks.threads import check_threads
from pytest_ortperf.execution.execute import prepare_process
from pytest_ortperf.execution.model_trial import NoHooks
from pytest_ortperf.execution.record_builder import Journal, RecordBuilder
from pytest_ortperf.records.checks import LEAK, RUNS, SESSIONS, STUCK, WRONG, LeakCheck, ThreadCheck

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "tests" / "execution"))

from planted_ops import LEAK_RUN, LEAK_SESSION, RACE, planted_case  # noqa: E402

PLANTED, CLEAN = 20, 100
MOST_ACCUSED = 2
MOST_S = 60.0
LIGHT = ("shufflenet", "squeezenet")
"""Of the light networks, which take long."""

THREADS = 3
DEADLINE_S = 120.0


@dataclasses.dataclass(frozen=True, slots=True)
class Row:
    """One check."""

    subject: str
    planted: str
    """Nothing for a clean case."""

    accused: str
    """What it was accused of; nothing if it was not."""

    verdict: str
    seconds: float


def clean_cases(folder: Path) -> Iterator[Case]:
    """Yield models as given and in fp16, and the custom operator without a fault, again and again."""
    cases = []
    for model in read_models(ROOT / "models.json", workspace=None):
        if not model.path.is_relative_to(ROOT / "models") and model.name not in LIGHT:
            continue
        expected = {precision for each in model.xfail for precision in each.precisions}
        cases += [
            Case(model=model, mode="validate", provider=CPU, precision=precision)
            for precision in (None, "fp16")
            if precision not in expected
        ]
    cases.append(planted_case(folder))
    return itertools.cycle(cases)


def checked(case: Case, check: Callable[[CheckedCase], LeakCheck | ThreadCheck], planted: str = "") -> Row:
    """Make one check."""
    began = time.monotonic()
    with closing(Journal()) as journal:
        facts = RecordBuilder(journal=journal)
        work = CheckedCase(case=case, settings=ExecutionSettings(), hooks=NoHooks(), facts=facts)
        try:
            found = check(work)
            accused, verdict = accusation(found), found.verdict
        except CheckEndedError as error:
            accused, verdict = "", f"not checked: {error}"
    seconds = time.monotonic() - began
    row = Row(f"{case.model.name}[{case.variant}]", planted, accused, verdict, seconds)
    print(f"{planted or 'clean'} {row.subject}: {verdict} {accused} in {seconds:.1f} s", file=sys.stderr, flush=True)
    return row


def accusation(found: LeakCheck | ThreadCheck) -> str:
    """Return what a case is accused of."""
    if isinstance(found, ThreadCheck):
        return found.verdict if found.verdict in (WRONG, STUCK) else ""
    return ", ".join(f"{each.calls_of}: {each.name}" for each in found.growths if each.verdict == LEAK)


def summary(rows: Sequence[Row]) -> str:
    """Return a line for each plant."""
    lines = []
    for planted in dict.fromkeys(row.planted for row in rows):
        found = [row for row in rows if row.planted == planted]
        times = [row.seconds for row in found]
        lines.append(
            [
                planted or "nothing",
                str(len(found)),
                str(sum(bool(row.accused) for row in found)),
                ", ".join(f"{count} {verdict}" for verdict, count in Counter(row.verdict for row in found).items()),
                f"{percentile(times, 50):.1f}",
                f"{max(times):.1f}",
            ]
        )
    return table(["planted", "checks", "accused", "verdicts", "median s", "longest s"], lines)


def targets(rows: Sequence[Row], planted: Sequence[str], most_accused: int, limit: int) -> Iterator[Target]:
    """Yield what was promised of one kind of check."""
    for plant in planted:
        found = [row for row in rows if row.planted == plant]
        named = SESSIONS if plant == LEAK_SESSION else RUNS
        right = sum(named in row.accused if plant != RACE else row.accused == WRONG for row in found)
        yield Target(f"{plant} is found", f"{right} of {len(found)}", right == len(found))
    clean = [row for row in rows if not row.planted]
    accused = sum(bool(row.accused) for row in clean)
    text = f"at most {most_accused} of {limit} clean cases are accused"
    yield Target(text, f"{accused} of {len(clean)}", accused <= most_accused)
    longest = max(row.seconds for row in rows)
    yield Target(f"a check takes less than {MOST_S:g} s", f"{longest:.1f} s", longest < MOST_S)


def main() -> int:
    """Check, print, and return the exit status."""
    arguments = parser(__doc__, rounds=1)
    arguments.add_argument("--planted", type=int, default=PLANTED, help=f"checks of each plant; default {PLANTED}")
    arguments.add_argument("--clean", type=int, default=CLEAN, help=f"checks of clean cases; default {CLEAN}")
    arguments.add_argument("--skip", type=int, default=0, help="clean cases to pass over, for a run in parts")
    arguments.add_argument("--thread-seconds", type=float, default=2.0, help="of each way of threads; default 2")
    given = arguments.parse_args()
    prepare_process(uses_cuda=False)
    report = Report("Planted leaks and races")

    def leaks(work: CheckedCase) -> LeakCheck:
        return check_leaks(work, SECONDS, DEADLINE_S)

    def threads(work: CheckedCase) -> ThreadCheck:
        return check_threads(work, THREADS, seconds=given.thread_seconds, stuck_s=STUCK_S, deadline_s=DEADLINE_S)

    with tempfile.TemporaryDirectory(prefix="leak-checks-") as scratch:
        for title, check, plants, most in (
            ("Leaks", leaks, (LEAK_RUN, LEAK_SESSION), MOST_ACCUSED),
            ("Threads", threads, (RACE,), 0),
        ):
            rows = []
            for plant in plants:
                folder = Path(scratch) / plant
                folder.mkdir()
                planted = planted_case(folder, plant)
                rows += [checked(planted, check, plant) for _ in range(given.planted)]
            folder = Path(scratch) / f"clean {title}"
            folder.mkdir()
            rows += [
                checked(case, check)
                for case in itertools.islice(clean_cases(folder), given.skip, given.skip + given.clean)
            ]
            accused = [f"- {row.subject}: {row.accused}" for row in rows if row.accused and not row.planted]
            report.sections += [f"## {title}", summary(rows), "Clean, and accused:", "\n".join(accused) or "None."]
            report.targets += targets(rows, plants, most, given.clean)
            report.data[title.lower()] = [dataclasses.asdict(row) for row in rows]
    report.finish(given.output)
    return int(not all(target.kept for target in report.targets))


if __name__ == "__main__":
    sys.exit(main())
