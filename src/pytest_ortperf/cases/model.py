"""A model: one entry of a model list or model directory, read but not opened."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

EMPTY: Mapping[str, Any] = MappingProxyType({})
"""The default of every mapping below."""

Fill = Literal["uniform", "ramp", "zeros", "ones"]
NanPattern = Literal["exact", "counted"]
Repeat = Literal["exact", "within", "report"]
"""The same bits; the same within the tolerance; anything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tolerance:
    """What an output may differ by; `None` is *not given here*."""

    rtol: float | None = None
    """Times the absolute reference value."""

    atol: float | None = None
    """Added to it."""

    percent_mismatch: float | None = None
    """Share of elements, 0 to 100, that may lie outside."""

    cosine: float | None = None
    """Least cosine of the angle between output and reference, taken as vectors."""

    snr_db: float | None = None
    """Least ratio of the reference's power to the error's, in decibels."""

    peak_percent: float | None = None
    """Largest error in percent of the largest absolute reference value; one up to a thousandth of `atol` is none."""

    top_k: int | None = None
    """Rows along the last axis agree, instead of elements, if the same k lie at the top."""

    nan_pattern: NanPattern | None = None
    """Whether NaN and infinities must stand where the reference has them, or count as elements outside."""

    repeat: Repeat | None = None
    """What a second run with the same inputs has to give."""

    second_chance: bool | None = None
    """Whether an output in half precision may pass for an error no larger than its precision's own."""

    own_error: float | None = None
    """Largest root-mean-square error in multiples of the precision's own; the largest error may be 10/3 as many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToleranceRule:
    """A tolerance and where it applies; `None` applies everywhere."""

    tolerance: Tolerance
    precision: str | None = None
    """`fp32`, `fp16`, ... as in a case's precision or the model's own."""

    provider: str | None = None
    """Short name, such as `cuda`."""

    output: str | None = None
    """Glob on the output's name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InputRule:
    """How to generate or cut one input."""

    low: float | None = None
    """Smallest generated value, included."""

    high: float | None = None
    """Largest generated value; excluded for floats, included for integers."""

    fill: Fill = "uniform"
    """`ramp` is arange(n) / n in the input's shape, as the onnx backend tests feed the light networks."""

    shape: tuple[int, ...] | None = None
    """Instead of the shape the model declares."""

    slices: str | None = None
    """Python slices applied to a stored input, such as `0:1` or `0:1, :, 2:`."""


Fp16Io = Literal["keep", "cast"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fp16Rule:
    """How to convert a model to fp16."""

    io: Fp16Io | None = None
    """Whether float32 inputs and outputs stay (`keep`) or become float16 (`cast`); `None` is *not given here*."""

    op_block_list: tuple[str, ...] = ()
    """Operator types that stay float32, besides those that the converter knows."""

    node_block_list: tuple[str, ...] = ()
    """Names of nodes that stay float32."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DimRange:
    """Sizes that a symbolic dimension may have, for providers that build for a range; cases run with `opt`."""

    min: int
    opt: int
    max: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """A `skip` or `xfail` of a model list entry."""

    reason: str
    providers: tuple[str, ...] = ()
    """Short names it applies to; none means all."""

    precisions: tuple[str, ...] = ()
    modes: tuple[str, ...] = ()
    raises_crash: bool = False
    """Only of `xfail`: a crash or time-out is expected too (`"raises": "crash"`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionRule:
    """Session settings and the provider they are for; `None` is *not given here*."""

    provider: str | None = None
    """Short name, such as `cuda`; `None` is every provider."""

    graph_optimization: str | None = None
    intra_op_threads: int | None = None
    inter_op_threads: int | None = None
    execution_mode: str | None = None
    config: Mapping[str, str] = field(default_factory=lambda: EMPTY)
    """Session config entries."""

    custom_op_libraries: tuple[str, ...] = ()
    """Paths; absolute once the list is read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitRule:
    """Limits and where they apply; `None` applies everywhere."""

    limits: Mapping[str, float]
    """By key of `pytest_ortperf.cases.expectations.BOUNDS`."""

    provider: str | None = None
    """Short name, such as `cuda`."""

    precision: str | None = None
    timing: str | None = None
    """Timing mode that limits on latency are about; `None` is the headline."""

    dims: Mapping[str, int] = field(default_factory=lambda: EMPTY)
    """Values that these dimensions of the case must have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """One ONNX model with what its list says about it. Paths are absolute; nothing has been opened."""

    name: str
    path: Path
    origin: str
    """Where the entry stands, for messages: `models.json: models[3] 'bert'`."""

    fp16_path: Path | None = None
    test_data: Path | None = None
    """Folder whose `test_data*` children are data sets, or which is a data set itself."""

    test_data_fp16: Path | None = None
    stored_outputs: tuple[Path, ...] = ()
    """Reference outputs in graph order, for generated inputs (the light networks have them)."""

    dims: Mapping[str, tuple[int, ...]] = field(default_factory=lambda: EMPTY)
    """Values of symbolic dimensions; several values multiply the cases."""

    dim_ranges: Mapping[str, DimRange] = field(default_factory=lambda: EMPTY)
    """Of those in `dims` that were given as a range."""

    fix_dims: bool = False
    """Whether the values of `dims` are made static in the session."""

    batch_dim: str | None = None
    """Symbolic dimension that rows of a batch lie along; `""` is none, `None` one that calls itself a batch."""

    symbolic_shapes: bool = False
    """Whether shapes are inferred symbolically before the session is created."""

    fp16: Fp16Rule = Fp16Rule()
    tags: tuple[str, ...] = ()
    tolerances: tuple[ToleranceRule, ...] = ()
    inputs: Mapping[str, InputRule] = field(default_factory=lambda: EMPTY)
    """By input name or glob; the first that matches counts."""

    input_order: tuple[str, ...] = ()
    """Names of the stored input files' tensors in file order, where names do not match the model."""

    outputs: tuple[str, ...] = ()
    """Outputs to take and compare; none means all."""

    ep_options: Mapping[str, Mapping[str, str]] = field(default_factory=lambda: EMPTY)
    """Provider options by short provider name."""

    session: tuple[SessionRule, ...] = ()
    limits: tuple[LimitRule, ...] = ()
    skip: tuple[Condition, ...] = ()
    xfail: tuple[Condition, ...] = ()
    timeout_s: float | None = None
