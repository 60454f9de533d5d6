"""The onnx project's conformance cases through the plugin and through the official backend test runner.

Both sides read the same directory of cases, run on ONNX Runtime's CPU provider with the same tolerances, print no
tracebacks, and are timed as whole commands in turns. The official runner as shipped, which computes the node cases
anew in each process, is timed beside.

Exit status: 1 if a verdict differs without a known reason, or between runs of one side.
"""

from __future__ import annotations

import argparse
import functools
import json
import shutil
import statistics
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import conformance_verdicts
from conformance_data import write_cases
from conformance_verdicts import Difference, Verdict
from measuring import Report, Target, in_turns, parser, ratio, run_command, spread, table

from pytest_ortperf.records.record import Record
from pytest_ortperf.records.store import read_run

HERE = Path(__file__).parent
PYTEST = (sys.executable, "-m", "pytest", "-q", "--tb=no", "-p", "no:cacheprovider")
TOLERANCE = ("--ortperf-rtol=1e-3", "--ortperf-atol=1e-7", "--ortperf-second-chance=off")
VALIDATE = ("--ortperf-mode=validate", "--ortperf-ep=cpu", *TOLERANCE)

OFFICIAL: Mapping[str, tuple[str, ...]] = {
    "official": (),
    "official -n 2": ("-n", "2"),
    "official --forked": ("--forked",),
}
AS_SHIPPED = "official as shipped"
PLUGIN: Mapping[str, tuple[str, ...]] = {
    "plugin, none": ("--ortperf-isolation=none",),
    "plugin, pool": ("--ortperf-isolation=pool",),
    "plugin, pool -n 2": ("--ortperf-isolation=pool", "-n", "2"),
    "plugin, forked": ("--ortperf-isolation=forked",),
    "plugin, forked -n 2": ("--ortperf-isolation=forked", "-n", "2"),
    "plugin --forked": ("--forked",),
}


@dataclass(frozen=True, slots=True)
class Ran:
    """One run of one side."""

    seconds: float
    cpu_seconds: float
    verdicts: dict[str, Verdict]


def run_official(folder: Path, cases: Path | None, options: tuple[str, ...]) -> Ran:
    """Run the official runner; without `cases` on those that it makes itself."""
    verdicts = folder / "verdicts.json"
    verdicts.unlink(missing_ok=True)
    environment = {"CONFORMANCE_VERDICTS": str(verdicts)}
    if cases is not None:
        environment["CONFORMANCE_CASES"] = str(cases)
    ended = run_command([*PYTEST, "test_official.py", *options], folder=folder, environment=environment)
    if not verdicts.exists():
        raise SystemExit(f"the official runner wrote no verdicts:\n{ended.output}")
    read = json.loads(verdicts.read_text(encoding="utf-8"))
    return Ran(ended.seconds, ended.cpu_seconds, {case: Verdict(*verdict) for case, verdict in read.items()})


def run_plugin(folder: Path, cases: Path, options: tuple[str, ...]) -> Ran:
    """Run the plugin; its verdicts are in its records."""
    results = folder / "result"
    shutil.rmtree(results, ignore_errors=True)
    options = (*VALIDATE, f"--ortperf-models={cases}", f"--ortperf-results={results}", *options)
    ended = run_command([*PYTEST, *options], folder=folder)
    files = sorted(results.glob("records_*.jsonl"))
    if not files:
        raise SystemExit(f"the plugin wrote no records:\n{ended.output}")
    return Ran(
        ended.seconds, ended.cpu_seconds, {record.model: _verdict(record) for record in read_run(files[-1]).records}
    )


def _verdict(record: Record) -> Verdict:
    failure = record.failure
    return Verdict(record.outcome, failure.message if failure else "", failure.kind if failure else "")


