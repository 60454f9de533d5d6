"""What the experiment with `ortperf ab` recorded, as it stands in `data/ab_runs.json`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DATA = Path(__file__).with_name("data") / "ab_runs.json"
_DIGITS = 5
_LOG_DIGITS = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """What one process of a pair measured, for rules of other tools."""

    mean_ns: float
    turns_ns: tuple[float, ...]
    """Medians of its turns."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PairData:
    """One fresh process of each side."""

    round: int
    stage: str
    log_ratio: float
    """ln(current / base)."""

    base_ns: float
    current_ns: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseData:
    """A case in one run of `ortperf ab`."""

    case_id: str
    timing: str
    pairs: tuple[PairData, ...]
    """In the order of time."""

    base: Side
    """Of the first pair, as the next."""

    current: Side

    @property
    def model(self) -> str:
        """Name in the model list."""
        return self.case_id.partition("::")[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunData:
    """One run of `ortperf ab`."""

    seed: int
    status: int
    """Exit status."""

    seconds: float
    busy_share: float
    """Of a core, that the load generator took."""

    cases: tuple[CaseData, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Slowdown:
    """What was planted into a model."""

    carrier: str
    percent: int
    true_percent: float
    """As calibrated."""

    error_percent: float
    """Its standard error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """All of it."""

    recorded: str
    """Date, machine, load and versions."""

    command: tuple[str, ...]
    floors: Mapping[str, float]
    """Noise floor by case id, a log ratio; empty if none was given."""

    planted: Mapping[str, Slowdown]
    """By model name; all other models are the same on both sides."""

    runs: tuple[RunData, ...]


def read_experiment(path: Path = DATA) -> Experiment:
    """Return what was recorded."""
    data = json.loads(path.read_text(encoding="utf-8"))
    return Experiment(
        recorded=data["recorded"],
        command=tuple(data["command"]),
        floors=data["floors"],
        planted={name: Slowdown(**fields) for name, fields in data["planted"].items()},
        runs=tuple(
            RunData(**{**run, "cases": tuple(_case(*case) for case in run["cases"].items())}) for run in data["runs"]
        ),
    )


def write_experiment(path: Path, head: Mapping[str, Any], runs: Sequence[Mapping[str, Any]]) -> None:
    """Write what was recorded, a line a case."""
    lines = [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in head.items()]
    shown = ",\n".join(_run_text(run) for run in runs)
    path.parent.mkdir(exist_ok=True)
    path.write_text("{\n" + ",\n".join([*lines, f'"runs": [\n{shown}\n]']) + "\n}\n", encoding="utf-8")


def packed_cases(pairs: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the pairs of a run by case, in numbers of a few digits; they are objects as in a pairs file."""
    found: dict[str, Any] = {}
    for pair in pairs:
        key = f"{pair['case_id']} {pair['timing']}"
        sides = {side: _packed_side(pair[side]) for side in ("base", "current")}
        case = found.setdefault(key, {"first": sides, "pairs": []})
        case["pairs"].append(
            [
                pair["round"],
                pair["stage"],
                round(pair["log_ratio"], _LOG_DIGITS),
                *(_short(pair[side]["median_ns"]) for side in ("base", "current")),
            ]
        )
    return found


def _run_text(run: Mapping[str, Any]) -> str:
    cases = ",\n".join(
        f"  {json.dumps(key)}: {json.dumps(case, separators=(',', ':'))}" for key, case in run["cases"].items()
    )
    head = ", ".join(f"{json.dumps(key)}: {json.dumps(value)}" for key, value in run.items() if key != "cases")
    return f' {{{head}, "cases": {{\n{cases}}}}}'


def _packed_side(side: Mapping[str, Any]) -> list[Any]:
    return [_short(side["mean_ns"]), [_short(value) for value in side["turns_ns"]]]


def _short(value: float) -> float:
    """Return a number of five digits."""
    short = float(f"{value:.{_DIGITS}g}")
    return int(short) if short.is_integer() else short


def _case(key: str, case: Mapping[str, Any]) -> CaseData:
    case_id, timing = key.rsplit(" ", 1)
    names = ("round", "stage", "log_ratio", "base_ns", "current_ns")
    sides = {name: Side(mean_ns=mean, turns_ns=tuple(turns)) for name, (mean, turns) in case["first"].items()}
    return CaseData(
        case_id=case_id,
        timing=timing,
        pairs=tuple(PairData(**dict(zip(names, pair, strict=True))) for pair in case["pairs"]),
        base=sides["base"],
        current=sides["current"],
    )
