"""Inputs made from what the model declares, for models without stored ones.

What a model list says about one input.
"""

from __future__ import annotations

import dataclasses
import fnmatch
import math
import re
import sys
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import EllipsisType
from typing import Any

import numpy as np

from pytest_ortperf.cases.dimensions import wrong_text
from pytest_ortperf.cases.keys import EMPTY
from pytest_ortperf.cases.model import Model
from pytest_ortperf.cases.rules import InputRule
from pytest_ortperf.errors import CaseError
from pytest_ortperf.execution.inputs.number_ranges import RangeError, floats, given_values, integers, is_integer
from pytest_ortperf.execution.inputs.tensor_types import Array, Meta, TypeInfo, Value, parse_type
from pytest_ortperf.execution.model.model_dimensions import dimension_key

_SLICE = re.compile(r"(-?\d+)?\s*:\s*(-?\d+)?\s*(?::\s*(-?\d+)?)?")
_NO_RULE = InputRule()
_NAMED = 5
"""Inputs that a message names."""


def rule_for(inputs: Mapping[str, InputRule], name: str) -> InputRule:
    """Return the rule with the very name, else the first whose glob matches, else an empty one."""
    if name in inputs:
        return inputs[name]
    return next((rule for glob, rule in inputs.items() if fnmatch.fnmatchcase(name, glob)), _NO_RULE)


def parse_slices(text: str) -> tuple[slice | EllipsisType, ...]:
    """Return Python slices written as text.

    Args:
        text: Such as `0:1`, `0:1, :, 2:`, `..., ::2`.

    Raises:
        CaseError: If it is not a list of slices; indices without a colon are not, as they would drop a
        dimension.
    """
    parts = [part.strip() for part in text.split(",")]
    return tuple(_parse_slice(part, text) for part in parts)


def _parse_slice(part: str, text: str) -> slice | EllipsisType:
    if part == "...":
        return ...
    match = _SLICE.fullmatch(part)
    if match is None or match[3] == "0":
        raise CaseError(
            f"slices {text!r}: {part!r} is not a slice; write Python slices such as '0:1' or '0:1, :, 2:'",
            stage="inputs",
            kind="input error",
        )
    return slice(*(None if number is None else int(number) for number in match.groups()))


_WORDS = ("a", "an", "apple", "blue", "cat", "dog", "eight", "one", "red", "tree", "two", "zebra")
_SMALLER = "choose smaller dimensions"
_MOST_ELEMENTS = sys.maxsize // 16
"""numpy counts the bytes of an array in a signed integer, and no element has more than 16."""

_SEQUENCE_SHAPE = (2,)
"""Of the one tensor in a generated sequence: ONNX Runtime does not tell the shape of its elements."""


@dataclass(frozen=True, slots=True)
class Variation:
    """Other values for inputs whose range nobody gives."""

    seed: int = 0
    """Added to the seed."""

    floats: tuple[float, float] | None = None
    integers: tuple[float, float] | None = None
    """Included, both."""


VARIATIONS = (
    Variation(),
    Variation(seed=1_000_001),
    Variation(floats=(0.0, 1.0), integers=(1, 3)),
    Variation(seed=1_000_001, floats=(0.0, 1.0), integers=(1, 5)),
    Variation(floats=(0.0, 255.0), integers=(1, 9)),
    Variation(seed=1_000_002, floats=(1.0, 2.0), integers=(2, 9)),
    Variation(seed=1_000_003, floats=(-255.0, 255.0), integers=(0, 99)),
)
"""Tried in turn where the outputs of the ones before are empty or not finite."""


def generate_inputs(
    metas: Sequence[Meta],
    *,
    model: Model,
    dims: Mapping[str, int],
    seed: int,
    assumed: Mapping[str, int] = EMPTY,
    check: bool = True,
    variation: int = 0,
) -> dict[str, Value]:
    """Return one value per input, the same for the same seed on every machine.

    Floats are uniform in [-1, 1): with both signs a lost sign, a wrong ReLU or a swapped axis shows in the
    outputs, and float16 stays far from overflow. Integers are 0 or 1, whatever they mean (an index into any
    table of two rows or more, a token type, a mask), so that none is out of range; bools are a fair coin,
    strings short words. A rule of the model list (`model.inputs`) changes range, fill and shape. Each input
    has random numbers of its own, from the seed and its name: another input more or less changes nothing
    for it.

    Args:
        metas: What `InferenceSession.get_inputs` returns.
        model: Gives the rules.
        dims: Values of dimensions, by name or `INPUT.AXIS`.
        seed: Any integer of 0 or more.
        assumed: Sizes of dimensions that `dims` lacks; what is in neither becomes 1.
        check: Whether a name that no input has is an error.
        variation: Index into `VARIATIONS`; ranges and fills of the model list stay.

    Returns:
        Arrays of the declared dtype and shape; a list of one array for a sequence, a value for an optional.

    Raises:
        CaseError: If `dims` has a name no input has, a rule cannot be met, or a type has no generator.
    """
    if check:
        _check_dims(metas, dims)
    sizes, varied = {**assumed, **dims}, VARIATIONS[variation]
    values: dict[str, Value] = {}
    for meta in metas:
        rng = np.random.default_rng([seed + varied.seed, zlib.crc32(meta.name.encode())])
        try:
            values[meta.name] = _generate(meta, _varied(rule_for(model.inputs, meta.name), meta, varied), sizes, rng)
        except RangeError as error:
            raise _error(f"input '{meta.name}': {error}{generated_text([meta.name])}") from error
        except MemoryError as error:
            raise _error(f"input '{meta.name}': there is no memory for it ({error}); {_SMALLER}") from error
    return values


