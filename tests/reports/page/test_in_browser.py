"""Pages in a real browser: what a reader sees and can do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_ortperf.reports.comparison.compared_side import side_of
from pytest_ortperf.reports.comparison.comparison_page import page as comparison_page
from pytest_ortperf.reports.comparison.run_comparison import Comparison, compare
from pytest_ortperf.reports.page.run_page import run_page
from pytest_ortperf.reports.pictures.picture_page import bisection_page
from record_examples import make_failure, make_record, make_run
from reports.comparison.sides import fleet
from reports.page.browser import AXE, Browser
from reports.page.examples import HOSTILE, hostile, many
from reports.pictures.examples import make_bisection, make_picture

pytestmark = pytest.mark.slow

Open = Callable[..., None]
NAMES = "return [...document.querySelectorAll('#cases tbody tr:not(.space) td:first-child')].map((it) => it.title)"
COUNT = "return document.getElementById('count').textContent"
TITLE = "return document.getElementById('detail-title').textContent"


def compared() -> Comparison:
    base, current = (
        side_of(name, [make_run(records)]) for name, records in (("base", fleet()), ("current", fleet(seed=1, m3=1.5)))
    )
    return compare(base, current)


def with_pictures() -> str:
    record = make_record(mode="validate", outcome="failed", failure=make_failure(), error_pictures=(make_picture(),))
    return run_page(make_run([record, make_record("other")]))


PAGES: dict[str, Callable[[], str]] = {
    "run": lambda: run_page(many(30)),
    "run with baseline": lambda: run_page(make_run(fleet(seed=1, m3=1.5)), compared()),
    "run with pictures": with_pictures,
    "empty": lambda: run_page(make_run()),
    "hostile": lambda: run_page(hostile()),
    "comparison": lambda: comparison_page(compared()),
    "bisection": lambda: bisection_page(make_bisection()),
}


@pytest.fixture
def opened(browser: Browser, tmp_path: Path) -> Open:
    """Return what writes a page, opens it, and gives it a size."""

    def open_(text: str, *, place: str = "", width: int = 1440) -> None:
        path = tmp_path / "page.html"
        path.write_text(text, encoding="utf-8")
        browser.resize(width)
        browser.media(prefers_color_scheme="light")
        browser.open(path.as_uri() + place)

    return open_


@pytest.mark.parametrize("name", PAGES)
def test_pages_are_quiet_and_fit_their_window(browser: Browser, opened: Open, name: str) -> None:
    text = PAGES[name]()
    browser.console()
    for width in (1440, 390):
        opened(text, width=width)
        assert browser.run("return document.documentElement.scrollWidth") == width
        assert browser.run("return document.querySelectorAll('tr').length") <= 200
    assert browser.console() == []
    asked = {url for url in browser.requests() if not url.startswith(("chrome://", "about:", "data:", "devtools:"))}
    assert {url.rpartition("/")[2] for url in asked} == {"page.html"}


@pytest.mark.skipif(not AXE.is_file(), reason=f"axe-core is not at {AXE}; AXE_CORE names another place")
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_axe_finds_nothing(browser: Browser, opened: Open, name: str, scheme: str) -> None:
    text = PAGES[name]()
    for width, place in ((1440, ""), (390, ""), (1440, "#case=bert_001::validate[cpu]")):
        opened(text, width=width, place=place)
        browser.media(prefers_color_scheme=scheme)
        assert browser.axe() == []


def test_a_click_on_a_head_sorts(browser: Browser, opened: Open) -> None:
    opened(run_page(many(30)))
    cells = "#cases tbody tr:not(.space) td:nth-child(4)"
    for order in ("ascending", "descending"):
        browser.run("document.querySelector('[data-sort=latency_p50_ms]').click()")
        texts = browser.run(f"return [...document.querySelectorAll('{cells}')].map((it) => it.textContent)")
        found = [float(text) for text in texts if text]
        assert len(found) > 20
        assert found == sorted(found, reverse=order == "descending")
        head = "return document.querySelector('[data-sort=latency_p50_ms]').closest('th').ariaSort"
        assert browser.run(head) == order
    assert browser.run("return location.hash") == "#sort=-latency_p50_ms"


def test_the_filter_takes_words_and_logs(browser: Browser, opened: Open) -> None:
    opened(run_page(many(30)))
    browser.press("/", *"yolo fp16")
    browser.wait("location.hash === '#q=yolo%20fp16'")
    assert set(browser.run(NAMES)) == {"yolo_002", "yolo_010", "yolo_018", "yolo_026"}
    assert browser.run(COUNT) == "12 of 180 cases"
    browser.press("Escape")
    assert browser.run(COUNT) == "180 cases"
    for word, count in (("log:session_state", "180 cases"), ("session_state", "0 of 180 cases")):
        browser.run("location.hash = '#q=' + arguments[0]", word)
        browser.wait(f"document.getElementById('q').value === '{word}'")
        assert browser.run(COUNT) == count


def test_a_cause_filters_the_cases(browser: Browser, opened: Open) -> None:
    opened(run_page(many(30)))
    browser.run("document.querySelector('[data-cause]').click()")
    words = browser.run("return [...document.querySelectorAll('#cases td:nth-child(3)')].map((it) => it.title)")
    assert set(words) == {"result accuracy issue"}
    only = browser.run("return document.getElementById('cause').textContent")
    assert only.startswith("Only: failed: result accuracy issue: outputs differ from the reference")
    browser.run("document.getElementById('clear').click()")
    assert browser.run(COUNT) == "180 cases"


def test_groups_are_a_filter_and_a_column(browser: Browser, opened: Open) -> None:
    opened(run_page(many(30)))
    choose = "const it = document.getElementById('group'); it.value = 'language'; it.dispatchEvent(new Event('change'))"
    browser.run(choose)
    assert browser.run("return location.hash") == "#group=language"
    assert {name.partition("_")[0] for name in browser.run(NAMES)} == {"bert", "whisper", "t5"}
    assert browser.run(COUNT) == "66 of 180 cases"
    assert browser.run("return document.querySelectorAll('#matrix tbody tr:not(.space)').length") == 11
    assert browser.run("return Boolean(document.querySelector('#cases [data-sort=group]'))")
    opened(run_page(make_run([make_record("a", group="models"), make_record("b", group="models")])))
    assert browser.run("return document.getElementById('group').hidden")
    assert not browser.run("return Boolean(document.querySelector('#cases [data-sort=group]'))")


def test_a_case_shows_how_to_run_it_again(browser: Browser, opened: Open) -> None:
    command = "pytest --ortperf-ep=cpu 'models.json::bert::benchmark[cpu]'"
    opened(run_page(make_run([make_record(commands={"run it again": command})])), place="#bert::benchmark[cpu]")
    assert command in browser.run("return [...document.querySelectorAll('#detail pre')].map((it) => it.textContent)")


@pytest.mark.parametrize("place", ["#case=vit_003::benchmark[cuda-fp16]", "#vit_003::benchmark[cuda-fp16]"])
def test_a_link_opens_its_case(browser: Browser, opened: Open, place: str) -> None:
    opened(run_page(many(30)), place=place)
    assert browser.run(TITLE) == "vit_003 cuda-fp16"
    assert browser.run("return document.querySelector('#cases tr.open td').title") == "vit_003"
    assert browser.run("return document.activeElement.id") == "detail"
    browser.press("n")
    assert browser.run(TITLE) == "vit_003 tensorrt"
    browser.press("Escape")
    assert browser.run("return document.getElementById('detail').hidden")


def test_a_link_to_no_case_says_so(browser: Browser, opened: Open) -> None:
    opened(run_page(many(2)), place="#case=gone::benchmark[cpu]")
    note = browser.run("return document.getElementById('note').textContent")
    assert note == "This run has no case gone::benchmark[cpu]."


def test_rows_are_reached_by_keys_and_only_those_in_sight_are_in_the_page(browser: Browser, opened: Open) -> None:
    opened(run_page(many(300, both=False)))
    browser.run("document.getElementById('cases').focus()")
    browser.press(*["ArrowDown"] * 40)
    name = browser.run("return document.activeElement.closest('tr').firstChild.title")
    assert browser.run("return document.activeElement.closest('tr').ariaRowIndex") == "41"
    assert browser.run("return document.querySelectorAll('tr').length") <= 200
    assert browser.run("return document.querySelector('#cases table').getAttribute('aria-rowcount')") == "1801"
    browser.press("Enter")
    browser.wait("!document.getElementById('detail').hidden")
    assert browser.run("return document.querySelector('#detail-title bdi').textContent") == name


def test_the_theme_follows_the_system_and_the_button(browser: Browser, opened: Open) -> None:
    opened(run_page(many(2)))
    paper = "return getComputedStyle(document.body).backgroundColor"
    assert browser.run(paper) == "rgb(255, 255, 255)"
    browser.media(prefers_color_scheme="dark")
    assert browser.run(paper) == "rgb(17, 22, 29)"
    browser.run("document.getElementById('theme').click()")
    assert browser.run("return document.getElementById('theme').textContent") == "Theme: light"
    assert browser.run(paper) == "rgb(255, 255, 255)"
    browser.run("document.getElementById('theme').click(); document.getElementById('theme').click()")
    browser.media(media="print", prefers_color_scheme="dark")
    assert browser.run(paper) == "rgb(255, 255, 255)"
    assert browser.run("return getComputedStyle(document.querySelector('#all-cases .tools')).display") == "none"


def test_names_of_others_do_nothing(browser: Browser, opened: Open) -> None:
    browser.console()
    opened(run_page(hostile()))
    title = browser.run("return document.title")
    assert title == "ortperf 20261123-210146: 10 of 20 cases of 10 models failed"
    assert browser.run("return document.images.length") == 0
    assert {HOSTILE["markup"], HOSTILE["long"], HOSTILE["closing"]} <= set(browser.run(NAMES))
    links = browser.run(
        "return [...document.querySelectorAll('#cases tbody a')].map((it) => [it.hash, it.textContent])"
    )
    assert len(links) == 20
    for place, _ in links:
        browser.run("location.hash = arguments[0]", place)
        browser.wait("document.querySelector('#cases tr.open')")
    (odd,) = [place for place, text in links if text == HOSTILE["hash"]]
    browser.run("location.hash = arguments[0]", odd)
    browser.wait(f"document.querySelector('#detail-title bdi').textContent === {HOSTILE['hash']!r}")
    assert browser.run("return document.title") == title
    assert browser.console() == []


def test_without_decompression_the_page_unpacks_its_data_itself(browser: Browser, opened: Open) -> None:
    known = browser.cdp("Page.addScriptToEvaluateOnNewDocument", source="delete window.DecompressionStream")
    try:
        opened(run_page(many(30)))
        assert browser.run("return typeof DecompressionStream") == "undefined"
        assert browser.run(COUNT) == "180 cases"
        opened(run_page(make_run([make_record()])))
        assert browser.run(NAMES) == ["bert"]
    finally:
        browser.cdp("Page.removeScriptToEvaluateOnNewDocument", identifier=known["identifier"])


def test_pictures_of_errors_are_shown_with_their_case(browser: Browser, opened: Open) -> None:
    opened(with_pictures(), place="#bert::validate[cpu]")
    assert browser.run("return document.querySelectorAll('#detail figure svg').length") == 2


def test_10_000_cases_open_and_few_rows_are_in_the_page(browser: Browser, opened: Open) -> None:
    opened(run_page(many(1667, both=False)))
    assert browser.run(COUNT) == "10002 cases"
    assert browser.run("return document.querySelectorAll('tr').length") <= 200
