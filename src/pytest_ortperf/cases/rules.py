"""Readers of what an entry holds: tolerances, input rules, conditions, dims, tags, provider options."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, get_args

from pytest_ortperf.cases.issues import Place
from pytest_ortperf.cases.json_values import (
    Reader,
    choice_reader,
    is_integer,
    list_reader,
    one_or_more,
    read_count,
    read_flag,
    read_number,
    read_object,
    read_percent,
    read_text,
    read_texts,
    read_zero_or_more,
)
from pytest_ortperf.cases.matrix import MODES
from pytest_ortperf.cases.model import (
    Condition,
    Fill,
    Fp16Io,
    Fp16Rule,
    InputRule,
    NanPattern,
    Repeat,
    SessionRule,
    Tolerance,
    ToleranceRule,
)
from pytest_ortperf.cases.names import tag_issue
from pytest_ortperf.cases.provider_option_rules import read_options, read_provider

_PRECISION = re.compile(r"[a-z][a-z0-9_]*")
_SLICE = r"\s*(-?\d+)?\s*:\s*(-?\d+)?\s*(:\s*(-?0*[1-9]\d*)?\s*)?"
_SLICES = re.compile(rf"{_SLICE}(,{_SLICE})*")


def read_precision(value: Any, place: Place) -> str:
    """Return a precision; which ones there are is known only when the models are read."""
    if isinstance(value, str) and _PRECISION.fullmatch(value):
        return value
    place.wrong(value, "a precision in lower case, such as fp32, fp16 or int8")
    return ""


def read_cosine(value: Any, place: Place) -> float | None:
    """Return a number from -1 to 1."""
    number = read_number(value, place)
    if number is not None and not -1 <= number <= 1:
        place.wrong(value, "a number from -1 to 1")
    return number


_TOLERANCE: Mapping[str, Reader] = {
    "rtol": read_zero_or_more,
    "atol": read_zero_or_more,
    "percent_mismatch": read_percent,
    "cosine": read_cosine,
    "snr_db": read_number,
    "peak_percent": read_zero_or_more,
    "top_k": read_count,
    "nan_pattern": choice_reader("nan_pattern", get_args(NanPattern)),
    "repeat": choice_reader("repeat", get_args(Repeat)),
    "second_chance": read_flag,
    "own_error": read_zero_or_more,
}
TOLERANCE_KEYS: Mapping[str, Reader] = {
    **_TOLERANCE,
    "precision": read_precision,
    "provider": read_provider,
    "output": read_text,
}


def read_tolerances(value: Any, place: Place) -> tuple[ToleranceRule, ...]:
    """Return one rule per object, in their order."""
    rules = []
    for index, item in one_or_more(value):
        here = place if index is None else place.inside(index)
        found = read_object(item, here, TOLERANCE_KEYS, 'an object such as {"rtol": 0.001}, or a list of them')
        if isinstance(item, dict) and not item.keys() & _TOLERANCE.keys():
            here.report(f"sets nothing; give at least one of {', '.join(_TOLERANCE)}")
        tolerance = Tolerance(**{key: found.pop(key) for key in _TOLERANCE if key in found})
        rules.append(ToleranceRule(tolerance=tolerance, **found))
    return tuple(rules)


def _read_shape(value: Any, place: Place) -> tuple[int, ...]:
    sizes = value if isinstance(value, list) else [None]
    if not all(is_integer(size, at_least=0) for size in sizes):
        place.wrong(value, "a list of integers, 0 or more")
        return ()
    return tuple(sizes)


def _read_slices(value: Any, place: Place) -> str:
    text = read_text(value, place)
    if text and not _SLICES.fullmatch(text):
        place.wrong(value, 'Python slices with commas between, such as "0:1, :, 2:"')
    return text


INPUT_KEYS: Mapping[str, Reader] = {
    "low": read_number,
    "high": read_number,
    "fill": choice_reader("fill", get_args(Fill)),
    "shape": _read_shape,
    "slices": _read_slices,
}


def read_inputs(value: Any, place: Place) -> Mapping[str, InputRule]:
    """Return the rules by input name or glob, in their order."""
    if not isinstance(value, dict):
        place.wrong(value, 'an object of rules by input name, such as {"ids": {"high": 100}}')
        return {}
    return {name: _read_input(rule, place.inside(name)) for name, rule in value.items()}


def _read_input(value: Any, place: Place) -> InputRule:
    found = read_object(value, place, INPUT_KEYS, 'an object such as {"low": 0, "high": 100}')
    rule = InputRule(**found)
    if rule.low is not None and rule.high is not None and rule.low > rule.high:
        place.report(f"low {rule.low:g} is above high {rule.high:g}; swap them")
    if rule.fill != "uniform" and (rule.low is not None or rule.high is not None):
        place.report(f"low and high have no effect with fill {rule.fill!r}; remove them, or the fill")
    return rule


FP16_KEYS: Mapping[str, Reader] = {
    "io": choice_reader("io", get_args(Fp16Io)),
    "op_block_list": read_texts,
    "node_block_list": read_texts,
}


def read_fp16(value: Any, place: Place) -> Fp16Rule:
    """Return how to convert a model to fp16."""
    return Fp16Rule(**read_object(value, place, FP16_KEYS, 'an object such as {"io": "cast"}'))


SKIP_KEYS: Mapping[str, Reader] = {
    "reason": read_text,
    "providers": list_reader(read_provider, "provider names"),
    "precisions": list_reader(read_precision, "precisions"),
    "modes": list_reader(choice_reader("mode", MODES["both"]), "modes"),
}
XFAIL_KEYS: Mapping[str, Reader] = {**SKIP_KEYS, "raises": choice_reader("value", ["crash"])}


def read_skips(value: Any, place: Place) -> tuple[Condition, ...]:
    """Return the conditions of a `skip`."""
    return _read_conditions(value, place, SKIP_KEYS)


def read_xfails(value: Any, place: Place) -> tuple[Condition, ...]:
    """Return the conditions of an `xfail`."""
    return _read_conditions(value, place, XFAIL_KEYS)


def _read_conditions(value: Any, place: Place, keys: Mapping[str, Reader]) -> tuple[Condition, ...]:
    conditions = []
    for index, item in one_or_more(value):
        here = place if index is None else place.inside(index)
        if isinstance(item, str):
            conditions.append(Condition(reason=read_text(item, here)))
            continue
        found = read_object(item, here, keys, "a reason, an object with a reason, or a list of these")
        if isinstance(item, dict) and "reason" not in item:
            here.report("missing key 'reason'")
        crash = found.pop("raises", None) == "crash"
        conditions.append(Condition(**{"reason": "", **found}, raises_crash=crash))
    return tuple(conditions)


def read_batch_dim(value: Any, place: Place) -> str:
    """Return the name of the dimension that rows of a batch lie along; false is none, as an empty text."""
    return "" if value is False else read_text(value, place)


def read_tags(value: Any, place: Place) -> tuple[str, ...]:
    """Return the tags, each a valid name of a pytest marker."""
    tags = read_texts(value, place)
    for index, tag in enumerate(tags):
        issue = tag_issue(tag) if tag else None
        if issue:
            place.inside(index).report(f"the tag {tag!r} {issue}; choose another")
    return tags


SESSION_KEYS: Mapping[str, Reader] = {
    "provider": read_provider,
    "graph_optimization": choice_reader("level", ["disable", "basic", "extended", "all"]),
    "intra_op_threads": read_count,
    "inter_op_threads": read_count,
    "execution_mode": choice_reader("mode", ["sequential", "parallel"]),
    "config": read_options,
    "custom_op_libraries": read_texts,
}


def read_session(value: Any, place: Place) -> tuple[SessionRule, ...]:
    """Return one rule per object, in their order."""
    what = 'an object such as {"intra_op_threads": 1}, or a list of them'
    items = [(place if i is None else place.inside(i), item) for i, item in one_or_more(value)]
    return tuple(SessionRule(**read_object(item, here, SESSION_KEYS, what)) for here, item in items)
