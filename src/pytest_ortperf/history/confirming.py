"""The command that confirms a change point: what differs between the runs around it, measured in turns."""

from __future__ import annotations

import shlex
from pathlib import PurePosixPath

from pytest_ortperf.history.store import Run, Series
from pytest_ortperf.reports.comparison.compared_side import RunSide
from pytest_ortperf.reports.comparison.ways_out import common_flags, own_flags

_USUAL = "onnxruntime"
_FP16 = "fp16"
_COMMIT_DIGITS = 10


def confirming_commands(before: Run, at: Run, series: Series, *, is_slower: bool) -> tuple[str, ...]:
    """Return the commands, one after the other.

    Versions of ONNX Runtime are searched for the one that made a case slower; other distributions, what became faster,
    settings and commits are measured in turns. Where no difference is known, another run shows whether it lasts.

    Args:
        before: The last run with the old level.
        at: The first with the new one.
        series: The case.
        is_slower: Whether the new level is the higher one.
    """
    sides = _side(before), _side(at)
    options = [*_selection(series), *common_flags(*sides)]
    runtimes = before.onnxruntime, at.onnxruntime
    if None not in runtimes and runtimes[0] != runtimes[1]:
        base, current = map(_runtime, runtimes)
        is_search = is_slower and _name(runtimes[0]) == _name(runtimes[1])
        ends = (
            ["ort", "bisect", base, current] if is_search else ["ab", f"--base-ort={base}", f"--current-ort={current}"]
        )
        return (_command(*ends, *options),)
    own = own_flags(*sides)
    if own:
        return (_command("ab", *own, *options),)
    if before.commit_id and at.commit_id and before.commit_id != at.commit_id and _is_relative(series.list):
        return _of_commits(before.commit_id, at.commit_id, series.list, options)
    return (shlex.join(["pytest", "--ortperf-mode=benchmark", *options, series.list]),)


def _of_commits(before: str, at: str, models: str, options: list[str]) -> tuple[str, ...]:
    folders = [f"../ortperf-{commit[:_COMMIT_DIGITS]}" for commit in (before, at)]
    checkouts = [
        shlex.join(["git", "worktree", "add", "--detach", folder, commit])
        for folder, commit in zip(folders, (before, at), strict=True)
    ]
    lists = [f"--{side}-models={folder}/{models}" for side, folder in zip(("base", "current"), folders, strict=True)]
    return (*checkouts, _command("ab", *lists, *options))


def _command(*words: str) -> str:
    return shlex.join(["ortperf", *words])


def _selection(series: Series) -> list[str]:
    is_fp16 = series.precision == _FP16 and f"-{_FP16}" in series.case_id
    expression = f"{series.model} and {_FP16}" if is_fp16 else series.model
    return ["-k", expression, f"--ortperf-ep={series.provider}", *(["--ortperf-fp16"] if is_fp16 else [])]


def _side(run: Run) -> RunSide:
    return RunSide(name=run.run, cases={}, labels=run.labels, options=run.options)


def _name(runtime: str | None) -> str:
    return (runtime or "").partition(" ")[0]


def _runtime(text: str | None) -> str:
    """Return `onnxruntime-gpu 1.31.1` as commands take it; of the usual distribution the version is enough."""
    name, _, version = (text or "").partition(" ")
    return version if name == _USUAL else f"{name}=={version}"


def _is_relative(path: str) -> bool:
    return not PurePosixPath(path).is_absolute() and ".." not in PurePosixPath(path).parts
