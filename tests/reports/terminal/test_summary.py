from __future__ import annotations

import dataclasses
import re
from itertools import pairwise
from pathlib import Path

import pytest

from pytest_ortperf.records.environment.run_header import GpuFact
from pytest_ortperf.records.record import Copies, Failure, ModelFact, TensorFact
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

DOCS = Path(__file__).parents[3] / "docs"
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
    found = texts(RUN)
    title, head, *rows = found[:5]
    assert title == "latency in ms, host (arrays in, arrays out); nodes on the provider asked for / all nodes"
    assert re.split("  +", head) == [
        *("model", "variant", "p50", "+-", "mean", "p90", "min", "iterations", "inferences/s", "nodes"),
        *("gain vs cpu", "max error", "notes"),
    ]
    assert [re.split("  +", row) for row in rows] == [
        ["bert", "cpu", "4.25", "4.25", "4.00", "2", "235.3", "65/65", "3.4e-06"],
        ["bert", "cpu-fp16", "12.00", "12.00", "12.00", "1", "p"],
        ["bert", "cuda", "1.03", "<0.1 %", "1.03", "1.06", "1.00", "64", "969.7", "4.1x faster", "m"],
    ]
    assert {row[head.index("notes") :] for row in rows} == {"", "p", "m"}
    assert found[5:8] == [
        "m  several modes: samples gather around more than one value",
        "p  fp16 storage, fp32 compute",
        "fastest valid provider: cuda for bert",
    ]
    assert found[8:] == [
        "",
        "provider       passed  failed  skipped  mean gain vs cpu  benchmarks  fastest for",
        "cpu                 2       0        0",
        "cuda                1       0        0       4.1x faster           1            1",
        "validate-only       1       0        0",
        "cpu-fp16            1       0        0",
        "",
        "2 models, 5 cases: 5 passed in 14.2 s",
        "run 20261123-210146, ONNX Runtime 1.31.1, AMD EPYC 9654, NVIDIA H100",
        "",
        "next: compare a later run with this one: --ortperf-baseline=20261123-210146",
    ]


def test_a_narrow_terminal_loses_columns_and_no_digit() -> None:
    assert texts(RUN, 60)[:6] == [
        "latency in ms, host (arrays in, arrays out); nodes on the",
        "  provider asked for / all nodes",
        "model  variant     p50      +-  nodes  gain vs cpu  notes",
        "bert   cpu        4.25          65/65",
        "bert   cpu-fp16  12.00                              p",
        "bert   cuda       1.03  <0.1 %         4.1x faster  m",
    ]


def test_columns_go_in_the_documented_order() -> None:
    heads = [next(line for line in texts(RUN, width) if line.startswith("model")) for width in range(150, 60, -1)]
    titles = [head.split("  ") for head in heads]
    lost = [name for wide, narrow in pairwise(titles) for name in wide if name and name not in narrow]
    order = re.findall(r"^\d\. `(.*?)`$", (DOCS / "reference" / "terminal.md").read_text(), re.MULTILINE)
    assert [name.strip() for name in lost] == [name for name in order if name in {it.strip() for it in lost}]
    assert len(lost) >= 5


def test_what_cannot_be_trusted_says_so() -> None:
    shaky = dataclasses.replace(
        make_latency(*[1.0, 1.02, 1.1] * 10), status="unstable", steady=False, block_iterations=3
    )
    run = make_run([make_record(latencies=(shaky,)), make_record("gpt", latencies=(make_latency(*[1.0, 1.1] * 3),))])
    found = texts(run)
    assert found[1:6] == [
        "model  variant   p50      +-  mean   min  iterations  inferences/s  notes",
        "bert   cpu      1.02  <0.1 %  1.04  1.00          30         961.5  uw",
        "gpt    cpu      1.05   4.8 %  1.05  1.00           6         952.4",
        "u  unstable: the 95 % interval of the median stayed wider than asked for",
        "w  not steady: the warm-up ended early; times may still fall or rise",
    ]
    assert found[-2] == ("next: narrow the intervals marked u and e: a quieter machine, or a longer --ortperf-max-time")


def test_each_letter_has_its_text_and_means_the_same_in_every_run() -> None:
    unsteady = dataclasses.replace(make_latency(1.0), steady=False)
    others = dataclasses.replace(FP16, note="computed in tf32")
    records = [
        make_record("a", latencies=(unsteady,), model_fact=FP16, validation="never validated"),
        make_record("b", latencies=(unsteady,), model_fact=others, assumed_dims={"batch": 1}),
        make_record("b", mode="validate", outcome="failed", failure=make_failure()),
    ]
    found = texts(make_run(records))
    assert [line.rsplit(maxsplit=1)[-1] for line in found[2:4]] == ["vwp", "fwap"]
    assert found[4:11] == [
        "f  the outputs are wrong: validation failed in this run",
        "v  never validated: nothing has compared its outputs",
        "w  not steady: the warm-up ended early; times may still fall or rise",
        "a  sizes were assumed: nothing gives them",
        "p  fp16 storage, fp32 compute: a cpu",
        "p  computed in tf32: b cpu",
        "",
    ]


