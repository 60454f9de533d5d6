"""Readers of the sizes that symbolic dimensions have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pytest_ortperf.cases.issues import Place
from pytest_ortperf.cases.json_values import Reader, is_integer, read_count, read_object
from pytest_ortperf.cases.model import DimRange


def read_dims(value: Any, place: Place) -> Mapping[str, tuple[int, ...] | DimRange]:
    """Return the values of each dimension, or its range; a single value becomes a tuple of one."""
    if not isinstance(value, dict):
        place.wrong(value, 'an object of values by dimension name, such as {"batch": [1, 8]}')
        return {}
    return {name: _read_sizes(sizes, place.inside(name)) for name, sizes in value.items()}


RANGE_KEYS: Mapping[str, Reader] = {"min": read_count, "opt": read_count, "max": read_count}


def _read_sizes(value: Any, place: Place) -> tuple[int, ...] | DimRange:
    if isinstance(value, dict):
        return _read_range(value, place)
    sizes = value if isinstance(value, list) else [value]
    wrong = not all(is_integer(size, at_least=1) for size in sizes)
    if wrong or not sizes or len(set(sizes)) < len(sizes):
        place.wrong(value, "an integer above 0, a list of different ones, or a range with min, opt and max")
        return ()
    return tuple(sizes)


def _read_range(value: Any, place: Place) -> DimRange:
    found = read_object(value, place, RANGE_KEYS, "an object")
    missing = [key for key in RANGE_KEYS if key not in value]
    for key in missing:
        place.report(f"missing key {key!r}")
    sizes = DimRange(**{key: found.get(key, 0) for key in RANGE_KEYS})
    if not missing and all(found.values()) and not sizes.min <= sizes.opt <= sizes.max:
        place.wrong(value, "in the order min, opt, max")
    return sizes


def split_ranges(dims: Mapping[str, tuple[int, ...] | DimRange]) -> dict[str, Any]:
    """Return the fields of a model that hold values and ranges; a case of a range runs with its `opt`."""
    ranges = {name: sizes for name, sizes in dims.items() if isinstance(sizes, DimRange)}
    if not ranges:
        return {}
    return {"dims": {**dims, **{name: (sizes.opt,) for name, sizes in ranges.items()}}, "dim_ranges": ranges}
