from __future__ import annotations

from dataclasses import replace

import pytest

from pytest_ortperf.records.inspections import (
    DeclaredValue,
    ListedModel,
    ListInspection,
    ModelDescription,
    ModelInspection,
    Trial,
)
from pytest_ortperf.reports.terminal.inspection_text import byte_text, labelled_lines, list_lines, model_lines

CUDA = "CUDAExecutionProvider"
MODEL = ModelDescription(
    path="bert.onnx",
    byte=5_000,
    external={"bert.data": 438_000_000},
    ir_version=8,
    opsets={"ai.onnx": 17, "com.microsoft": 1},
    producer="pytorch 2.9",
    precision="fp32",
    inputs=tuple(DeclaredValue(name=f"input_{n}", type="int64", shape=("batch", None)) for n in range(22)),
    outputs=(),
    free_dims={"batch": 1},
    nodes=812,
    inner_nodes=0,
    operators={"MatMul": 120, "Add": 98, "Reshape": 60, "Mul": 50, "Cast": 40, "Sub": 30, "Div": 20, "Exp": 1},
)
INSPECTION = ModelInspection(
    model=MODEL,
    trials=(
        Trial(
            variant="cuda", provider=CUDA, nodes_by_provider={CUDA: 800, "CPUExecutionProvider": 12}, creation_ns=10**9
        ),
        Trial(variant="cpu", provider="CPUExecutionProvider"),
    ),
    left_out={"tensorrt": "libnvinfer.so.10: cannot open shared object file\nsecond line"},
    fp16=Trial(variant="cpu-fp16", provider="CPUExecutionProvider", fp16_from="already fp16"),
    onnxruntime="onnxruntime-gpu 1.32.0",
)


def test_a_model_is_shown_at_80_columns() -> None:
    lines = model_lines(INSPECTION, 80)
    assert [line for line in lines if len(line) > 80] == []
    assert lines[:9] == [
        "bert.onnx",
        "  size            4.9 KiB, and 417.7 MiB of external data in bert.data",
        "  made by         pytorch 2.9",
        "  versions        IR 8, opset 17, com.microsoft 1",
        "  precision       fp32",
        "  as fp16         nothing to convert: already fp16",
        "  nodes           812: 120 MatMul, 98 Add, 60 Reshape, 50 Mul, 40 Cast, 30 Sub",
        "                  and 2 more operators",
        "  test data       none beside it",
    ]
    assert lines[-10:] == [
        "dimensions without a size, and what they are assumed to be: batch=1; give others",
        "with --ortperf-dim=batch=N",
        "",
        "on this machine alone, with onnxruntime-gpu 1.32.0:",
        "  cuda            takes 800 of 812 nodes, 12 on CPUExecutionProvider, session in",
        "                  1.0 s",
        "  cpu             a session can be made, and the graph folded to constants: no",
        "                  node is left",
        "  tensorrt        cannot be used here: libnvinfer.so.10: cannot open shared",
        "                  object file",
    ]
    assert "and 2 more" in lines
    assert "outputs: none" in lines


@pytest.mark.parametrize(
    ("fp16", "text"),
    [
        (Trial(variant="", provider="", problem="no\nmore"), "no: no"),
        (
            Trial(variant="", provider="", fp16_from="converted", note="3 values clipped"),
            "can be converted, and has a session on the CPU; 3 values clipped",
        ),
        (None, "not tried"),
    ],
)
def test_whether_a_model_can_become_fp16(fp16: Trial | None, text: str) -> None:
    lines = model_lines(replace(INSPECTION, fp16=fp16, fp16_note="not tried"), 100)
    assert f"  as fp16         {text}" in lines


def test_a_list_at_80_columns_keeps_names_and_sizes() -> None:
    models = tuple(
        ListedModel(name=name, path=f"{name}.onnx", cases=2, model=replace(MODEL, free_dims=free), data_sets=data)
        for name, free, data in (
            ("a", {"batch": 1}, None),
            ("b", {f"a_dimension_{n}": 1 for n in range(9)}, ("test_data_set_0",)),
        )
    )
    found = ListInspection(
        path="models.json", models=models, cases={"validate[cpu]": 4}, seconds=400, measured_cases=4, results="result"
    )
    assert list_lines(found, 80) == [
        "model       size  precision  nodes  opset  data sets  cases  without size",
        "a      417.7 MiB  fp32         812     17  generated      2  batch",
        "b      417.7 MiB  fp32         812     17          1      2  9 dimensions",
        "",
        "2 models, 4 cases: 4 validate[cpu]",
        "expected: about 7 minutes, one case after the other: 4 cases timed by earlier",
        "runs in result",
    ]
    assert list_lines(found, 50)[:3] == [
        "model       size  precision  data sets  cases",
        "a      417.7 MiB  fp32       generated      2",
        "b      417.7 MiB  fp32               1      2",
    ]
    assert found.is_whole
    assert not replace(found, issues=("x",)).is_whole
    gone = replace(models[0], model=replace(MODEL, external={"bert.data": None}))
    assert not replace(found, models=(gone,)).is_whole


@pytest.mark.parametrize(
    ("byte", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 KiB"), (1_048_576, "1.0 MiB"), (3 * 2**40, "3072.0 GiB")],
)
def test_sizes_have_a_unit_that_suits_them(byte: int, text: str) -> None:
    assert byte_text(byte) == text


def test_paths_stay_whole_beside_a_label() -> None:
    path = "/a-long-path/of-a-model/" + "x" * 30
    assert labelled_lines("bert", f"left out: {path} is gone", 40, 6) == [
        "bert    left out:",
        f"        {path}",
        "        is gone",
    ]
