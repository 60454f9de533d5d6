"""Which providers a run uses: what was asked for, plugins that are installed, and what a probe says of each.

Settled once, in the controller; workers find the answers among the options.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping

import pytest

from pytest_ortperf.cases.providers import CPU, PROVIDERS, Provider, find_provider
from pytest_ortperf.errors import SettingsError
from pytest_ortperf.execution.session.plugin_packages import PluginError, installed_plugins, plugin_library
from pytest_ortperf.execution.session.probe import ProbeVerdict, Question, compiled_in, probe
from pytest_ortperf.records.environment.distributions import onnxruntime_distributions
from pytest_ortperf.settings import options
from pytest_ortperf.settings.option_table import pairs
from pytest_ortperf.settings.run_settings import TRTEXEC_TOOL, device_choices, ep_options, providers, targets

left_out_key = pytest.StashKey[dict[str, str]]()
"""Under `auto`: short name -> why it is left out. Known in the controller alone."""

UNUSABLE = "unusable"
"""Name under which workers find: short name of a provider asked for -> why no session can be made on it."""


def settle_providers(config: pytest.Config) -> None:
    """Replace `auto` by what is usable here, and find out why what was asked for by name is not.

    Raises:
        pytest.UsageError: If a provider, plugin or device is named that cannot be, or none can be asked for.
    """
    plugins = settle_plugins(config)
    names = _with_standalone(options.read(config, "ep") or ["auto"], options.read(config, "trtexec") is not None)
    wanted = targets([name for name in names if name != "auto"])
    asked = tuple({target.provider.name: target.provider for target in wanted}.values())
    candidates = _candidates(plugins) if "auto" in names else ()
    verdicts = probe(_questions(config, {row.name: row for row in (*candidates, *asked)}.values(), plugins))
    left_out = {row.name: verdicts[row.full_name].reason for row in candidates if not _usable(row, verdicts)}
    usable = [row.name for row in candidates if _usable(row, verdicts)]
    options.store(config, "ep", list(dict.fromkeys([*usable, *(target.name for target in wanted)])))
    config.stash[left_out_key] = {
        name: reason for name, reason in left_out.items() if name not in {r.name for r in asked}
    }
    problems = {row.name: verdicts[row.full_name].problem for row in asked if row.full_name in verdicts}
    problems |= settle_trtexec(config, asked)
    options.share_with_workers(config, UNUSABLE, {name: problem for name, problem in problems.items() if problem})


def _with_standalone(names: Iterable[str], named: bool) -> list[str]:  # noqa: FBT001 - one caller
    """Return the names with TensorRT alone behind `cuda_trt`, as in the original script, where trtexec is named."""
    more = {"cuda_trt": ["trtexec"]} if named else {}
    return [each for name in names for each in (name, *more.get(name, ()))]


def settle_trtexec(config: pytest.Config, asked: Iterable[Provider]) -> dict[str, str]:
    """Find the program trtexec and hand it on to all cases; return why it cannot be used, by its short name."""
    if not any(row.runner == "trtexec" for row in asked):
        return {}
    from pytest_ortperf.execution.trtexec.tool import NAME, ToolError, find_tool

    try:
        tool = find_tool(options.read(config, "trtexec"), options.read(config, "workspace"))
    except ToolError as error:
        return {NAME: str(error)}
    options.share_with_workers(config, TRTEXEC_TOOL, tool.as_builtins())
    return {}


def settle_plugins(config: pytest.Config) -> dict[str, str]:
    """Replace the plugin providers asked for and installed by their libraries; return these by full name.

    Raises:
        pytest.UsageError: If one is named that cannot be.
    """
    plugins = _plugins(config)
    options.store(config, "plugin-ep", [f"{name}={library}" for name, library in plugins.items()])
    return plugins


def _plugins(config: pytest.Config) -> dict[str, str]:
    flag, form = "--ortperf-plugin-ep", "NAME=LIBRARY_OR_MODULE"
    found = installed_plugins()
    for name, target in pairs(options.given(config, "plugin-ep") or (), flag, form):
        try:
            full_name = find_provider(name).full_name
            found[full_name] = plugin_library(target)
        except SettingsError as error:
            raise pytest.UsageError(str(error).replace("--ortperf-ep", flag, 1)) from error
        except PluginError as error:
            raise pytest.UsageError(f"{flag}: {name}={target}: {error}") from error
    return found


def _candidates(plugins: Mapping[str, str]) -> tuple[Provider, ...]:
    if set(onnxruntime_distributions()) == {"onnxruntime"} and sys.platform == "linux" and not plugins:
        return (CPU,)  # that wheel holds no other provider of nodes: no need to ask in a child
    order = {row.full_name: position for position, row in enumerate(PROVIDERS)}
    try:
        names = {*compiled_in(), *plugins}
    except SettingsError as error:
        raise pytest.UsageError(str(error)) from error
    return providers(sorted(names, key=lambda name: (order.get(name, len(order)), name)))


def _questions(config: pytest.Config, rows: Iterable[Provider], plugins: Mapping[str, str]) -> list[Question]:
    chosen, devices = ep_options(config), device_choices(config)
    return [
        Question(
            full_name=row.full_name,
            options={**device_option(row, devices, plugins), **chosen.get(row.name, {})},
            plugins=plugins,
            device=devices.get(row.name),
            workspace=options.given(config, "workspace"),
        )
        for row in rows
        if row != CPU and row.runner == "onnxruntime"
    ]


def device_option(row: Provider, devices: Mapping[str, str], plugins: Mapping[str, str]) -> dict[str, str]:
    """Return the provider option that chooses the device; none for a plugin, whose device is an object."""
    if row.name in devices and row.device_option and row.full_name not in plugins:
        return {row.device_option: devices[row.name]}
    return {}


def _usable(row: Provider, verdicts: Mapping[str, ProbeVerdict]) -> bool:
    return row.full_name not in verdicts or verdicts[row.full_name].usable
