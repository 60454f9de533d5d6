"""`ortperf ab`: two environments, models, providers or settings against each other, in pairs of processes."""

from __future__ import annotations

import argparse
import math
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_ortperf.commands.compare import (
    add_report_options,
    fail_on_of,
    print_comparison,
    status_of,
    write_outputs,
)
from pytest_ortperf.errors import ResultsFileError, SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_ortperf.pairing.plan import Pace, Plan
    from pytest_ortperf.pairing.side_process import SideSpec
    from pytest_ortperf.pairing.status_line import StatusLine
    from pytest_ortperf.provision.environments import RuntimeEnvironment
    from pytest_ortperf.records.pairs import NoiseFloor, Pair, PairsHeader
    from pytest_ortperf.records.pairs_file import PairsFile, StoredPairs

DESCRIPTION = """\
Compare two sides on this machine, now: two Python environments, model lists, providers or settings. Each case is
measured by pairs of fresh processes, one of each side, that run in turns of 20 ms while the other one is stopped: what
the machine does meanwhile happens to both. Three pairs screen every case; ten fresh pairs decide about those that look
changed. All further options are pytest's and go to both sides: --ortperf-ep=cpu, --ortperf-threads=1, -k bert.

Exit status: 0; 1 if something is SLOWER or a failure is new (--fail-on chooses what counts); 2 for arguments or
environments that cannot be used; 130 after Ctrl-C. Everything measured is in the pairs file, and --resume goes on."""

EXAMPLES = """\
examples:
  ortperf ab --base-ort=1.31.0 --current-ort=1.32.0                           two releases of ONNX Runtime
  ortperf ab --base-python=old/bin/python --current-python=new/bin/python     two environments
  ortperf ab --base-models=old.json --current-models=new.json                 two models of the same names
  ortperf ab --base-ep=cuda --current-ep=tensorrt                             two providers
  ortperf ab --current-option=--ortperf-graph-optimization=basic              one setting
  ortperf ab --aa                                                             this machine's noise floor
  ortperf ab ... --floor=result/floor.json                                    decide with that floor
"""

INTERRUPTED = 130


