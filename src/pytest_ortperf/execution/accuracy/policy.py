"""What an output may differ by: defaults by the precision that it is computed in, under rules and options."""

from __future__ import annotations

import dataclasses
import fnmatch
import functools

from pytest_ortperf.cases.model import Model
from pytest_ortperf.cases.rules import Tolerance

RELATIVE = ("fp16", "bf16", "mixed", "tf32")
"""Precisions whose own error may excuse an output."""

SINGLE = Tolerance(rtol=1e-3, atol=1e-5, scales="both", percent_mismatch=0.0)
_ELEVEN_BITS = Tolerance(rtol=1e-2, atol=1e-3, scales="down", percent_mismatch=0.0, cosine=0.999, peak_percent=1.0)
_DEFAULTS = {
    "fp16": _ELEVEN_BITS,
    "tf32": _ELEVEN_BITS,
    "mixed": _ELEVEN_BITS,
    "bf16": Tolerance(rtol=1.6e-2, atol=1e-2, scales="down", cosine=0.99, snr_db=20.0, peak_percent=2.0),
    "int8": Tolerance(rtol=1e-3, atol=1e-5, scales="down", steps=1, cosine=0.99, snr_db=20.0, peak_percent=8.0),
}
_ALWAYS = Tolerance(nan_pattern="exact", repeat="within", second_chance=True)

_COUNTED = ("rtol", "atol", "percent_mismatch", "top_k")
"""Whatever asks for elements or rows to be counted."""

_FIELDS = tuple(field.name for field in dataclasses.fields(Tolerance))


def choose_tolerance(
    model: Model,
    *,
    precision: str | None,
    provider: str,
    output: str,
    command_line: Tolerance,
) -> Tolerance:
    """Return the tolerance of one output, each field from the first that gives it.

    In order: the command line; the model's rules that apply, as listed; the default of the precision. The
    defaults: fp32 and unknown rtol 1e-3 (that of the onnx project's backend test runner), atol 1e-5; fp16 and
    mixed rtol 1e-2, about ten roundings of float16 (2**-10 each), atol 1e-3, a cosine of 0.999 and a largest
    error of 1 % of the largest reference, which hold where all numbers are smaller than atol; fp32 where the
    provider may compute in TF32, which has float16's mantissa, as fp16. Of these no element may lie outside.
    bf16 and int8 have no bound on each element by its own size, for one step of theirs is large, but a cosine
    of 0.99, an SNR of 20 dB, and a largest error of 2 or 8 % of the largest reference; a rule or option with
    rtol, atol or percent_mismatch gives them one. A default atol counts in units of the output's root mean square,
    of half precisions only where that is below 1; 8-bit integers of int8 models may differ by one step. Where top_k
    is asked for, no default bounds sizes.

    Args:
        model: Has the rules.
        precision: That of `tolerance_precision`: `fp32`, `tf32` (fp32 that may be computed so; rules for fp32
            apply), `fp16`, `bf16`, `int8`, `mixed`; `None` if unknown.
        provider: Short name, such as `cuda`.
        output: The output's name.
        command_line: What options give.

    Returns:
        With every field given but those that ask for nothing: `cosine`, `snr_db`, `peak_percent`, `top_k`; and
        `percent_mismatch` where elements do not count.
    """
    matching = {None, precision, "fp32" if precision == "tf32" else precision}
    rules = [
        rule.tolerance
        for rule in model.tolerances
        if rule.precision in matching
        and rule.provider in (None, provider)
        and (rule.output is None or fnmatch.fnmatchcase(output, rule.output))
    ]
    return _filled(_first_given(command_line, *rules) if rules else command_line, precision)


@functools.cache
def _filled(chosen: Tolerance, precision: str | None) -> Tolerance:
    """Return what rules and options chose, with the defaults of the precision where they say nothing."""
    counted = any(getattr(chosen, name) is not None for name in _COUNTED)
    fallback = Tolerance(percent_mismatch=0.0) if counted else Tolerance()
    default = _DEFAULTS.get(precision or "", SINGLE)
    if chosen.atol is not None:
        default = dataclasses.replace(default, scales=None, steps=None)
    if chosen.top_k is not None:  # places count, and sizes only where somebody asks for them
        default = dataclasses.replace(default, cosine=None, snr_db=None, peak_percent=None)
    return _first_given(chosen, fallback, default, _ALWAYS)


def tolerance_precision(storage: str | None, compute: str | None) -> str | None:
    """Return the precision whose tolerance counts: the lower of what numbers are stored and computed in.

    Args:
        storage: As asked for, or else the model's own; `None` if unknown.
        compute: Lowest that the provider may compute in; `None` if that is `storage`.
    """
    return compute if compute is not None and storage == "fp32" else storage


def _first_given(*tolerances: Tolerance) -> Tolerance:
    """Return the fields from the first that gives each."""
    found = {
        name: value
        for tolerance in reversed(tolerances)
        for name in _FIELDS
        if (value := getattr(tolerance, name)) is not None
    }
    return Tolerance(**found)
