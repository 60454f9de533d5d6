"""Recorded times of runs, and noise made of numbers: what the interval of the median is tried on."""

from __future__ import annotations

import json
import multiprocessing
import time
from array import array
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime

from pytest_ortperf.cases.model import Model
from pytest_ortperf.cases.sources import RAMP, find_source
from pytest_ortperf.execution.case_settings import ExecutionSettings
from pytest_ortperf.execution.inputs.generated_inputs import generate_inputs
from pytest_ortperf.execution.inputs.tensor_values import ModelRunner
from pytest_ortperf.execution.timing.timing_loop import time_calls, without_garbage_collection
from pytest_ortperf.execution.timing.warm_up import warm_up
from pytest_ortperf.records.codec import pack, unpack

DATA = Path(__file__).with_name("data") / "traces.json"
TINY_BERT = Path(__file__).parents[1] / "models" / "tiny_bert" / "model.onnx"
NOISE_LENGTH = 60_000
BURN_IN = 200
CHUNK_S = 0.5


@dataclass(frozen=True, slots=True)
class Trace:
    """Times of consecutive runs of one model, warm-up left out."""

    name: str
    samples_ns: tuple[int, ...]


def load_traces() -> list[Trace]:
    """Return the traces that stand beside this file."""
    data = json.loads(DATA.read_text(encoding="utf-8"))
    return [Trace(name, unpack(packed)) for name, packed in data["traces"].items()]


def record_traces(seconds: float, where: str) -> None:
    """Record all traces anew: each model with the machine idle, and with one core loaded by another process."""
    models = {"light_squeezenet": find_source("onnx-light:squeezenet").path, "tiny_bert": TINY_BERT}
    traces = {}
    for name, path in models.items():
        traces[f"{name}, idle"] = pack(record(path, seconds))
        with loaded_core():
            traces[f"{name}, one core loaded"] = pack(record(path, seconds))
    DATA.parent.mkdir(exist_ok=True)
    DATA.write_text(json.dumps({"recorded": where, "traces": traces}, indent=1) + "\n", encoding="utf-8")


def record(path: Path, seconds: float) -> Sequence[int]:
    """Return the times of consecutive runs of a model for so long, in ns."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    model = Model(name=path.stem, path=path, origin="here", inputs=RAMP if "light" in path.stem else {})
    dims = {"batch": 1, "sequence": 32} if path == TINY_BERT else {}
    feeds = generate_inputs(session.get_inputs(), model=model, dims=dims, seed=0)
    call = ModelRunner(session, None, feeds).call
    warm = warm_up(call, ExecutionSettings())
    chunk = max(1, int(CHUNK_S * 1e9 / (warm.run_ns or 1)))
    end, times = time.monotonic() + seconds, array("q")
    with without_garbage_collection():
        while time.monotonic() < end:
            times += time_calls(call, chunk)
    return times


@contextmanager
def loaded_core() -> Iterator[None]:
    """Keep one core busy meanwhile."""
    process = multiprocessing.get_context("spawn").Process(target=_spin, daemon=True)
    process.start()
    try:
        time.sleep(1)
        yield
    finally:
        process.terminate()
        process.join()


def _spin() -> None:
    while True:
        pass


def noise(correlation: float, run_ns: float, variation: float, source: np.random.Generator) -> list[int]:
    """Return times of runs whose logarithm is AR(1) noise around `run_ns`."""
    steps = source.normal(0, 1, NOISE_LENGTH + BURN_IN)
    weights = np.sqrt(1 - correlation**2) * correlation ** np.arange(BURN_IN)
    values = np.convolve(steps, weights)[BURN_IN : BURN_IN + NOISE_LENGTH]
    return (run_ns * np.exp(variation * values)).astype(np.int64).tolist()
