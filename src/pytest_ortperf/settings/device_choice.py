"""`--ortperf-device`: which device each provider gets, and whether it takes one."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from pytest_ortperf.cases.providers import PROVIDERS, Provider, find_provider
from pytest_ortperf.errors import SettingsError
from pytest_ortperf.settings import options

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
