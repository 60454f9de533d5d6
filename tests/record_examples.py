"""Records, headers and runs for tests: small, whole, and each field of its own value."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pytest_ortperf.records.environment.run_header import Environment, GpuFact, RunEnd, RunHeader
from pytest_ortperf.records.latency import Latency
from pytest_ortperf.records.operators import OperatorProfile, OperatorTime
from pytest_ortperf.records.record import (
    DataSetAccuracy,
    Failure,
    ModelFact,
    OutputAccuracy,
    Placement,
    Record,
    SessionFact,
    TensorFact,
)
from pytest_ortperf.records.store import StoredRun

FULL_NAMES = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
}


def make_environment(**changes: Any) -> Environment:
    values: dict[str, Any] = {
        "cpu": "AMD EPYC 9654",
        "logical_cores": 8,
        "usable_cores": 2.0,
        "memory_byte": 8 * 2**30,
        "python": "3.11.7",
        "packages": {"onnxruntime-gpu": "1.31.1", "numpy": "2.4.6"},
        "onnxruntime_distribution": "onnxruntime-gpu 1.31.1",
    }
    return Environment(**(values | changes))


def make_header(**changes: Any) -> RunHeader:
    values: dict[str, Any] = {
        "schema": 1,
        "run": "20261123-210146",
        "started": "2026-11-23T21:01:46+00:00",
        "command": ("pytest", "--ortperf-mode=both"),
        "options": {"mode": "both", "iterations": None, "ep": ["cpu", "cuda"]},
        "labels": {"branch": "main"},
        "reference_provider": None,
        "providers": ("cpu", "cuda"),
        "environment": make_environment(gpus=(GpuFact(index=0, name="NVIDIA H100"),)),
    }
    return RunHeader(**(values | changes))


def make_end(**changes: Any) -> RunEnd:
    values: dict[str, Any] = {
        "ended": "2026-11-23T21:02:00+00:00",
        "duration_ns": 14_200_000_000,
        "exit_status": 1,
        "collected": None,
    }
    return RunEnd(**(values | changes))


def make_record(model: str = "bert", provider: str = "cpu", mode: str = "benchmark", **changes: Any) -> Record:
    precision = changes.get("precision")
    dims = changes.get("dims", {})
    variant = "-".join(
        [provider, *([precision] if precision else []), *(f"{name}={value}" for name, value in dims.items())]
    )
    values: dict[str, Any] = {
        "case_id": f"{model}::{mode}[{variant}]",
        "nodeid": f"models.json::{model}::{mode}[{variant}]",
        "model": model,
        "mode": mode,
        "provider": provider,
        "provider_full_name": FULL_NAMES.get(provider, provider),
        "precision": None,
        "outcome": "passed",
        "started": "2026-11-23T21:01:47+00:00",
        "duration_ns": 1_500_000_000,
    }
    return Record(**(values | changes))


def make_latency(*samples_ms: float, timing: str = "host", batch: int | None = 1) -> Latency:
    samples = tuple(round(sample * 1_000_000) for sample in samples_ms)
    return Latency(timing=timing, samples_ns=samples, warmup_iterations=5, batch=batch)


def make_session(provider: str = "cpu", **changes: Any) -> SessionFact:
    name = FULL_NAMES[provider]
    values: dict[str, Any] = {
        "requested_providers": (name,),
        "active_providers": (name,),
        "provider_options": {},
        "graph_optimization": "all",
        "intra_op_threads": None,
        "creation_ns": 12_345_678,
    }
    return SessionFact(**(values | changes))


def make_placement(provider: str = "cpu", **by_type: int) -> Placement:
    name = FULL_NAMES[provider]
    return Placement(
        nodes_by_provider={name: sum(by_type.values())},
        op_types_by_provider={name: by_type},
        source="assignment info",
    )


def make_operators(*rows: tuple[str, str, int, float], run_ms: float = 10.0, **changes: Any) -> OperatorProfile:
    """Return a profile of rows of provider, operator type, nodes and ms."""
    operators = tuple(
        OperatorTime(provider=FULL_NAMES[provider], op_type=op_type, nodes=nodes, time_ns=round(ms * 1e6))
        for provider, op_type, nodes, ms in rows
    )
    values: dict[str, Any] = {"runs": 10, "run_ns": round(run_ms * 1e6), "operators": operators}
    return OperatorProfile(**(values | changes))


def make_output(max_abs_error: float | None = 1.2e-7, *, within_tolerance: bool = True) -> OutputAccuracy:
    return OutputAccuracy(
        name="logits",
        dtype="float",
        shape=(1, 2),
        within_tolerance=within_tolerance,
        rtol=1e-3,
        atol=1e-5,
        percent_mismatch_allowed=0.0,
        percent_mismatch=0.0 if within_tolerance else 50.0,
        max_abs_error=max_abs_error,
    )


def make_accuracy(*outputs: OutputAccuracy) -> tuple[DataSetAccuracy, ...]:
    return (DataSetAccuracy(data_set="test_data_set_0", reference="stored", outputs=outputs),)


def make_failure(**changes: Any) -> Failure:
    values: dict[str, Any] = {"kind": "runtime error", "stage": "timing", "message": "it broke"}
    return Failure(**(values | changes))


def make_run(records: Iterable[Record] = (), **changes: Any) -> StoredRun:
    values: dict[str, Any] = {
        "path": Path("result/records_20261123-210146.jsonl"),
        "header": make_header(),
        "records": tuple(records),
        "end": make_end(),
    }
    return StoredRun(**(values | changes))


def whole_record(**changes: Any) -> Record:
    """Return a record in which every part is there."""
    record = make_record(
        provider="cuda",
        precision="fp16",
        dims={"batch": 8},
        tags=("vision",),
        stage_ns={"model": 1, "session": 2},
        worker="gw0",
        isolation="forked",
        model_fact=ModelFact(path="/models/bert.onnx", byte=7, precision="fp32", fp16_from="converted"),
        session=make_session("cuda", provider_options={"CUDAExecutionProvider": {"device_id": "0"}}),
        placement=make_placement("cuda", MatMul=3, Add=2),
        inputs=(TensorFact(name="ids", dtype="int64", shape=(8, 128), origin="generated"),),
        latencies=(make_latency(1.0, 2.0, 3.0, batch=8),),
        operators=make_operators(("cuda", "MatMul", 3, 0.5), ("cpu", "Shape", 1, 0.25), notes=("slow",)),
        accuracy=make_accuracy(make_output()),
    )
    return dataclasses.replace(record, **changes)