def add_command(commands: Any) -> None:
    """Add the command to the subparsers of `ortperf`."""
    parser = commands.add_parser(
        "ab",
        help="compare two environments, models or settings, measured in turns",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    _add_sides(parser)
    _add_effort(parser)
    parser.add_argument(
        "--resume",
        nargs="?",
        const="",
        metavar="RUN",
        help="go on with a run, the newest unless named; all other options as they were",
    )
    parser.add_argument(
        "--results", type=Path, default=Path("result"), metavar="DIR", help="folder of the pairs file (default: result)"
    )
    add_report_options(parser)
    parser.set_defaults(call=run, takes_more=True)


def _add_sides(parser: argparse.ArgumentParser) -> None:
    for side in ("base", "current"):
        parser.add_argument(
            f"--{side}-python", metavar="PYTHON", help="its interpreter, with this package installed (default: this)"
        )
        parser.add_argument(
            f"--{side}-ort", metavar="RUNTIME", help="its ONNX Runtime, as `ortperf ort use` takes it: made if needed"
        )
        parser.add_argument(f"--{side}-models", metavar="PATH", help="its model list or directory")
        parser.add_argument(f"--{side}-ep", metavar="NAME", help="its execution provider")
        parser.add_argument(
            f"--{side}-option",
            metavar="OPTION",
            action="append",
            default=[],
            help=f"--{side}-option=--ortperf-...=...: an option for this side alone; repeatable",
        )


def _add_effort(parser: argparse.ArgumentParser) -> None:
    from pytest_ortperf.pairing.plan import AA_PAIRS, CONFIRM_PAIRS, PAIR_S, SCREEN_PAIRS

    parser.add_argument("--aa", action="store_true", help="both sides are the same: measure the noise floor")
    parser.add_argument("--floor", type=Path, metavar="FILE", help="noise floor that --aa has written")
    parser.add_argument(
        "--screen-pairs",
        type=_count,
        metavar="N",
        help=f"pairs of every case (default: {SCREEN_PAIRS}, {AA_PAIRS} with --aa)",
    )
    parser.add_argument(
        "--confirm-pairs",
        type=_count,
        default=CONFIRM_PAIRS,
        metavar="N",
        help=f"fresh pairs where a change is seen, or nothing can be told (default: {CONFIRM_PAIRS})",
    )
    parser.add_argument(
        "--pair-time",
        type=seconds,
        default=PAIR_S,
        metavar="SECONDS",
        help=f"most time of timed iterations on each side of a pair (default: {PAIR_S:g})",
    )
    parser.add_argument(
        "--budget", type=seconds, metavar="SECONDS", help="begin no pair after that long (default: no limit)"
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the order of cases and turns (default: 0)")


def run(arguments: argparse.Namespace) -> int:
    """Measure, decide, print, write, and return the exit status.

    Raises:
        OrtPerfError: If an argument, environment or file cannot be used.
    """
    from pytest_ortperf.pairing.status_line import StatusLine
    from pytest_ortperf.records.pairs_file import PairsFile, read_floor, read_pairs

    check = status_of(arguments)
    floor = None if arguments.floor is None else read_floor(arguments.floor)
    environments = _environments(arguments)
    specs = _specs(arguments, environments)
    path = _path(arguments)
    interrupted = False
    try:
        with PairsFile(path) as file, StatusLine(sys.stderr) as status_line:
            _measure(arguments, specs, file, floor, status_line)
    except KeyboardInterrupt:
        interrupted = True
    finally:
        is_empty = path.exists() and not path.stat().st_size
        if is_empty:
            path.unlink()
    if interrupted:
        _tell("interrupted; what was measured is kept, and --resume goes on")
        if is_empty:
            return INTERRUPTED
    try:
        status = _report(read_pairs(path), arguments, floor, check)
    except KeyboardInterrupt:
        _tell(f"interrupted while the report was made; ortperf report {path} prints it")
        return INTERRUPTED
    return INTERRUPTED if interrupted else status


def _measure(
    arguments: argparse.Namespace,
    specs: tuple[SideSpec, SideSpec],
    file: PairsFile,
    floor: NoiseFloor | None,
    status_line: StatusLine,
) -> None:
    from pytest_ortperf.pairing.coordinator import Coordinator, fresh_sides
    from pytest_ortperf.pairing.plan import FRESH_SIDES_S, Pace, header_of, matches_of
    from pytest_ortperf.records.pairs_file import read_pairs
    from pytest_ortperf.reports.comparison.paired import DECIDING_PAIRS, Noise, require_floor, sorter

    plan = _plan(arguments)
    status_line.tell("starting both sides")
    status_line.show("starting both sides", FRESH_SIDES_S)
    with fresh_sides(specs) as (base, current):
        matches = matches_of(base, current)
        header = header_of(file.path, plan, (base, current))
    require_floor(floor, header)
    known = read_pairs(file.path) if file.path.stat().st_size else None
    if known is None:
        file.append(header)
    else:
        _require_the_same(known.header, header)
    cases = "1 case" if len(matches) == 1 else f"{len(matches)} cases"
    status_line.tell(f"{cases} on both sides; pairs go to {file.path}")
    pairs = list(known.pairs) if known else []
    pace = Pace(plan, pairs or _earlier(file.path, header))
    status_line.tell(_estimate(arguments, plan, pace, [match.case_id for match in matches], pairs))
    Coordinator(
        plan=plan,
        specs=specs,
        matches=matches,
        file=file,
        pairs=pairs,
        records=list(known.records) if known else [],
        budget_s=arguments.budget,
        tell=status_line.tell,
        pace=pace,
        show=status_line.show,
        sort=sorter(Noise(floor=floor, deciding=plan.confirm_pairs or DECIDING_PAIRS)),
    ).run()


def _earlier(path: Path, header: PairsHeader) -> Sequence[Pair]:
    """Return the pairs of the newest other run in the folder whose pairs were as long as these are."""
    from pytest_ortperf.records.pairs_file import newest_first, read_pairs

    for other in newest_first(path.parent):
        if other == path:
            continue
        try:
            stored = read_pairs(other)
        except ResultsFileError:
            continue
        if stored.header.plan.get("pair_s") == header.plan["pair_s"] and set(header.current.cases) & {
            pair.case_id for pair in stored.pairs
        }:
            return stored.pairs
    return ()


def _estimate(
    arguments: argparse.Namespace, plan: Plan, pace: Pace, case_ids: Sequence[str], done: Sequence[Pair]
) -> str:
    from pytest_ortperf.pairing.plan import estimate_text

    text = estimate_text(plan, pace, case_ids, done)
    return text if arguments.budget is None else f"{text}; no pair begins after {arguments.budget:g} s"


def _plan(arguments: argparse.Namespace) -> Plan:
    from pytest_ortperf.pairing.plan import AA_PAIRS, SCREEN_PAIRS, Plan

    return Plan(
        screen_pairs=arguments.screen_pairs or (AA_PAIRS if arguments.aa else SCREEN_PAIRS),
        confirm_pairs=arguments.confirm_pairs,
        pair_s=arguments.pair_time,
        seed=arguments.seed,
        is_aa=arguments.aa,
    )


def _environments(arguments: argparse.Namespace) -> dict[str, RuntimeEnvironment]:
    """Return the environments of sides that name an ONNX Runtime; the cache keeps them as long as these live."""
    wanted = {side: text for side in ("base", "current") if (text := getattr(arguments, f"{side}_ort")) is not None}
    for side in wanted:
        if getattr(arguments, f"{side}_python") is not None:
            raise SettingsError(f"--{side}-ort makes an environment, --{side}-python names one: give one of them")
    if not wanted:
        return {}
    from pytest_ortperf.provision.environments import Environments

    made = Environments(_tell)
    return {side: made.use(text) for side, text in wanted.items()}


def _specs(arguments: argparse.Namespace, environments: Mapping[str, RuntimeEnvironment]) -> tuple[SideSpec, SideSpec]:
    from pytest_ortperf.pairing.side_process import SideSpec

    own = {
        side: [
            *([f"--ortperf-models={models}"] if (models := getattr(arguments, f"{side}_models")) else []),
            *([f"--ortperf-ep={ep}"] if (ep := getattr(arguments, f"{side}_ep")) else []),
            *getattr(arguments, f"{side}_option"),
        ]
        for side in ("base", "current")
    }
    pythons = {
        side: environments[side].python
        if side in environments
        else getattr(arguments, f"{side}_python") or sys.executable
        for side in own
    }
    is_same = own["base"] == own["current"] and pythons["base"] == pythons["current"]
    if arguments.aa and not is_same:
        raise SettingsError("--aa measures the same against the same; leave out the options of one side alone")
    if is_same and not arguments.aa:
        raise SettingsError(
            "both sides are the same; say in what they differ, with --current-ort, --current-python, "
            "--current-models, --current-ep or --current-option, or measure this machine's noise floor with --aa"
        )
    base, current = (
        SideSpec(name=side, python=pythons[side], options=(*arguments.more, *options)) for side, options in own.items()
    )
    return base, current


def _path(arguments: argparse.Namespace) -> Path:
    from pytest_ortperf.records.pairs_file import find_pairs, new_pairs

    if arguments.resume is not None:
        return find_pairs(arguments.results, arguments.resume or None)
    return new_pairs(arguments.results, datetime.now(UTC).astimezone())


def _require_the_same(stored: PairsHeader, now: PairsHeader) -> None:
    """Refuse to go on with a run that was another comparison.

    Raises:
        SettingsError: Saying in what.
    """
    sides = (("base", stored.base, now.base), ("current", stored.current, now.current))
    different = [
        *(["plan"] if dict(stored.plan) != dict(now.plan) else []),
        *(f"options of the {name}" for name, old, new in sides if dict(old.options) != dict(new.options)),
        *(
            f"versions of the {name}"
            for name, old, new in sides
            if old.environment.packages != new.environment.packages
        ),
        *(f"cases of the {name}" for name, old, new in sides if set(old.cases) != set(new.cases)),
        *(
            f"machine of the {name}"
            for name, old, new in sides
            if old.environment.fingerprint != new.environment.fingerprint
        ),
    ]
    if different:
        raise SettingsError(
            f"--resume: run {stored.run} was another comparison ({', '.join(different)}); give the options it had, "
            f"or begin a new run without --resume"
        )


def _report(stored: StoredPairs, arguments: argparse.Namespace, floor: NoiseFloor | None, check: Any) -> int:
    from pytest_ortperf.records.pairs_file import write_floor
    from pytest_ortperf.reports.comparison.paired import FEWEST_FOR_FLOOR, compare_pairs, floor_of

    comparison = compare_pairs(stored, floor, fail_on_of(arguments))
    print_comparison(comparison, [], everything=True)
    write_outputs(arguments, comparison, [])
    sys.stdout.write(f"\npairs: {stored.path}\n")
    if arguments.aa:
        found = floor_of(stored)
        if not found.cases:
            _tell(f"no noise floor: it takes {FEWEST_FOR_FLOOR} pairs of a case")
            return 0
        path = stored.path.with_name(f"floor_{stored.header.run}.json")
        write_floor(path, found)
        sys.stdout.write(f"floor: {path}\n")
        return 0
    return int(check(comparison))


def _tell(line: str) -> None:
    stamp = datetime.now(UTC).astimezone().strftime("%H:%M:%S")
    sys.stderr.write(f"{stamp} {line}\n")
    sys.stderr.flush()


def _count(text: str) -> int:
    value = int(text) if text.isdecimal() else 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number of at least 1")
    return value


def seconds(text: str) -> float:
    """Return a number of seconds that an option gives.

    Raises:
        argparse.ArgumentTypeError: If it is none, or not above 0.
    """
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds above 0")
    return value
