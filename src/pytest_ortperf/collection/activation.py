"""Before a run starts: is the plugin on, what is collected, and what pytest-xdist and pytest-forked are told."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pytest_ortperf.collection.selection import keep_selection, take_selections
from pytest_ortperf.errors import SettingsError
from pytest_ortperf.plain_text import is_utf8, plain_line
from pytest_ortperf.records.environment.distributions import require_one_onnxruntime
from pytest_ortperf.running.run import without_workers_key
from pytest_ortperf.settings import options
from pytest_ortperf.settings.options import is_worker
from pytest_ortperf.settings.provider_choice import settle_plugins, settle_providers
from pytest_ortperf.settings.run_settings import isolation, model_paths, results_folder


def prepare(config: pytest.Config) -> None:
    """Settle in the controller what depends on the machine or on other plugins; workers take it over.

    Runs before pytest-xdist reads its options.

    Raises:
        pytest.UsageError: If the run cannot start; the text says the way out.
    """
    if is_worker(config):
        _collect_model_lists(config)
        options.receive(config)
        return
    _require_one_onnxruntime()
    _check_isolation(config)
    _leave_workers_out(config)
    _group_by_model(config)
    keep_selection(config)
    _collect_model_lists(config)
    settle_providers(config)
    _choose_keep_folder(config)


def prepare_for_tests(config: pytest.Config) -> None:
    """Settle what a user's own tests need of it, in the process that runs or records them; nothing is probed.

    Raises:
        pytest.UsageError: If they cannot run; the text says the way out.
    """
    _require_one_onnxruntime()
    _check_isolation(config)
    keep_selection(config)
    settle_plugins(config)
    named = [name for name in (options.read(config, "ep") or ()) if name != "auto"]
    options.store(config, "ep", named)
    _choose_keep_folder(config)


def _require_one_onnxruntime() -> None:
    try:
        require_one_onnxruntime()
    except SettingsError as error:
        raise pytest.UsageError(str(error)) from error


def _choose_keep_folder(config: pytest.Config) -> None:
    stamp = datetime.now(UTC).astimezone().strftime("%Y%m%d-%H%M%S")
    options.share_with_workers(config, "keep_folder", str(results_folder(config) / f"kept_{stamp}"))


def _check_isolation(config: pytest.Config) -> None:
    given = options.given(config, "isolation")
    if getattr(config.option, "forked", False) and given in {"pool", "none"}:
        raise pytest.UsageError(f"--forked forks every test; it does not go with --ortperf-isolation={given}")
    if not hasattr(os, "fork"):
        if given in {"forked", "pool"}:
            raise pytest.UsageError(
                f"--ortperf-isolation={given} needs fork, which this system lacks; use --ortperf-isolation=none "
                f"and -n 1, so that a crash ends a worker and not the run"
            )
        options.store(config, "isolation", "none")


def _leave_workers_out(config: pytest.Config) -> None:
    """Run without pytest-xdist where it cannot: it sends each worker's folder as UTF-8, and ids and paths too."""
    option = config.option
    if not getattr(option, "numprocesses", None):
        return
    paths = [Path.cwd(), config.rootpath, *model_paths(config)]
    wrong = next((path for path in paths if not is_utf8(path)), None)
    if wrong is not None:
        option.numprocesses, option.dist, option.tx = 0, "no", []
        shown = plain_line(str(wrong))
        config.stash[without_workers_key] = (
            f"without workers: the path {shown} is not UTF-8, which pytest-xdist cannot send; rename it to use -n"
        )


def _group_by_model(config: pytest.Config) -> None:
    # loadgroup puts @group into ids and hangs when a worker crashes; loadscope groups by model with clean ids, but
    # gives an item that took its worker along to the next worker: where that can happen, items go out one by one
    option = config.option
    if getattr(option, "numprocesses", None) and getattr(option, "dist", None) == "no" and not option.distload:
        option.dist = "load" if isolation(config) == "none" else "loadscope"


def _collect_model_lists(config: pytest.Config) -> None:
    paths = model_paths(config)
    if options.given(config, "models") is not None:
        options.store(config, "models", [str(path) for path in paths])
    if config.args_source is pytest.Config.ArgsSource.ARGS:
        take_selections(config, paths)
        return
    lists = [str(path) for path in paths]
    for path in paths:
        if not path.exists():
            raise pytest.UsageError(_missing_list(path, config))
        # pytest looks for a conftest.py in a directory before anything of this plugin does
        if path.is_dir() and not os.access(path, os.R_OK | os.X_OK):
            raise pytest.UsageError(f"{path}: the directory cannot be read (Permission denied); make it readable")
    config.args[:] = lists if options.on_command_line(config, "mode") else [*config.args, *lists]


def _missing_list(path: Path, config: pytest.Config) -> str:
    if options.given(config, "models") is None:
        return (
            f"no model list: {path} does not exist. Name one with --ortperf-models=PATH (a JSON list or a directory "
            f'of models), or create it: [{{"name": "mine", "path": "model.onnx"}}]'
        )
    return f"--ortperf-models: {path} does not exist; give a model list (JSON) or a directory of models"
