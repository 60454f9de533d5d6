"""What the options say: the command line over the ini file; the defaults live in the settings classes alone.

`None` always means *not given*.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import pytest

from pytest_ortperf.settings.option_table import OPTIONS, Option

T = TypeVar("T")

_TOLD = "ortperf_found"
_handed_key = pytest.StashKey[dict[str, Any]]()


_BY_NAME = {option.name: option for option in OPTIONS}


def add_options(parser: pytest.Parser) -> None:
    """Add every option with its ini twin."""
    group = parser.getgroup("ortperf", "ONNX models x execution providers (pytest-ortperf)")
    for option in OPTIONS:
        text = f"{option.help} (default: {option.default_text}; ini: {option.ini})".replace("%", "%%")
        group.addoption(option.flag, dest=option.ini, default=None, help=text, **_argparse(option))
        parser.addini(option.ini, f"as {option.flag}", type=option.kind, default=None)


def _argparse(option: Option) -> dict[str, Any]:
    if option.kind == "bool":
        return {"action": "store_true"}
    if option.choices:
        return {"choices": option.choices}
    if option.kind in {"args", "linelist"}:
        return {"action": "append", "metavar": option.metavar}
    return {"metavar": option.metavar}


def given(config: pytest.Config, name: str) -> Any:
    """Return what the command line, else the ini file, gives for an option; `None` if neither does.

    Raises:
        pytest.UsageError: If the value is empty on the command line, or none of the option's choices in the ini file.
    """
    option = _BY_NAME[name]
    value = getattr(config.option, option.ini, None)
    if value == "" or (isinstance(value, list) and "" in value):
        # such as --ortperf-baseline=$BASELINE without that variable
        raise pytest.UsageError(f"{option.flag} is empty; give it {option.metavar}, or leave it out")
    if value is not None:
        return value
    value = config.getini(option.ini)
    if value in (None, "", []):
        return None
    if option.choices and value not in option.choices:
        raise pytest.UsageError(f"{option.ini} = {value}: choose from {', '.join(option.choices)}")
    return value


def effective(config: pytest.Config) -> dict[str, object]:
    """Return every option that is given, by name, for the run header."""
    values = {option.name: given(config, option.name) for option in OPTIONS}
    return {name: value for name, value in values.items() if value not in (None, [])}


def on_command_line(config: pytest.Config, name: str) -> bool:
    """Whether the option was given as a flag, not in the ini file."""
    return getattr(config.option, _BY_NAME[name].ini, None) is not None


def flags(config: pytest.Config, *, without: frozenset[str]) -> list[str]:
    """Return the options of the command line as they are typed, but for those named."""
    found = []
    for option in OPTIONS:
        value = getattr(config.option, option.ini, None)
        if value is None or option.name in without:
            continue
        values = value if isinstance(value, list) else [value]
        found += [option.flag if each is True else f"{option.flag}={each}" for each in values]
    return found


def store(config: pytest.Config, name: str, value: Any) -> None:
    """Replace an option's value by what the controller found; workers get it by `receive`."""
    setattr(config.option, _BY_NAME[name].ini, value)
    share_with_workers(config, _BY_NAME[name].flag, value)


def receive(config: pytest.Config) -> None:
    """Replace in a worker the values of options that the controller replaced."""
    told = getattr(config, "workerinput", {}).get(_TOLD, {})
    for option in OPTIONS:
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


def number(
    config: pytest.Config, name: str, convert: Callable[[str], T], *, least: float, most: float = math.inf
) -> T | None:
    """Return an option as a finite number from `least` to `most`.

    Raises:
        pytest.UsageError: If it is none, less or more.
    """
    text = given(config, name)
    if text is None:
        return None
    value = _converted(text, convert)
    if value is None or value == math.inf or not least <= value <= most:  # type: ignore[operator]
        what = "a whole number" if convert is int else "a number"
        limits = f"of at least {least:g}" if most == math.inf else f"from {least:g} to {most:.10g}"
        raise pytest.UsageError(f"{_BY_NAME[name].flag}: {text!r} is not {what} {limits}")
    return value


def _converted(text: str, convert: Callable[[str], T]) -> T | None:
    try:
        return convert(text)
    except ValueError:
        return None


def pairs(texts: Sequence[str] | None, flag: str, form: str) -> list[tuple[str, str]]:
    """Split `NAME=VALUE` at the first equals sign.

    Raises:
        pytest.UsageError: If there is none or the name is empty.
    """
    found = []
    for text in texts or ():
        name, sign, value = text.partition("=")
        if not sign or not name.strip() or not value.strip():
            raise pytest.UsageError(f"{flag}: {text!r} is not of the form {form}")
        found.append((name.strip(), value.strip()))
    return found


def split_names(texts: Sequence[str] | None) -> list[str]:
    """Split at commas and spaces, in order, each name once."""
    words = [word for text in texts or () for word in text.replace(",", " ").split()]
    return list(dict.fromkeys(words))


def absolute(path: str, config: pytest.Config) -> Path:
    """Return a path of the command line, relative to where pytest was started."""
    return normal(config.invocation_params.dir / path)


def normal(path: Path) -> Path:
    """Return a path as pytest writes those of files it collects: absolute, without `..`, links as they are."""
    return Path(os.path.abspath(path))  # noqa: PTH100 - pathlib's keeps `..`


def is_worker(config: pytest.Config) -> bool:
    """Whether this process is a worker of pytest-xdist."""
    return hasattr(config, "workerinput")
