"""Which cases a run was asked for: its arguments, `-k` and `-m`, and the cases that these left out.

Node ids below a model directory as arguments: pytest prints them, but takes `::` behind a file alone.
"""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import TypeVar

import pytest

from pytest_ortperf.records.environment.run_header import Selection
from pytest_ortperf.settings import options
from pytest_ortperf.settings.option_table import absolute

T = TypeVar("T")

_chosen_key = pytest.StashKey[dict[Path, list[str]]]()
_selection_key = pytest.StashKey[Selection]()


def keep_selection(config: pytest.Config) -> None:
    """Keep what the run is asked for, before arguments and providers are replaced by what they stand for."""
    given = config.args if config.args_source is pytest.Config.ArgsSource.ARGS else ()
    option = config.option
    config.stash[_selection_key] = Selection(
        arguments=tuple(_as_node_id(argument, config) for argument in given),
        providers=tuple(options.read(config, "ep") or ["auto"]),
        keyword=option.keyword,
        marker=option.markexpr,
        last_failed=bool(getattr(option, "lf", False)),
    )


def selection_of(config: pytest.Config) -> Selection:
    """Return what the run was asked for."""
    if _selection_key not in config.stash:
        keep_selection(config)
    return config.stash[_selection_key]


def source_id(path: Path, root: Path) -> str:
    """Return the node id of a list or directory: its path below `root`, else its name and a short hash of its path."""
    if path.is_relative_to(root) and path != root:
        return path.relative_to(root).as_posix()
    digest = hashlib.sha256(str(path).encode()).hexdigest()[:6]
    return f"{path.name}-{digest}"


def _as_node_id(argument: str, config: pytest.Config) -> str:
    name, separator, rest = argument.partition("::")
    path = absolute(name, config)
    if config.rootpath.is_relative_to(path):
        return "."
    return f"{source_id(path, config.rootpath)}{separator}{rest}"


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