def test_notes_are_wrapped() -> None:
    run = make_run([make_record(latencies=(dataclasses.replace(make_latency(1.0), steady=False),))])
    assert texts(run, 60)[3:5] == [
        "w  not steady: the warm-up ended early; times may still fall",
        "   or rise",
    ]


def test_a_long_model_name_gives_way_in_its_middle() -> None:
    name = "bert-base-uncased-opset-17-optimised-for-inference-quantised"
    run = make_run([make_record(name, dims={"batch": 8}, latencies=(make_latency(4.0),))])
    assert texts(run, 70)[1:3] == [
        "model                variant       p50  mean  iterations  inferences/s",
        "bert-bas...uantised  cpu-batch=8  4.00  4.00           1         250.0",
    ]


def test_long_lists_of_dimensions_move_to_the_legend() -> None:
    dims = {"batch_size": 8, "sequence_length": 128, "past_sequence_length": 0}
    records = [make_record(dims=dims, latencies=(make_latency(4.0),)), make_record(latencies=(make_latency(2.0),))]
    assert texts(make_run(records), 80)[1:5] == [
        "model  variant     p50  mean   min  iterations  inferences/s",
        "bert   cpu        2.00  2.00  2.00           1         500.0",
        "bert   cpu-dims1  4.00  4.00  4.00           1         250.0",
        "dims1  batch_size=8, sequence_length=128, past_sequence_length=0",
    ]


@pytest.mark.parametrize(
    ("own_ms", "text"),
    [(0.24, "17x faster"), (2.0, "2.0x faster"), (3.0, "+25.0 %"), (5.0, "-25.0 %"), (68.0, "17x slower")],
)
def test_large_gains_are_factors(own_ms: float, text: str) -> None:
    own = make_record(provider="cuda", latencies=(make_latency(own_ms),))
    records = [make_record(latencies=(make_latency(4.0),)), own]
    (row,) = [line for line in texts(make_run(records)) if line.startswith("bert   cuda")]
    assert row.endswith(text)


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
        "model  variant  timing   p50  mean   min  iterations  inferences/s",
        "bert   cpu      host    2.00  2.00  2.00           1         500.0",
        "bert   cpu      bound   1.00  1.00  1.00           1          1000",
    ]


def test_copies_have_their_share_in_the_times_that_cover_them() -> None:
    latencies = tuple(make_latency(ms, timing=timing) for timing, ms in (("bound", 1.0), ("host", 2.0)))
    copies = Copies(to_device_ns=250_000.0, to_host_ns=10_000.0, to_device_byte=602_112, to_host_byte=4_000)
    assert texts(make_run([make_record(provider="cuda", latencies=latencies, copies=copies)]))[1:4] == [
        "model  variant  timing   p50  mean   min  iterations  inferences/s  copies in/out",
        "bert   cuda     bound   1.00  1.00  1.00           1          1000",
        "bert   cuda     host    2.00  2.00  2.00           1         500.0   12.5% / 0.5%",
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
        ("2 skipped: no test data", {"yellow": True}),
        ("  validate[cpu]: e, f", {}),
        ("1 skipped: no reason given", {"yellow": True}),
        ("  validate[cpu]: g", {}),
        ("", {}),
        ("note: records_1.jsonl: line 3 is cut off and was left out.", {"yellow": True}),
        ("", {}),
        ("1 crashed: ended by SIGSEGV in stage session", {"red": True}),
        ("  validate[cpu]: c", {}),
        ("1 timed out", {"red": True}),
        ("  validate[cpu]: d", {}),
        ("1 failed: result accuracy issue: off by 0.021", {"red": True}),
        ("  validate[cpu]: b", {}),
        ("", {}),
        (
            "7 models, 7 cases: 1 passed, 1 failed, 1 crashed, 1 timed out, 3 skipped, 2 not run in 14.2 s",
            {"red": True},
        ),
        ("run 20261123-210146, ONNX Runtime 1.31.1, AMD EPYC 9654, NVIDIA H100", {}),
        ("", {}),
        ("next: run what failed again: pytest --ortperf-mode=both --lf", {}),
        ("      find the node that is wrong: ortperf bisect 'models.json::c::validate[cpu]'", {}),
        ("      report a bug with what it needs: ortperf repro 'models.json::c::validate[cpu]'", {}),
    ]


