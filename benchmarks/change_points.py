"""How often a planted step is found, and how often a flat series is accused, on resampled recorded runs.

A history is 100 runs of ten models, put together from blocks of ten neighbouring recorded runs (see
`change_point_runs.py`), so that neighbours have in common what they had. Where a noise level is asked for, what is left
of each model once the common movement is taken out is scaled to it. One model of each history becomes 5 % slower at run
60. Simulated histories, whose noise is more correlated than what was recorded, are beside them. With `--otava` the same
series go to Apache Otava with its defaults, in an environment of its own.
"""

from __future__ import annotations

import json
import math
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from measuring import Report, Target, parser, table

from pytest_ortperf.history.change_points import without_common_movement
from pytest_ortperf.history.steps import Values, find_steps, noise_of
from pytest_ortperf.records.intervals import lag1_correlation

RECORDED = Path(__file__).parent / "data" / "change_point_runs.jsonl"
RUNS, PLACE, NEAR = 100, 60, 3
CHANGE = 0.05
BLOCK = 10
MODELS = 10
LEVELS = (0.005, 0.01, 0.02, 0.03, 0.05)
QUIET = 0.01
CORRELATION = 0.5
"""Of neighbouring runs, where they are simulated."""

SEED = 2000
"""Of the series that test; those that bounds were chosen on have seeds from 0 on."""

OTAVA = """
import json, sys
from otava.analysis import compute_change_points
answers = []
for series in json.load(sys.stdin):
    points, _ = compute_change_points(series)
    answers.append([int(point.index) for point in points])
json.dump(answers, sys.stdout)
"""

