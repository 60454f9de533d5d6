"""What the user names -> a side: files, folders, patterns, run ids, or a git revision with stored results."""

from __future__ import annotations

import dataclasses
import glob
import os
import subprocess
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from pytest_ortperf.cases.providers import find_provider
from pytest_ortperf.errors import ResultsFileError, SettingsError
from pytest_ortperf.records.store import StoredRun, find_run, in_order, read_run, records_path, runs_of
from pytest_ortperf.reports.comparison.compared_side import Side, side_of, unfinished
from pytest_ortperf.reports.comparison.sources.script_tables import (
    is_pytest_benchmark,
    is_script_folder,
    read_pytest_benchmark,
    read_script_folder,
    read_script_table,
)
from pytest_ortperf.reports.comparison.ways_out import OF_NO_MEASUREMENT

FORMS = (
    "a records file, a results folder (all its complete runs), a run id, a folder or single file with the CSV tables "
    "of the ONNX Runtime script, a JSON file of pytest-benchmark, a pattern such as 'result/records_2026*.jsonl', "
    "several of these joined by commas, or a git revision with stored results"
)
_GIT_TIMEOUT_S = 5
CHECK = "check"
_NATIVE = {"native": "trtexec"}
"""The script's name of TensorRT without ONNX Runtime."""


def read_sides(texts: Sequence[str], results: Path, root: Path) -> Side:
    """Return one side that several texts name, each as `read_side` takes it.

    Raises:
        ResultsFileError: If one names nothing, or cannot be read.
    """
    return _joined(",".join(texts), [read_side(text, results, root) for text in texts])


def read_side(text: str, results: Path, root: Path) -> Side:
    """Return the side that a text names.

    Args:
        text: One of `FORMS`.
        results: Folder that run ids and revisions are looked for in.
        root: A folder of the repository that revisions are of.

    Raises:
        ResultsFileError: If it names nothing, or that cannot be read.
    """
    names = [text] if os.path.exists(root / text) else text.split(",")  # noqa: PTH110 - pathlib's raises on a long list
    parts = [_of_name(name, results, root) for name in names]
    known = [part for part in parts if part is not None]
    if len(known) == len(parts):
        return _joined(text, known)
    commit = commit_of(text, root)
    if commit is None:
        raise ResultsFileError(f"{text}: is no file, no run in {results} and no git revision of {root}. Give {FORMS}.")
    runs = [run for run in _readable(runs_of(results)) if run.header.labels.get("commit") == commit]
    if not runs:
        raise ResultsFileError(
            f"{text}: {results} holds no run of commit {commit[:12]}. Check it out, run pytest with --ortperf-mode, "
            f"and compare again; every run is labelled with its commit."
        )
    return alike(f"{text} (commit {commit[:12]})", runs)


def of_provider(side: Side, name: str) -> Side:
    """Return a side with the cases of one execution provider alone.

    Raises:
        SettingsError: If there is no such provider.
    """
    try:
        provider = find_provider(_NATIVE.get(name, name)).name
    except SettingsError as error:
        raise SettingsError(str(error).replace("--ortperf-ep", "--ep", 1)) from error
    runs = (
        dataclasses.replace(
            run, cases={key: case for key, case in run.cases.items() if case.record.provider == provider}
        )
        for run in side.runs
    )
    return dataclasses.replace(side, runs=tuple(runs))


