"""Runs for pages: of any size, with every part of a record, and with names that mean harm."""

from __future__ import annotations

import base64
import dataclasses
import gzip
import json
import random
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

from pytest_ortperf.records.environment.machine_checks import Finding, MachineState
from pytest_ortperf.records.latency import Latency
from pytest_ortperf.records.record import ModelFact, Placement, Record, TensorFact
from pytest_ortperf.records.resources import HostMemory, Resources
from pytest_ortperf.records.statistics import compute
from pytest_ortperf.records.store import StoredRun
from record_examples import (
    FULL_NAMES,
    make_accuracy,
    make_environment,
    make_failure,
    make_header,
    make_operators,
    make_output,
    make_record,
    make_run,
    make_session,
)

VARIANTS = tuple((provider, precision) for precision in (None, "fp16") for provider in ("cpu", "cuda", "tensorrt"))
OPERATORS = ("Conv", "Relu", "Add", "MatMul", "Gemm", "Softmax", "Reshape", "Transpose", "Concat", "MaxPool")
FAMILIES = ("resnet", "bert", "yolo", "vit", "unet", "whisper", "mobilenet", "t5")

HOSTILE = {
    "markup": "<script>document.title='bad'</script>",
    "attribute": '"><img src=x onerror="document.title=\'bad\'">',
    "formula": "=1+1",
    "long": "n" * 300,
    "right to left": "דגם ערבית نموذج",
    "turned round": "abc\u202egnp.exe",
    "escapes": "\x1b[31mred\x1b[0m\x07\x00",
    "half": "half \udcff",
    "closing": "</script></template>{{ 7*7 }}${7*7}",
    "hash": "a#b&case=c%zz",
}


def many(models: int, variants: int = 6, *, seed: int = 1, both: bool = True) -> StoredRun:
    """Return a run of so many models: benchmarks, and validations before them; some fail."""
    drawn = random.Random(seed)  # noqa: S311 - not a secret
    records = [
        record
        for number in range(models)
        for record in _of_model(f"{FAMILIES[number % 8]}_{number:03d}", VARIANTS[:variants], drawn, both=both)
    ]
    header = make_header(
        providers=tuple(dict.fromkeys(provider for provider, _ in VARIANTS[:variants])),
        environment=make_environment(os="Debian GNU/Linux 12", kernel="6.18"),
    )
    return make_run(records, header=header)


def _of_model(
    name: str, variants: tuple[tuple[str, str | None], ...], drawn: random.Random, *, both: bool
) -> Iterator[Record]:
    family = name.partition("_")[0]
    base_ms = 10 ** drawn.uniform(-1, 2)
    for place, (provider, precision) in enumerate(variants):
        fails = drawn.random() < 0.04
        placement = _placement(provider, drawn)
        common = {
            "precision": precision,
            "session": make_session(provider, creation_ns=drawn.randrange(10**7, 10**9)),
            "placement": placement,
            "inputs": (TensorFact(name="data", dtype="float", shape=(1, 3, 224, 224), origin="generated"),),
            "model_fact": ModelFact(path=f"/models/{name}.onnx", byte=drawn.randrange(10**8), precision="fp32"),
            "log": (f"[W:onnxruntime:, session_state.cc:{drawn.randrange(2000)}] Some nodes were not assigned",),
            "stage_ns": {"model": drawn.randrange(10**8), "session": drawn.randrange(10**9)},
            "tags": (family,),
            "group": "language" if family in {"bert", "whisper", "t5"} else "vision",
        }
        if both:
            output = make_output(10 ** drawn.uniform(-7, -3), within_tolerance=not fails)
            message = f"outputs differ from the reference: 'logits': percent mismatch {drawn.random():.3g} %"
            failure = make_failure(kind="result accuracy issue", stage="comparison", message=message)
            outcome = {"outcome": "failed", "failure": failure} if fails else {}
            yield make_record(name, provider, "validate", accuracy=make_accuracy(output), **common, **outcome)
        if both and fails:
            reason = f"validation failed: {message}"
            yield make_record(name, provider, "benchmark", precision=precision, outcome="skipped", reason=reason)
            continue
        latency = _latency(base_ms / (1, 6, 8, 0.8, 9, 14)[place], drawn)
        yield make_record(
            name,
            provider,
            "benchmark",
            latencies=(latency,),
            resources=_resources(drawn),
            operators=make_operators(
                *((provider, kind, drawn.randrange(1, 30), drawn.random()) for kind in drawn.sample(OPERATORS, 7))
            ),
            machine=_machine(drawn),
            validation="validated",
            **common,
        )


