"""What collecting costs: 10,000 cases beside pytest's own parametrised functions, and the plugin where it is not used.

Model lists of each form, as many models with one case each or fewer with more. All sides in turns, as whole commands.
"""

from __future__ import annotations

import dataclasses
import functools
import statistics
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import distributions
from pathlib import Path

from collection_projects import FORMS, Project, splits, write_functions, write_list
from measuring import Finished, Report, Target, in_turns, parser, ratio, run_command, spread, table

PYTEST = (sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q")
NEEDED = frozenset({"pytest-ortperf", "pytest-xdist", "pytest-forked"})
"""Distributions whose plugins run: each side has all of them."""

THEIRS = "pytest's parametrised functions"
START, THEIR_START = "one case alone", "one function alone"
PRESENT, BLOCKED = "plugin installed, not asked for", "plugin blocked"
RATIO_LIMIT, PEAK_LIMIT_MIB, COST_LIMIT_MS = 2.0, 150.0, 30.0

COLLECTING_TEXT = (
    "`pytest --collect-only -q` of {cases} cases, {rounds} rounds in turns, without plugins that this one does not "
    "need ({left_out}). A ratio less start leaves out what one case, or one function, takes alone."
)
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


def write_projects(folder: Path, cases: int) -> dict[str, Project]:
    """Write what is collected, the functions first; return it by what it is called."""
    projects = {THEIRS: write_functions(folder / "functions", cases)}
    for form in FORMS:
        for models, each in splits(cases):
            name = f"{form} list, {models:,} models x {each}"
            projects[name] = write_list(folder / f"{form}{each}", form, models, each)
    projects[START] = write_list(folder / "one_case", "rich", 1, 1)
    projects[THEIR_START] = write_functions(folder / "one_function", 1)
    return projects


def write_foreign(folder: Path) -> Path:
    """Write a project that does not use the plugin; return its folder."""
    project = folder / "foreign"
    project.mkdir()
    (project / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    (project / "test_foreign.py").write_text(FOREIGN_TEST, encoding="utf-8")
    (project / "conftest.py").write_text(FOREIGN_CONFTEST, encoding="utf-8")
    return project


def other_plugins() -> list[str]:
    """Return the plugins of this environment that the plugin measured does not need.

    One that shuffles or watches items costs each side the same, which brings the ratio nearer to 1.
    """
    entries = (entry for each in distributions() if each.name not in NEEDED for entry in each.entry_points)
    return sorted(entry.name for entry in entries if entry.group == "pytest11")


def collect(project: Project, without: Sequence[str]) -> Finished:
    """Collect a project."""
    blocked = [option for name in without for option in ("-p", f"no:{name}")]
    expected = f"{project.cases} test{'s' if project.cases > 1 else ''} collected"
    ended = run_pytest(project.folder, [*blocked, "--collect-only", *project.options], expected)
    # the peak of a process counts from its fork: 10,000 lines of each run, kept here, would show in it
    return dataclasses.replace(ended, output="")


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
    """Return wall times, ratios and peak memory of all collections."""
    rows = [
        [
            name,
            f"{statistics.median(_seconds(done)):.2f}",
            spread(_seconds(done), 2),
            f"{ratio(_seconds(done), _seconds(runs[THEIRS])):.2f}",
            f"{ratio(_cpu(done), _cpu(runs[THEIRS])):.2f}",
            _ratio_less_start(runs, name),
            f"{max(run.peak_mib for run in done):.0f}",
        ]
        for name, done in runs.items()
    ]
    return table(
        ["", "median, s", "spread, s", "ratio", "of CPU times", "of those less start", "peak memory, MiB"], rows
    )


def _ratio_less_start(runs: Mapping[str, list[Finished]], name: str) -> str:
    if name in {START, THEIR_START}:
        return "-"
    own_start = _cpu(runs[THEIR_START if name == THEIRS else START])
    own = [whole - start for whole, start in zip(_cpu(runs[name]), own_start, strict=True)]
    theirs = [whole - start for whole, start in zip(_cpu(runs[THEIRS]), _cpu(runs[THEIR_START]), strict=True)]
    return f"{ratio(own, theirs):.2f}"


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
    """Return the promises; those of collection are about each list."""
    lists = [done for name, done in collecting.items() if name not in {THEIRS, START, THEIR_START}]
    times = max(ratio(_seconds(done), _seconds(collecting[THEIRS])) for done in lists)
    peak = max(run.peak_mib for done in lists for run in done)
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
        foreign_project = write_foreign(Path(temporary))
        without = other_plugins()
        collecting_sides = {name: functools.partial(collect, project, without) for name, project in projects.items()}
        foreign_sides: dict[str, Callable[[], Finished]] = {
            PRESENT: functools.partial(run_pytest, foreign_project, (), "1 passed"),
            BLOCKED: functools.partial(run_pytest, foreign_project, ("-p", "no:ortperf"), "1 passed"),
        }
        collecting = in_turns(collecting_sides, given.repeat)
        foreign = in_turns(foreign_sides, given.foreign_repeat)
    report.sections = [
        COLLECTING_TEXT.format(cases=given.cases, rounds=given.repeat, left_out=", ".join(without) or "there are none"),
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
