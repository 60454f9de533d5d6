from __future__ import annotations

import dataclasses
import re
import shutil
import subprocess
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from pathlib import Path

import pytest

from pytest_ortperf.records.bisection import Bisection, ValueFact
from pytest_ortperf.records.record import Failure, Record
from pytest_ortperf.reports.pictures.charts import growth_svg, heatmap_svg, histogram_svg
from pytest_ortperf.reports.pictures.picture_page import bisection_page, error_section, failure_page, write_failure_page
from record_examples import make_record
from reports.pictures.examples import make_bisection, make_inside, make_picture, point

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def failed() -> Record:
    failure = Failure(kind="result accuracy issue", stage="comparison", message="outputs differ:\n  'y' <b>")
    return make_record("bert", outcome="failed", failure=failure, error_pictures=(make_picture(),))


def titles(svg: str) -> list[str]:
    """Return what a drawing says where the pointer rests; it has to be well-formed."""
    root = ET.fromstring(svg)  # noqa: S314 - our own
    return [title.text or "" for title in root.iter("{http://www.w3.org/2000/svg}title")]


def test_the_histogram_says_how_many_elements_have_which_error() -> None:
    assert titles(histogram_svg(make_picture())) == [
        "Histogram of error / allowed error of output logits <a&b>: 101 of 10000 elements outside",
        "no error: 1",
        "0.001 to 0.00316228: 9898",
        "3.16228 to 10: 100",
        "not finite: 1",
    ]


def test_bars_beyond_the_tolerance_have_another_colour() -> None:
    drawn = histogram_svg(make_picture())
    assert re.findall(r'<rect [^>]*class="(\w+)"', drawn) == ["good", "good", "bad", "bad"]
    assert 'class="limit"' in drawn
    assert 'class="limit"' not in histogram_svg(make_picture(measure="absolute error"))


def test_the_heatmap_has_a_shade_for_each_range_and_frames_the_worst_cell() -> None:
    drawn = heatmap_svg(make_picture())
    assert titles(drawn) == [
        "Heatmap of error / allowed error of output logits <a&b> at [0, :, :]",
        "to 0.0001",
        "> 0.0001",
        "> 0.001",
        "> 0.01",
        "> 0.1",
        "> 3",
        "not finite",
        "the worst element",
    ]
    assert re.search(r'<rect class="mark" x="52" y="186" width="40" height="40">', drawn)
    # neighbours of one shade are one outline
    assert '<path d="M52 26h120v40h-120zM52 66h80v40h-80z' in drawn


def test_a_page_with_four_pictures_of_many_cells_stays_small() -> None:
    cells = tuple(tuple(10.0 ** ((row * 7 + column * 5) % 9 - 5) for column in range(32)) for row in range(32))
    picture = make_picture(heatmap=dataclasses.replace(make_picture().heatmap, cells=cells))
    assert len(bisection_page(make_bisection(pictures=(picture,) * 4))) < 200_000


def test_growth_marks_each_cut_and_the_suspect() -> None:
    drawn = growth_svg(make_bisection())
    assert titles(drawn) == [
        "Error along the graph of bert::validate[cuda-fp16]: 5 cuts",
        "n4 (Conv, node 4): good, error 0 in 'v4'",
        "n11 (Conv, node 11): good, error 2e-07 in 'v11'",
        "n12 (Conv, node 12): bad, error 0.5 in 'v12'",
        "n20 (Conv, node 20): bad, error not finite in 'v20'",
        "n39 (Conv, node 39): bad, error 0.03 in 'v39'",
    ]
    assert ">n12 (Conv)</text>" in drawn


def test_growth_of_a_crash_has_crosses() -> None:
    crash = point(12, None, within=False, tensor=None, problem="crashed")
    drawn = growth_svg(make_bisection(points=(point(3, None, within=True, tensor=None), crash)))
    assert titles(drawn)[1:] == ["n3 (Conv, node 3): runs", "n12 (Conv, node 12): crashed"]
    assert drawn.count('class="mark"') == 1


