"""Plant calibrated slowdowns into models of this repository: extra nodes that take a wanted share of a model's time.

Makes a folder with `base.json` and `current.json`, two model lists for `ortperf ab`: all models of this repository,
the same on both sides, and pairs `<model>_plus_<percent>` whose current side has the extra nodes and the same outputs.
How much is planted follows from what fresh processes say that run both in turns; what others say of the result, with
its standard error, stands in each carrier's `calibration.json`. Only what came out as wanted gets into the lists.

Exit status: 1 if a percentage was planted into fewer than five models.
"""

from __future__ import annotations

import dataclasses
import json
import math
import statistics
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from carriers import Carrier, entries, load_carrier, same_outputs
from measuring import Report, Target, parser, run_command, table
from planting import Work, checked, plant
from work_costs import Costs

PERCENTS = (1, 2, 3, 5, 6, 10)
CARRIERS = (
    "multi_io",
    "external_weights",
    "dynamic_mlp",
    "detector_head",
    "int8_qdq_cnn",
    "lstm",
    "small_cnn",
    "tiny_bert",
    "shufflenet",
    "squeezenet",
)
FEWEST = 5
WITHIN_POINTS, WITHIN_SHARE = 0.3, 0.1
SEARCHES, SEARCH_PROCESSES = 3, 2
MOST_ERROR = 0.5
"""Standard error, in percentage points, up to which something is known."""


@dataclass(frozen=True, slots=True)
class Planted:
    """A slowdown in a carrier."""

    percent: int
    """That was wanted."""

    work: Work
    true_percent: float = math.nan
    error_percent: float = math.nan
    """Standard error over processes."""

    @property
    def name(self) -> str:
        """Of the file, without its suffix."""
        return f"plus_{self.percent}"

    @property
    def is_close(self) -> bool:
        """Whether it is what was wanted, as far as that was measured."""
        allowed = max(WITHIN_POINTS, WITHIN_SHARE * self.percent, self.error_percent)
        return self.error_percent <= MOST_ERROR and abs(self.true_percent - self.percent) <= allowed


@dataclass(frozen=True, slots=True)
class Workshop:
    """A carrier's folder, and how long it is measured."""

    carrier: Carrier
    folder: Path
    seconds: float

    def calibrate(self, processes: int) -> tuple[float, list[Planted]]:
        """Return the time of the carrier in ns, and all slowdowns."""
        self.folder.mkdir(parents=True, exist_ok=True)
        # it is about models that are about to be replaced
        (self.folder / "calibration.json").unlink(missing_ok=True)
        onnx.save(self.carrier.model, self.folder / "base.onnx")
        np.savez(self.folder / "feeds.npz", **self.carrier.feeds)
        base_ns, _ = self._measured([], 1, seed=0)
        costs, known = Costs(), dict[Work, float]()
        for search in range(SEARCHES):
            base_ns, found = self._measured(chosen(base_ns, costs, known), SEARCH_PROCESSES, seed=100 * (search + 1))
            taken = came_to(found, base_ns)
            costs, known = costs.corrected(taken), {**known, **dict(taken)}
        return self._measured(chosen(base_ns, costs, known), processes, seed=1000)

    def measure(self, found: Sequence[Planted], processes: int) -> tuple[float, list[Planted]]:
        """Return the same of what was planted before."""
        return self._measured(found, processes, seed=2000)

    def _measured(self, found: Sequence[Planted], processes: int, *, seed: int) -> tuple[float, list[Planted]]:
        """Plant, and return the time of the carrier in ns, and what fresh processes found of each."""
        for each in found:
            made = checked(plant(self.carrier.model, self.carrier.output, each.work))
            onnx.save(made, self.folder / f"{each.name}.onnx")
        task = {
            "models": [str(self.folder / f"{name}.onnx") for name in ("base", *(each.name for each in found))],
            "feeds": str(self.folder / "feeds.npz"),
            "seconds": self.seconds,
        }
        results = [self._process({**task, "seed": seed + number}) for number in range(processes)]
        percents = zip(*(result["log_ratios"] for result in results), strict=True)
        return statistics.median(result["base_ns"] for result in results), [
            _with_truth(each, ratios) for each, ratios in zip(found, percents, strict=True)
        ]

    def _process(self, task: Mapping[str, object]) -> Any:
        path = self.folder / "task.json"
        path.write_text(json.dumps(task), encoding="utf-8")
        ended = run_command(
            [sys.executable, Path(__file__).with_name("planted_timing.py"), path], folder=Path(__file__).parent
        )
        if ended.status:
            raise SystemExit(f"{self.carrier.name}: {ended.output}")
        return json.loads(ended.output.splitlines()[-1])


def chosen(base_ns: float, costs: Costs, known: Mapping[Work, float]) -> list[Planted]:
    """Return what to plant for each percentage that work is short enough for."""
    works = ((percent, costs.work(base_ns * percent / 100, known)) for percent in PERCENTS)
    return [Planted(percent, work) for percent, work in works if work is not None]


