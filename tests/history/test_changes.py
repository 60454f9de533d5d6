"""Change points of a history: found as runs are added, kept apart by machine and branch, with what people said."""

import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pytest_ortperf.errors import HistoryError
from pytest_ortperf.history.changes import ChangePoint, change_points, set_state, update_changes
from pytest_ortperf.history.confirming import confirming_commands
from pytest_ortperf.history.kept_run import kept_records
from pytest_ortperf.history.store import History
from pytest_ortperf.records.record import ModelFact
from pytest_ortperf.records.store import encode_line
from record_examples import make_end, make_environment, make_header, make_latency, make_record

MODELS = tuple(f"m{number}" for number in range(8))
RUNS, PLACE = 24, 14
SELECTED = "-k m3 --ortperf-ep=cpu --ortperf-threads=1"
OLD, NEW = "onnxruntime 1.31.0", "onnxruntime 1.32.0"


def latencies(runs: int, *, seed: int = 0) -> np.ndarray:
    """Return milliseconds: one row a run, one column a model; all move together by 5 %, each by 1 %."""
    random = np.random.default_rng(seed)
    together = 0.05 * random.normal(size=(runs, 1))
    return np.exp(0.01 * random.normal(size=(runs, len(MODELS))) + together)


def stored(folder: Path, number: int, values_ms: np.ndarray, **changes: Any) -> Path:
    """Write the records file of a run that measured each model once.

    Args:
        folder: For the file.
        number: Of the run.
        values_ms: By model; NaN is not measured.
        changes: `environment`, `labels`, `options` of the header, `sha256` of all models.
    """
    run = f"20261101-{number // 60:02}{number % 60:02}00"
    environment = {"fingerprint": "EPYC, 2 cores", "onnxruntime_distribution": OLD, "cpu": "EPYC", "gpus": ()}
    header = make_header(
        run=run,
        started=f"2026-11-01T{number // 60:02}:{number % 60:02}:00+00:00",
        environment=make_environment(**{**environment, **changes.get("environment", {})}),
        labels={"branch": "main", "commit": "a" * 40, **changes.get("labels", {})},
        options={"mode": "benchmark", "threads": 1, **changes.get("options", {})},
    )
    records = [
        make_record(
            model,
            latencies=(make_latency(value, value, value),),
            model_fact=ModelFact(path=f"{model}.onnx", byte=1, precision="fp32", sha256=changes.get("sha256", "0")),
        )
        for model, value in zip(MODELS, values_ms, strict=True)
        if not np.isnan(value)
    ]
    path = folder / f"records_{run}.jsonl"
    path.write_bytes(b"".join(map(encode_line, [header, *records, make_end(exit_status=0)])))
    return path


def filled(
    folder: Path,
    values: np.ndarray,
    of_run: Callable[[int], Mapping[str, Any]] = lambda _: {},
    url: str | None = None,
) -> History:
    """Return a history of runs in a new file, or elsewhere."""
    history = History.open(url or str(folder / "history.db"), create=True)
    for number, row in enumerate(values):
        history.add(kept_records(stored(folder, number, row, **of_run(number))))
    return history


