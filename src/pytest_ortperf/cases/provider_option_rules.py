"""Kinds of values that name execution providers and their options; options that are known are checked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pytest_ortperf.cases.issues import Place, unknown
from pytest_ortperf.cases.json_values import TEXT, Kind, as_number, by_name, converted
from pytest_ortperf.cases.provider_options import check_option, installed_onnxruntime
from pytest_ortperf.cases.providers import find_provider, provider_names
from pytest_ortperf.errors import SettingsError

_NAMES = "a short name such as cuda, or a full name that ends in ExecutionProvider"


def _read_provider(value: Any, place: Place) -> str:
    name: str = TEXT.read(value, place)
    if not name:
        return ""
    try:
        return find_provider(name).name
    except SettingsError:  # its text speaks of the command line
        place.report(unknown("provider", name, provider_names()) + "; or a full name that ends in ExecutionProvider")
        return ""


PROVIDER = Kind(_NAMES, _read_provider, {"description": _NAMES, **TEXT.schema})
"""Read as the short name."""

FOR_PROVIDER = f"Only for this execution provider: {_NAMES}."
"""What the key means in a rule that is limited to a provider."""


def _option_text(value: Any) -> str | None:
    if isinstance(value, bool):
        return "1" if value else "0"
    return str(value) if isinstance(value, str) or as_number(value) is not None else None


OPTIONS = by_name(
    converted(
        "a text, a finite number, true or false", {"type": ["string", "number", "boolean"]}, _option_text, wrong=""
    ),
    "an object of option values",
)
"""Read as text; true and false become 1 and 0."""

_EP_OPTIONS = 'an object of options by provider, such as {"cuda": {"device_id": 0}}'


def _read_ep_options(value: Any, place: Place) -> Mapping[str, Mapping[str, str]]:
    if not isinstance(value, dict):
        place.wrong(value, _EP_OPTIONS)
        return {}
    options: dict[str, Mapping[str, str]] = {}
    for key, item in value.items():
        here = place.inside(key)
        name = PROVIDER.read(key, here)
        if name in options:
            here.report(f"the provider {name!r} is given twice; put all its options under one name")
        options[name] = OPTIONS.read(item, here)
        _check_options(name, item, options[name], here)
    return options


EP_OPTIONS = Kind(
    _EP_OPTIONS,
    _read_ep_options,
    {
        "type": "object",
        "propertyNames": PROVIDER.schema,
        "additionalProperties": OPTIONS,
    },
)
"""Read as options by short name."""


def _check_options(provider: str, value: Any, options: Mapping[str, str], place: Place) -> None:
    for key, text in options.items():
        if not text and value[key] != "":
            continue  # of a wrong type, which has been told
        try:
            check_option(provider, key, text, installed_onnxruntime())
        except SettingsError as error:
            place.inside(key).report(str(error))
