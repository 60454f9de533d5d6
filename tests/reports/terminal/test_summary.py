from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from pytest_ortperf.records.environment.run_header import GpuFact
from pytest_ortperf.records.record import Copies, ModelFact, TensorFact
from pytest_ortperf.records.store import StoredRun
from pytest_ortperf.reports.terminal.summary import Line, summary_lines
from record_examples import (
    make_accuracy,
    make_end,
    make_environment,
    make_failure,
    make_header,
    make_latency,
    make_output,
    make_placement,
    make_record,
    make_run,
)

FP16 = ModelFact(path="m", byte=1, precision="fp16", note="fp16 storage, fp32 compute")


def lines(run: StoredRun, width: int = 120, files: tuple[Path, ...] = ()) -> list[Line]:
    return summary_lines(run, width=width, files=files, results=Path("result"))


def texts(run: StoredRun, width: int = 120) -> list[str]:
    return [text for text, _ in lines(run, width)]


def test_a_run_without_records_has_a_summary() -> None:
    assert lines(make_run()) == [
        ("0 models, 0 cases in 14.2 s", {"yellow": True}),
        ("run 20261123-210146, ONNX Runtime 1.31.1, AMD EPYC 9654, NVIDIA H100", {}),
    ]


RUN = make_run(
    [
        make_record("vgg19", "validate-only", "validate"),
        make_record(
            "bert",
            latencies=(make_latency(4.0, 4.5),),
            placement=make_placement(MatMul=60, Add=5),
            accuracy=make_accuracy(make_output(1e-9), make_output(1.2e-7)),
        ),
        make_record("bert", "cuda", latencies=(make_latency(*[1.0, 1.0625] * 32),)),
        make_record("bert", precision="fp16", latencies=(make_latency(12.0, batch=None),), model_fact=FP16),
        make_record("bert", mode="validate", accuracy=make_accuracy(make_output(3.4e-6), make_output(None))),
    ]
)


def test_latencies_are_a_table() -> None:
    assert texts(RUN) == [
        "latency in ms, host (arrays in, arrays out); nodes on the provider asked for / all nodes",
        "model  variant       p50      +-   mean   p90    min  iterations  per s  nodes      gain vs  max error",
        "bert   cpu          4.25           4.25         4.00           2  235.3  65/65                 3.4e-06",
        "bert   cpu-fp16 *  12.00          12.00        12.00           1",
        "bert   cuda **      1.03  <0.1 %   1.03  1.06   1.00          64  969.7         +75.7 % cpu",
        "* fp16 storage, fp32 compute",
        "** several modes: samples gather around more than one value, and p50 may be any of them",
        "",
        "2 models, 5 cases: 5 passed in 14.2 s",
        "run 20261123-210146, ONNX Runtime 1.31.1, AMD EPYC 9654, NVIDIA H100",
    ]


def test_a_narrow_terminal_loses_columns_and_no_digit() -> None:
    assert texts(RUN, 60)[1:5] == [
        "model  variant       p50      +-  nodes      gain vs",
        "bert   cpu          4.25          65/65",
        "bert   cpu-fp16 *  12.00",
        "bert   cuda **      1.03  <0.1 %         +75.7 % cpu",
    ]


def test_what_cannot_be_trusted_says_so() -> None:
    shaky = dataclasses.replace(
        make_latency(*[1.0, 1.02, 1.1] * 10), status="unstable", steady=False, block_iterations=3
    )
    run = make_run([make_record(latencies=(shaky,)), make_record("gpt", latencies=(make_latency(*[1.0, 1.1] * 3),))])
    assert texts(run)[1:6] == [
        "model  variant    p50      +-  mean   min  iterations  per s",
        "bert   cpu * **  1.02  <0.1 %  1.04  1.00          30  961.5",
        "gpt    cpu       1.05   4.8 %  1.05  1.00           6  952.4",
        "* unstable: the 95 % interval of the median stayed wider than asked for; +- is what was reached",
        "** not steady: the warm-up ended before two windows of it agreed; samples may still become faster or slower",
    ]


def test_marks_of_a_row_stand_in_the_order_of_their_notes() -> None:
    unsteady = dataclasses.replace(make_latency(1.0), steady=False)
    fp16 = make_record(precision="fp16", latencies=(unsteady,), model_fact=FP16)
    found = texts(make_run([make_record(latencies=(unsteady,)), fp16]))
    assert [line.partition(" 1.0")[0].split() for line in found[2:4]] == [
        ["bert", "cpu", "*"],
        ["bert", "cpu-fp16", "*", "**"],
    ]


def test_notes_are_wrapped() -> None:
    run = make_run([make_record(latencies=(dataclasses.replace(make_latency(1.0), steady=False),))])
    assert texts(run, 60)[3:5] == [
        "* not steady: the warm-up ended before two windows of it",
        "agreed; samples may still become faster or slower",
    ]