def test_a_failure_of_two_lists_or_tests_is_named_with_its_own() -> None:
    nodeids = ("a.json::m::validate[cpu]", "test_it.py::test_it")
    records = [make_record("m", mode="validate", outcome="failed", nodeid=nodeid) for nodeid in nodeids]
    found = texts(make_run([*records, make_record("n", mode="validate", outcome="failed")]))
    assert found[:2] == ["3 failed", "  validate[cpu]: a.json::m, test_it.py::test_it::m, n"]


def test_failures_of_one_cause_are_said_once_with_what_they_prevented() -> None:
    def failure(model: str, size: int) -> Failure:
        message = f"{model}: output 'y{size}' is off by {size}.5 at (0, {size})\nmore"
        return make_failure(kind="result accuracy issue", message=message)

    records = []
    for size, model in enumerate(("a", "bb", "c-c")):
        records.append(make_record(model, "cuda", "validate", outcome="failed", failure=failure(model, size)))
        records.append(make_record(model, "cuda", outcome="skipped", reason=f"validation failed: off by {size}"))
    assert texts(make_run(records))[:3] == [
        "3 failed: result accuracy issue: output 'y0' is off by 0.5 at (0, 0) (or similar)",
        "  validate[cuda]: a, bb, c-c",
        "  3 benchmarks not run because of it",
    ]


@pytest.mark.parametrize(
    ("outcome", "reason"),
    [
        ("passed", "output 'y': pass-relative: root-mean-square error {}"),
        ("skipped", "nothing to convert to fp16: weights that float16 cannot hold keep all nodes float32: '{}' (Mul)"),
    ],
)
def test_reasons_that_differ_in_numbers_and_names_stand_together(outcome: str, reason: str) -> None:
    records = [
        make_record(name, mode="validate", precision="fp16", outcome=outcome, reason=text + reason.format(number))
        for name, number, text in (("a", 0.1, "a::validate[cpu-fp16]: "), ("b", 0.2, ""))
    ]
    assert texts(make_run(records), 160)[:2] == [
        f"2 {outcome}: {reason.format(0.1)} (or similar)",
        "  validate[cpu-fp16]: a, b",
    ]


def test_a_reason_takes_the_lines_it_needs_up_to_four() -> None:
    empty = (
        "not validated: nothing compared, because output 'y' has no finite reference value among 8; other generated "
    )
    way = (
        'inputs were tried too. Give real inputs with "test_data", or ranges and shapes with "inputs" in the model list'
    )
    records = [
        make_record("a", mode="validate", outcome="skipped", reason=empty + way),
        make_record("b", mode="validate", outcome="skipped", reason="x " * 200),
    ]
    assert texts(make_run(records), 80)[:10] == [
        "1 skipped: not validated: nothing compared, because output 'y' has no finite",
        "    reference value among 8; other generated inputs were tried too. Give real",
        '    inputs with "test_data", or ranges and shapes with "inputs" in the model',
        "    list",
        "  validate[cpu]: a",
        "1 skipped: " + "x " * 34 + "x",
        "    " + "x " * 37 + "x",
        "    " + "x " * 37 + "x",
        "    " + "x " * 35 + "x ...",
        "  validate[cpu]: b",
    ]


def test_many_causes_and_reasons_are_counted() -> None:
    failed = [
        make_record(f"f{number:02}", outcome="failed", failure=make_failure(message=f"m{number:02}"))
        for number in range(23)
    ]
    skipped = [make_record(f"s{number:02}", outcome="skipped", reason=f"r{number:02}") for number in range(12)]
    found = texts(make_run([*failed, *skipped]))
    assert found[:20:2] == [f"1 skipped: r{number:02}" for number in range(10)]
    assert found[20:22] == ["and for 2 more reasons, in records_20261123-210146.jsonl", ""]
    assert found[22:62:2] == [f"1 failed: runtime error: m{number:02}" for number in range(20)]
    assert found[62] == "and 3 more causes of 3 cases, in benchmark_fail_20261123-210146.csv"


def test_many_cases_of_one_cause_are_counted() -> None:
    failed = [make_record(f"f{number:02}", outcome="failed", failure=make_failure()) for number in range(10)]
    assert texts(make_run(failed))[:2] == [
        "10 failed: runtime error: it broke",
        "  benchmark[cpu]: f00, f01, f02, f03, f04, f05, f06, f07 and 2 more",
    ]


def test_waits_for_other_benchmarks_stand_beside_the_duration() -> None:
    records = [make_record(name, stage_ns={"lease": 1_500_000_000}) for name in ("a", "b")]
    assert texts(make_run(records))[0] == ("2 models, 2 cases: 2 passed in 14.2 s; benchmarks waited 3.0 s for others")
    assert texts(make_run([make_record(stage_ns={"lease": 999_999_999})]))[0] == "1 model, 1 case: 1 passed in 14.2 s"


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
