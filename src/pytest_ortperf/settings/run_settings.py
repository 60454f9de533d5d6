"""The settings of one run, read from the options in the controller and again, alike, in each worker.

`--ortperf-device`: which device each provider gets, and whether it takes one.

Reads `--ortperf-timing`.
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
from pytest_ortperf.cases.model import Tolerance
from pytest_ortperf.cases.provider_options import check_option, installed_onnxruntime
from pytest_ortperf.cases.providers import GROUPS, PROVIDERS, Provider, Target, find_provider, find_target
from pytest_ortperf.errors import SettingsError
from pytest_ortperf.execution.case_settings import ExecutionSettings, tool_of_builtins
from pytest_ortperf.records.record import TIMINGS
from pytest_ortperf.settings import options
from pytest_ortperf.settings.options import split_names

_FLAG = "--ortperf-device"


def device_choices(config: pytest.Config) -> Mapping[str, str]:
    """Return the device chosen for each provider, by short name; plugin providers are settled already.

    Raises:
        pytest.UsageError: If a provider is unknown or takes no device, or a device without a provider is no number.
    """
    found: dict[str, str] = {}
    for text in options.given(config, "device") or ():
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


def settled_plugins(config: pytest.Config) -> dict[str, str]:
    """Return the library of each plugin provider by its full name, once they are settled."""
    return dict(options.pairs(options.given(config, "plugin-ep"), "--ortperf-plugin-ep", "NAME=LIBRARY_OR_MODULE"))


def _with_device(name: str, config: pytest.Config) -> Provider:
    row = named_provider(name, _FLAG)
    if row.device_option is None and row.full_name not in settled_plugins(config):
        raise pytest.UsageError(
            f"{_FLAG}: {row.name} is no plugin provider, and takes no device that this project knows of. If it has an "
            f"option for it, give that: --ortperf-ep-option={row.name}.KEY=VALUE"
        )
    return row


AUTO = "auto"


def read_timings(text: str | None) -> tuple[str, ...]:
    """Return the timing modes asked for, the headline first; none is the choice by provider.

    Raises:
        pytest.UsageError: If one is unknown, or stands beside `auto`.
    """
    names = tuple(dict.fromkeys(split_names(None if text is None else [text])))
    if names == (AUTO,):
        return ()
    unknown = [name for name in names if name not in TIMINGS]
    if unknown:
        raise pytest.UsageError(
            f"--ortperf-timing: {', '.join(unknown)} cannot be used; give auto alone, or some of {', '.join(TIMINGS)}"
        )
    return names


DEFAULT_TIMEOUT_S = 600.0
MOST_THREADS = 2**31 - 1
"""What ONNX Runtime takes for a number."""
UNFIT = "unfit"
"""Name under which workers find what the controller holds against the machine."""

KEEP_KINDS = ("log", "profile", "graph")
CHECKS = ("repeat", "batch")
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
    retry_failed: bool = False
    """Whether benchmarks run whose stored validation failed."""


def read_settings(config: pytest.Config) -> RunSettings:
    """Return the settings that the options ask for.

    Raises:
        pytest.UsageError: If an option cannot be used; the text names it.
    """
    mode = options.given(config, "mode")
    reference = options.given(config, "reference-ep")
    names = options.split_names(options.given(config, "ep"))
    precisions = (None, "fp16") if options.given(config, "fp16") else (None,)
    return RunSettings(
        mode=mode,
        models=model_paths(config),
        axes=Axes(
            modes=MODES.get(mode, ()),
            providers=providers(names),
            precisions=precisions,
            dims=_dims(options.given(config, "dim")),
            named=named_precisions(targets(names), precisions),
        ),
        execution=_execution_settings(config),
        reference_ep=None if reference is None else named_provider(reference, "--ortperf-reference-ep").name,
        isolation=isolation(config),
        timeout_s=options.number(config, "timeout", float, least=0.001) or DEFAULT_TIMEOUT_S,
        results=options.absolute(options.given(config, "results") or "result", config),
        labels=tuple(options.given(config, "label") or ()),
        retry_failed=bool(options.given(config, "retry-failed")),
    )


def model_paths(config: pytest.Config) -> tuple[Path, ...]:
    """Return the model lists and directories asked for; by default `models.json` in the root directory."""
    given = options.given(config, "models")
    if given is None:
        return (config.rootpath / "models.json",)
    if options.on_command_line(config, "models") or config.inipath is None:
        return tuple(options.absolute(text, config) for text in given)
    return tuple(options.normal(config.inipath.parent / text) for text in given)


def providers(names: Sequence[str]) -> tuple[Provider, ...]:
    """Return the rows of short names, full names and groups, each once.

    Raises:
        pytest.UsageError: If a name is unknown.
    """
    return tuple({target.provider.name: target.provider for target in targets(names)}.values())


def targets(names: Sequence[str]) -> tuple[Target, ...]:
    """Return what short names, full names, groups and `trtexec-fp16` ask for, each once.

    Raises:
        pytest.UsageError: If a name is unknown.
    """
    members = [member for name in names for member in GROUPS.get(name, (name,))]
    try:
        return tuple(dict.fromkeys(find_target(name) for name in members))
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
        chosen = [precision for each in own for precision in (of_run if each is None else (each,))]
        found[name] = tuple(dict.fromkeys(chosen))
    return found


def isolation(config: pytest.Config) -> str:
    """Return how cases are kept apart; a debugger needs them in this process."""
    given = options.given(config, "isolation")
    if given is not None:
        return str(given)
    return "none" if config.getoption("usepdb", default=False) else "forked"


def _execution_settings(config: pytest.Config) -> ExecutionSettings:
    def tolerance(name: str) -> float | None:
        return options.number(config, name, float, least=0)

    workspace = options.given(config, "workspace")
    cache = options.given(config, "cache")
    cache_gib = options.number(config, "cache-size", float, least=0)
    trtexec = options.given(config, "trtexec")
    tool: Mapping[str, Any] | None = options.handed_on(config, TRTEXEC_TOOL, None)
    given = {
        "input_source": options.given(config, "input"),
        "seed": options.number(config, "seed", int, least=0),
        "seeds": options.number(config, "seeds", int, least=1),
        "checks": _checks(options.given(config, "checks")),
        "iterations": options.number(config, "iterations", int, least=1),
        "warmup": options.number(config, "warmup", int, least=0),
        "precision_target": _share(options.number(config, "precision-target", float, least=0.01)),
        "min_time_s": options.number(config, "min-time", float, least=0),
        "max_time_s": options.number(config, "max-time", float, least=0.001),
        "keep_samples": {"keep": True, "drop": False}.get(options.given(config, "samples")),
        "timing": read_timings(options.given(config, "timing")),
        "concurrency": options.number(config, "concurrency", int, least=1),
        "rotate_inputs": options.number(config, "rotate-inputs", int, least=1),
        "graph_optimization": options.given(config, "graph-optimization"),
        "trt_cache": options.given(config, "trt-cache"),
        "trt_cache_folder": run_cache_folder(config),
        "threads": options.number(config, "threads", int, least=1, most=MOST_THREADS),
        "inter_op_threads": options.number(config, "inter-op-threads", int, least=1, most=MOST_THREADS),
        "execution_mode": options.given(config, "execution-mode"),
        "max_fallback_percent": _max_fallback(options.given(config, "fallback")),
        "operators": options.given(config, "operators"),
        "keep_folder": options.handed_on(config, "keep_folder", None),
        "cache": None if cache is None else options.absolute(cache, config),
        "cache_limit_byte": None if cache_gib is None else int(cache_gib * 2**30),
        "fp16_io": options.given(config, "fp16-io"),
        "fix_dims": options.given(config, "fix-dims"),
        "track_memory": {"on": True, "off": False}.get(options.given(config, "track-memory")),
        "environment": options.given(config, "env"),
        "unfit": tuple(options.handed_on(config, UNFIT, [])),
        "workspace": None if workspace is None else options.absolute(workspace, config),
        "trtexec": None if trtexec is None else options.absolute(trtexec, config),
        "trtexec_tool": None if tool is None else tool_of_builtins(tool),
    }
    return ExecutionSettings(
        tolerance=Tolerance(
            rtol=tolerance("rtol"),
            atol=tolerance("atol"),
            percent_mismatch=options.number(config, "percent-mismatch", float, least=0, most=100),
            cosine=options.number(config, "cosine", float, least=-1, most=1),
            snr_db=options.number(config, "snr-db", float, least=-1000),
            top_k=options.number(config, "top-k", int, least=1),
            second_chance={"on": True, "off": False}.get(options.given(config, "second-chance")),
            own_error=options.number(config, "own-error", float, least=0),
        ),
        ep_options=ep_options(config),
        session_config=dict(
            options.pairs(options.given(config, "session-config"), "--ortperf-session-config", "KEY=VALUE")
        ),
        custom_op_libraries=tuple(
            str(options.absolute(path, config)) for path in options.given(config, "custom-op-library") or ()
        ),
        plugins=settled_plugins(config),
        devices=device_choices(config),
        unusable=options.handed_on(config, "unusable", {}),
        keep=_keep(options.given(config, "keep")),
        **{name: value for name, value in given.items() if value is not None},
    )


def ep_options(config: pytest.Config) -> Mapping[str, Mapping[str, str]]:
    """Return the provider options of the command line by short name.

    Raises:
        pytest.UsageError: If one is not of the form EP.KEY=VALUE, or provider, key or value cannot be used.
    """
    texts = options.given(config, "ep-option")
    found: dict[str, dict[str, str]] = {}
    flag, form = "--ortperf-ep-option", "EP.KEY=VALUE, such as cuda.use_tf32=0"
    for name, value in options.pairs(texts, flag, form):
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
    if options.given(config, "trt-cache") not in {None, "run"}:
        return None
    token = options.handed_on(config, _RUN_CACHE, "") or secrets.token_hex(8)  # nobody else can have made it before
    options.share_with_workers(config, _RUN_CACHE, token)
    return Path(tempfile.gettempdir()) / f"ortperf-tensorrt-{token}"


def _share(percent: float | None) -> float | None:
    return None if percent is None else percent / 100


def _max_fallback(text: str | None) -> float | None:
    known = {None: None, "allow": 100.0, "fail": 0.0}
    if text in known:
        return known[text]
    try:
        share = float(text or "")
    except ValueError:
        share = -1.0
    if not 0 <= share <= 100:  # noqa: PLR2004 - percent
        raise pytest.UsageError(f"--ortperf-fallback: {text!r} is none of allow, fail, or a percentage from 0 to 100")
    return share


def _keep(texts: Sequence[str] | None) -> frozenset[str]:
    kinds = frozenset(options.split_names(texts))
    unknown = sorted(kinds - set(KEEP_KINDS))
    if unknown:
        raise pytest.UsageError(f"--ortperf-keep: unknown {', '.join(unknown)}; choose from {', '.join(KEEP_KINDS)}")
    return kinds


def _checks(texts: Sequence[str] | None) -> frozenset[str] | None:
    if texts is None:
        return None
    names = frozenset(options.split_names(texts)) - {"none"}
    unknown = sorted(names - set(CHECKS))
    if unknown:
        raise pytest.UsageError(
            f"--ortperf-checks: unknown {', '.join(unknown)}; choose from {', '.join(CHECKS)}, or none"
        )
    return names


def _dims(texts: Sequence[str] | None) -> Mapping[str, tuple[int, ...]]:
    flag, form = "--ortperf-dim", "NAME=VALUE[,VALUE...] with whole numbers of at least 1, such as batch=1,8"
    found = {}
    for name, text in options.pairs(texts, flag, form):
        words = [word.strip() for word in text.split(",")]
        if not all(word.isdecimal() and int(word) > 0 for word in words):
            raise pytest.UsageError(f"{flag}: {name + '=' + text!r} is not of the form {form}")
        found[name] = tuple(dict.fromkeys(map(int, words)))
    return found
