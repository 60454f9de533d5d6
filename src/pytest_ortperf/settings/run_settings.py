"""The settings of one run, read from the options in the controller and again, alike, in each worker.

`--ortperf-device`: which device each provider gets, and whether it takes one.
"""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pytest_ortperf.cases.matrix import MODES, Axes
from pytest_ortperf.cases.provider_options import check_option, installed_onnxruntime
from pytest_ortperf.cases.providers import AS_GIVEN, PROVIDERS, Provider, Target, find_provider, find_targets
from pytest_ortperf.cases.rules import Tolerance
from pytest_ortperf.errors import SettingsError
from pytest_ortperf.execution.case_settings import ExecutionSettings, sampling_times_s, tool_of_builtins
from pytest_ortperf.settings import options
from pytest_ortperf.settings.option_table import absolute, normal, pairs

_FLAG = "--ortperf-device"


def device_choices(config: pytest.Config) -> Mapping[str, str]:
    """Return the device chosen for each provider, by short name; plugin providers are settled already.

    Raises:
        pytest.UsageError: If a provider is unknown or takes no device, or a device without a provider is no number.
    """
    found: dict[str, str] = {}
    for text in options.read(config, "device") or ():
        name, sign, value = text.rpartition("=")
        if (sign and not name) or not value or not (sign or value.isdecimal()):
            raise pytest.UsageError(f"{_FLAG}: {text!r} is not of the form [EP=]DEVICE, such as cuda=1, or 1")
        if sign:
            found[_with_device(name, config).name] = value
        else:
            found.update({row.name: value for row in PROVIDERS if row.device_option == "device_id"})
    return found


def named_provider(name: str, flag: str) -> Provider:
    """Return the row of a name that an option gives.

    Raises:
        pytest.UsageError: If it is unknown.
    """
    try:
        return find_provider(name)
    except SettingsError as error:
        raise pytest.UsageError(str(error).replace("--ortperf-ep", flag, 1)) from error


def _with_device(name: str, config: pytest.Config) -> Provider:
    row = named_provider(name, _FLAG)
    if row.device_option is None and row.full_name not in (options.read(config, "plugin-ep") or {}):
        raise pytest.UsageError(
            f"{_FLAG}: {row.name} is no plugin provider, and takes no device that this project knows of. If it has an "
            f"option for it, give that: --ortperf-ep-option={row.name}.KEY=VALUE"
        )
    return row


DEFAULT_TIMEOUT_S = 600.0
UNFIT = "unfit"
"""Name under which workers find what the controller holds against the machine."""

_RUN_CACHE = "run_cache"
TRTEXEC_TOOL = "trtexec_tool"
"""Name under which workers find the program that the controller has asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSettings:
    """What one pytest invocation does."""

    mode: str | None
    """`None` where only tests of the user's own measure."""

    models: tuple[Path, ...]
    axes: Axes
    execution: ExecutionSettings
    reference_ep: str | None
    isolation: str
    timeout_s: float
    results: Path
    labels: tuple[str, ...]
    csv: str | None = None
    """Which tables are written; `None` is the default of `pytest_ortperf.reports.writers`."""

    retry_failed: bool = False
    """Whether benchmarks run whose stored validation failed."""


def read_settings(config: pytest.Config) -> RunSettings:
    """Return the settings that the options ask for.

    Raises:
        pytest.UsageError: If an option cannot be used; the text names it.
    """
    mode = options.read(config, "mode")
    reference = options.read(config, "reference-ep")
    names = options.read(config, "ep") or []
    precisions = (None, "fp16") if options.read(config, "fp16") else (None,)
    return RunSettings(
        mode=mode,
        models=model_paths(config),
        axes=Axes(
            modes=MODES.get(mode, ()),
            providers=providers(names),
            precisions=precisions,
            dims=options.read(config, "dim") or {},
            named=named_precisions(targets(names), precisions),
        ),
        execution=_execution_settings(config),
        reference_ep=None if reference is None else named_provider(reference, "--ortperf-reference-ep").name,
        isolation=isolation(config),
        timeout_s=options.read(config, "timeout") or DEFAULT_TIMEOUT_S,
        results=results_folder(config),
        labels=tuple(options.read(config, "label") or ()),
        csv=options.read(config, "csv"),
        retry_failed=bool(options.read(config, "retry-failed")),
    )


def model_paths(config: pytest.Config) -> tuple[Path, ...]:
    """Return the model lists and directories asked for; by default `models.json` in the root directory."""
    given = options.read(config, "models")
    if given is None:
        return (config.rootpath / "models.json",)
    if options.on_command_line(config, "models") or config.inipath is None:
        return tuple(absolute(text, config) for text in given)
    return tuple(normal(config.inipath.parent / text) for text in given)


