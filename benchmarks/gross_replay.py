"""Decide recorded short runs again: how often a slowdown is found, and how often runs of the same thing are accused.

The data are those of `gross_runs.py`: runs one after another, idle and under load. Two neighbouring runs, or two times
three, are the sides of a comparison of 1, 3 or 10 models; a slowed model takes the place of its original on the
current side. `--derive` prints instead what runs of the same thing differed by, for each class of cases: the numbers
behind the bounds in `reports/comparison/gross.py`. Those come from other runs than the tables.
"""

from __future__ import annotations

import argparse
import json
import math
import re
import statistics
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gross_runs import FACTORS, MODELS, SLOWED, slowed_name
from measuring import table

from pytest_ortperf.records.record import Record, SessionFact
from pytest_ortperf.reports.comparison.compared_side import CaseResult, Observation, RunSide, Side
from pytest_ortperf.reports.comparison.fleet import canary_shift
from pytest_ortperf.reports.comparison.gross import CALMS, SLOW_NS, class_of, measured_run, worst_calm
from pytest_ortperf.reports.comparison.latency_changes import LatencyPair, compare_latencies

DATA = Path(__file__).parent / "data" / "gross_runs.jsonl"
"""Runs that test the bounds."""

BOUNDS_DATA = Path(__file__).parent / "data" / "gross_bounds.jsonl"
"""Runs that the bounds were derived from."""

SIZES = (1, 3, 10)
SEVERAL = 3
SHORT_NS = 100_000
_TO_SIGMA = 1.4826
_OTHERS = re.compile(r"others kept ([\d.]+) of (\d+) cores busy")
_STOLEN = re.compile(r"([\d.]+)% of the CPU time was stolen")
_DISTURBING = re.compile(r"the machine: (?!\d+ other threads)")

Run = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Planted:
    """Comparisons of one kind."""

    load: bool
    runs: int
    """On each side."""

    models: int
    is_slow: bool
    """Whether the slowed model takes 1 ms or more."""

    factor: float


