"""Bound runs and replayed graphs beside plain runs, on CUDA, in a process of their own.

    python bound_on_cuda.py MODEL

Prints one JSON object: by way of running, the largest difference from `InferenceSession.run` on CUDA with the same
inputs, and what was bound how.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from pytest_ortperf.cases.matrix import Case
from pytest_ortperf.cases.model import Model
from pytest_ortperf.cases.providers import find_provider
from pytest_ortperf.execution.case_settings import ExecutionSettings
from pytest_ortperf.execution.session.creation import create_session
from pytest_ortperf.execution.timing.io_binding import Bound, CannotBind
from pytest_ortperf.execution.timing.timing_modes import captured, graph_session, memory_of

SETTINGS = ExecutionSettings(ep_options={"cuda": {"use_tf32": "0"}})
ROUNDS = 3


class NoHooks:
    """Users' hooks that do nothing."""

    def configure_session(self, session_options: onnxruntime.SessionOptions) -> None:
        pass

    def before_first_run(self, session: onnxruntime.InferenceSession) -> None:
        pass


Arrays = dict[str, Any]


def inputs_of(session: onnxruntime.InferenceSession, seed: int) -> Arrays:
    """Return arrays with symbolic dimensions of 2; integers are the shape to take for a reshaping."""
    rng = np.random.default_rng(seed)
    found = {}
    for meta in session.get_inputs():
        shape = [size if isinstance(size, int) else 2 for size in meta.shape]
        is_shape = meta.type == "tensor(int64)"
        found[meta.name] = np.array([-1], np.int64) if is_shape else rng.normal(size=shape).astype(np.float32)
    return found


def difference(outputs: Arrays, references: Arrays) -> float:
    """Return the largest difference; shapes that differ are infinitely far apart."""
    assert outputs.keys() == references.keys()
    return max(
        float(np.max(np.abs(outputs[name] - references[name]), initial=0.0))
        if outputs[name].shape == references[name].shape
        else float("inf")
        for name in references
    )


def main(path: Path) -> dict[str, Any]:
    provider = find_provider("cuda")
    model = Model(name="m", path=path, origin="models.json")
    case = Case(model=model, mode="benchmark", provider=provider, precision=None)
    session = create_session(str(path), case, SETTINGS, NoHooks()).session
    names = [meta.name for meta in session.get_outputs()]
    feeds = [inputs_of(session, seed) for seed in range(ROUNDS)]
    references = [dict(zip(names, session.run(names, each), strict=True)) for each in feeds]
    shapes = {name: tuple(value.shape) for name, value in references[0].items()}
    memory = memory_of(provider, session)
    bound = Bound(session, shapes, [feeds[0]], memory)
    call, same = bound.run_call(), []
    # where shapes depend on data only the first inputs have the shapes that were bound
    changing = feeds if not bound.unshaped else feeds[:1]
    for each, reference in zip(changing, references, strict=False):
        bound.update(each)
        call()
        same.append(difference(bound.outputs(), reference))
    bound.update(feeds[0])
    copying = bound.run_call_with_copies()
    result = {
        "bound": max(same),
        "bound+copies": difference(dict(zip(names, copying(), strict=True)), references[0]),
        "unshaped": list(bound.unshaped),
        "on_host": list(bound.on_host),
        "device": [value.device_name() for value in bound._bindings[0].get_outputs()],  # noqa: SLF001 - to look inside
        "input_byte": bound.input_byte,
        "output_byte": bound.output_byte,
    }
    del session, bound, call, copying
    try:
        replayed = captured(graph_session(str(path), case, SETTINGS, NoHooks()), shapes, feeds[0], memory)
    except CannotBind as error:
        return {**result, "graph": None, "refused": str(error)}
    call, same = replayed.run_call(), []
    for each, reference in zip((*feeds[1:], feeds[0]), (*references[1:], references[0]), strict=True):
        replayed.update(each)
        call()
        same.append(difference(replayed.outputs(), reference))
    return {**result, "graph": max(same), "refused": None}


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]))))  # noqa: T201 - the answer