def _varied(rule: InputRule, meta: Meta, variation: Variation) -> InputRule:
    info = parse_type(meta.type)
    wanted = variation.floats if "float" in info.text or "double" in info.text else variation.integers
    if wanted is None or rule.fill != "uniform" or rule.low is not None or rule.high is not None or "bool" in info.text:
        return rule
    return dataclasses.replace(rule, low=wanted[0], high=wanted[1])


def _generate(meta: Meta, rule: InputRule, dims: Mapping[str, int], rng: np.random.Generator) -> Value:
    info = parse_type(meta.type)
    if info.kind == "optional" and info.inner is not None:
        info = info.inner
    in_sequence = info.kind == "sequence"
    tensor = info.inner if in_sequence else info
    if tensor is None or tensor.kind != "tensor" or tensor.dtype is None:
        raise RangeError(f'no {meta.type} can be generated; give stored inputs with "test_data" in the model list')
    if not in_sequence:
        _check_value(meta, rule)
    declared = (
        _SEQUENCE_SHAPE
        if in_sequence
        else tuple(_size(meta.name, axis, dim, dims) for axis, dim in enumerate(meta.shape))
    )
    array = _array(tensor, declared if rule.shape is None else rule.shape, rule, rng)
    return [array] if in_sequence else array


def _array(info: TypeInfo, shape: tuple[int, ...], rule: InputRule, rng: np.random.Generator) -> Array:
    element, dtype, count = str(info.element), np.dtype(info.dtype), math.prod(shape)
    if count > _MOST_ELEMENTS:
        raise RangeError(f"no array has shape {shape}; {_SMALLER}")
    if rule.value is not None or rule.choices is not None:
        return _given(element, dtype, shape, rule, rng)
    if element == "string":
        if rule.fill != "uniform":
            raise RangeError(f"no strings for fill '{rule.fill}'; leave it out")
        return np.array([_WORDS[i] for i in rng.integers(len(_WORDS), size=count)], dtype=object).reshape(shape)
    if rule.fill in {"zeros", "ones"}:
        return np.full(shape, float(rule.fill == "ones")).astype(dtype)
    make = integers if is_integer(element, dtype) else floats
    return make(element, dtype, count, rule, rng).reshape(shape)


def _given(
    element: str, dtype: np.dtype[Any], shape: tuple[int, ...], rule: InputRule, rng: np.random.Generator
) -> Array:
    """Return the values that a rule gives, or values drawn from its choices."""
    if rule.choices is not None:
        return given_values(element, dtype, rule.choices)[
            rng.integers(len(rule.choices), size=math.prod(shape))
        ].reshape(shape)
    if isinstance(rule.value, tuple):
        return given_values(element, dtype, list(_elements(rule.value))).reshape(shape)
    return np.full(shape, given_values(element, dtype, [rule.value])[0], dtype)


def _elements(value: Any) -> Iterator[Any]:
    if isinstance(value, tuple):
        for item in value:
            yield from _elements(item)
    else:
        yield value


def _check_value(meta: Meta, rule: InputRule) -> None:
    """Refuse a list whose shape is not what the model declares; ONNX Runtime says [] of unknown ranks too."""
    if not isinstance(rule.value, tuple) or not meta.shape or rule.shape is None:
        return
    declared = list(meta.shape)
    fits = len(declared) == len(rule.shape) and all(
        not isinstance(dim, int) or dim == size for dim, size in zip(declared, rule.shape, strict=True)
    )
    if not fits:
        shown = ", ".join("?" if dim is None else str(dim) for dim in declared)
        raise RangeError(f"the value has shape {rule.shape}; the model declares ({shown})")


def _size(name: str, axis: int, dim: object, sizes: Mapping[str, int]) -> int:
    key = dimension_key(name, axis, dim)
    return int(str(dim)) if key is None else sizes.get(key, sizes.get(str(dim), 1))


def _check_dims(metas: Sequence[Meta], dims: Mapping[str, int]) -> None:
    keys = (dimension_key(meta.name, axis, dim) for meta in metas for axis, dim in enumerate(meta.shape))
    known = list(dict.fromkeys(key for key in keys if key is not None))
    unknown = [name for name in dims if name not in known]
    if unknown:
        raise _error(wrong_text(unknown, known))


def generated_text(names: Iterable[str]) -> str:
    """Return what an error says about inputs that were generated, with the way out; nothing if there are none."""
    found = list(names)
    if not found:
        return ""
    listed = ", ".join(f"'{name}'" for name in found[:_NAMED]) + (" ..." if len(found) > _NAMED else "")
    one = len(found) == 1
    return (
        f"\nThe {'input' if one else 'inputs'} {listed} {'was' if one else 'were'} generated. If the model needs other "
        f'values, give them in the model list: "inputs": {{"{found[0]}": {{"value": ...}}}}, or "choices", "low" and '
        f'"high" or "shape" there; or stored ones with "test_data"'
    )


def _error(message: str) -> CaseError:
    return CaseError(message, stage="inputs", kind="input error")