def commit_of(revision: str, root: Path) -> str | None:
    """Return the hash of a commit; `None` without git, repository or such a revision."""
    command = ["git", "-C", str(root), "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}"]
    try:
        done = subprocess.run(  # noqa: S603 - a revision cannot be an option here
            command, stdin=subprocess.DEVNULL, capture_output=True, check=True, timeout=_GIT_TIMEOUT_S
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.decode("ascii", "replace").strip() or None


def _of_name(name: str, results: Path, root: Path) -> Side | None:
    """Return the side of one file, folder, pattern or run id; `None` if it is none of them."""
    path = root / name
    if name and os.path.exists(path):  # noqa: PTH110
        return _of_path(name, path)
    if not name:
        return None
    path = records_path(results, name)
    if os.path.isfile(path):  # noqa: PTH113
        return side_of(name, [read_run(path)])
    if glob.has_magic(name):
        found = _matching(root, name) or _matching(results, f"records_{name}.jsonl")
        if found and all(each.name.startswith("records_") for each in found):
            return _of_files(name, in_order(found))
        return _joined(name, [_of_path(str(each), each) for each in found]) if found else None
    return None


def _matching(folder: Path, pattern: str) -> list[Path]:
    return [folder / each for each in sorted(glob.glob(pattern, root_dir=folder))]  # noqa: PTH207 - takes absolute ones


def _of_path(name: str, path: Path) -> Side:
    if path.is_dir():
        return read_script_folder(path) if is_script_folder(path) else _of_files(name, runs_of(path), path)
    if path.suffix == ".csv":
        return read_script_table(path)
    return read_pytest_benchmark(path) if is_pytest_benchmark(path) else side_of(name, [read_run(path)])


def _of_files(name: str, paths: Sequence[Path], folder: Path | None = None) -> Side:
    """Return the side of a folder's records files, oldest first."""
    runs = list(_readable(paths))
    if not runs:
        # says what is wrong with the newest, or that there is none
        return side_of(name, [read_run(find_run(folder or paths[-1]))])
    return alike(name, runs)


def _joined(text: str, sides: Sequence[Side]) -> Side:
    return Side(
        name=text,
        runs=tuple(run for side in sides for run in side.runs),
        notes=tuple(note for side in sides for note in side.notes),
        passed_over=next((side.passed_over for side in sides if side.passed_over), None),
    )


def _readable(paths: Sequence[Path]) -> Iterator[StoredRun]:
    """Yield runs; what is damaged or of another version is no run to choose."""
    for path in paths:
        try:
            yield read_run(path)
        except ResultsFileError:
            continue


def alike(name: str, runs: Sequence[StoredRun]) -> Side:
    """Return the newest complete run with all complete ones of the same thing; the side's notes say what is left out.

    Args:
        name: Of the side.
        runs: At least one, oldest first.
    """
    # what checks leave says nothing of latency or accuracy
    runs = [run for run in runs if run.header.options.get("mode") != CHECK] or runs
    complete = [run for run in runs if unfinished(run) is None]
    if not complete:
        return side_of(name, runs[-1:])
    newest = complete[-1]
    models = _models(newest)
    chosen, others = [newest], Counter[str]()
    for run in reversed(complete[:-1]):
        difference = _difference(run, newest, models)
        if difference is None:
            chosen.append(run)
            models = _models(run) | models
        else:
            others[difference] += 1
    if len(complete) < len(runs):
        others["that did not come to its end"] += len(runs) - len(complete)
    side = side_of(name, reversed(chosen))
    if not others:
        return side
    count = "1 run is" if len(chosen) == 1 else f"{len(chosen)} runs are"
    listed = ", ".join(f"{number} {reason}" for reason, number in others.items())
    passed_over = None
    if runs[-1] is not newest:
        passed_over = (
            f"the newest run {runs[-1].header.run} was left out: {unfinished(runs[-1])}. Make the run again, or name "
            f"the run to look at"
        )
    note = f"{name}: {count} used of {len(runs)}; left out: {listed}"
    return dataclasses.replace(side, notes=(*side.notes, note), passed_over=passed_over)


def _difference(run: StoredRun, newest: StoredRun, models: dict[str, str]) -> str | None:
    """Return in what a run is another thing than the newest one; `None` if it is the same."""
    here, there = run.header.environment, newest.header.environment
    if here.fingerprint != there.fingerprint:
        return "made on another machine"
    if here.onnxruntime_distribution != there.onnxruntime_distribution:
        return f"made with {here.onnxruntime_distribution or 'an unknown ONNX Runtime'}"
    options, others = (
        {key: value for key, value in each.header.options.items() if key not in OF_NO_MEASUREMENT}
        for each in (run, newest)
    )
    if options != others:
        names = sorted(key for key in {*options, *others} if options.get(key) != others.get(key))
        return f"made with other options ({', '.join(f'--ortperf-{key}' for key in names)})"
    if any(models.get(key, digest) != digest for key, digest in _models(run).items()):
        return "made with other model files"
    return None


def _models(run: StoredRun) -> dict[str, str]:
    """Return the content hash of the model of each case, where it is known."""
    return {
        record.case_id: record.model_fact.sha256
        for record in run.records
        if record.model_fact and record.model_fact.sha256
    }
