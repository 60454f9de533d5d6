"""Node ids below a model directory as arguments: pytest prints them, but takes `::` behind a file alone."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import TypeVar

import pytest

from pytest_ortperf.settings.option_table import absolute

T = TypeVar("T")

_chosen_key = pytest.StashKey[dict[Path, list[str]]]()


def take_selections(config: pytest.Config, sources: Iterable[Path]) -> None:
    """Replace `directory::model::case` among the arguments by the directory, and keep what is chosen of it.

    Args:
        config: Whose arguments.
        sources: Model lists and directories; pytest itself says what is wrong with `::` behind any other directory.
    """
    directories = {path for path in sources if path.is_dir()}
    chosen: dict[Path, list[str]] = {}
    whole = set()
    args: list[str] = []
    for arg in config.args:
        name, _, rest = arg.partition("::")
        path = absolute(name, config)
        if path not in directories:
            args.append(arg)
            continue
        if rest:
            chosen.setdefault(path, []).append(rest)
        else:
            whole.add(path)
        if name not in args:
            args.append(name)
    config.args[:] = args
    config.stash[_chosen_key] = {path: rests for path, rests in chosen.items() if path not in whole}


def chosen_below(config: pytest.Config, path: Path) -> tuple[str, ...]:
    """Return the ids below a directory that the arguments choose, such as `bert::validate[cpu]`; none is all of it."""
    return tuple(config.stash.get(_chosen_key, {}).get(path, ()))


def named(
    found: Sequence[tuple[str, T]], names: Collection[str], collector: pytest.Collector
) -> Sequence[tuple[str, T]]:
    """Return those of the found that are named, all where no name is given.

    Raises:
        pytest.Collector.CollectError: If a name is none of them.
    """
    if not names:
        return found
    unknown = sorted(set(names) - {name for name, _ in found})
    if unknown:
        near = difflib.get_close_matches(unknown[0], [name for name, _ in found], n=3, cutoff=0)
        raise collector.CollectError(f"{collector.nodeid} has no {unknown[0]!r}; near it are {', '.join(near)}")
    return [(name, each) for name, each in found if name in names]
