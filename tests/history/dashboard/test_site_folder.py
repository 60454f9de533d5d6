"""The folder of a site: what is written, and what is never touched."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from pytest_ortperf.errors import ResultsFileError
from pytest_ortperf.history.dashboard.site_folder import MARKER, SiteFolder

VENDOR = Path(__file__).parents[3] / "src/pytest_ortperf/history/dashboard/vendor"


def built(folder: Path, files: dict[str, bytes]) -> SiteFolder:
    site = SiteFolder.open(folder)
    site.claim()
    for name, data in files.items():
        site.write(name, data)
    site.finish({"format": 1})
    return site


def names(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_only_changed_files_are_written_and_stale_ones_removed(tmp_path: Path) -> None:
    site = tmp_path / "site"
    built(site, {"index.html": b"1", "data/case/00ff/0.js": b"1", "data/case/00ff/case.js": b"1"})
    kept = (site / "index.html").stat().st_mtime_ns
    again = built(site, {"index.html": b"1", "data/case/00ff/case.js": b"22"})
    assert (again.written, again.written_byte, again.removed) == (1, 2, 1)
    assert (site / "index.html").stat().st_mtime_ns == kept
    assert names(site) == {MARKER, "index.html", "data/case/00ff/case.js"}
    built(site, {"index.html": b"1"})
    assert not (site / "data").exists()


def test_files_of_others_stay(tmp_path: Path) -> None:
    built(tmp_path / "site", {"index.html": b"1"})
    for name in ("CNAME", "data/notes.txt", "data/case/readme.js", "reports/report_1.pdf"):
        path = tmp_path / "site" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("mine")
    built(tmp_path / "site", {})
    assert names(tmp_path / "site") == {
        MARKER,
        "CNAME",
        "data/notes.txt",
        "data/case/readme.js",
        "reports/report_1.pdf",
    }


def test_a_folder_of_others_is_refused(tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_text("mine")
    with pytest.raises(ResultsFileError) as caught:
        SiteFolder.open(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path}: is not empty and no dashboard (it has no {MARKER}). Give a new folder, or empty this one."
    )
    with pytest.raises(ResultsFileError, match="is a file"):
        SiteFolder.open(tmp_path / "photo.jpg")
    assert names(tmp_path) == {"photo.jpg"}


@pytest.mark.parametrize("marker", ["", "{", "[]", '{"format": 0}'])
def test_a_damaged_marker_makes_the_site_anew(tmp_path: Path, marker: str) -> None:
    (tmp_path / MARKER).write_text(marker)
    assert SiteFolder.open(tmp_path).state.get("blocks", {}) == {}


def test_a_file_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    built(tmp_path / "site", {"index.html": b"1"})
    (tmp_path / "site" / "assets").write_text("in the way")
    with pytest.raises(ResultsFileError, match=r"assets/a\.css: was not written: .* Make room, or give another folder"):
        built(tmp_path / "site", {"assets/a.css": b"1"})
    assert (tmp_path / "site/index.html").read_bytes() == b"1"


def test_a_report_is_copied_once(tmp_path: Path) -> None:
    source = tmp_path / "report_1.html"
    source.write_text("page")
    site = SiteFolder.open(tmp_path / "site")
    assert site.copy("reports/report_1.html", source)
    assert site.copy("reports/report_1.html", source)
    assert site.written == 1
    source.write_text("page")
    os.utime(source, ns=(1, 1))
    assert site.copy("reports/report_1.html", source)
    assert site.written == 2
    assert not site.copy("reports/report_2.html", tmp_path / "report_2.html")


@pytest.mark.parametrize(
    ("name", "digest"),
    [
        ("uPlot.iife.min.js", "19c8d4c6ad88929a79f4ae49d6f7161566dfd0ba3d15cc495e974f787eb78f1f"),
        ("uPlot.min.css", "df630c6a8d6f8eeaff264b50f73ce5b114f646ffd9a0bb74f049b0a00135fa04"),
        ("uPlot.LICENSE.txt", "8f989229699b4fe2f1a0432d0e9edc338a8a911e250e2d1b01ecd770a5f5b1bd"),
    ],
)
def test_uplot_is_as_published(name: str, digest: str) -> None:
    """Version 1.6.32."""
    assert hashlib.sha256((VENDOR / name).read_bytes()).hexdigest() == digest
