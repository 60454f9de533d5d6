"""Checks provider options before anything runs, and writes them as the provider's parser wants them."""

from __future__ import annotations

import difflib
import functools
import re
from collections.abc import Callable, Mapping
from importlib.metadata import PackageNotFoundError, version

from pytest_ortperf.cases.provider_option_tables import TABLE_VERSION, OptionTable, ProviderOption
from pytest_ortperf.cases.providers import known_provider
from pytest_ortperf.errors import SettingsError

PROFILE_KEYS = ("trt_profile_min_shapes", "trt_profile_opt_shapes", "trt_profile_max_shapes")
"""In the order that their numbers must have."""

_DISTRIBUTIONS = ("onnxruntime-gpu", "ort-nightly-gpu", "onnxruntime")
_SIZE_LIMIT = 2**64
_SHAPE = re.compile(r"(?P<name>[^:,]+):(?P<sizes>\d+(?:x\d+)*)")
_INTEGER = re.compile(r"-?\d+")

Shapes = dict[str, list[tuple[int, ...]]]


def check_options(provider: str, options: Mapping[str, str], onnxruntime: str | None) -> dict[str, str]:
    """Return the options as the provider's own parser takes them.

    Args:
        provider: Short or full name; options of one whose row has no table are returned as they are.
        options: As given.
        onnxruntime: Version, such as `1.31.1`; `None` if unknown.

    Raises:
        SettingsError: If a key is unknown, a value is none of the allowed ones, or optimisation profiles contradict
            each other.
    """
    checked = {key: check_option(provider, key, value, onnxruntime) for key, value in options.items()}
    row = known_provider(provider)
    if row is not None and row.uses_tensorrt:
        _check_profiles(checked)
    return checked


def check_option(provider: str, key: str, value: str, onnxruntime: str | None) -> str:
    """Return one option's value as the provider's own parser takes it.

    An unknown key of an ONNX Runtime that is newer than the table, or whose version is unknown, is left to it.

    Raises:
        SettingsError: If the key is unknown or the value is none of the allowed ones.
    """
    row = known_provider(provider)
    if row is None or row.options is None:
        return value
    option = row.options.options.get(key)
    if option is None:
        if not is_newer_than_table(onnxruntime):
            raise SettingsError(_unknown_text(row.name, key, row.options))
        return value
    _check_version(row.name, option, onnxruntime)
    text = _READERS[option.kind](f"{row.name} option '{key}'", value.strip(), option, row.options)
    if option.refused and text not in {"0", row.options.false}:
        raise SettingsError(f"{row.name} option '{key}' cannot be used: {option.refused}")
    return text


def unknown_keys(provider: str, options: Mapping[str, str]) -> tuple[str, ...]:
    """Return the keys that the table does not have, for a note; none for a provider without a table."""
    row = known_provider(provider)
    table = row.options if row else None
    return () if table is None else tuple(key for key in options if key not in table.options)


def is_newer_than_table(onnxruntime: str | None) -> bool:
    """Whether an ONNX Runtime may have options that the table lacks; one of unknown version may."""
    numbers = _numbers(onnxruntime)
    return numbers is None or numbers > TABLE_VERSION


@functools.cache
def installed_onnxruntime() -> str | None:
    """Return the version of the distribution that CUDA and TensorRT can come from; `None` if there is none."""
    for name in _DISTRIBUTIONS:
        try:
            return version(name)
        except PackageNotFoundError:
            continue
    return None


def parse_shapes(text: str) -> Shapes | None:
    """Return the shapes of `input1:1x3x224x224,input2:1x4` by input; `None` if the text is of another form."""
    found: Shapes = {}
    for part in text.split(","):
        match = _SHAPE.fullmatch(part)
        if match is None:
            return None
        found.setdefault(match["name"], []).append(tuple(map(int, match["sizes"].split("x"))))
    return found


def _numbers(onnxruntime: str | None) -> tuple[int, int] | None:
    match = re.match(r"(\d+)\.(\d+)", onnxruntime or "")
    return (int(match[1]), int(match[2])) if match else None


def _unknown_text(name: str, key: str, table: OptionTable) -> str:
    near = difflib.get_close_matches(key, table.options, n=1)
    hint = f"did you mean '{near[0]}'?" if near else f"known options are {', '.join(table.options)}"
    return f"unknown {name} option '{key}'; {hint}"


