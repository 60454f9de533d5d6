"""Runs of many models and providers: a matrix that fits, whose names stay different."""

from __future__ import annotations

import dataclasses
import io
import re
from collections.abc import Iterable
from pathlib import Path

import pytest
from _pytest._io import TerminalWriter

from pytest_ortperf.records.environment.machine_checks import Finding, MachineState
from pytest_ortperf.records.record import LimitFact, ModelFact, Record, TensorFact
from pytest_ortperf.records.store import StoredRun
from pytest_ortperf.reports.terminal.summary import summary_lines
from record_examples import (
    make_failure,
    make_header,
    make_latency,
    make_operators,
    make_placement,
    make_record,
    make_run,
)

PROVIDERS = ("cpu", "cuda", "tensorrt")
SPEED = {"cpu": 1.0, "cuda": 4.0, "tensorrt": 9.0}


def name_of(number: int) -> str:
    """Return one of many kinds of names, long ones that differ in a single character too."""
    kinds = (
        f"bert-base-uncased-opset-17-variant-{number:02}-optimised-for-inference-quantised",
        f"resnet{number}",
        f"model-{'x' * number}-{number}",
    )
    return kinds[number % 3]


def cases(number: int, provider: str) -> Iterable[Record]:
    model = name_of(number)
    if provider == "tensorrt" and number % 9 == 0:
        message = f"{model}: libnvinfer.so.{number}: cannot open shared object file: No such file or directory"
        failure = make_failure(kind="session error", message=message)
        yield make_record(model, provider, "validate", outcome="failed", failure=failure)
        yield make_record(model, provider, outcome="skipped", reason=f"validation failed: {message}")
        return
    yield make_record(model, provider, "validate")
    median_ms = 0.03 * 1.2**number * (1 + 0.2 * (number % 5) * PROVIDERS.index(provider)) / SPEED[provider]
    samples = [median_ms * share for share in (0.999, 1, 1.001) * 10]
    status = "unstable" if number % 4 == 0 else "stable"
    latency = dataclasses.replace(make_latency(*samples), status=status)
    yield make_record(model, provider, latencies=(latency,))


def many() -> StoredRun:
    records = [it for number in range(60) for provider in PROVIDERS for it in cases(number, provider)]
    return make_run(records, header=make_header(providers=PROVIDERS))


def texts(run: StoredRun, width: int) -> list[str]:
    return [text for text, _ in summary_lines(run, width=width, files=(), results=Path("result"))]


@pytest.mark.parametrize("width", [80, 160])
def test_sixty_models_and_three_providers_fit(width: int) -> None:
    found = texts(many(), width)
    assert max(map(len, found)) <= width
    table = found[2 : found.index("u  unstable: the 95 % interval of the median stayed wider than asked for")]
    assert len(table) == 60
    names = [line.split()[0] for line in table]
    assert len(set(names)) == 60
    assert all(len(line.split()) >= 4 for line in table)
    assert [line.split()[-1] for line in table].count("tensorrt") == 53


def test_a_narrow_terminal_has_the_whole_summary() -> None:
    found = texts(many(), 80)
    assert found[:6] == [
        "median latency in ms, host (arrays in, arrays out)",
        "model                                      cpu        cuda    tensorrt  fastest",
        "bert-base-uncase...-00-optimised...  0.03000 u  0.007500 u    failed    cuda",
        "bert-base-uncase...-03-optimised...  0.05184     0.02074     0.01267    tensorrt",
        "bert-base-uncase...-06-optimised...  0.08958     0.02687     0.01393    tensorrt",
        "bert-base-uncase...-09-optimised...   0.1548     0.06966      failed    cuda",
    ]
    assert found[found.index("u  unstable: the 95 % interval of the median stayed wider than asked for") + 1 :] == [
        "",
        "7 failed: session error: libnvinfer.so.0: cannot open shared object file: No",
        "    such file or directory (or similar)",
        "  validate[tensorrt]: bert-base-uncased-o...-00-optimised-f...,",
        "    bert-base-uncased-o...-09-optimised-f...,",
        "    bert-base-uncased-o...-18-optimised-f...,",
        "    bert-base-uncased-o...-27-optimised-f...,",
        "    bert-base-uncased-o...-36-optimised-f...,",
        "    bert-base-uncased-o...-45-optimised-f...,",
        "    bert-base-uncased-o...-54-optimised-f...",
        "  7 benchmarks not run because of it",
        "",
        "provider  passed  failed  skipped           mean gain        95 % interval",
        "cpu          120       0        0",
        "cuda         120       0        0  2.9x faster vs cpu  2.8x to 3.1x faster",
        "tensorrt     106       7        7     +44.6 % vs cuda     +42.6 to +46.6 %",
        "",
        "60 models, 360 cases: 346 passed, 7 failed, 7 skipped in 14.2 s",
        "run 20261123-210146, ONNX Runtime 1.31.1, AMD EPYC 9654, NVIDIA H100",
        "",
        "next: run what failed again: pytest --ortperf-mode=both --lf",
        "      narrow the intervals marked u and e: a quieter machine, or a longer",
        "        --ortperf-max-time",
    ]


def test_a_wide_terminal_has_whole_names() -> None:
    found = texts(many(), 160)
    assert found[2].split() == [name_of(0), "0.03000", "u", "0.007500", "u", "failed", "cuda"]
    assert len(found[2]) <= 160


