"""Run `ortperf ab` again and again on models with planted slowdowns, while another process loads a core on and off.

Every run has all models of this repository, the same on both sides, and one planted slowdown of each percentage, whose
models take turns over the runs. `planted_models.py` makes the models. A run that is there already is not repeated, so
the script can be stopped and started again. What came out of all goes to one small file, which `ab_replay.py` reads.

Options after `--` are given to `ortperf ab`.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ab_data import DATA, packed_cases, write_experiment
from load_generator import load
from measuring import Report, run_command

RUNS = 20
FIRST_SEED = 20_261_128
SIDES = ("base", "current")
PLANTED = "_plus_"
STATUSES = (0, 1)
"""Of `ortperf ab`: nothing or something got slower."""

OPTIONS = ("--ortperf-ep=cpu", "--ortperf-threads=1")
_AB = (sys.executable, "-m", "pytest_ortperf.cli", "ab")


@dataclass(frozen=True, slots=True)
class Plan:
    """What is run."""

    planted: Path
    """Folder of the planted models and their lists."""

    results: Path
    options: tuple[str, ...]
    floor: Path | None

    def lists(self) -> dict[str, list[dict[str, Any]]]:
        """Return the entries of both sides' complete lists."""
        texts = {side: (self.planted / f"{side}.json").read_text(encoding="utf-8") for side in SIDES}
        return {side: json.loads(text)["models"] for side, text in texts.items()}

    def command(self, folder: Path, seed: int) -> list[str]:
        """Return the command of one run."""
        lists = [f"--{side}-models={folder / side}.json" for side in SIDES]
        floor = [] if self.floor is None else [f"--floor={self.floor}"]
        return [*_AB, *lists, f"--results={folder / 'results'}", f"--seed={seed}", *floor, *self.options]

    def folder(self, number: int) -> Path:
        """Return where a run's files are."""
        return self.results / f"run_{number:02}"


def chosen(names: Sequence[str], number: int) -> list[str]:
    """Return the models of a run: all that are not planted, and of each percentage the one whose turn it is.

    Percentages start at different carriers, so that one carrier does not have all of them at once.
    """
    by_percent: dict[int, list[str]] = {}
    for name in names:
        if PLANTED in name:
            by_percent.setdefault(int(name.rpartition(PLANTED)[2]), []).append(name)
    turns = enumerate(by_percent.values())
    taken = {carriers[(number + 2 * start) % len(carriers)] for start, carriers in turns}
    return [name for name in names if PLANTED not in name or name in taken]


def write_lists(plan: Plan, number: int) -> None:
    """Write both model lists of a run."""
    folder = plan.folder(number)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for side, entries in plan.lists().items():
        names = set(chosen([entry["name"] for entry in entries], number))
        listed = [entry for entry in entries if entry["name"] in names]
        (folder / f"{side}.json").write_text(json.dumps({"models": listed}, indent=1), encoding="utf-8")


def measure_floor(plan: Plan) -> Path:
    """Return a floor file of this machine under the same load, measured unless it is there.

    A planted model has the floor of the model that it is made of.

    Raises:
        SystemExit: If `ortperf ab` failed, with what it printed.
    """
    folder = plan.results / "floor"
    path = folder / "floor.json"
    if path.exists():
        return path
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    same = [entry for entry in plan.lists()["base"] if PLANTED not in entry["name"]]
    (folder / "models.json").write_text(json.dumps({"models": same}, indent=1), encoding="utf-8")
    given = [option for option in plan.options if not option.startswith("--budget")]
    options = (f"--ortperf-models={folder / 'models.json'}", f"--results={folder}", *given)
    with load(FIRST_SEED - 1):
        ended = run_command([*_AB, "--aa", *options], folder=folder)
    if ended.status:
        raise SystemExit(f"--aa ended with {ended.status}:\n{ended.output}")
    (made,) = folder.glob("floor_*.json")
    floor = json.loads(made.read_text(encoding="utf-8"))
    of_model = {case["case_id"].partition("::")[0]: case for case in floor["cases"]}
    for name, slowdown in slowdowns(plan.planted).items():
        case = of_model.get(slowdown["carrier"])
        if case is not None:
            case_id = f"{name}::{case['case_id'].partition('::')[2]}"
            floor["cases"].append({**case, "case_id": case_id})
    path.write_text(json.dumps(floor, indent=1), encoding="utf-8")
    return path


def run_one(plan: Plan, number: int) -> None:
    """Do a run, unless it is done.

    Raises:
        SystemExit: If `ortperf ab` failed, with what it printed.
    """
    folder, seed = plan.folder(number), FIRST_SEED + number
    if (folder / "done.json").exists():
        return
    write_lists(plan, number)
    with load(seed) as loaded:
        ended = run_command(plan.command(folder, seed), folder=folder)
    (folder / "output.txt").write_text(ended.output, encoding="utf-8")
    if ended.status not in STATUSES:
        raise SystemExit(f"run {number} ended with {ended.status}:\n{ended.output}")
    facts = {
        "seed": seed,
        "status": ended.status,
        "seconds": round(ended.seconds, 1),
        "busy_share": round(loaded.busy_share or 0, 3),
    }
    recorded = Report("").environment()
    (folder / "done.json").write_text(json.dumps({"recorded": recorded, "run": facts}), encoding="utf-8")
    print(f"run {number}: {facts}", file=sys.stderr, flush=True)