def came_to(found: Sequence[Planted], base_ns: float) -> list[tuple[Work, float]]:
    """Return work and the time in ns that it took, where that is known."""
    known = [each for each in found if each.error_percent <= MOST_ERROR]
    return [(each.work, each.true_percent / 100 * base_ns) for each in known]


def _with_truth(each: Planted, log_ratios: Sequence[float]) -> Planted:
    error = statistics.stdev(log_ratios) / math.sqrt(len(log_ratios)) if len(log_ratios) > 1 else math.nan
    percent = 100 * math.expm1(statistics.fmean(log_ratios))
    return dataclasses.replace(each, true_percent=percent, error_percent=100 * error)


def as_dict(each: Planted) -> dict[str, Any]:
    """Return a slowdown for JSON."""
    return {
        "percent": each.percent,
        "true_percent": round(each.true_percent, 3),
        "error_percent": round(each.error_percent, 3),
        "within": each.is_close,
        "work": dataclasses.asdict(each.work),
    }


def stored(folder: Path) -> list[Planted]:
    """Return what was planted into a carrier before."""
    calibration = json.loads((folder / "calibration.json").read_text(encoding="utf-8"))
    return [Planted(each["percent"], Work(**each["work"])) for each in calibration["planted"]]


def write_lists(root: Path) -> Counter[int]:
    """Write both model lists from the calibrations below a folder; return the number of carriers by percentage."""
    base, current, count = entries(), entries(), Counter[int]()
    for path in sorted(root.glob("*/calibration.json")):
        calibration = json.loads(path.read_text(encoding="utf-8"))
        for each in calibration["planted"]:
            if not each["within"]:
                continue
            entry = {"name": f"{calibration['carrier']}_plus_{each['percent']}", **calibration["entry"]}
            base.append({**entry, "path": str(path.with_name("base.onnx").absolute())})
            current.append({**entry, "path": str(path.with_name(f"plus_{each['percent']}.onnx").absolute())})
            count[each["percent"]] += 1
    for name, listed in (("base", base), ("current", current)):
        text = json.dumps({"models": listed}, indent=1)
        (root / f"{name}.json").write_text(text + "\n", encoding="utf-8")
    return count


def calibrate(name: str, root: Path, *, seconds: float, processes: int, again: bool) -> None:
    """Plant into one carrier, or measure again what is there, check that its outputs stay, and write what came out."""
    carrier = load_carrier(name)
    folder = root / name
    workshop = Workshop(carrier, folder, seconds)
    base_ns, found = workshop.measure(stored(folder), processes) if again else workshop.calibrate(processes)
    for each in found:
        if not same_outputs(carrier, onnx.load(folder / f"{each.name}.onnx")):
            raise SystemExit(f"{name}, {each.name}: other outputs")
    calibration = {
        "carrier": name,
        "base_ns": round(base_ns),
        "entry": carrier.entry,
        "planted": [as_dict(each) for each in found],
    }
    (folder / "calibration.json").write_text(json.dumps(calibration, indent=1) + "\n", encoding="utf-8")
    for each in found:
        print(f"{name} {base_ns / 1e6:.3f} ms: {as_dict(each)}", file=sys.stderr, flush=True)


def rows(root: Path) -> Iterable[list[str]]:
    """Yield a row for each slowdown, those that came out wrong included."""
    for path in sorted(root.glob("*/calibration.json")):
        calibration = json.loads(path.read_text(encoding="utf-8"))
        for each in calibration["planted"]:
            work = each["work"]
            yield [
                calibration["carrier"],
                f"{calibration['base_ns'] / 1e6:.3f}",
                str(each["percent"]),
                f"{each['true_percent']:.2f} +- {each['error_percent']:.2f}",
                f"{work['nodes']} {work['kind']} of {work['size']}",
                "yes" if each["within"] else "no",
            ]


def main() -> int:
    """Plant all, print the report, return the exit status."""
    made = parser(__doc__, rounds=6)
    made.add_argument("folder", type=Path, help="where the models and lists go")
    made.add_argument("--carriers", nargs="+", choices=CARRIERS, default=CARRIERS, metavar="NAME")
    made.add_argument("--again", action="store_true", help="plant nothing new: measure again what is there")
    made.add_argument("--seconds", type=float, default=0.25, help="of each model in a process; default %(default)s")
    given = made.parse_args()
    report = Report("Planted slowdowns")
    for name in given.carriers:
        calibrate(name, given.folder, seconds=given.seconds, processes=given.repeat, again=given.again)
    count = write_lists(given.folder)
    report.sections = [
        table(["model", "ms", "wanted, %", "measured, %", "work", "used"], list(rows(given.folder))),
    ]
    report.targets = [
        Target(f"{percent} % in at least {FEWEST} models", str(count[percent]), kept=count[percent] >= FEWEST)
        for percent in PERCENTS
    ]
    report.data = {"rows": list(rows(given.folder))}
    report.finish(given.output)
    return int(not all(target.kept for target in report.targets))


if __name__ == "__main__":
    sys.exit(main())