def test_a_long_model_name_gives_way_in_its_middle() -> None:
    name = "bert-base-uncased-opset-17-optimised-for-inference-quantised"
    run = make_run([make_record(name, dims={"batch": 8}, latencies=(make_latency(4.0),))])
    assert texts(run, 70)[1:3] == [
        "model                 variant       p50  mean   min  iterations  per s",
        "bert-base...uantised  cpu-batch=8  4.00  4.00  4.00           1  250.0",
    ]


@pytest.mark.parametrize(
    ("samples_ms", "title", "cells"),
    [
        ((0.0051, 0.031), "latency in us, ", ["5.10", "31.00"]),
        ((0.005, 300.0), "latency in ms, ", ["0.00500", "300.00000"]),
        ((1200.0, 340_000.0), "latency in s, ", ["1.20", "340.00"]),
    ],
)
def test_one_unit_for_all_tells_the_smallest(samples_ms: tuple[float, ...], title: str, cells: list[str]) -> None:
    records = [make_record(name, latencies=(make_latency(it),)) for name, it in zip("ab", samples_ms, strict=True)]
    found = texts(make_run(records))
    assert found[0].startswith(title)
    assert [line.split()[2] for line in found[2:4]] == cells


def test_timing_modes_have_rows_and_a_column() -> None:
    both = (make_latency(2.0), make_latency(1.0, timing="bound"))
    assert texts(make_run([make_record(latencies=both)]))[:4] == [
        "latency in ms, as timing says",
        "model  variant  timing   p50  mean   min  iterations  per s",
        "bert   cpu      host    2.00  2.00  2.00           1  500.0",
        "bert   cpu      bound   1.00  1.00  1.00           1   1000",
    ]


def test_copies_have_their_share_in_the_times_that_cover_them() -> None:
    latencies = tuple(make_latency(ms, timing=timing) for timing, ms in (("bound", 1.0), ("host", 2.0)))
    copies = Copies(to_device_ns=250_000.0, to_host_ns=10_000.0, to_device_byte=602_112, to_host_byte=4_000)
    assert texts(make_run([make_record(provider="cuda", latencies=latencies, copies=copies)]))[1:4] == [
        "model  variant  timing   p50  mean   min  iterations  per s  copies in/out",
        "bert   cuda     bound   1.00  1.00  1.00           1   1000",
        "bert   cuda     host    2.00  2.00  2.00           1  500.0   12.5% / 0.5%",
    ]


def test_models_of_two_lists_are_told_apart() -> None:
    records = [
        make_record("m", nodeid=f"{name}.json::m::benchmark[cpu]", latencies=(make_latency(1.0),))
        for name in ("a", "b")
    ]
    assert [line.split()[0] for line in texts(make_run(records))[2:4]] == ["a.json::m", "b.json::m"]


def test_validation_alone_shows_failures_and_counts() -> None:
    accuracy = make_failure(kind="result accuracy issue", message="off by 0.021\nin output 'logits'")
    crash = make_failure(kind="crash", message="ended by SIGSEGV in stage session")
    run = make_run(
        [
            make_record("a", mode="validate"),
            make_record("b", mode="validate", outcome="failed", failure=accuracy),
            make_record("c", mode="validate", outcome="crashed", failure=crash),
            make_record("d", mode="validate", outcome="timed_out"),
            make_record("e", mode="validate", outcome="skipped", reason="no test data"),
            make_record("f", mode="validate", outcome="skipped", reason="no test data"),
            make_record("g", mode="validate", outcome="skipped"),
        ],
        end=make_end(collected=9),
        notes=("records_1.jsonl: line 3 is cut off and was left out.",),
    )
    assert lines(run) == [
        ("FAILED b::validate[cpu]: result accuracy issue: off by 0.021...", {"red": True}),
        ("CRASHED c::validate[cpu]: ended by SIGSEGV in stage session", {"red": True}),
        ("TIMED OUT d::validate[cpu]", {"red": True}),
        ("", {}),
        ("skipped 2: no test data", {"yellow": True}),
        ("skipped 1: no reason given", {"yellow": True}),
        ("", {}),
        ("note: records_1.jsonl: line 3 is cut off and was left out.", {"yellow": True}),
        ("", {}),
        (
            "7 models, 7 cases: 1 passed, 1 failed, 1 crashed, 1 timed out, 3 skipped, 2 not run in 14.2 s",
            {"red": True},
        ),
        ("run 20261123-210146, ONNX Runtime 1.31.1, AMD EPYC 9654, NVIDIA H100", {}),
    ]


def test_a_failure_of_two_lists_or_tests_is_named_with_its_own() -> None:
    nodeids = ("a.json::m::validate[cpu]", "test_it.py::test_it")
    records = [make_record("m", mode="validate", outcome="failed", nodeid=nodeid) for nodeid in nodeids]
    found = texts(make_run([*records, make_record("n", mode="validate", outcome="failed")]))
    assert found[:3] == [
        "FAILED a.json::m::validate[cpu]",
        "FAILED test_it.py::test_it::m::validate[cpu]",
        "FAILED n::validate[cpu]",
    ]