Finder = Callable[[Sequence["History"]], list[list[int]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """Values of all models in some runs, one of which may have changed."""

    values: Values
    """One row a model, one column a run."""

    model: int
    """Row of the one that is looked at."""


def load_runs(path: Path = RECORDED) -> tuple[tuple[str, ...], Values]:
    """Return the models and the logarithms of their medians, one row a model, one column a run."""
    runs = [json.loads(line)["median_ns"] for line in path.read_text(encoding="utf-8").splitlines()]
    models = tuple(runs[0])
    return models, np.log(np.array([[run[model] for run in runs] for model in models]))


def residuals(logs: Values) -> tuple[Values, Values]:
    """Return what is left of each model around its median, and the common movement, both as logarithms."""
    own = without_common_movement(logs)
    common = np.median(logs - own, axis=0) - np.median(logs - own)
    return own - np.median(own, axis=1, keepdims=True), common


def resampled(logs: Values, level: float | None, count: int, *, seed: int, runs: int = RUNS) -> list[History]:
    """Return histories without a change, out of blocks of recorded runs; the models are looked at in turns.

    Args:
        logs: As recorded.
        level: What the noise of each model is scaled to; `None` leaves it, and looks at models of at most 1 %.
        count: How many.
        seed: Of the first; every history has its own.
        runs: Of a history.
    """
    own, common = residuals(logs)
    noises = [noise_of(line) for line in own]
    looked_at = [row for row, noise in enumerate(noises) if level is not None or noise <= QUIET]
    if level is not None:
        own = own * (level / np.array(noises))[:, None]
    orders = [blocks(logs.shape[1], seed + number, runs) for number in range(count)]
    return [
        History(values=np.exp(own[:, order] + common[order]), model=looked_at[number % len(looked_at)])
        for number, order in enumerate(orders)
    ]


def simulated(level: float, count: int, *, seed: int, runs: int = RUNS) -> list[History]:
    """Return histories whose noise is normal and correlated from run to run, beside a common movement of 5 %."""
    found = []
    for number in range(count):
        random = np.random.default_rng(seed + number)
        noise = random.normal(size=(MODELS, runs))
        for run in range(1, runs):
            noise[:, run] = CORRELATION * noise[:, run - 1] + math.sqrt(1 - CORRELATION**2) * noise[:, run]
        values = np.exp(level * noise + 0.05 * random.normal(size=runs))
        found.append(History(values=values, model=number % MODELS))
    return found


def blocks(recorded: int, seed: int, runs: int = RUNS) -> list[int]:
    """Return which recorded run stands for each run of a history: whole blocks, going on at the start."""
    random = np.random.default_rng(seed)
    starts = random.integers(recorded, size=math.ceil(runs / BLOCK))
    return [int((start + step) % recorded) for start in starts for step in range(BLOCK)][:runs]


def planted(history: History, change: float = CHANGE, place: int = PLACE) -> History:
    """Return the history with its model slower from a run on."""
    values = history.values.copy()
    values[history.model, place:] *= 1 + change
    return History(values=values, model=history.model)


def ours(made: Sequence[History]) -> list[list[int]]:
    """Return where this package sees changes of each history's model; 100 runs are one window."""
    return [[step.index for step in find_steps(normalised(history))] for history in made]


def normalised(history: History) -> Values:
    """Return the logarithms of a history's model less the common movement."""
    line: Values = without_common_movement(np.log(history.values))[history.model]
    return line


def otava(python: str) -> Finder:
    """Return a finder that asks Otava, of an interpreter that has it, on the normalised series."""

    def ask(made: Sequence[History]) -> list[list[int]]:
        lines = [np.exp(normalised(history)) for history in made]
        given = json.dumps([(line / line[0]).tolist() for line in lines])
        done = subprocess.run([python, "-I", "-c", OTAVA], input=given, capture_output=True, text=True, check=True)
        found: list[list[int]] = json.loads(done.stdout)
        return found

    return ask


def hits(found: Sequence[Sequence[int]], place: int = PLACE) -> int:
    """Count the series with a change within 3 runs of the place."""
    return sum(any(abs(at - place) <= NEAR for at in places) for places in found)


def delay(history: History) -> int | None:
    """Return how many runs with the new level it takes until the change is seen; `None` if it never is."""
    logs = np.log(history.values)
    for count in range(PLACE + 1, RUNS + 1):  # one window, of which one series is enough
        steps = find_steps(without_common_movement(logs[:, :count])[history.model])
        if hits([[step.index for step in steps]]):
            return count - PLACE
    return None


def measured_noise(made: Sequence[History]) -> tuple[float, float]:
    """Return medians over series: robust standard deviation, and correlation of neighbours, as normalised."""
    lines = list(map(normalised, made))
    return statistics.median(map(noise_of, lines)), statistics.median(
        lag1_correlation(line.tolist()) or 0.0 for line in lines
    )


def row(name: str, made: Sequence[History], finders: Mapping[str, Finder]) -> tuple[list[str], tuple[int, int]]:
    """Return a line of the table, and what this package found: hits, and flat series accused."""
    changed = [planted(history) for history in made]
    noise, correlation = measured_noise(made)
    delays = [found for history in changed if (found := delay(history)) is not None]
    cells = [name, f"{noise:.1%}", f"{correlation:.2f}"]
    counts = []
    for find in finders.values():
        counts.append((hits(find(changed)), sum(map(bool, find(made)))))
        cells += [f"{counts[-1][0]} of {len(made)}", f"{counts[-1][1]} of {len(made)}"]
    cells.append(f"{statistics.median(delays):.0f}" if delays else "-")
    print(" | ".join(cells), file=sys.stderr, flush=True)
    return cells, counts[0]


def _target(name: str, counts: tuple[int, int], series: int) -> Target:
    found, accused = counts
    text = f"{name}: 95 % found, at most 1 of 40 flat series accused"
    kept = found >= 0.95 * series and accused <= series / 40
    return Target(text, f"{found} and {accused} of {series}", kept)


def choices(logs: Values, count: int) -> str:
    """Return a table of how other bounds and windows do, on series other than those that test."""
    rows = []
    sources: dict[str, Callable[[int], list[History]]] = {
        "recorded, 1 %": lambda runs: resampled(logs, 0.01, count, seed=0, runs=runs),
        "recorded, 2 %": lambda runs: resampled(logs, 0.02, count, seed=0, runs=runs),
        "correlated, 1 %": lambda runs: simulated(0.01, count, seed=0, runs=runs),
        "correlated, 2 %": lambda runs: simulated(0.02, count, seed=0, runs=runs),
    }
    bounds = [(100, p, 0.02) for p in (1e-3, 1e-4, 1e-5, 1e-6)]
    for runs, max_p, least in [*bounds, (100, 1e-5, 0.01), (100, 1e-5, 0.03), (50, 1e-5, 0.02), (200, 1e-5, 0.02)]:
        cells = [f"{runs} runs, p {max_p:.0e}, {least:.0%}"]
        for make in sources.values():
            place = runs * PLACE // RUNS
            flat, changed = (
                [[step.index for step in find_steps(line, max_p=max_p, min_change=least)] for line in lines]
                for lines in _lines(make(runs), place)
            )
            cells += [str(hits(changed, place)), str(sum(map(bool, flat)))]
        rows.append(cells)
        print(" | ".join(cells), file=sys.stderr, flush=True)
    heads = [cell for name in sources for cell in (f"{name}: found", "accused")]
    return table([f"of {count} series", *heads], rows)


def _lines(made: Sequence[History], place: int) -> tuple[list[Values], list[Values]]:
    """Return the normalised series of histories, flat and with a step."""
    flat, changed = (
        list(map(normalised, each)) for each in (made, [planted(history, place=place) for history in made])
    )
    return flat, changed


def examples(models: Sequence[str], logs: Values, ask: Finder) -> list[dict[str, object]]:
    """Return a few series as normalised, with what this package and Otava find in them."""
    quiet = [row for row, line in enumerate(residuals(logs)[0]) if noise_of(line) <= QUIET][:3]
    flat = {f"{models[row]}, as recorded": History(values=np.exp(logs[:, :RUNS]), model=row) for row in quiet}
    made = {
        **flat,
        **{f"{name}, 5 % slower from run {PLACE}": planted(each) for name, each in flat.items()},
        "simulated, correlated": simulated(0.01, 1, seed=0)[0],
        "simulated, correlated, 5 % slower": planted(simulated(0.01, 1, seed=1)[0]),
    }
    answers = zip(made.items(), ask(list(made.values())), strict=True)
    found = []
    for (name, history), theirs in answers:
        line = np.exp(normalised(history))
        values = [float(f"{value:.5g}") for value in line / line[0]]
        places = [step.index for step in find_steps(np.log(values))]
        found.append({"name": name, "ours": places, "otava": theirs, "values": values})
    return found


def main() -> None:
    """Make the table."""
    options = parser(__doc__, rounds=40)
    options.add_argument("--runs", type=Path, default=RECORDED, metavar="FILE", help="recorded runs")
    options.add_argument("--otava", metavar="PYTHON", help="interpreter of an environment with apache-otava")
    options.add_argument("--seed", type=int, default=SEED, help=f"of the first history (default: {SEED})")
    options.add_argument(
        "--examples", type=Path, metavar="FILE", help="write a few series with both answers there, and end"
    )
    options.add_argument("--choose", action="store_true", help="show how other bounds do, on other series, and end")
    arguments = options.parse_args()
    finders: dict[str, Finder] = {"ours": ours}
    if arguments.otava:
        finders["Otava"] = otava(arguments.otava)
    models, logs = load_runs(arguments.runs)
    if arguments.choose:
        print(choices(logs, arguments.repeat))
        return
    if arguments.examples:
        lines = ",\n".join(json.dumps(each) for each in examples(models, logs, otava(arguments.otava)))
        arguments.examples.write_text(f"[\n{lines}\n]\n", encoding="utf-8")
        return
    report = Report("Change points on resampled runs")
    rows = []
    seeded = {"count": arguments.repeat, "seed": arguments.seed}
    for level in (None, *LEVELS):
        name = "recorded, models of 1 % or less" if level is None else f"recorded, scaled to {level:.1%}"
        cells, counts = row(name, resampled(logs, level, **seeded), finders)
        rows.append(cells)
        if level is None or level <= QUIET:
            report.targets.append(_target(name, counts, arguments.repeat))
    for level in LEVELS:
        cells, _ = row(f"simulated, correlated, {level:.1%}", simulated(level, **seeded), finders)
        rows.append(cells)
    heads = [cell for name in finders for cell in (f"{name}: found", f"{name}: flat accused")]
    report.sections.append(table(["noise", "measured", "lag 1", *heads, "runs until found"], rows))
    report.finish(arguments.output)


if __name__ == "__main__":
    main()
