"""Record short benchmark runs one after another, idle and under load: the data behind verdicts on single runs.

A run measures eleven models of this repository. With `--slowed` it also measures four of them made 1.2 to 12 times
slower, on one thread, by planted nodes, which leave their outputs as they are; `--plant` makes these models first.
Each call appends its runs, a line each, to a file that `gross_replay.py` reads. It can be stopped and started again.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import onnx
import onnxruntime
from carriers import Carrier, entries, load_carrier, same_outputs
from load_generator import load
from measuring import run_command
from planting import CHAIN, Work, checked, plant

from pytest_ortperf.records.store import find_run, read_run
from pytest_ortperf.reports.comparison.compared_side import Observation, run_side

MODELS = (
    "tiny_bert",
    "small_cnn",
    "lstm",
    "dynamic_mlp",
    "detector_head",
    "int8_qdq_cnn",
    "shufflenet",
    "squeezenet",
    "inception_v1",
    "zfnet512",
    "resnet50",
)
SLOWED = ("tiny_bert", "small_cnn", "shufflenet", "squeezenet")
FACTORS = (1.2, 1.5, 2.0, 3.0, 5.0, 12.0)
NODES = 12
SEARCHES = 5
CLOSE, CLOSE_ENOUGH = 0.02, 0.15
"""The true factor is recorded."""
DIGITS = 5
OPTIONS = (
    "-pno:randomly",
    "--ortperf-mode=benchmark",
    "--ortperf-ep=cpu",
    "--ortperf-operators=off",
    "--ortperf-track-memory=off",
    "--ortperf-samples=drop",
    "--ortperf-warmup=10",
    "--ortperf-min-time=0.25",
    "--ortperf-max-time=1",
)
"""Shorter than the defaults: more noise within a run, and more runs to learn from in the same time."""


def slowed_name(model: str, factor: float) -> str:
    """Return the name of a model made slower."""
    return f"{model}_x{factor:g}"


def chosen(part: int | None) -> list[str]:
    """Return the models to slow: all, or one of each two."""
    return [name for number, name in enumerate(SLOWED) if part in (None, number % 2)]


def plant_all(folder: Path, names: Sequence[str]) -> None:
    """Write the slowed models, their entries, and by how much they came out slower, to a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    listed, factors = [], {}
    for name in names:
        carrier = load_carrier(name)
        for factor in FACTORS:
            made, truth = slowed(carrier, factor)
            path = folder / f"{slowed_name(name, factor)}.onnx"
            onnx.save(made, path)
            listed.append({**carrier.entry, "name": slowed_name(name, factor), "path": str(path)})
            factors[slowed_name(name, factor)] = round(truth, 3)
            sys.stdout.write(f"{slowed_name(name, factor)}: {truth:.3f} times\n")
    (folder / "slowed.json").write_text(json.dumps({"models": listed, "factors": factors}), encoding="utf-8")


def slowed(carrier: Carrier, factor: float) -> tuple[onnx.ModelProto, float]:
    """Return a model that takes `factor` times as long, and what it takes in truth.

    Raises:
        SystemExit: If no size of the planted work comes close, or the outputs change.
    """
    size = 1000
    for _ in range(SEARCHES):
        made = checked(plant(carrier.model, carrier.output, Work(CHAIN, NODES, size)))
        truth = _ratio(carrier, made)
        if abs(truth / factor - 1) <= CLOSE:
            break
        size = max(1, round(size * (factor - 1) / max(truth - 1, 0.01)))
    if abs(truth / factor - 1) > CLOSE_ENOUGH or not same_outputs(carrier, made):
        raise SystemExit(f"{carrier.name}: {truth:.3f} times instead of {factor:g}, or other outputs")
    return made, truth


def _ratio(carrier: Carrier, made: onnx.ModelProto) -> float:
    """Return how many times as long a model takes as its carrier, in turns of 20 ms, on one thread."""
    calls = [_call(carrier, model) for model in (carrier.model, made)]
    turns = [(_turn(calls[0]), _turn(calls[1])) for _ in range(40)]
    return statistics.median(other / base for base, other in turns)