def _placement(provider: str, drawn: random.Random) -> Placement:
    own, other = FULL_NAMES[provider], FULL_NAMES["cpu"]
    kinds = {kind: drawn.randrange(1, 40) for kind in drawn.sample(OPERATORS, 6)}
    nodes = {own: sum(kinds.values())}
    by_type = {own: kinds}
    if provider != "cpu" and drawn.random() < 0.2:
        nodes[other], by_type[other] = 3, {"NonMaxSuppression": 1, "TopK": 2}
    return Placement(nodes_by_provider=nodes, op_types_by_provider=by_type, source="assignment info")


def _latency(middle_ms: float, drawn: random.Random) -> Latency:
    samples = tuple(round(drawn.lognormvariate(0, 0.03) * middle_ms * 1e6) for _ in range(80))
    found = Latency(
        timing="host", samples_ns=samples, warmup_iterations=20, warmup_ns=10**9, steady=True, batch=1,
        block_iterations=4, stop_reason="target", status="stable", precision_target=0.03,
    )  # fmt: skip
    return dataclasses.replace(found, summary=compute(samples, block_iterations=4, batch=1))


def _resources(drawn: random.Random) -> Resources:
    peak = drawn.randrange(10**6, 10**9)
    memory = HostMemory(
        baseline_byte=5 * 10**7, creation_peak_byte=peak, creation_byte=peak // 2, run_peak_byte=peak, run_byte=peak
    )
    return Resources(host_memory=memory, absent={"energy": "no counter"})


def _machine(drawn: random.Random) -> MachineState | None:
    if drawn.random() < 0.8:
        return None
    seen = f"{drawn.uniform(1, 5):.1f} % of the time"
    return MachineState(spans=(), findings=(Finding(check="steal", level="warning", seen=seen, why="Time was lost"),))


def hostile() -> StoredRun:
    """Return a run whose names, messages and logs are of somebody who means harm."""
    records = []
    for name in HOSTILE.values():
        failure = make_failure(message=f"it broke: {name}", log_tail=(name,))
        records.append(make_record(name, "cpu", "validate", outcome="failed", failure=failure, log=(name, name)))
        latency = _latency(1.5, random.Random(1))  # noqa: S311 - not a secret
        tags = {"tags": (name,), "kept": {"log": name}, "latencies": (latency,), "dims": {"batch": 2}}
        records.append(make_record(name, "cuda", "benchmark", **tags))
    environment = make_environment(cpu=HOSTILE["markup"], packages={HOSTILE["closing"]: HOSTILE["markup"]})
    header = make_header(
        environment=environment,
        labels={"branch": HOSTILE["attribute"]},
        command=("pytest", HOSTILE["closing"]),
        options={"models": [HOSTILE["escapes"]]},
    )
    return make_run(records, header=header)


def data_of(page: str) -> dict[str, Any]:
    """Return what the script of a page reads."""
    (text,) = re.findall(r'<script type="application/gzip" id="data">([A-Za-z0-9+/=]*)</script>', page)
    found: dict[str, Any] = json.loads(gzip.decompress(base64.b64decode(text)))
    return found


def words(page: str) -> str:
    """Return the texts of a page's body."""
    found: list[str] = []
    parser = HTMLParser()
    parser.handle_data = found.append  # type: ignore[method-assign]
    parser.feed(page.partition("</header>")[2].partition("<script")[0])
    return " ".join(" ".join(found).split())
