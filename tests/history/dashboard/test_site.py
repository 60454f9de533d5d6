"""A site as files: the same for the same history, and little of it written anew when a run is added."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from history.dashboard.examples import add_runs, build
from history.runs import Server
from pytest_ortperf.cli import main
from pytest_ortperf.history.dashboard import site as site_module
from pytest_ortperf.history.store import History
from reports.page.examples import HOSTILE


def files(site: Path) -> dict[str, bytes]:
    return {path.relative_to(site).as_posix(): path.read_bytes() for path in site.rglob("*") if path.is_file()}


def read(site: Path, name: str) -> dict[str, Any]:
    """Return what a file of data holds."""
    text = (site / "data" / f"{name}.js").read_text("ascii")
    start = f'ortperf("{name}",'
    assert text.startswith(start)
    found: dict[str, Any] = json.loads(text.removeprefix(start).removesuffix(");\n"))
    return found


def rows(packed: dict[str, Any]) -> list[dict[str, Any]]:
    return [dict(zip(packed["columns"], row, strict=True)) for row in packed["rows"]]


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> History:
    folder = tmp_path_factory.mktemp("history")
    return add_runs(folder / "history.db", folder / "result", 12)


def test_the_first_page_answers(history: History, tmp_path: Path) -> None:
    build(history, tmp_path / "site")
    page = (tmp_path / "site/index.html").read_text("utf-8")
    assert (
        '<h1 id="answers">1 new failure, 1 missing case, 2 values worse '
        "in the newest runs of 2 branches and machines</h1>" in page
    )
    assert "session error: no session: &lt;b&gt;Fail&lt;/b&gt; to load libcudnn.so.9" in page
    assert "<bdi>unet cpu benchmark</bdi>" in page


def test_changes_failures_and_missing_cases_are_listed(history: History, tmp_path: Path) -> None:
    build(history, tmp_path / "site")
    index = read(tmp_path / "site", "index")
    names = {run["id"]: run["run"] for run in rows(read(tmp_path / "site", "runs"))}
    cases = [f"{case['model']} {case['variant']}" for case in rows(index["cases"])]
    assert [names[run] for run in index["newest"]] == ["20261101-110000", "20261101-090000"]
    changes = [
        (cases[row["case"]], row["metric"], names[row["run"]], row["word"], row["better"])
        for row in rows(index["changes"])
        if row["run"] in index["newest"]
    ]
    assert changes == [
        ("bert cpu", "latency_p50_ms", "20261101-110000", "slower", -1),
        ("bert cpu", "latency_p50_ms", "20261101-090000", "slower", -1),
    ]
    lost = [(cases[row["case"]], row["word"], row["last"]) for row in rows(index["lost"]) if row["run"] == 12]
    assert lost == [("vit cuda", "session error", "20261101-100000"), ("unet cpu", "missing", "20261101-100000")]


def test_a_case_holds_its_points_with_their_intervals(history: History, tmp_path: Path) -> None:
    build(history, tmp_path / "site")
    (case,) = [row for row in rows(read(tmp_path / "site", "index")["cases"]) if row["model"] == "bert"][:1]
    data = read(tmp_path / "site", f"case/{case['key']}/case")
    assert (data["model"], data["variant"], data["group"], data["blocks"]) == ("bert", "cpu", "own", [0])
    data = read(tmp_path / "site", f"case/{case['key']}/0")
    assert data["runs"] == list(range(1, 13))
    values, lows, highs = data["values"]["latency_p50_ms"]
    assert values[8] / values[0] == pytest.approx(1.3, abs=0.05)
    assert all(low <= value <= high for value, low, high in zip(values, lows, highs, strict=True))


def test_the_same_history_makes_the_same_bytes(history: History, tmp_path: Path) -> None:
    build(history, tmp_path / "one")
    again = build(history, tmp_path / "one")
    assert (again.written, again.written_byte, again.removed) == (0, 0, 0)
    build(history, tmp_path / "other")
    assert files(tmp_path / "one") == files(tmp_path / "other")


def test_a_site_renewed_is_the_site_built_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(site_module, "BLOCK", 4)
    for start in range(0, 12, 3):
        history = add_runs(tmp_path / "history.db", tmp_path / "result", 3, first=start)
        build(history, tmp_path / "grown")
    build(history, tmp_path / "anew")
    assert files(tmp_path / "grown") == files(tmp_path / "anew")
    old = {
        name: path
        for name, path in files(tmp_path / "grown").items()
        if name.startswith("data/case/") and name.endswith("/1.js")
    }
    before = {name: (tmp_path / "grown" / name).stat().st_mtime_ns for name in old}
    assert len(old) == 10
    history = add_runs(tmp_path / "history.db", tmp_path / "result", 1, first=12)
    build(history, tmp_path / "grown")
    assert {name: (tmp_path / "grown" / name).stat().st_mtime_ns for name in old} == before


@pytest.mark.slow
def test_postgresql_makes_the_same_bytes(server: Server, tmp_path: Path) -> None:
    for name, database in (("sqlite", tmp_path / "history.db"), ("postgresql", server.new_database("dashboard"))):
        (tmp_path / "result").mkdir(exist_ok=True)
        for path in (tmp_path / "result").iterdir():
            path.unlink()
        build(add_runs(database, tmp_path / "result", 4, models=["bert", *HOSTILE.values()]), tmp_path / name)
    assert files(tmp_path / "sqlite") == files(tmp_path / "postgresql")


@pytest.mark.parametrize("harm", ["removed", "marker", "foreign"])
def test_a_damaged_site_is_made_whole(
    history: History, tmp_path: Path, harm: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(site_module, "BLOCK", 4)
    build(history, tmp_path / "site")
    whole = files(tmp_path / "site")
    path = next((tmp_path / "site/data/case").glob("*/1.js"))
    if harm == "removed":
        path.unlink()
    elif harm == "marker":
        (tmp_path / "site/ortperf-dashboard.json").write_text("{")
    else:
        (path.parent / "77.js").write_text("of an earlier build")
    build(history, tmp_path / "site")
    assert files(tmp_path / "site") == whole


def test_a_branch_alone(history: History, tmp_path: Path) -> None:
    build(history, tmp_path / "site", branches=["pr-7"])
    assert {run["branch"] for run in rows(read(tmp_path / "site", "runs"))} == {"pr-7"}
    assert len(rows(read(tmp_path / "site", "index")["cases"])) == 10
    assert "Nothing to compare yet: a value needs 3 earlier runs" in (tmp_path / "site/index.html").read_text()


def test_reports_are_copied_where_they_are(history: History, tmp_path: Path) -> None:
    build(history, tmp_path / "site")
    assert len(list((tmp_path / "site/reports").iterdir())) == 12
    assert {run["report"] for run in rows(read(tmp_path / "site", "runs"))} == {1}


def test_names_of_others_do_no_harm(tmp_path: Path) -> None:
    history = add_runs(tmp_path / "history.db", tmp_path / "result", 5, models=HOSTILE.values())
    build(history, tmp_path / "site")
    for name, data in files(tmp_path / "site").items():
        if name.startswith("data/"):
            assert data.isascii(), name
        assert b"<script>document" not in data.replace(b'"<script>document', b"") or name.startswith("data/"), name
        assert all(part.isascii() and len(part) < 80 for part in name.split("/"))
    assert "\\u202e" in (tmp_path / "site/data/index.js").read_text("ascii")


def test_the_command(history: History, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    database = str(history.database.file)
    site = tmp_path / "site"
    assert main(["dashboard", "-o", str(site), f"--history={database}"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith(f"{site / 'index.html'}: 12 runs, ")
    assert err == ""
    assert main(["dashboard", "-o", str(site), f"--history={database}", "--branch=gone"]) == 2
    assert capsys.readouterr().err == (
        f"ortperf: history {database}: has no run of branch gone; its branches: main, pr-7.\n"
    )
    assert main(["dashboard", "-o", str(tmp_path), f"--history={database}"]) == 2
    assert "is not empty and no dashboard" in capsys.readouterr().err


def test_a_history_without_runs(tmp_path: Path) -> None:
    build(History.open(str(tmp_path / "history.db"), create=True), tmp_path / "site")
    assert "The history has no run yet" in (tmp_path / "site/index.html").read_text("utf-8")