def _call(carrier: Carrier, model: onnx.ModelProto) -> Callable[[], object]:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return lambda: session.run(None, dict(carrier.feeds))


def _turn(call: Callable[[], object]) -> float:
    call()
    count, start = 0, time.perf_counter()
    while time.perf_counter() - start < 0.02:  # noqa: PLR2004 - seconds
        call()
        count += 1
    return (time.perf_counter() - start) / count


def record(arguments: argparse.Namespace) -> dict[str, Any]:
    """Run pytest once, and return what was measured."""
    listed = [entry for entry in entries() if entry["name"] in MODELS]
    if arguments.slowed:
        made = json.loads((arguments.slowed / "slowed.json").read_text(encoding="utf-8"))["models"]
        names = chosen(arguments.part)
        listed += [entry for entry in made if entry["name"].rpartition("_x")[0] in names]
    if arguments.slowed and arguments.threads != 1:
        raise SystemExit("the slowed models are that much slower on one thread: --threads=1")
    threads = [f"--ortperf-threads={arguments.threads}"] if arguments.threads else []
    busy = load(time.time_ns() % 1000) if arguments.load else nullcontext()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "models.json").write_text(json.dumps({"models": listed}), encoding="utf-8")
        started = time.time()
        with busy:
            ended = run_command([sys.executable, "-m", "pytest", *OPTIONS, *threads], folder=folder)
        if ended.status:
            raise SystemExit(ended.output)
        side = run_side(read_run(find_run(folder / "result")))
    cases = {case.record.model: _packed(case.observations["host"][0]) for case in side.cases.values()}
    return {
        "started": round(started),
        "seconds": round(time.time() - started, 1),
        "load": arguments.load,
        "threads": arguments.threads,
        "machine": side.fingerprint,
        "canary_ns": {part: _short(ns) for part, ns in side.canary_ns.items()},
        "canary_spread": None if side.canary_spread is None else _short(side.canary_spread),
        "cases": cases,
    }


def other_work(run: Mapping[str, Any]) -> str | None:
    """Return what shows that others worked on the machine during a run; `None` if nothing does."""
    doubts = [doubt for case in run["cases"].values() for doubt in case.get("doubts", ())]
    return next((doubt for doubt in doubts if "others kept" in doubt or "stolen" in doubt), None)


def _packed(found: Observation) -> Mapping[str, Any]:
    values = {name: _shortened(value) for name, value in dataclasses.asdict(found).items()}
    return {name: value for name, value in values.items() if value not in (None, (), [])}


def _shortened(value: object) -> object:
    if isinstance(value, tuple | list):
        return [_shortened(each) for each in value]
    return _short(value) if isinstance(value, float) else value


def _short(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")


def main() -> None:
    """Plant, or record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--plant", type=Path, metavar="FOLDER", help="make the slowed models there, and end")
    parser.add_argument("--slowed", type=Path, metavar="FOLDER", help="measure the slowed models there too")
    parser.add_argument("--part", type=int, choices=(0, 1), help="one of each two slowed models (default: all)")
    parser.add_argument("--load", action="store_true", help="keep a core busy on and off meanwhile")
    parser.add_argument("--threads", type=int, help="intra-op threads (default: ONNX Runtime's choice)")
    parser.add_argument("--runs", type=int, default=1, help="runs to append (default: 1)")
    parser.add_argument("--output", type=Path, default=Path("build/gross_runs.jsonl"), help="file to append to")
    arguments = parser.parse_args()
    if arguments.plant:
        plant_all(arguments.plant, chosen(arguments.part))
        return
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    done = 0
    while done < arguments.runs:
        run = record(arguments)
        if not arguments.load and (seen := other_work(run)):
            sys.stdout.write(f"made again, the machine was not idle: {seen}\n")
            continue
        done += 1
        with arguments.output.open("a", encoding="utf-8") as file:
            file.write(json.dumps(run, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
