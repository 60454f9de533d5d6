"""What collecting costs: 10,000 cases beside pytest's own parametrised functions, and the plugin where it is not used.

All sides in turns, as whole commands.
"""

from __future__ import annotations

import functools
import json
import statistics
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from measuring import Finished, Report, Target, in_turns, parser, ratio, run_command, spread, table

PYTEST = (sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q")
OURS, THEIRS = "cases of a model list", "pytest's parametrised functions"
PRESENT, BLOCKED = "plugin installed, not asked for", "plugin blocked"
RATIO_LIMIT, PEAK_LIMIT_MIB, COST_LIMIT_MS = 2.0, 150.0, 30.0

FUNCTIONS = """import pytest


@pytest.mark.parametrize("number", range({cases}))
def test_case(number):
    pass
"""
FOREIGN_TEXT = (
    "`pytest -q` in a project with one test of its own, {rounds} rounds in turns; the median difference is "
    "{wall:.1f} ms, of the CPU times {cpu:.1f} ms."
)
FOREIGN_TEST = "def test_one():\n    pass\n"
FOREIGN_CONFTEST = """import sys


def pytest_unconfigure():
    heavy = sorted({"onnxruntime", "onnx", "numpy", "pandas"} & set(sys.modules))
    print("imported:", ", ".join(heavy) or "none")
"""


def write_projects(folder: Path, cases: int) -> dict[str, Path]:
    """Write a project a side; return their folders."""
    projects = {name: folder / name for name in ("list", "functions", "foreign")}
    for project in projects.values():
        project.mkdir()
        (project / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    entries = [{"name": f"model{number}", "path": f"model{number}.onnx"} for number in range(cases)]
    (projects["list"] / "models.json").write_text(json.dumps({"models": entries}), encoding="utf-8")
    (projects["functions"] / "test_cases.py").write_text(FUNCTIONS.format(cases=cases), encoding="utf-8")
    (projects["foreign"] / "test_foreign.py").write_text(FOREIGN_TEST, encoding="utf-8")
    (projects["foreign"] / "conftest.py").write_text(FOREIGN_CONFTEST, encoding="utf-8")
    return projects


def run_pytest(folder: Path, options: Sequence[str], expected: str) -> Finished:
    """Run pytest to its end; what it prints must hold a text, or it did something else."""
    ended = run_command([*PYTEST, *options], folder=folder)
    if ended.status or expected not in ended.output:
        tail = "\n".join(ended.output.splitlines()[-20:])
        raise SystemExit(f"pytest {' '.join(options)} ended with {ended.status}, expected {expected!r}:\n{tail}")
    return ended


def imported(output: str) -> str:
    """Return what the foreign project's `conftest.py` printed."""
    return next(line for line in output.splitlines() if line.startswith("imported: ")).removeprefix("imported: ")


def collecting_table(runs: Mapping[str, list[Finished]]) -> str:
    """Return wall time, ratio and peak memory of both collections."""
    seconds = {name: [run.seconds for run in done] for name, done in runs.items()}
    rows = [
        [
            name,
            f"{statistics.median(values):.2f}",
            spread(values, 2),
            f"{ratio(values, seconds[THEIRS]):.2f}",
            f"{ratio(_cpu(runs[name]), _cpu(runs[THEIRS])):.2f}",
            f"{max(run.peak_mib for run in runs[name]):.0f}",
        ]
        for name, values in seconds.items()
    ]
    return table(["", "median, s", "spread, s", "ratio", "ratio of CPU times", "peak memory, MiB"], rows)


def foreign_table(runs: Mapping[str, list[Finished]]) -> str:
    """Return wall time of a foreign project's one test with and without the plugin."""
    rows = [
        [
            name,
            f"{statistics.median(run.seconds for run in done) * 1e3:.0f}",
            spread([run.seconds * 1e3 for run in done], 0),
            f"{statistics.median(_cpu(done)) * 1e3:.0f}",
            imported(done[0].output),
        ]
        for name, done in runs.items()
    ]
    return table(["", "median, ms", "spread, ms", "CPU, ms", "of the heavy packages imported"], rows)


def cost_ms(present: Sequence[float], blocked: Sequence[float]) -> float:
    """Return the median difference of the rounds in ms, of times in s."""
    pairs = zip(present, blocked, strict=True)
    return statistics.median(one - other for one, other in pairs) * 1e3


def _seconds(runs: Sequence[Finished]) -> list[float]:
    return [run.seconds for run in runs]


def _cpu(runs: Sequence[Finished]) -> list[float]:
    return [run.cpu_seconds for run in runs]


def _heavy(runs: Sequence[Finished]) -> set[str]:
    return {name for run in runs for name in imported(run.output).split(", ")} - {"none"}


def targets(collecting: Mapping[str, list[Finished]], foreign: Mapping[str, list[Finished]]) -> list[Target]:
    """Return the promises."""
    times = ratio(_seconds(collecting[OURS]), _seconds(collecting[THEIRS]))
    peak = max(run.peak_mib for run in collecting[OURS])
    cost = cost_ms(_seconds(foreign[PRESENT]), _seconds(foreign[BLOCKED]))
    # other plugins of the environment, such as those of a developer, may have imported some already
    heavy = sorted(_heavy(foreign[PRESENT]) - _heavy(foreign[BLOCKED]))
    return [
        Target(f"collecting takes at most {RATIO_LIMIT:g} times pytest's own", f"{times:.2f}", times <= RATIO_LIMIT),
        Target(f"it needs at most {PEAK_LIMIT_MIB:g} MiB", f"{peak:.0f} MiB", peak <= PEAK_LIMIT_MIB),
        Target(f"a foreign project pays less than {COST_LIMIT_MS:g} ms", f"{cost:.1f} ms", cost < COST_LIMIT_MS),
        Target("and imports none of the heavy packages for it", ", ".join(heavy) or "none", not heavy),
    ]


def main() -> int:
    """Run all, print the report, return the exit status."""
    made = parser(__doc__, rounds=5)
    made.add_argument("--cases", type=int, default=10_000, help="default %(default)s")
    made.add_argument(
        "--foreign-repeat", type=int, default=30, help="rounds in the foreign project; default %(default)s"
    )
    given = made.parse_args()
    report = Report("Collection")
    with tempfile.TemporaryDirectory(prefix="ortperf-collection-") as temporary:
        projects = write_projects(Path(temporary), given.cases)
        options = ("--collect-only", "--ortperf-mode=validate", "--ortperf-ep=cpu")
        collected = f"{given.cases} tests collected"
        collecting_sides: dict[str, Callable[[], Finished]] = {
            OURS: functools.partial(run_pytest, projects["list"], options, collected),
            THEIRS: functools.partial(run_pytest, projects["functions"], ("--collect-only",), collected),
        }
        foreign_sides: dict[str, Callable[[], Finished]] = {
            PRESENT: functools.partial(run_pytest, projects["foreign"], (), "1 passed"),
            BLOCKED: functools.partial(run_pytest, projects["foreign"], ("-p", "no:ortperf"), "1 passed"),
        }
        collecting = in_turns(collecting_sides, given.repeat)
        foreign = in_turns(foreign_sides, given.foreign_repeat)
    report.sections = [
        f"`pytest --collect-only -q` of {given.cases} cases, {given.repeat} rounds in turns.",
        collecting_table(collecting),
        FOREIGN_TEXT.format(
            rounds=given.foreign_repeat,
            wall=cost_ms(_seconds(foreign[PRESENT]), _seconds(foreign[BLOCKED])),
            cpu=cost_ms(_cpu(foreign[PRESENT]), _cpu(foreign[BLOCKED])),
        ),
        foreign_table(foreign),
    ]
    report.targets = targets(collecting, foreign)
    report.data = {
        side: {
            name: [{"seconds": run.seconds, "cpu_seconds": run.cpu_seconds} for run in done]
            for name, done in runs.items()
        }
        for side, runs in (("collecting", collecting), ("foreign", foreign))
    }
    report.finish(given.output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