def read_runs(path: Path) -> list[Run]:
    """Return recorded runs in the order they were made."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def one_side(runs: Iterable[Run], models: Mapping[str, str]) -> Side:
    """Return a side of some runs.

    Args:
        runs: Recorded.
        models: Name that a model is compared by -> name it was recorded by.
    """
    made = []
    for number, run in enumerate(runs):
        cases = {name: _case(name, run["cases"][recorded], run["threads"]) for name, recorded in models.items()}
        canary = {"canary_ns": run["canary_ns"], "canary_spread": run.get("canary_spread")}
        made.append(RunSide(name=str(number), cases=cases, fingerprint=run["machine"], **canary))
    return Side(name="recorded", runs=tuple(made))


def _case(name: str, found: Mapping[str, Any], threads: int | None) -> CaseResult:
    record = Record(
        case_id=f"{name}::benchmark[cpu]",
        nodeid=f"models.json::{name}::benchmark[cpu]",
        model=name,
        mode="benchmark",
        provider="cpu",
        provider_full_name="CPUExecutionProvider",
        precision=None,
        outcome="passed",
        started="",
        session=SessionFact(
            requested_providers=("CPUExecutionProvider",),
            active_providers=("CPUExecutionProvider",),
            provider_options={},
            graph_optimization="all",
            intra_op_threads=threads,
            creation_ns=0,
        ),
    )
    values = {key: tuple(value) if isinstance(value, list) else value for key, value in found.items()}
    # older recordings had the texts alone
    values.setdefault("disturbed", any(map(_DISTURBING.search, values.get("doubts", ()))))
    values.setdefault("crowded", any(_is_crowded(doubt, threads) for doubt in values.get("doubts", ())))
    return CaseResult(record=record, observations={"host": (Observation(**values),)})


def _is_crowded(doubt: str, threads: int | None) -> bool:
    """Return whether a text tells that a case was disturbed by more than work on cores that it does not need."""
    busy, stolen = _OTHERS.search(doubt), _STOLEN.search(doubt)
    if stolen:
        return float(stolen[1]) > 10  # noqa: PLR2004 - percent
    if busy is None:
        return bool(_DISTURBING.search(doubt))
    return float(busy[1]) + (threads or int(busy[2])) > int(busy[2]) + 0.25


def neighbours(runs: Sequence[Run], count: int) -> Iterator[tuple[Sequence[Run], Sequence[Run]]]:
    """Yield two sides of `count` runs each that follow each other, of every such place."""
    for first in range(len(runs) - 2 * count + 1):
        yield runs[first : first + count], runs[first + count : first + 2 * count]


def judged(base: Sequence[Run], current: Sequence[Run], names: Sequence[str], slowed: Mapping[str, str]) -> Side | Any:
    """Return the pairs of a comparison of some models, those in `slowed` by the name they were recorded by."""
    sides = one_side(base, {name: name for name in names}), one_side(current, {n: slowed.get(n, n) for n in names})
    return compare_latencies(*sides).pairs


def chosen(models: int, place: int, with_model: str | None = None) -> list[str]:
    """Return some models, others at each place, one of them if it is named."""
    others = [name for name in MODELS if name != with_model]
    turned = others[place % len(others) :] + others[: place % len(others)]
    return ([with_model] if with_model else []) + turned[: models - bool(with_model)]


def planted_verdicts(runs: Sequence[Run]) -> dict[Planted, Counter[str]]:
    """Return the verdicts on the slowed model of each kind of comparison."""
    found: dict[Planted, Counter[str]] = {}
    for alike in _alike(runs):
        for count in (1, SEVERAL):
            for place, (base, current) in enumerate(neighbours(alike, count)):
                for models in SIZES:
                    for name in (name for name in SLOWED if slowed_name(name, FACTORS[0]) in _common(current)):
                        names = chosen(models, place, name)
                        is_slow = base[0]["cases"][name]["median_ns"] >= SLOW_NS
                        for factor in FACTORS:
                            pairs = judged(base, current, names, {name: slowed_name(name, factor)})
                            verdict = _of(name, pairs).decision.verdict
                            key = Planted(alike[0]["load"], count, models, is_slow, factor)
                            found.setdefault(key, Counter())[verdict] += 1
    return found


def _common(runs: Sequence[Run]) -> set[str]:
    """Return what all of some runs measured."""
    return set.intersection(*(set(run["cases"]) for run in runs))


def _of(name: str, pairs: Iterable[LatencyPair]) -> LatencyPair:
    return next(pair for pair in pairs if pair.case_id == name)


def same_verdicts(runs: Sequence[Run]) -> dict[tuple[bool, int, int], Counter[str]]:
    """Return the verdicts on models that are the same: (load, runs on each side, models) -> counts."""
    found: dict[tuple[bool, int, int], Counter[str]] = {}
    for alike in _alike(runs):
        for count in (1, SEVERAL):
            for place, (base, current) in enumerate(neighbours(alike, count)):
                for models in SIZES:
                    for start in range(0, len(MODELS), models):
                        names = chosen(models, place + start)
                        counts = found.setdefault((alike[0]["load"], count, models), Counter())
                        counts.update(pair.decision.verdict for pair in judged(base, current, names, {}))
    return found


def derive(runs: Sequence[Run]) -> str:
    """Return a table of what runs of the same thing differ by, for each class of cases."""
    singles: dict[tuple[bool, bool, str], list[tuple[float, float]]] = {}
    closest: dict[tuple[bool, bool, str], list[float]] = {}
    for alike in _alike(runs):
        for first, base in enumerate(alike):
            for current in alike[first + 1 :]:
                for key, raw, less in _ratios(base, current):
                    singles.setdefault(key, []).append((raw, less))
        for base_runs, current_runs in neighbours(alike, SEVERAL):
            for key, value in _closest(base_runs, current_runs):
                closest.setdefault(key, []).append(value)
    rows = [
        (
            "1 ms or more" if key[0] else "below 1 ms",
            "one" if key[1] else "several",
            key[2],
            str(len(values)),
            f"{_spread([raw for raw, _ in values]):.3f}",
            f"{_spread([less for _, less in values]):.3f}",
            *(f"{_share([less for _, less in values], share):.2f}" for share in (0.99, 1.0)),
            f"{math.exp(max(closest.get(key, [0.0]))):.2f}",
        )
        for key, values in sorted(singles.items(), key=lambda it: (not it[0][0], not it[0][1], CALMS.index(it[0][2])))
    ]
    names = ("median", "threads", "", "pairs", "spread", "less canary", "99 % below", "largest", "closest of 3 and 3")
    return f"{table(names, rows)}\n\n{_floor(runs)}"


def _alike(runs: Sequence[Run]) -> list[list[Run]]:
    """Return the runs of each machine with the same threads and load, in order."""
    found: dict[tuple[str, int | None, bool], list[Run]] = {}
    for run in runs:
        found.setdefault((run["machine"], run["threads"], run["load"]), []).append(run)
    return list(found.values())


def _floor(runs: Sequence[Run]) -> str:
    """Return by how much short medians differ as a time."""
    found = []
    series = [alike for alike in _alike(runs) if not alike[0]["load"] and alike[0]["threads"] == 1]
    for base, current in (pair for alike in series for pair in neighbours(alike, 1)):
        medians = [[side[0]["cases"][name]["median_ns"] for name in MODELS] for side in (base, current)]
        found += [abs(a - b) for a, b in zip(*medians, strict=True) if a < SHORT_NS]
    ordered = sorted(found)
    share = ordered[math.ceil(0.99 * len(ordered)) - 1]
    return (
        f"Medians below {SHORT_NS / 1e3:g} us, idle, one thread: 99 % of {len(ordered)} differences are below "
        f"{share / 1e3:.2f} us, the largest is {ordered[-1] / 1e3:.2f} us."
    )


_Class = tuple[bool, bool, str]


def _ratios(base: Run, current: Run) -> Iterator[tuple[_Class, float, float]]:
    for key, medians, log_shift in _classified([base], [current]):
        raw = math.log(medians[1][0] / medians[0][0])
        yield key, raw, raw - log_shift


def _closest(base: Sequence[Run], current: Sequence[Run]) -> Iterator[tuple[_Class, float]]:
    for key, medians, _ in _classified(base, current):
        for slow, fast in (medians, medians[::-1]):
            yield key, math.log(min(slow) / max(fast))


def _classified(base: Sequence[Run], current: Sequence[Run]) -> Iterator[tuple[_Class, list[list[float]], float]]:
    """Yield each model's class, the medians of both sides, and the logarithm of the canary's shift."""
    names = {name: name for name in MODELS}
    sides = one_side(base, names), one_side(current, names)
    shift = canary_shift(*sides)
    for name in MODELS:
        found = [[run.cases[name].observations["host"] for run in side.runs] for side in sides]
        class_ = class_of(sides[0].last[name].record, [one for side in found for run in side for one in run])
        runs = [
            measured_run(each, run.canary_spread, class_, shift)
            for side, observed in zip(sides, found, strict=True)
            for run, each in zip(side.runs, observed, strict=True)
        ]
        medians = [[run[0].median_ns or math.nan for run in side] for side in found]
        yield (class_.is_slow, class_.is_alone, worst_calm(runs)), medians, shift.log_shift if shift else 0.0


def _spread(logs: Sequence[float]) -> float:
    return _TO_SIGMA * statistics.median(abs(value) for value in logs)


def _share(logs: Sequence[float], share: float) -> float:
    ordered = sorted(abs(value) for value in logs)
    return math.exp(ordered[min(len(ordered) - 1, math.ceil(share * len(ordered)) - 1)])


def planted_table(found: Mapping[Planted, Counter[str]]) -> str:
    """Return how many of the slowdowns of each kind were found."""
    keys = dict.fromkeys((key.load, key.is_slow, key.runs, key.models) for key in found)
    rows = [
        (
            "load" if load else "idle",
            "1 ms or more" if is_slow else "below 1 ms",
            str(runs),
            str(models),
            *(_found(found[Planted(load, runs, models, is_slow, factor)]) for factor in FACTORS),
        )
        for load, is_slow, runs, models in sorted(keys)
    ]
    return table(("machine", "median", "runs a side", "models", *(f"{factor:g} times" for factor in FACTORS)), rows)


def _found(counts: Counter[str]) -> str:
    return f"{counts['SLOWER']} of {counts.total()}"


def same_table(found: Mapping[tuple[bool, int, int], Counter[str]]) -> str:
    """Return the verdicts on models that are the same."""
    verdicts = ("SLOWER", "FASTER", "UNSURE", "SAME")
    rows = [
        ("load" if load else "idle", str(runs), str(models), *(str(counts[verdict]) for verdict in verdicts))
        for (load, runs, models), counts in found.items()
    ]
    return table(("machine", "runs a side", "models", *verdicts), rows)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--derive", action="store_true", help="print what the bounds are derived from")
    parser.add_argument("--data", type=Path, help="recorded runs (default: those in benchmarks/data)")
    arguments = parser.parse_args()
    if arguments.derive:
        sys.stdout.write(derive(read_runs(arguments.data or BOUNDS_DATA)) + "\n")
        return
    runs = read_runs(arguments.data or DATA)
    sys.stdout.write(planted_table(planted_verdicts(runs)) + "\n\n" + same_table(same_verdicts(runs)) + "\n")


if __name__ == "__main__":
    main()
