"""Readers of provider options; those that are known are checked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pytest_ortperf.cases.issues import Place, unknown
from pytest_ortperf.cases.json_values import as_number, read_text
from pytest_ortperf.cases.provider_options import check_option, installed_onnxruntime
from pytest_ortperf.cases.providers import find_provider, provider_names
from pytest_ortperf.errors import SettingsError


def read_provider(value: Any, place: Place) -> str:
    """Return the short name of a provider."""
    name = read_text(value, place)
    if not name:
        return ""
    try:
        return find_provider(name).name
    except SettingsError:  # its text speaks of the command line
        place.report(unknown("provider", name, provider_names()) + "; or a full name that ends in ExecutionProvider")
        return ""


def read_ep_options(value: Any, place: Place) -> Mapping[str, Mapping[str, str]]:
    """Return provider options by short name."""
    if not isinstance(value, dict):
        place.wrong(value, 'an object of options by provider, such as {"cuda": {"device_id": 0}}')
        return {}
    options: dict[str, Mapping[str, str]] = {}
    for key, item in value.items():
        here = place.inside(key)
        name = read_provider(key, here)
        if name in options:
            here.report(f"the provider {name!r} is given twice; put all its options under one name")
        options[name] = read_options(item, here)
        _check_options(name, item, options[name], here)
    return options


def _check_options(provider: str, value: Any, options: Mapping[str, str], place: Place) -> None:
    for key, text in options.items():
        if not text and value[key] != "":
            continue  # of a wrong type, which has been told
        try:
            check_option(provider, key, text, installed_onnxruntime())
        except SettingsError as error:
            place.inside(key).report(str(error))


def read_options(value: Any, place: Place) -> Mapping[str, str]:
    """Return option values as text; true and false become 1 and 0."""
    if not isinstance(value, dict):
        place.wrong(value, "an object of option values")
        return {}
    return {key: _option_text(item, place.inside(key)) for key, item in value.items()}


def _option_text(value: Any, place: Place) -> str:
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, str) or as_number(value) is not None:
        return str(value)
    place.wrong(value, "a text, a finite number, true or false")
    return ""