def test_every_suspect_has_a_row_on_the_page() -> None:
    def rows(found: Bisection) -> list[list[str]]:
        table = bisection_page(found).partition("<h2>Suspects</h2>")[2].partition("</table>")[0]
        return [re.findall(r"<td>(.*?)</td>", row) for row in table.split("<tr")[2:]]

    suspect = ["node &#39;n12&#39;", "Conv", "fails by itself", "result/bisect_bert/smallest"]
    assert rows(make_bisection()) == [suspect]
    assert rows(make_bisection(**make_inside())) == [
        suspect,
        [
            "node &#39;n12&#39; &gt; body &gt; node &#39;n2&#39; &gt; else_branch &gt; node &#39;b_mul&#39;",
            "Mul",
            "not tried by itself",
            "result/bisect_bert/inside",
        ],
        ["node &#39;n20&#39;", "Conv", "fails by itself", "result/bisect_bert/elsewhere"],
    ]
    assert "Suspects" not in bisection_page(make_bisection(suspect=None))


class Balanced(HTMLParser):
    """Reads a page and keeps what is open, and what it would load."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.loads: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.loads += [str(value) for name, value in attrs if name in ("src", "href")]
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.loads += [f"{tag} {value}" for name, value in attrs if name in ("src", "href")]


@pytest.mark.parametrize(
    "text", [bisection_page(make_bisection()), failure_page(failed())], ids=["bisection", "failure"]
)
def test_pages_are_whole_small_and_load_nothing(text: str) -> None:
    page = Balanced()
    page.feed(text)
    assert (page.open, page.loads) == ([], [])
    assert len(text) < 200_000
    assert re.findall(r"https?://[^\"']+", text) == ["http://www.w3.org/2000/svg"] * text.count("<svg")
    assert "<script" not in text
    assert "<a&b>" not in text
    assert "logits &lt;a&amp;b&gt;" in text


def test_no_text_of_others_becomes_markup() -> None:
    evil = "</pre><script>'\"&"
    value = ValueFact(name=evil, dtype=evil, shape=None, origin=evil)
    points = (point(3, None, within=False, tensor=None, problem=evil), point(4, 0.5, within=False, tensor=evil))
    words = dict.fromkeys(("case_id", "reference", "data_set", "complaint", "conclusion", "part_folder"), evil)
    found = make_bisection(points=points, inputs=(value,), pictures=(make_picture(output=evil, measure=evil),), **words)
    for text in (bisection_page(found), failure_page(dataclasses.replace(failed(), case_id=evil))):
        page = Balanced()
        page.feed(text)
        assert page.open == []
        assert "<script" not in text
        assert "&lt;/pre&gt;&lt;script&gt;&#39;&#34;&amp;" in text


def test_a_section_has_the_worst_elements() -> None:
    section = error_section(make_picture())
    assert "101 of 10000 elements (1.01 %) outside rtol=0.001, atol=1e-05" in section
    assert "<td>(0, 99, 3)</td><td>nan</td><td>0.5</td><td>not finite</td>" in section


def test_the_page_of_a_failure_stands_beside_its_records(tmp_path: Path) -> None:
    path = write_failure_page(failed(), tmp_path / "records_20261123-210146.jsonl")
    assert path.parent == tmp_path / "pictures_20261123-210146"
    assert re.fullmatch(r"[\w.=-]+\.html", path.name)
    assert path.read_text("utf-8") == failure_page(failed())


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here")
@pytest.mark.parametrize("kind", ["bisection", "failure"])
def test_a_browser_shows_every_piece(tmp_path: Path, kind: str) -> None:
    page = tmp_path / "page.html"
    page.write_text(bisection_page(make_bisection()) if kind == "bisection" else failure_page(failed()), "utf-8")
    command = [str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"]
    done = subprocess.run(
        [*command, "--dump-dom", page.as_uri()], capture_output=True, text=True, timeout=60, check=True
    )
    drawings = 3 if kind == "bisection" else 2
    assert done.stdout.count("<svg") == done.stdout.count("</svg>") == drawings
    assert done.stdout.count("<figure>") == drawings
    assert done.stdout.count("<rect") > 15
