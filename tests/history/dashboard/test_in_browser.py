"""A site in a real browser, opened from its folder."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from history.dashboard.examples import make_site
from reports.page.browser import AXE, CHROMIUM, DRIVER, Browser
from reports.page.examples import HOSTILE

pytestmark = pytest.mark.slow

Open = Callable[..., None]
READY = "document.documentElement.dataset.ready === 'yes'"
ROWS = (
    "return [...document.querySelectorAll(`#${arguments[0]} tbody tr:not(.space)`)]"
    ".map((row) => [...row.cells].map((it) => it.textContent))"
)
LINK = "return [...document.querySelectorAll('#matrix a')].find((it) => it.title.startsWith(arguments[0])).href"
CHOOSE = (
    "const found = document.getElementById(arguments[0]); found.value = arguments[1];"
    "found.dispatchEvent(new Event('change'))"
)
OUTSIDE = ("chrome://", "about:", "data:", "devtools:")


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    if CHROMIUM is None or DRIVER is None:
        pytest.skip("no Chromium with chromedriver here")
    with Browser(tmp_path_factory.mktemp("browser")) as found:
        yield found


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_site(tmp_path_factory.mktemp("dashboard"), runs=26)


@pytest.fixture(scope="module")
def hostile_site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_site(tmp_path_factory.mktemp("hostile"), hostile=True)


@pytest.fixture
def opened(browser: Browser) -> Open:
    """Return what opens a page of a site, and gives it a size."""

    def open_(site: Path, page: str = "index.html", *, width: int = 1440, scheme: str = "light") -> None:
        browser.resize(width)
        browser.media(prefers_color_scheme=scheme)
        browser.open(f"{site.as_uri()}/{page}")
        browser.wait(READY)

    return open_


def test_a_site_without_runs_is_quiet(browser: Browser, opened: Open, tmp_path: Path) -> None:
    browser.console()
    site = make_site(tmp_path, runs=0)
    opened(site, width=390)
    assert browser.run("return document.querySelector('h1').textContent") == "The history has no run yet"
    assert browser.run("return document.getElementById('runs-table').textContent").startswith("No run")
    opened(site, "series.html")
    assert browser.console() == []


def rows(browser: Browser, table: str) -> list[list[str]]:
    found: list[list[str]] = browser.run(ROWS, table)
    return found


def series_page(browser: Browser, opened: Open, site: Path, case: str) -> str:
    """Return the page of a case, as the matrix links to it."""
    opened(site)
    link: str = browser.run(LINK, case)
    return link.rpartition("/")[2]


@pytest.mark.parametrize("kind", ["site", "hostile_site"])
def test_pages_are_quiet_fit_their_window_and_ask_for_nothing(
    browser: Browser, opened: Open, kind: str, request: pytest.FixtureRequest
) -> None:
    site = request.getfixturevalue(kind)
    page = series_page(browser, opened, site, "bert, cpu")
    browser.console()
    browser.requests()
    for place in ("index.html", page):
        for width in (1440, 390):
            opened(site, place, width=width)
            assert browser.run("return document.documentElement.scrollWidth") == width
            assert browser.run("return document.querySelectorAll('tr').length") <= 400
    assert browser.console() == []
    asked = {url for url in browser.requests() if not url.startswith(OUTSIDE)}
    assert {url for url in asked if not url.startswith(f"{site.as_uri()}/")} == set()


@pytest.mark.skipif(not AXE.is_file(), reason=f"axe-core is not at {AXE}; AXE_CORE names another place")
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("kind", ["site", "hostile_site"])
def test_axe_finds_nothing(
    browser: Browser, opened: Open, kind: str, scheme: str, request: pytest.FixtureRequest
) -> None:
    site = request.getfixturevalue(kind)
    page = series_page(browser, opened, site, "bert, cpu")
    for place in ("index.html", page):
        for width in (1440, 390):
            opened(site, place, width=width, scheme=scheme)
            assert browser.axe() == []


def test_the_first_page_lists_changes_failures_and_missing_cases(browser: Browser, opened: Open, site: Path) -> None:
    opened(site)
    lost = {(row[0], row[1], row[2]) for row in rows(browser, "lost")}
    assert lost == {("vit", "cuda", "session error"), ("unet", "cpu", "missing")}
    matrix = {row[0]: row[1:] for row in rows(browser, "matrix")}
    assert list(matrix) == ["bert", "resnet50", "unet", "vit", "yolo"]
    assert matrix["vit"][1] == "session error"
    assert matrix["unet"][0] == "missing"


def test_the_filter_holds_for_all_tables(browser: Browser, opened: Open, site: Path) -> None:
    opened(site)
    browser.press("/", *"vit cu")
    browser.wait("location.hash === '#q=vit%20cu'")
    assert [row[0] for row in rows(browser, "lost")] == ["vit"]
    assert [row[0] for row in rows(browser, "matrix")] == ["vit"]
    browser.press("Escape")
    browser.run(
        "const it = document.getElementById('branch'); it.value = 'pr-7'; it.dispatchEvent(new Event('change'))"
    )
    browser.wait("location.hash === '#branch=pr-7'")
    assert len(rows(browser, "runs-table")) == 5
    browser.run("location.hash = '#group=own'")
    browser.wait("document.querySelectorAll('#matrix tbody tr').length === 2")
    assert [row[0] for row in rows(browser, "matrix")] == ["bert", "resnet50"]
    browser.run("document.getElementById('clear').click()")
    assert len(rows(browser, "runs-table")) == 26


def test_a_commit_shows_what_changed_there(browser: Browser, opened: Open, site: Path) -> None:
    opened(site, f"index.html#commit={11:040x}")
    (row,) = rows(browser, "changes")
    assert row[:3] == ["bert", "cpu", "latency p50"]
    assert re.fullmatch(r"\+\d\d\.\d %", row[3])
    assert row[4] == "▲ slower"
    assert len(rows(browser, "runs-table")) == 1


def test_a_series_has_a_chart_and_the_same_numbers_as_a_table(browser: Browser, opened: Open, site: Path) -> None:
    opened(site, series_page(browser, opened, site, "bert, cpu"))
    assert browser.run("return document.getElementById('name').textContent") == "bert cpu"
    assert browser.run("return document.querySelectorAll('#chart canvas').length") == 1
    label = browser.run("return document.getElementById('chart').getAttribute('aria-label')")
    assert label.startswith("latency p50, ms of 26 runs, from ")
    listed = rows(browser, "table")
    assert len(listed) >= 20
    assert listed[0][0] == "2026-11-02 01:00"
    assert browser.run("return document.getElementById('count').textContent") == "26 of 26 points"
    browser.run("document.getElementById('chart').focus()")
    browser.press("ArrowLeft")
    told = browser.run("return document.getElementById('readout').textContent")
    assert listed[0][1] in told
    assert "run 20261102-010000" in told


def test_points_are_filtered(browser: Browser, opened: Open, site: Path) -> None:
    page = series_page(browser, opened, site, "bert, cpu")
    opened(site, f"{page}&branch=pr-7")
    assert browser.run("return document.getElementById('count').textContent") == "5 of 26 points"
    opened(site, f"{page}&version=1.31.0")
    assert browser.run("return document.getElementById('count').textContent") == "8 of 26 points"


@pytest.mark.parametrize("place", ["", "#case=00ff00ff00ff00ff", "#case=../../index", "#case=%zz<b>"])
def test_an_address_of_no_case_says_so(browser: Browser, opened: Open, site: Path, place: str) -> None:
    opened(site, f"series.html{place}")
    note = browser.run("return document.getElementById('note').textContent")
    assert note.endswith("Choose one of the matrix.")


def test_names_of_others_stay_text(browser: Browser, opened: Open, hostile_site: Path) -> None:
    opened(hostile_site)
    assert browser.run("return document.title") == "ortperf: what changed"
    names = browser.run("return [...document.querySelectorAll('#matrix td:first-child')].map((it) => it.title)")
    assert HOSTILE["markup"] in names
    assert "n" * 300 in names
    assert "abc\\u202egnp.exe" in names
    for case in ("<script>", "abc"):
        opened(hostile_site, series_page(browser, opened, hostile_site, case))
        assert browser.run("return document.querySelectorAll('#chart canvas').length") == 1
        assert browser.run("return document.querySelectorAll('script:not([src])').length") == 0


def test_the_theme_changes_the_chart(browser: Browser, opened: Open, site: Path) -> None:
    page = series_page(browser, opened, site, "bert, cpu")
    opened(site, page)
    browser.run("window.light = document.querySelector('#chart canvas').toDataURL()")
    browser.media(prefers_color_scheme="dark")
    browser.wait("document.querySelector('#chart canvas').toDataURL() !== window.light")
    assert browser.run("return getComputedStyle(document.body).backgroundColor") == "rgb(17, 22, 29)"