def providers(names: Sequence[str]) -> tuple[Provider, ...]:
    """Return the rows of short names, full names and groups, each once.

    Raises:
        pytest.UsageError: If a name is unknown.
    """
    return tuple({target.provider.name: target.provider for target in targets(names)}.values())


def targets(names: Sequence[str]) -> tuple[Target, ...]:
    """Return what short names, full names, groups and names with a precision ask for, each once.

    Raises:
        pytest.UsageError: If a name is unknown.
    """
    try:
        return tuple(dict.fromkeys(target for name in names for target in find_targets(name)))
    except SettingsError as error:
        raise pytest.UsageError(str(error)) from error


def named_precisions(asked: Sequence[Target], of_run: Sequence[str | None]) -> Mapping[str, tuple[str | None, ...]]:
    """Return the precisions of each provider that was named with one: those, after the run's if it was named alone too.

    Args:
        asked: All targets.
        of_run: Precisions of every other provider.
    """
    found: dict[str, tuple[str | None, ...]] = {}
    for name in {target.provider.name for target in asked if target.precision}:
        own = [target.precision for target in asked if target.provider.name == name]
        chosen = [
            precision
            for each in own
            for precision in (of_run if each is None else (None,) if each == AS_GIVEN else (each,))
        ]
        found[name] = tuple(dict.fromkeys(chosen))
    return found


def isolation(config: pytest.Config) -> str:
    """Return how cases are kept apart; a debugger needs them in this process."""
    given: str | None = options.read(config, "isolation")
    return given or ("none" if config.getoption("usepdb", default=False) else "forked")


def results_folder(config: pytest.Config) -> Path:
    """Return the folder of the results; by default `result` where pytest was started."""
    given: Path | None = options.read(config, "results")
    return given or absolute("result", config)


def history_url(config: pytest.Config) -> str | None:
    """Return the database that the run is added to; a file is relative to where pytest was started, or to the ini."""
    given: str | None = options.read(config, "history")
    if given is None or "://" in given:
        return given
    if options.on_command_line(config, "history") or config.inipath is None:
        return str(absolute(given, config))
    return str(normal(config.inipath.parent / given))


def _execution_settings(config: pytest.Config) -> ExecutionSettings:
    tool: Mapping[str, Any] | None = options.handed_on(config, TRTEXEC_TOOL, None)
    fields = options.read_fields(config, ExecutionSettings)
    if "precision_target" in fields:
        least, most = sampling_times_s(fields["precision_target"])
        fields = {"min_time_s": least, "max_time_s": most, **fields}
    return ExecutionSettings(
        tolerance=Tolerance(**options.read_fields(config, Tolerance)),
        ep_options=ep_options(config),
        devices=device_choices(config),
        unusable=options.handed_on(config, "unusable", {}),
        unfit=tuple(options.handed_on(config, UNFIT, [])),
        keep_folder=options.handed_on(config, "keep_folder", None),
        trt_cache_folder=run_cache_folder(config),
        trtexec_tool=None if tool is None else tool_of_builtins(tool),
        **fields,
    )


def ep_options(config: pytest.Config) -> Mapping[str, Mapping[str, str]]:
    """Return the provider options of the command line by short name.

    Raises:
        pytest.UsageError: If one is not of the form EP.KEY=VALUE, or provider, key or value cannot be used.
    """
    found: dict[str, dict[str, str]] = {}
    flag, form = "--ortperf-ep-option", "EP.KEY=VALUE, such as cuda.use_tf32=0"
    for name, value in pairs(options.read(config, "ep-option") or (), flag, form):
        provider, dot, key = name.partition(".")
        if not dot or not key:
            raise pytest.UsageError(f"{flag}: {name + '=' + value!r} is not of the form {form}")
        row = named_provider(provider, flag)
        try:
            found.setdefault(row.name, {})[key] = check_option(row.name, key, value, installed_onnxruntime())
        except SettingsError as error:
            raise pytest.UsageError(f"{flag}: {error}") from error
    return found


def run_cache_folder(config: pytest.Config) -> Path | None:
    """Return a name for the folder of engines that end with the run; it is made when the first one is built.

    Workers take over the controller's, which removes it.
    """
    if options.read(config, "trt-cache") not in {None, "run"}:
        return None
    token = options.handed_on(config, _RUN_CACHE, "") or secrets.token_hex(8)  # nobody else can have made it before
    options.share_with_workers(config, _RUN_CACHE, token)
    return Path(tempfile.gettempdir()) / f"ortperf-tensorrt-{token}"