def sides(folder: Path, cases: Path, *, as_shipped: bool) -> dict[str, Callable[[], Ran]]:
    """Return what is run in turns, by its name in the table; makes the folders that they run in."""
    official, plugin = folder / "official", folder / "plugin"
    for place in (official, plugin):
        place.mkdir(parents=True, exist_ok=True)
        (place / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    shutil.copy(HERE / "conformance_official.py", official / "test_official.py")
    shutil.copy(HERE / "conformance_conftest.py", official / "conftest.py")
    made: dict[str, Callable[[], Ran]] = {
        name: functools.partial(run_official, official, cases, options) for name, options in OFFICIAL.items()
    }
    if as_shipped:
        made[AS_SHIPPED] = functools.partial(run_official, official, None, ())
    made |= {name: functools.partial(run_plugin, plugin, cases, options) for name, options in PLUGIN.items()}
    return made


def times_table(runs: Mapping[str, list[Ran]]) -> str:
    """Return wall times, and ratios to the official runner without and with isolation."""
    seconds = {name: [run.seconds for run in done] for name, done in runs.items()}
    baselines = [seconds[name] for name in ("official", "official --forked") if name in seconds]
    rows = [
        [
            name,
            f"{statistics.median(values):.1f}",
            spread(values),
            f"{statistics.median(run.cpu_seconds for run in runs[name]):.1f}",
            *(f"{ratio(values, baseline):.2f}" for baseline in baselines),
            conformance_verdicts.counts(runs[name][0].verdicts),
        ]
        for name, values in seconds.items()
    ]
    heads = ["to official", "to official --forked"][: len(baselines)]
    return table(["", "median, s", "spread, s", "CPU, s", *heads, "verdicts"], rows)


def targets(runs: Mapping[str, list[Ran]]) -> list[Target]:
    """Return the two promises about speed, where their sides were run."""
    promises = (
        ("plugin, pool", "official", 1.0, "pool is not slower than the official runner without isolation"),
        ("plugin, forked", "official --forked", 0.5, "forked takes at most half the time of the official --forked"),
    )
    found = []
    for ours, theirs, limit, text in promises:
        if ours in runs and theirs in runs:
            value = ratio(*([run.seconds for run in runs[name]] for name in (ours, theirs)))
            found.append(Target(text, f"ratio {value:.2f}, at most {limit:g}", value <= limit))
    return found


def unstable(runs: Mapping[str, list[Ran]]) -> list[str]:
    """Return the cases whose outcome is not the same in every run of the official runner, or of the plugin."""
    found = []
    for kind in ("official", "plugin"):
        seen: dict[str, set[str]] = {}
        for run in (run for name, done in runs.items() if name.startswith(kind) for run in done):
            for case, verdict in run.verdicts.items():
                seen.setdefault(case, set()).add(verdict.outcome)
        found += [f"{kind}: {case}: {', '.join(sorted(ways))}" for case, ways in seen.items() if len(ways) > 1]
    return found


def differences(runs: Mapping[str, list[Ran]]) -> list[Difference]:
    """Return where the first run of each kind differs."""
    first = {
        kind: next((done[0] for name, done in runs.items() if name.startswith(kind)), None)
        for kind in ("official", "plugin")
    }
    official, plugin = first["official"], first["plugin"]
    return (
        [] if official is None or plugin is None else conformance_verdicts.compare(official.verdicts, plugin.verdicts)
    )


def arguments() -> argparse.Namespace:
    """Return the options."""
    made = parser(__doc__, rounds=5)
    made.formatter_class = argparse.RawDescriptionHelpFormatter
    made.add_argument("--every", type=int, default=1, metavar="N", help="each N-th case of a kind only")
    made.add_argument(
        "--workspace", type=Path, metavar="DIR", help="keep cases and runs there; default: a temporary one"
    )
    made.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="NAME",
        choices=[*OFFICIAL, AS_SHIPPED, *PLUGIN],
        help="run this side only; repeatable. One of: %(choices)s",
    )
    return made.parse_args()


def main() -> int:
    """Run all, print the report, return the exit status."""
    given = arguments()
    report = Report("Conformance cases: the plugin and the official runner")
    with tempfile.TemporaryDirectory(prefix="ortperf-conformance-") as temporary:
        folder = (given.workspace or Path(temporary)).absolute()
        names = write_cases(folder / "cases", given.every)
        wanted = {
            name: call
            for name, call in sides(folder, folder / "cases", as_shipped=given.every == 1).items()
            if not given.only or name in given.only
        }
        runs = in_turns(wanted, given.repeat)
    found, flickering = differences(runs), unstable(runs)
    report.sections = [
        f"{len(names)} cases, {given.repeat} rounds in turns. Wall time of the whole command.",
        times_table(runs),
        f"{len(found)} verdicts differ, {len(conformance_verdicts.unexplained(found))} of them unexplained.",
        conformance_verdicts.listing(found),
        *(f"Not the same in every run: {line}" for line in flickering),
    ]
    report.targets = targets(runs)
    report.data = {
        "seconds": {name: [run.seconds for run in done] for name, done in runs.items()},
        "cpu_seconds": {name: [run.cpu_seconds for run in done] for name, done in runs.items()},
        "differences": [asdict(difference) for difference in found],
    }
    report.finish(given.output)
    return int(bool(conformance_verdicts.unexplained(found) or flickering))


if __name__ == "__main__":
    sys.exit(main())
