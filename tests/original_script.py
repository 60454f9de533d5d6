"""The CSV files of ONNX Runtime's TensorRT performance script as they were, for tests of what writes the same."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

TARGETS = ("ORT-CPUFp32", "ORT-CUDAFp32", "ORT-TRTFp32", "TRTFp32", "ORT-CUDAFp16", "ORT-TRTFp16", "TRTFp16")
"""The script's columns, in its order."""

SESSION_TARGETS = ("ORT-CPUFp32", "ORT-CUDAFp32", "ORT-TRTFp32", "ORT-CUDAFp16", "ORT-TRTFp16")

HEADERS = {
    "fail.csv": ["model", "ep", "error type", "error message"],
    "success.csv": [
        "engine",
        "version",
        "device",
        "fp16",
        "io_binding",
        "graph_optimizations",
        "enable_cache",
        "model_name",
        "inputs",
        "batch_size",
        "sequence_length",
        "datetime",
        "test_times",
        "QPS",
        "average_latency_ms",
        "latency_variance",
        "latency_90_percentile",
        "latency_95_percentile",
        "latency_99_percentile",
    ],
    "metrics.csv": [
        "Model",
        "% CUDA operators (not fall back to CPU)",
        "Total TRT operators",
        "Total operators",
        "% TRT operator",
        "Total TRT execution time",
        "Total execution time",
        "% TRT execution time",
    ],
    "op_metrics.csv": ["Model", "Ep", "op percentage in each ep"],
    "specs.csv": [".", "Spec", "Version"],
}
"""Those that do not depend on the targets."""


def headers(*more: str) -> dict[str, list[str]]:
    """Return the header of each file: the script's, and the same for targets that it did not know."""
    latency = [
        f"{target} \n{ending}"
        for target in (*TARGETS, *more)
        for ending in ("mean (ms)", "90th percentile (ms)", "peak memory usage (MiB)")
        if not (target == "ORT-CPUFp32" and "memory" in ending)
    ]
    session = [
        f"{target} \n {which}session creation time (s)"
        for which in ("", "second ")
        for target in (*SESSION_TARGETS, *more)
    ]
    return {
        **HEADERS,
        "latency.csv": ["Model", *latency],
        "status.csv": ["Model", *TARGETS, *more],
        "session.csv": ["Model", *session],
    }


def read_files(folder: Path, *more: str) -> dict[str, list[dict[str, str]]]:
    """Return the rows of each of the eight files, by name, after looking at their headers.

    Args:
        folder: With the files.
        *more: Targets that the script did not know.
    """
    expected = headers(*more)
    assert sorted(path.name for path in folder.glob("*.csv")) == sorted(expected)
    found = {}
    for name, header in expected.items():
        with (folder / name).open(encoding="utf-8", newline="") as file:
            first, *rows = csv.reader(file)
        assert first == header
        assert {len(row) for row in rows} <= {len(header)}
        found[name] = [dict(zip(header, row, strict=True)) for row in rows]
    return found


def filled(row: dict[str, str], *without: str) -> dict[str, str]:
    """Return the cells of a row that hold something, without the line ends in their headers."""
    return {name.replace("\n", ""): cell for name, cell in row.items() if cell and name not in without}


def check_own_target(found: dict[str, list[dict[str, str]]], target: str, records: Sequence[dict[str, object]]) -> None:
    """Check every cell of the one model of a run, whose validation and benchmark passed on one target without a GPU.

    Args:
        found: As `read_files` returns it.
        target: The script's name of it, or one like it.
        records: Those of the run, as builtins.
    """
    (benchmark,) = (record for record in records if record["mode"] == "benchmark")
    name = benchmark["model"]
    (latency,) = benchmark["latencies"]  # type: ignore[misc, attr-defined]
    samples = sorted(latency["samples_ns"])
    mean_ms = sum(samples) / len(samples) / 1e6
    (row,) = found["latency.csv"]
    assert filled(row)["Model"] == name
    assert filled(row)[f"{target} mean (ms)"] == f"{mean_ms:.2f}"
    assert set(filled(row)) == {"Model", f"{target} mean (ms)", f"{target} 90th percentile (ms)"}
    assert [filled(row) for row in found["status.csv"]] == [{"Model": name, target: "Pass"}]
    assert found["fail.csv"] == found["op_metrics.csv"] == []
    assert [list(row.values()) for row in found["metrics.csv"]] == [
        [name, *["  "] * 7],
        [f"{name} (FP16)", *["  "] * 7],
    ]
    (success,) = found["success.csv"]
    assert (success["device"], success["model_name"], success["average_latency_ms"]) == (target, name, f"{mean_ms:.2f}")
    assert (success["test_times"], success["fp16"], success["io_binding"]) == (str(len(samples)), "False", "False")
    session = benchmark["session"]
    assert [filled(row) for row in found["session.csv"]] == [
        {
            "Model": name,
            f"{target}  session creation time (s)": str(round(session["creation_ns"] / 1e9, 6)),  # type: ignore[index]
            f"{target}  second session creation time (s)": str(round(session["second_creation_ns"] / 1e9, 6)),  # type: ignore[index]
        }
    ]
    assert [row["Spec"] for row in found["specs.csv"]] == [
        "CPU",
        "GPU",
        "TensorRT",
        "CUDA",
        "CuDNN",
        "EPOptionOverrides",
    ]