def with_step(factor: float = 1.08) -> np.ndarray:
    values = latencies(RUNS)
    values[PLACE:, 3] *= factor
    return values


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A history in which m3 becomes slower together with a newer ONNX Runtime."""
    folder = tmp_path_factory.mktemp("made")
    history = filled(
        folder,
        with_step(),
        lambda number: {"environment": {"onnxruntime_distribution": NEW if number >= PLACE else OLD}},
    )
    return Path(history.database.name)


@pytest.fixture
def history(made: Path, tmp_path: Path) -> History:
    """A copy of it, to be changed."""
    for file in made.parent.glob(f"{made.name}*"):
        shutil.copy(file, tmp_path / file.name)
    return History.open(str(tmp_path / made.name))


def brief(points: list[ChangePoint]) -> list[tuple[str, int]]:
    return [(point.series.model, point.run.id) for point in points]


def test_a_change_point_says_where_by_how_much_and_how_sure(history: History) -> None:
    (point,) = change_points(history)
    assert (point.series.model, point.series.metric) == ("m3", "latency_p50_ms")
    assert (point.run_before.id, point.run.id) == (PLACE, PLACE + 1)
    assert point.percent == pytest.approx(8, abs=1)
    assert point.after / point.before == pytest.approx(1.08, abs=0.01)
    assert 0.005 < point.noise < 0.02
    assert point.p_value < 1e-9
    assert (point.state, point.note) == ("new", None)


def test_a_newer_runtime_that_made_a_case_slower_is_searched_for(history: History) -> None:
    (point,) = change_points(history)
    assert point.commands == (f"ortperf ort bisect 1.31.0 1.32.0 {SELECTED}",)


def test_only_new_runs_are_looked_at(history: History, tmp_path: Path) -> None:
    assert update_changes(history) == RUNS
    assert update_changes(history) == 0
    history.add(kept_records(stored(tmp_path, RUNS, latencies(1, seed=1)[0])))
    assert update_changes(history) == 1


def test_runs_added_one_by_one_give_what_all_at_once_give(made: Path, tmp_path: Path) -> None:
    history = History.open(str(tmp_path / "one.db"), create=True)
    for number, path in enumerate(sorted(made.parent.glob("records_*"))):
        history.add(kept_records(path))
        if number > PLACE:
            update_changes(history)
    again = brief(change_points(history))
    history.rebuild()
    assert brief(change_points(history)) == again == [("m3", PLACE + 1)]


def test_a_run_that_comes_late_is_put_in_its_place(made: Path, tmp_path: Path) -> None:
    history = History.open(str(tmp_path / "late.db"), create=True)
    early, late = [], []
    for number, path in enumerate(sorted(made.parent.glob("records_*"))):
        (late if number == 10 else early).append(path)
    for path in early:
        history.add(kept_records(path))
    update_changes(history)
    history.add(kept_records(late[0]))
    (point,) = change_points(history)
    assert (point.run_before.run, point.run.run) == ("20261101-001300", "20261101-001400")


def test_what_was_said_outlives_a_rebuild(history: History) -> None:
    (point,) = change_points(history)
    said = set_state(history, point.id, "expected", note="a larger batch", by="me")
    assert (said.state, said.note) == ("expected", "a larger batch")
    history.rebuild()
    assert [(found.id, found.state, found.note) for found in change_points(history)] == [
        (point.id, "expected", "a larger batch")
    ]
    assert change_points(history, ["new"]) == []
    assert set_state(history, point.id, "new").state == "new"


def test_what_was_said_follows_a_place_that_moves_a_little(history: History) -> None:
    (point,) = change_points(history)
    set_state(history, point.id, "confirmed")
    history.database.write(lambda connection: connection.exec_driver_sql("UPDATE triage SET run = run - 2"))
    assert [found.state for found in change_points(history)] == ["confirmed"]
    history.database.write(lambda connection: connection.exec_driver_sql("UPDATE triage SET run = run - 5"))
    assert [found.state for found in change_points(history)] == ["new"]


def test_an_unknown_id_is_refused_with_the_way_to_those_there_are(history: History) -> None:
    with pytest.raises(HistoryError) as caught:
        set_state(history, "12345678-1", "fixed")
    assert str(caught.value) == (
        "12345678-1: no change point has this id. `ortperf history changes --all` lists those there are, "
        "with their ids: 1."
    )


def test_both_databases_find_and_keep_the_same(url: str, tmp_path: Path) -> None:
    history = filled(tmp_path, with_step(), url=url)
    (point,) = change_points(history)
    assert (point.series.model, point.run.id) == ("m3", PLACE + 1)
    set_state(history, point.id, "confirmed", note="seen", by="me")
    assert set_state(history, point.id, "fixed", note="done", by="me").state == "fixed"
    history.rebuild()
    assert [(found.id, found.note) for found in change_points(history, ["fixed"])] == [(point.id, "done")]


@pytest.mark.parametrize("other", [{"environment": {"fingerprint": "Xeon, 16 cores"}}, {"labels": {"branch": "topic"}}])
def test_runs_of_two_machines_or_branches_are_never_compared(tmp_path: Path, other: Mapping[str, Any]) -> None:
    values = latencies(RUNS)
    values[::2, 3] *= 2
    values[12:, 5] *= 2  # the second machine alone
    values[12::2, 5] /= 2
    history = filled(tmp_path, values, lambda number: other if number % 2 else {})
    assert brief(change_points(history)) == [("m5", 14)]


def test_a_changed_model_file_goes_on_with_its_series(tmp_path: Path) -> None:
    history = filled(
        tmp_path,
        with_step(),
        lambda number: {
            "sha256": "new" if number >= PLACE else "old",
            "labels": {"commit": ("b" if number >= PLACE else "a") * 40},
        },
    )
    (point,) = change_points(history)
    assert (point.series.model_hash, point.run.id) == ("new", PLACE + 1)
    folders = "../ortperf-aaaaaaaaaa", "../ortperf-bbbbbbbbbb"
    assert point.commands == (
        f"git worktree add --detach {folders[0]} {'a' * 40}",
        f"git worktree add --detach {folders[1]} {'b' * 40}",
        f"ortperf ab --base-models={folders[0]}/models.json --current-models={folders[1]}/models.json {SELECTED}",
    )


@pytest.mark.parametrize(
    ("is_slower", "changes", "command"),
    [
        (
            False,
            {"onnxruntime": NEW},
            f"ortperf ab --base-ort=1.31.0 --current-ort=1.32.0 {SELECTED} --ortperf-warmup=5",
        ),
        (
            True,
            {"onnxruntime": "onnxruntime-openvino 1.24.1"},
            f"ortperf ab --base-ort=1.31.0 --current-ort=onnxruntime-openvino==1.24.1 {SELECTED} --ortperf-warmup=5",
        ),
        (
            True,
            {"options": {"threads": 1, "warmup": 9}},
            f"ortperf ab --base-option=--ortperf-warmup=5 --current-option=--ortperf-warmup=9 {SELECTED}",
        ),
        (True, {}, f"pytest --ortperf-mode=benchmark {SELECTED} --ortperf-warmup=5 models.json"),
    ],
    ids=["faster", "another distribution", "an option", "nothing known"],
)
def test_the_command_measures_what_differs(
    history: History, *, is_slower: bool, changes: Mapping[str, Any], command: str
) -> None:
    (point,) = change_points(history)
    before = replace(point.run_before, options={"threads": 1, "warmup": 5})
    at = replace(before, **changes)
    assert confirming_commands(before, at, point.series, is_slower=is_slower) == (command,)


def test_an_fp16_variant_is_asked_for(history: History) -> None:
    (point,) = change_points(history)
    series = replace(point.series, precision="fp16", case_id="m3::benchmark[cpu-fp16]")
    assert confirming_commands(point.run_before, point.run, series, is_slower=True) == (
        "ortperf ort bisect 1.31.0 1.32.0 -k 'm3 and fp16' --ortperf-ep=cpu --ortperf-fp16 --ortperf-threads=1",
    )


def test_models_without_a_value_and_a_history_without_runs(tmp_path: Path) -> None:
    values = with_step()
    values[5:15, 2] = np.nan
    values[:, 7] = np.nan
    (tmp_path / "empty").mkdir()
    assert change_points(History.open(str(tmp_path / "empty" / "history.db"), create=True)) == []
    # seven models are no fleet: the machine's own 5 % are part of the noise
    assert all(point.noise > 0.03 for point in change_points(filled(tmp_path, values)))