def _check_version(name: str, option: ProviderOption, onnxruntime: str | None) -> None:
    numbers = _numbers(onnxruntime)
    if numbers is not None and option.first is not None and numbers < option.first:
        first = ".".join(map(str, option.first))
        raise SettingsError(
            f"{name} option '{option.key}' is not in ONNX Runtime {onnxruntime}: it came with {first} or later; "
            f"leave it out, or install a newer one"
        )


def _wrong(what: str, value: str, allowed: str) -> SettingsError:
    return SettingsError(f"{what} is '{value}'; it must be {allowed}")


def _read_bool(what: str, value: str, _: ProviderOption, table: OptionTable) -> str:
    if value.lower() in {"1", "true"}:
        return table.true
    if value.lower() in {"0", "false"}:
        return table.false
    raise _wrong(what, value, "true, false, 1 or 0")


def _read_int(what: str, value: str, option: ProviderOption, _: OptionTable) -> str:
    number = int(value) if _INTEGER.fullmatch(value) else None
    low, high = option.low, option.high
    if number is None or (low is not None and number < low) or (high is not None and number > high):
        limits = "" if low is None else f" of at least {low}" if high is None else f" from {low} to {high}"
        raise _wrong(what, value, f"a whole number{limits}")
    return str(number)


def _read_size(what: str, value: str, _: ProviderOption, __: OptionTable) -> str:
    if not (value.isascii() and value.isdecimal() and int(value) < _SIZE_LIMIT):
        raise _wrong(what, value, "a whole number of at least 0 and below 2**64")
    return str(int(value))


def _read_enum(what: str, value: str, option: ProviderOption, _: OptionTable) -> str:
    found = {choice.lower(): choice for choice in option.choices}.get(value.lower())
    if found is None:
        raise _wrong(what, value, f"one of {', '.join(option.choices)}")
    return found


def _read_text(what: str, value: str, _: ProviderOption, __: OptionTable) -> str:
    if not value:
        raise _wrong(what, value, "a text that is not empty; leave the option out for none")
    return value


def _read_shapes(what: str, value: str, _: ProviderOption, __: OptionTable) -> str:
    if parse_shapes(value) is None:
        raise _wrong(what, value, "shapes by input, such as input1:1x3x224x224,input2:1x4")
    return value


def _read_pointer(what: str, value: str, _: ProviderOption, __: OptionTable) -> str:
    if value != "0":
        raise _wrong(what, value, "left out: an address means nothing in the process that runs a case")
    return value


def _read_absent(what: str, *_: object) -> str:
    raise SettingsError(f"{what} cannot be used: ONNX Runtime takes it from C and C++ alone; leave it out")


_READERS: Mapping[str, Callable[[str, str, ProviderOption, OptionTable], str]] = {
    "bool": _read_bool,
    "int": _read_int,
    "size": _read_size,
    "enum": _read_enum,
    "text": _read_text,
    "path": _read_text,
    "shapes": _read_shapes,
    "pointer": _read_pointer,
    "absent": _read_absent,
}


def _check_profiles(options: Mapping[str, str]) -> None:
    given = [key for key in PROFILE_KEYS if key in options]
    missing = [key for key in PROFILE_KEYS if key not in options]
    if given and missing:
        raise SettingsError(f"tensorrt option '{given[0]}' needs {' and '.join(missing)} too; give all three, or none")
    if given:
        _check_order(*(parse_shapes(options[key]) or {} for key in PROFILE_KEYS))


def _check_order(low: Shapes, middle: Shapes, high: Shapes) -> None:
    form = [{name: [len(shape) for shape in shapes] for name, shapes in it.items()} for it in (low, middle, high)]
    if not form[0] == form[1] == form[2]:
        raise SettingsError(
            f"{', '.join(PROFILE_KEYS)} must have the same inputs, each with as many shapes and dimensions; "
            f"they have {', '.join(low)} / {', '.join(middle)} / {', '.join(high)}"
        )
    for name, shapes in low.items():
        for sizes in zip(shapes, middle[name], high[name], strict=True):
            if any(not least <= best <= most for least, best, most in zip(*sizes, strict=True)):
                shown = " / ".join("x".join(map(str, shape)) for shape in sizes)
                raise SettingsError(f"tensorrt profile of input '{name}': {shown} is not in the order min, opt, max")