def go_on(plan: Plan, number: int, seconds: float) -> None:
    """Go on with a run that its budget ended, for that long and under such a load, unless that was done already.

    Raises:
        SystemExit: If `ortperf ab` failed, with what it printed.
    """
    folder, seed = plan.folder(number), FIRST_SEED + number
    mark, done = folder / "more.json", json.loads((folder / "done.json").read_text(encoding="utf-8"))
    if mark.exists():
        return
    command = [part for part in plan.command(folder, seed) if not part.startswith("--budget")]
    with load(seed + 1000) as loaded:
        ended = run_command([*command, f"--budget={seconds:g}", "--resume"], folder=folder)
    if ended.status not in STATUSES:
        raise SystemExit(f"run {number}, gone on with, ended with {ended.status}:\n{ended.output}")
    (folder / "more.txt").write_text(ended.output, encoding="utf-8")
    run = done["run"]
    total = run["seconds"] + ended.seconds
    busy = (run["busy_share"] * run["seconds"] + (loaded.busy_share or 0) * ended.seconds) / total
    done["run"] = {**run, "status": ended.status, "seconds": round(total, 1), "busy_share": round(busy, 3)}
    (folder / "done.json").write_text(json.dumps(done), encoding="utf-8")
    mark.write_text(json.dumps({"seconds": ended.seconds}), encoding="utf-8")
    print(f"run {number}, gone on with: {done['run']}", file=sys.stderr, flush=True)


def collect(plan: Plan, output: Path) -> int:
    """Write what all runs that are done recorded to one file; return how many there are."""
    paths = sorted(plan.results.glob("run_*/done.json"))
    done = [json.loads(path.read_text(encoding="utf-8")) for path in paths]
    cases = [packed_cases(pairs_of(path.parent / "results")) for path in paths]
    head = {
        "recorded": done[-1]["recorded"],
        "command": ["ortperf", "ab", *plan.options],
        "floors": floors_of(plan.floor),
        "planted": slowdowns(plan.planted),
    }
    write_experiment(output, head, [{**it["run"], "cases": each} for it, each in zip(done, cases, strict=True)])
    return len(done)


def pairs_of(results: Path) -> Iterator[Mapping[str, Any]]:
    """Yield the pairs of a run's only pairs file."""
    (path,) = results.glob("pairs_*.jsonl")
    for line in path.read_text(encoding="utf-8").splitlines():
        read = json.loads(line)
        if "pair" in read:
            yield read["pair"]


def floors_of(path: Path | None) -> dict[str, float]:
    """Return the noise floors of a floor file by case id."""
    if path is None:
        return {}
    cases = json.loads(path.read_text(encoding="utf-8"))["cases"]
    return {case["case_id"]: case["log_floor"] for case in cases}


def slowdowns(planted: Path) -> dict[str, Any]:
    """Return what was planted, by model name."""
    found = {}
    for path in sorted(planted.glob("*/calibration.json")):
        calibration = json.loads(path.read_text(encoding="utf-8"))
        for each in calibration["planted"]:
            fields = {key: each[key] for key in ("percent", "true_percent", "error_percent")}
            found[f"{calibration['carrier']}{PLANTED}{each['percent']}"] = {"carrier": calibration["carrier"], **fields}
    return found


def parse(arguments: Sequence[str]) -> tuple[argparse.Namespace, tuple[str, ...]]:
    """Return the arguments, and those of `ortperf ab`."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("planted", type=Path, help="folder that planted_models.py made")
    made.add_argument("--results", type=Path, required=True, metavar="DIR", help="where the runs go")
    made.add_argument("--repeat", type=int, default=RUNS, metavar="N", help="runs; default %(default)s")
    floor = made.add_mutually_exclusive_group()
    floor.add_argument("--floor", type=Path, metavar="FILE", help="noise floor, made by `ortperf ab --aa`")
    floor.add_argument("--aa", action="store_true", help="measure the noise floor first, under the same load")
    made.add_argument(
        "--more", type=float, metavar="SECONDS", help="go on with each run for that long, where a budget ended it"
    )
    made.add_argument("--output", type=Path, default=DATA, metavar="FILE", help="default %(default)s")
    end = arguments.index("--") if "--" in arguments else len(arguments)
    return made.parse_args(arguments[:end]), tuple(arguments[end + 1 :])


def main() -> int:
    """Do what is not done, collect, return the exit status."""
    (given, options), start = parse(sys.argv[1:]), time.monotonic()
    floor = None if given.floor is None else given.floor.absolute()
    plan = Plan(given.planted.absolute(), given.results.absolute(), (*OPTIONS, *options), floor)
    if given.aa:
        plan = replace(plan, floor=measure_floor(plan))
    for number in range(given.repeat):
        run_one(plan, number)
    for number in range(given.repeat if given.more else 0):
        go_on(plan, number, given.more)
    count = collect(plan, given.output)
    print(f"{count} runs in {given.output.name}, {time.monotonic() - start:.0f} s this time")
    return 0


if __name__ == "__main__":
    sys.exit(main())