@pytest.mark.parametrize(
    ("outcome", "reason"),
    [
        ("passed", "output 'y': pass-relative: root-mean-square error 0.1"),
        ("skipped", "nothing to convert to fp16: weights that float16 cannot hold keep all nodes float32: 'k' (Mul)"),
    ],
)
def test_a_case_is_named_where_the_reason_is_about_its_own_numbers(outcome: str, reason: str) -> None:
    records = [
        make_record(name, mode="validate", precision="fp16", outcome=outcome, reason=reason) for name in ("a", "b")
    ]
    assert [text for text in texts(make_run(records), 160) if text.startswith(f"{outcome} 1")] == [
        f"{outcome} 1: {name}::validate[cpu-fp16]: {reason}" for name in ("a", "b")
    ]


def test_a_reason_takes_the_lines_it_needs_up_to_three() -> None:
    empty = (
        "not validated: nothing compared, because output 'y' has no finite reference value among 8; other generated "
    )
    way = (
        'inputs were tried too. Give real inputs with "test_data", or ranges and shapes with "inputs" in the model list'
    )
    records = [
        make_record("a", mode="validate", outcome="skipped", reason=empty + way),
        make_record("b", mode="validate", outcome="skipped", reason="x " * 200),
        make_record("c", outcome="skipped", reason=f"validation failed: {'y ' * 200}"),
    ]
    assert texts(make_run(records), 80)[:7] == [
        "skipped 1: not validated: nothing compared, because output 'y' has no finite",
        "  reference value among 8; other generated inputs were tried too. Give real",
        '  inputs with "test_data", or ranges and shapes with "inputs" in the model list',
        "skipped 1: " + "x " * 34 + "x",
        "  " + "x " * 38 + "x",
        "  " + "x " * 37 + "x...",
        "skipped 1: validation failed: " + "y " * 23 + "y...",
    ]


def test_many_failures_and_reasons_are_counted() -> None:
    failed = [make_record(f"f{number:02}", outcome="failed") for number in range(23)]
    skipped = [make_record(f"s{number:02}", outcome="skipped", reason=f"r{number:02}") for number in range(12)]
    found = texts(make_run([*failed, *skipped]))
    assert found[:20] == [f"FAILED f{number:02}::benchmark[cpu]" for number in range(20)]
    assert found[20:22] == ["and 3 more, in benchmark_fail_20261123-210146.csv", ""]
    assert found[22:32] == [f"skipped 1: r{number:02}" for number in range(10)]
    assert found[32] == "and for 2 more reasons, in records_20261123-210146.jsonl"


def test_a_run_that_broke_off_says_so() -> None:
    header = make_header(
        environment=make_environment(
            cpu=None, onnxruntime_distribution=None, gpus=tuple(GpuFact(index=it, name="T4") for it in range(2))
        )
    )
    assert lines(make_run([make_record()], end=None, header=header)) == [
        ("1 model, 1 case: 1 passed; the run did not come to its end", {"green": True}),
        ("run 20261123-210146, 2 x T4", {}),
    ]


def test_files_are_named_in_their_folder() -> None:
    files = (Path("result/records_1.jsonl"), Path("result/benchmark_fail_1.csv"), Path("/else/other.csv"))
    assert [text for text, _ in lines(make_run(), width=60, files=files)][-4:] == [
        "results in result:",
        "  records_1.jsonl",
        "  /else/other.csv",
        "  benchmark_fail_1.csv",
    ]


def test_tables_of_a_run_are_named_together() -> None:
    files = [Path(f"result/{name}_20261123-1.csv") for name in ("benchmark_fail", "benchmark_op_metrics")]
    assert [text for text, _ in lines(make_run(), width=60, files=files)][-1] == (
        "  benchmark_{fail, op_metrics}_20261123-1.csv"
    )


def test_two_hundred_models_fit_the_width() -> None:
    records = [
        make_record(f"model-{number}-{'x' * (number % 60)}", provider, latencies=(make_latency(number + 0.5),))
        for number in range(200)
        for provider in ("cpu", "cuda")
    ]
    table = texts(make_run(records), 80)[1:402]
    assert len(table) == 401
    assert max(map(len, table)) <= 80


def test_a_reference_measured_at_other_shapes_is_told() -> None:
    image = TensorFact(name="images", dtype="float", shape=(1, 3, 64, 64), origin="generated")
    records = [
        make_record(latencies=(make_latency(4.0),), inputs=(image,)),
        make_record(
            provider="cuda",
            latencies=(make_latency(1.0),),
            inputs=(dataclasses.replace(image, shape=(1, 3, 224, 224)),),
        ),
    ]
    (text,) = [text for text in texts(make_run(records), width=300) if "comparable" in text]
    assert text == (
        "not comparable: bert::benchmark[cpu] and bert::benchmark[cuda]: input 'images' is (1, 3, 64, 64) and (1, 3, "
        '224, 224); give both the same shapes with --ortperf-dim, or "inputs" in the model list'
    )
