from __future__ import annotations

import functools
import re

import pytest

from pytest_ortperf.plain_text import markdown_code
from pytest_ortperf.records.store import StoredRun
from pytest_ortperf.reports.comparison.run_comparison import compare
from pytest_ortperf.reports.markdown import MOST_COMMENT, run_markdown
from record_examples import make_failure, make_latency, make_record, make_run
from reports.comparison.sides import fleet, side
from reports.page.examples import hostile
from reports.terminal.test_many_variants import many

SMALL = make_run(
    [
        make_record("bert", latencies=(make_latency(4.0),)),
        make_record("bert", "cuda", latencies=(make_latency(1.0),), validation="never validated"),
        make_record("gpt", "cuda", outcome="failed", failure=make_failure(message="it broke at 3 | 4")),
        make_record("gpt", outcome="skipped", reason="no data"),
    ]
)


@functools.cache
def large() -> StoredRun:
    latencies = (make_latency(1.5),)
    return make_run(
        make_record(f"model-{'z' * 60}-{number}", provider, latencies=latencies)
        for number in range(1000)
        for provider in ("cpu", "cuda")
    )


def test_a_run_is_an_answer_and_a_matrix() -> None:
    assert run_markdown(SMALL).splitlines() == [
        "### ortperf: 1 failed, 2 passed, 1 skipped of 4 cases",
        "",
        "`run 20261123-210146`, `ONNX Runtime 1.31.1`, `AMD EPYC 9654`, `NVIDIA H100`, `branch main`",
        "",
        "#### Failures",
        "",
        "| cases | cause | where |",
        "|---:|---|---|",
        "| 1 failed | `runtime error: it broke at 3 \\| 4` | `benchmark[cuda]`: `gpt` |",
        "",
        "#### Providers",
        "",
        "| provider | passed | failed | skipped | mean gain | 95 % interval | fastest for |",
        "|---|---:|---:|---:|---:|---:|---:|",
        "| `cpu` | 1 | 0 | 1 |  |  |  |",
        "| `cuda` | 1 | 1 | 0 | 4.0x faster vs cpu |  | 1 |",
        "",
        "#### Median latency in ms, host (arrays in, arrays out)",
        "",
        "| model | cpu | cuda | fastest |",
        "|---|---:|---:|---|",
        "| `bert` | 4.000 | 1.000 `v` | cuda |",
        "| `gpt` | skipped | failed |  |",
        "",
        "- `v` never validated: nothing has compared its outputs",
        "",
        "#### Skipped, and other remarks",
        "",
        "| cases | reason | where |",
        "|---:|---|---|",
        "| 1 skipped | `no data` | `benchmark[cpu]`: `gpt` |",
        "",
    ]


@pytest.mark.parametrize(("most", "rows"), [(2000, 10), (MOST_COMMENT, 599)])
def test_a_large_run_fits_and_counts_what_does_not(most: int, rows: int) -> None:
    text = run_markdown(large(), most=most)
    assert most - 600 < len(text.encode()) <= most
    assert text.count("| `model-z") == rows
    assert f"\n{1000 - rows} more rows do not fit here: see the report of the run.\n" in text


def test_sixty_models_fit_a_comment() -> None:
    text = run_markdown(many())
    assert len(text.encode()) < MOST_COMMENT
    assert len([line for line in text.splitlines() if line.endswith(("| cuda |", "| tensorrt |", "| cpu |"))]) == 60


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("bert", "`bert`"),
        ("<script>@user #1 ![x](y)", "`<script>@user #1 ![x](y)`"),
        ("a|b\nc", "`a\\|b c`"),
        ("a`b``c", "```a`b``c```"),
        ("`a`", "`` `a` ``"),
        ("\x1b[31mred\u202e", "`red\\u202e`"),
        ("", ""),
    ],
)
def test_names_are_code(text: str, expected: str) -> None:
    assert markdown_code(text) == expected


def test_names_and_messages_are_harmless() -> None:
    text = run_markdown(hostile())
    assert re.search(r"[<>@]", re.sub(r"(`+).*?(?<!`)\1(?!`)", "", text.replace("<br>", ""))) is None
    assert all(line.isprintable() for line in text.splitlines())


def test_what_became_slower_stands_in_the_comparison_with_the_baseline() -> None:
    current = fleet(seed=1, m3=1.5)
    text = run_markdown(make_run(current), compare(side(fleet(), name="before"), side(current, name="after")))
    assert "#### Against `before`: " in text
    (line,) = [line for line in text.splitlines() if line.startswith("- SLOWER")]
    assert re.fullmatch(r"- SLOWER `m3::benchmark\[cpu\]`, host: ratio 1\.[45]\d\d", line)
