"""A comparison in a terminal, as CSV, JSON, Markdown and HTML; and one case explained."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import xml.etree.ElementTree as ET

import pytest

from pytest_ortperf.errors import ResultsFileError
from pytest_ortperf.records.record import Record
from pytest_ortperf.reports.comparison.change_tables import COLUMNS, csv_text, json_text, markdown_text
from pytest_ortperf.reports.comparison.comparison_page import overlay_svg, page, section
from pytest_ortperf.reports.comparison.comparison_text import comparison_lines
from pytest_ortperf.reports.comparison.explain import explain, explanation_lines, overlay, overlay_lines
from pytest_ortperf.reports.comparison.run_comparison import Comparison, compare
from record_examples import make_failure, make_operators, make_record
from reports.comparison.sides import fleet, side, timed
from reports.comparison.test_latency_changes import LOADED, at_clock


def example() -> Comparison:
    base = [timed(f"m{number}", 10.0, spread=0) for number in range(10)]
    base.append(make_record("old", mode="validate"))
    current = [timed(f"m{number}", 10.0 if number else 15.0, spread=0) for number in range(10)]
    current[1] = dataclasses.replace(timed("m1", 7.0, spread=0), machine=LOADED)
    current.append(make_record("bad|name", mode="validate", outcome="failed", failure=make_failure(message="<b> = 1")))
    return compare(side(base, name="before"), side(current, name="after", python="3.12.1"))


def test_the_terminal_tells_what_changed_and_leaves_out_what_did_not() -> None:
    assert [text for text, _ in comparison_lines(example(), width=110)] == [
        "base     before, run before-0, ONNX Runtime 1.31.1",
        "current  after, run after-0, ONNX Runtime 1.31.1",
        "machine  the same, AMD EPYC 9654, 8 cores, 8 GiB",
        "differs  python 3.11.7 -> 3.12.1",
        "",
        "latency: 1 SLOWER, 0 FASTER, 1 UNSURE, 8 SAME; ratio is current / base less the shift of the fleet",
        "fleet cpu, host: 10 pairs, +0.0 % (+0.0 % to +0.0 %), SAME",
        "case                timing  base ms  current ms  ratio   90 % interval  delta %  verdict",
        "m0::benchmark[cpu]  host         10          15  1.500  1.500 to 1.500       25  SLOWER",
        "m1::benchmark[cpu]  host         10           7  0.700  0.700 to 0.700       25  UNSURE",
        "1 + 1 runs: a test by ranks alone could not go below p 1, and a lone change among 10 needs 0.005; verdicts",
        "  rest on the normal shape of the fleet's noise",
        "",
        "failures: 1 new failure",
        "  new failure  bad|name::validate[cpu]: runtime error in stage timing: <b> = 1 (the case is not in the base)",
        "",
        "cases: 1 missing model",
        "  missing model  old: 1 case in all",
        "",
        "UNSURE 1: Current: the machine: others kept 1.3 of 2 cores busy.",
        "  m1::benchmark[cpu]",
        "  To settle it, make 3 more runs of each side and compare the folders:",
        "    pytest --ortperf-mode=both --ortperf-results=before",
        "    pytest --ortperf-mode=both --ortperf-results=after",
        "    ortperf compare before after",
    ]


def test_everything_is_listed_where_asked_for() -> None:
    texts = [text for text, _ in comparison_lines(example(), width=80, everything=True)]
    assert sum(text.endswith("  SAME") for text in texts) == 8


def test_long_lists_are_cut_and_counted() -> None:
    comparison = compare(side(fleet(40)), side(fleet(40, seed=1), fingerprint="another"))
    texts = [text for text, _ in comparison_lines(comparison, width=100)]
    assert "and 10 more" in texts
    assert "UNSURE 40: The two sides were measured on different machines." in texts


def test_csv_has_a_row_a_pair_and_a_row_a_change() -> None:
    rows = list(csv.DictReader(io.StringIO(csv_text(example()))))
    assert tuple(rows[0]) == COLUMNS
    assert len(rows) == 12
    assert {name: value for name, value in rows[0].items() if value} == {
        "topic": "latency",
        "case_id": "m0::benchmark[cpu]",
        "verdict": "SLOWER",
        "timing": "host",
        "statistic": "median",
        "base_ms": "10.0",
        "current_ms": "15.0",
        "ratio": "1.5",
        "ratio_low": "1.5",
        "ratio_high": "1.5",
        "raw_ratio": "1.5",
        "delta_percent": "25.0",
        "p_adjusted": "0.0",
        "evidence": "single runs",
        "base_count": "1",
        "current_count": "1",
    }
    assert [(row["topic"], row["verdict"]) for row in rows[-2:]] == [
        ("failures", "new failure"),
        ("missing", "missing model"),
    ]


def test_a_name_that_is_a_formula_gets_an_apostrophe() -> None:
    bad = make_record("=1+1", mode="validate", outcome="failed", failure=make_failure())
    rows = list(csv.DictReader(io.StringIO(csv_text(compare(side([]), side([bad]))))))
    assert [row["case_id"] for row in rows] == ["'=1+1::validate[cpu]"]


def test_json_holds_what_fails() -> None:
    data = json.loads(json_text(example(), ("latency", "failures")))
    assert data["verdicts"] == {"SLOWER": 1, "UNSURE": 1, "SAME": 8}
    assert [(each["topic"], each["case_id"]) for each in data["failing"]] == [
        ("latency", "m0::benchmark[cpu]"),
        ("failures", "bad|name::validate[cpu]"),
    ]
    assert data["base"]["runs"] == ["before-0"]
    assert data["differences"] == [{"name": "python", "base": "3.11.7", "current": "3.12.1"}]
    few = json.loads(json_text(compare(side(fleet(3)), side(fleet(3, seed=1))), ()))
    assert [row["ratio_low"] for row in few["rows"]] == [None] * 3


def test_markdown_shows_names_as_they_are() -> None:
    text = markdown_text(example())
    assert "| m0::benchmark\\[cpu\\] | host | 10 | 15 | 1.500 | 1.500 to 1.500 | 25 % | SLOWER |" in text
    assert "- new failure: `bad|name::validate[cpu]`: runtime error in stage timing: \\<b\\> = 1 (the case" in text


def test_html_is_well_formed_and_escapes_what_others_wrote() -> None:
    comparison = example()
    text = page(comparison, [explain(comparison, "m0")])
    assert "&lt;b&gt; = 1" in text
    assert "<script" not in text
    body = section(comparison, [explain(comparison, "m0")])
    root = ET.fromstring(body)  # noqa: S314 - our own
    ratios, samples = root.findall(".//{http://www.w3.org/2000/svg}svg")
    assert [path.attrib["class"] for path in samples.iter("{http://www.w3.org/2000/svg}path")] == ["base", "current"]
    marks = ratios.findall("{http://www.w3.org/2000/svg}circle")
    assert [mark.attrib["class"] for mark in marks] == [pair.decision.verdict.lower() for pair in comparison.pairs]


def test_distributions_lie_over_each_other() -> None:
    found = overlay("host", [1_000_000] * 50 + [2_000_000] * 50, [2_000_000] * 100)
    assert (sum(found.base), sum(found.current)) == (pytest.approx(1), pytest.approx(1))
    assert (found.edges_ms[0], found.edges_ms[-1]) == (pytest.approx(1.0), pytest.approx(2.0))
    title, first, *between, last = overlay_lines(found)
    assert title == "samples, host, ms: base (100) to the left, current (100) to the right"
    assert first == "         1             ############|"
    assert last.endswith(" ############|########################")
    assert all(line.endswith(" |") for line in between)
    assert overlay_svg(found).count("<path ") == 2


def test_samples_that_are_all_the_same_have_a_picture_too() -> None:
    found = overlay("host", [5_000_000] * 3, [5_000_000] * 3)
    assert max(found.base) == 1


def explained() -> tuple[Record, Record]:
    base = dataclasses.replace(
        at_clock(timed("m0", 10.0), 1980),
        operators=make_operators(("cpu", "Conv", 3, 5.0), ("cpu", "Relu", 3, 1.0), ("cpu", "Add", 1, 0.5)),
    )
    current = dataclasses.replace(
        at_clock(timed("m0", 12.0), 1700),
        operators=make_operators(("cpu", "Conv", 3, 5.1), ("cpu", "Relu", 3, 3.0), ("cpu", "Mul", 1, 0.4)),
        machine=LOADED,
    )
    return base, current


def test_a_case_is_explained_by_samples_clocks_environment_and_operators() -> None:
    base, current = explained()
    comparison = compare(side([base]), side([current], driver="570.1"))
    lines = explanation_lines(comparison, explain(comparison, "m0::benchmark[cpu]"))
    assert lines[0] == "m0::benchmark[cpu]"
    assert lines[1].startswith("  UNSURE  host: median 10 -> 12 ms, ratio 1.2")
    assert (
        "    Only 1 case can be paired, and no canary was timed in both runs; 8 cases or a canary are needed to tell a "
        "slower machine from a slower model." in lines
    )
    start = lines.index("base: SM clock 1980 MHz (1000 to 2000, 30 samples)")
    assert lines[start:] == [
        "base: SM clock 1980 MHz (1000 to 2000, 30 samples)",
        "current: SM clock 1700 MHz (1000 to 2000, 30 samples)",
        "current: warning: others kept 1.3 of 2 cores busy",
        "",
        "environments differ:",
        "  driver: absent -> 570.1",
        "",
        "operators, us in one run, those first whose time changed most:",
        "  CPU Relu: 1000.0 -> 3000.0 (+2000.0)",
        "  CPU Add: 500.0 -> 0.0 (-500.0)",
        "  CPU Mul: 0.0 -> 400.0 (+400.0)",
        "  CPU Conv: 5000.0 -> 5100.0 (+100.0)",
    ]


def test_what_is_not_known_is_said() -> None:
    records = [make_record(mode="validate")]
    comparison = compare(side(records), side(records))
    assert explanation_lines(comparison, explain(comparison, "bert")) == [
        "bert::validate[cpu]",
        "  base passed, current passed: no latency on both sides",
        "",
        "environments: no difference is known",
        "",
        "operators were not timed on both sides (--ortperf-operators=on times them)",
    ]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("vgg", "--explain vgg: is no case of both sides. Give one of: bert::validate[cpu], m0::benchmark[cpu], "),
        ("cpu", "--explain cpu: is part of 4 cases. Give one of: "),
    ],
)
def test_a_case_to_explain_must_be_one(name: str, message: str) -> None:
    records = [make_record(mode="validate"), *fleet(3)]
    comparison = compare(side(records), side(records))
    with pytest.raises(ResultsFileError) as caught:
        explain(comparison, name)
    assert str(caught.value).startswith(message)


def test_the_benchmark_is_meant_where_a_name_fits_both_modes() -> None:
    records = [make_record(mode="validate"), make_record()]
    comparison = compare(side(records), side(records))
    assert explain(comparison, "bert").case_id == "bert::benchmark[cpu]"
