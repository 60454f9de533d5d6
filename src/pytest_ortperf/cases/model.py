"""A model: one entry of a model list or model directory, read but not opened.

Keys are declared by the annotations alone: reading, messages, JSON Schema and the documentation's tables follow.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from pytest_ortperf.cases.expectations import EXPECT, LimitRule
from pytest_ortperf.cases.json_values import FLAG, PATH, TEXT, TEXTS, as_text, converted, distinct, number
from pytest_ortperf.cases.keys import EMPTY
from pytest_ortperf.cases.names import GROUP, NAME, TAG
from pytest_ortperf.cases.provider_option_rules import EP_OPTIONS
from pytest_ortperf.cases.rules import (
    DIMS,
    FP16,
    INPUTS,
    SESSIONS,
    SKIPS,
    TOLERANCES,
    XFAILS,
    Condition,
    DimRange,
    Fp16Rule,
    InputRule,
    SessionRule,
    ToleranceRule,
)

_BATCH_DIM = converted(
    "a text that is not empty, or false",
    {"oneOf": [TEXT, {"const": False}]},
    lambda value: "" if value is False else as_text(value),
)
_START = "Relative paths start at the list's own folder, or at `--ortperf-workspace`."


def _joined_rules(own: tuple[Any, ...], default: tuple[Any, ...]) -> tuple[Any, ...]:
    return (*own, *default)


def _joined_tags(own: tuple[str, ...], default: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*default, *own)))


def _joined_options(
    own: Mapping[str, Mapping[str, str]], default: Mapping[str, Mapping[str, str]]
) -> Mapping[str, Mapping[str, str]]:
    return {name: {**default.get(name, {}), **own.get(name, {})} for name in {**default, **own}}


PLAIN_FP16 = Fp16Rule()
"""Of most models: one object for all of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelDefaults:
    """What a list can say of all its models, by `defaults`, and each entry of its own."""

    tolerances: Annotated[
        tuple[ToleranceRule, ...],
        TOLERANCES,
        "What outputs may differ by. The first rule that applies and gives a value counts; an entry's rules stand "
        "before those of the defaults.",
        {"name": "tolerance", "merge": _joined_rules},
    ] = ()
    dims: Annotated[
        Mapping[str, tuple[int, ...]],
        DIMS,
        "Values of symbolic dimensions by name, 1 where left out; several values multiply the cases. A range such as "
        '`{"min": 1, "opt": 8, "max": 32}` runs with `opt`, and tells TensorRT the rest. An entry\'s replace those of '
        "the defaults.",
    ] = field(default_factory=lambda: EMPTY)
    fix_dims: Annotated[
        bool,
        FLAG,
        "Whether the values of `dims` are made static in the session, so that graph optimisation and the provider "
        "see fixed shapes; `--ortperf-fix-dims` does so for every model.",
    ] = False
    symbolic_shapes: Annotated[
        bool,
        FLAG,
        "Whether the shapes inside the model are inferred symbolically before the session is created, and not only "
        "if TensorRT asks for it; needs the extra `symbolic`.",
    ] = False
    batch_dim: Annotated[
        str | None,
        _BATCH_DIM,
        "Symbolic dimension that the rows of a batch lie along, for the check that each row is the same on its own, "
        "and for the throughput; false for none. Left out, one whose name begins with `batch`.",
    ] = None
    """`""` is none."""

    fp16: Annotated[Fp16Rule, FP16, "How to convert the model to fp16; an entry's replaces the default."] = PLAIN_FP16
    tags: Annotated[
        tuple[str, ...],
        distinct(TAG),
        "pytest markers of the model's items, for `-m`, and keywords for `-k`; names that mean something to pytest, "
        "such as `skip`, are errors. An entry's are added to those of the defaults.",
        {"merge": _joined_tags},
    ] = ()
    group: Annotated[
        str | None,
        GROUP,
        "What the model belongs to: a column of every table. It is a pytest marker of the model's items too, for `-m`, "
        "with every other character than letters, digits and `_` as `_`. Left out, the list's file name without its "
        "suffix, or the directory's name.",
    ] = field(default=None, repr=False)
    ep_options: Annotated[
        Mapping[str, Mapping[str, str]],
        EP_OPTIONS,
        "Provider options by execution provider. An entry's options go over those of the defaults, one by one. true "
        "and false become 1 and 0.",
        {"merge": _joined_options},
    ] = field(default_factory=lambda: EMPTY)
    timeout_s: Annotated[
        float | None,
        number(above=0, high=1e9),
        "Seconds that one item may take; left out, `--ortperf-timeout`.",
        {"name": "timeout"},
    ] = None
    inputs: Annotated[
        Mapping[str, InputRule],
        INPUTS,
        "How to generate or cut inputs, by input name or glob; the first that matches counts. An entry's replace "
        "those of the defaults.",
    ] = field(default_factory=lambda: EMPTY)
    session: Annotated[
        tuple[SessionRule, ...],
        SESSIONS,
        "Session settings: one object, or several with the provider they are for. The first that applies and gives a "
        "value counts, config entries and libraries add up; an entry's stand before those of the defaults.",
        {"merge": _joined_rules},
    ] = ()
    limits: Annotated[
        tuple[LimitRule, ...],
        EXPECT,
        "Limits that fail a case which does not keep them: one object, or several with where they apply. The first "
        "that applies and gives a limit counts; an entry's stand before those of the defaults.",
        {"name": "expect", "merge": _joined_rules},
    ] = ()
    skip: Annotated[
        tuple[Condition, ...],
        SKIPS,
        "Why items are not run: a reason, or reasons with where they apply. An entry's replaces that of the defaults.",
    ] = ()
    xfail: Annotated[
        tuple[Condition, ...],
        XFAILS,
        "Why items are expected to fail: a reason, or reasons with where they apply. An entry's replaces that of the "
        "defaults.",
    ] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Model(ModelDefaults):
    """One ONNX model with what its list says about it. Paths are absolute; nothing has been opened."""

    name: Annotated[
        str,
        NAME,
        "Names the model in case ids: unique in the list, at most 200 characters, without `::`, `@`, `[`, `]` or "
        "control characters. Left out with `source`, it is the source's name.",
        {"required": False},
    ]
    path: Annotated[Path, PATH, f"The `.onnx` file. {_START}", {"required": False}]
    test_data: Annotated[
        Path | None,
        PATH,
        "Folder of `test_data*` folders with `input_0.pb` and `output_0.pb` files (or `.npy`), or of `test_data*.npz` "
        f"files; or one such folder or file; left out, inputs are generated. {_START}",
    ] = None
    fp16_path: Annotated[Path | None, PATH, f"The model in fp16; left out, the model is converted. {_START}"] = None
    test_data_fp16: Annotated[
        Path | None, PATH, f"Test data of the fp16 model; left out, that of the model is cast. {_START}"
    ] = None
    input_order: Annotated[
        tuple[str, ...],
        TEXTS,
        "Names of the stored inputs in the order of their files, where the names in the files do not match the "
        "model; left out, inputs are matched by name, then by position.",
    ] = ()
    outputs: Annotated[tuple[str, ...], TEXTS, "Names of the outputs to compute and compare; left out, all."] = ()
    origin: str
    """Where the entry stands, for messages: `models.json: models[3] 'bert'`."""

    line: int | None = field(default=None, repr=False, compare=False)
    """Where the entry begins in the list's file, from 1; `None` for a model of a directory."""

    stored_outputs: tuple[Path, ...] = ()
    """Reference outputs in graph order, for generated inputs (the light networks have them)."""

    dim_ranges: Mapping[str, DimRange] = field(default_factory=lambda: EMPTY)
    """Of those in `dims` that were given as a range."""