def test_columns_that_do_not_fit_go_on_below() -> None:
    providers = [f"provider-number-{number}" for number in range(6)]
    records = [
        make_record(f"model-{'y' * 40}-{number}", provider, latencies=(make_latency(number + 1.5),))
        for number in range(10)
        for provider in providers
    ]
    found = texts(make_run(records, header=make_header(providers=tuple(providers))), 80)
    heads = [line.split()[1:] for line in found if line.startswith("model   ")]
    assert heads == [providers[:2], providers[2:4], providers[4:], ["fastest"]]
    assert max(map(len, found)) <= 80


def with_everything(models: int) -> StoredRun:
    """Return a run whose summary has every kind of line."""
    finding = Finding(
        check="clock",
        level="warning",
        seen="fell from 2,900 to 1,300 MHz",
        why="The clock moved meanwhile",
        advice="wait",
    )
    limit = LimitFact(
        name="p50_ms",
        timing=None,
        limit=3.0,
        value=2.9,
        low=2.8,
        high=3.1,
        note="p50 of 30 iterations",
        is_kept=True,
        is_unsure=True,
        way_out="a longer --ortperf-max-time narrows the interval",
    )
    dims = {"batch_size": 8, "sequence_length": 128, "past_sequence_length": 0}
    records = []
    for number in range(models):
        for provider in PROVIDERS:
            shape = (1, 3, 224 + (provider == "cuda" and number % 5 == 0), 224)
            common = {
                "placement": make_placement(provider, Conv=50 + number, Add=3),
                "assumed_dims": {"batch": 1, f"height_{number % 3}": 224},
                "dims": dims if number % 2 else {},
                "inputs": (TensorFact(name="data", dtype="float", shape=shape, origin="generated"),),
                "model_fact": ModelFact(path="m", byte=1, precision="fp16", note="fp16 storage, fp32 compute"),
                "refused_timings": {"graph": f"{provider} has no CUDA graphs in this version of ONNX Runtime"},
                "timing_notes": {"host": "inputs were copied to another device first, which takes most of the time"},
                "machine": MachineState(spans=(), findings=(finding,)),
                "limits": (limit,),
                "operators": make_operators((provider, "Conv", 50, 8.0), (provider, "Add", 3, 1.0)),
            }
            latency = make_latency(*[0.5 + number, 0.51 + number, 0.6 + number] * 10)
            yet = {"outcome": "skipped", "reason": f"needs {number} GPUs of another kind than those of this machine"}
            records.append(make_record(name_of(number), provider, "validate", **(yet if number % 7 == 6 else {})))
            records.append(make_record(name_of(number), provider, latencies=(latency,), **common))
    notes = ("the file system of the results folder is nearly full, and later runs may find no room",)
    return make_run(records, header=make_header(providers=PROVIDERS, machine=(finding,)), notes=notes)


@pytest.mark.parametrize("models", [1, 6, 60])
@pytest.mark.parametrize("width", [60, 80, 120])
def test_no_line_is_wider_than_the_terminal(models: int, width: int) -> None:
    files = tuple(Path("result", f"benchmark_{name}_20261123-210146.csv") for name in ("fail", "success", "latency"))
    lines = summary_lines(
        with_everything(models), width=width, files=(*files, Path("result/report_20261123-210146.html")),
        results=Path("result"), verbose=True,
    )  # fmt: skip
    # ids stay whole, for a terminal's clipboard
    assert [text for text, _ in lines if len(text) > width and " " in text.strip()] == []


@pytest.mark.parametrize("width", [80, 160])
def test_colours_change_no_character(width: int) -> None:
    written = {}
    for colours in (True, False):
        writer = TerminalWriter(file := io.StringIO())
        writer.hasmarkup = colours
        for text, markup in summary_lines(many(), width=width, files=(), results=Path("result")):
            writer.line(text, **markup)
        written[colours] = file.getvalue()
    assert written[False].splitlines() == texts(many(), width)
    assert written[True] != written[False]
    assert re.sub(r"\x1b\[\d+m", "", written[True]) == written[False]


def test_markup_is_beside_the_text_and_not_in_it() -> None:
    lines = summary_lines(many(), width=80, files=(), results=Path("result"))
    assert {"bold", "red", "green", "yellow"} >= {name for _, markup in lines for name in markup}
    assert not any("\x1b" in text for text, _ in lines)


HOSTILE = {
    "csi": "\x1b[31mred\x1b[2J",
    "osc": "\x1b]0;title\x07\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\",
    "c1": "\x9b31m\x9d0;t\x9c\x85next",
    "return": "good\rbad",
    "bidi": "\u202egnp.exe\u2066",
    "half": "\udcff",
}


@pytest.mark.parametrize("kind", HOSTILE)
@pytest.mark.parametrize("models", [1, 30])
def test_no_control_character_of_a_name_or_message_is_left(kind: str, models: int) -> None:
    text = HOSTILE[kind]
    records = [
        record
        for number in range(models)
        for record in (
            make_record(f"{text}{number}", latencies=(make_latency(1.0),), assumed_dims={text: 2}, dims={text: 2}),
            make_record(f"{text}{number}", mode="validate", outcome="failed", failure=make_failure(message=text)),
            make_record(f"skip{text}{number}", outcome="skipped", reason=text),
        )
    ]
    found = texts(make_run(records, notes=(text,)), 80)
    assert [line for line in found if not line.isprintable()] == []
