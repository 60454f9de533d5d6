"""What the options say: the command line over the ini file; the defaults live in the settings classes alone.

`None` always means *not given*.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from typing import Any, TypeVar, get_args

import pytest

from pytest_ortperf.settings import option_table
from pytest_ortperf.settings.option_table import GROUP_TITLES, Option, OptionValue, Scope

T = TypeVar("T")

_TOLD = "ortperf_found"
_handed_key = pytest.StashKey[dict[str, Any]]()


def add_options(parser: pytest.Parser) -> None:
    """Add every option with its ini twin."""
    groups = {
        name: parser.getgroup(f"ortperf-{name}", f"pytest-ortperf: {title}") for name, title in GROUP_TITLES.items()
    }
    for option in option_table.OPTIONS:
        text = f"{option.help} (default: {option.default}; ini: {option.ini})".replace("%", "%%")
        groups[option.group].addoption(option.flag, dest=option.ini, default=None, help=text, **_argparse(option.value))
        parser.addini(option.ini, f"as {option.flag}", type=option.value.kind, default=None)


def _argparse(value: OptionValue) -> dict[str, Any]:
    if value.kind == "bool":
        return {"action": "store_true"}
    if value.choices:
        return {"choices": value.choices}
    if value.kind in {"args", "linelist"}:
        return {"action": "append", "metavar": value.metavar}
    if value.alone is not None:
        return {"nargs": "?", "const": value.alone, "metavar": value.metavar}
    return {"metavar": value.metavar}


def _row(name: str) -> Option:
    return next(option for option in option_table.OPTIONS if option.name == name)


def given(config: pytest.Config, name: str) -> Any:
    """Return what the command line, else the ini file, gives for an option; `None` if neither does.

    Raises:
        pytest.UsageError: If the value is empty on the command line, or none of the option's choices in the ini file.
    """
    option = _row(name)
    value = getattr(config.option, option.ini, None)
    if value == "" or (isinstance(value, list) and "" in value):
        # such as --ortperf-baseline=$BASELINE without that variable
        raise pytest.UsageError(f"{option.flag} is empty; give it {option.value.metavar}, or leave it out")
    if value is not None:
        return value
    value = config.getini(option.ini)
    if value in (None, "", []):
        return None
    choices = option.value.choices
    if choices and value not in choices:
        raise pytest.UsageError(f"{option.ini} = {value}: choose from {', '.join(choices)}")
    return value


def read(config: pytest.Config, name: str) -> Any:
    """Return what is given for an option as the setting that it stands for; `None` if nothing is given.

    Raises:
        pytest.UsageError: If it cannot be used.
    """
    option = _row(name)
    found = given(config, name)
    return None if found is None else option.value.read(found, option.flag, config)


def read_fields(config: pytest.Config, settings: type) -> dict[str, Any]:
    """Return the fields of a settings class that options fill and are given, by name.

    Raises:
        pytest.UsageError: If an option cannot be used.
    """
    known = {field.name for field in dataclasses.fields(settings)}
    found = {it.fields[0]: read(config, it.name) for it in option_table.OPTIONS if it.fields[0] in known}
    return {name: value for name, value in found.items() if value is not None}


def effective(config: pytest.Config) -> dict[str, object]:
    """Return every option that is given, by name, for the run header."""
    values = {option.name: given(config, option.name) for option in option_table.OPTIONS}
    return {name: value for name, value in values.items() if value not in (None, [])}


def on_command_line(config: pytest.Config, name: str) -> bool:
    """Whether the option was given as a flag, not in the ini file."""
    return getattr(config.option, _row(name).ini, None) is not None


def flags(
    config: pytest.Config, scopes: Collection[Scope] = get_args(Scope), *, without: Collection[str] = ()
) -> list[str]:
    """Return the options of the command line as they are typed: those of some scopes, but for those named."""
    found = []
    for option in option_table.OPTIONS:
        value = getattr(config.option, option.ini, None)
        if value is None or option.scope not in scopes or option.name in without:
            continue
        values = value if isinstance(value, list) else [value]
        found += [option.flag if each is True else f"{option.flag}={each}" for each in values]
    return found


def store(config: pytest.Config, name: str, value: Any) -> None:
    """Replace an option's value by what the controller found; workers get it by `receive`."""
    setattr(config.option, _row(name).ini, value)
    share_with_workers(config, _row(name).flag, value)


def receive(config: pytest.Config) -> None:
    """Replace in a worker the values of options that the controller replaced."""
    told = getattr(config, "workerinput", {}).get(_TOLD, {})
    for option in option_table.OPTIONS:
        if option.flag in told:
            setattr(config.option, option.ini, told[option.flag])


def share_with_workers(config: pytest.Config, name: str, value: Any) -> None:
    """Keep what the controller found where pytest-xdist's workers find it too; builtins only."""
    config.stash.setdefault(_handed_key, {})[name] = value


def handed_on(config: pytest.Config, name: str, default: T) -> T:
    """Return what the controller handed on under a name; in a worker, what it was told at its start."""
    told = getattr(config, "workerinput", {}).get(_TOLD, {})
    value: T = told.get(name, config.stash.get(_handed_key, {}).get(name, default))
    return value


def tell_worker(config: pytest.Config, workerinput: dict[str, Any]) -> None:
    """Put all that was handed on into what pytest-xdist gives to a worker; it hands on no option values."""
    workerinput[_TOLD] = config.stash.get(_handed_key, {})


def is_worker(config: pytest.Config) -> bool:
    """Whether this process is a worker of pytest-xdist."""
    return hasattr(config, "workerinput")
