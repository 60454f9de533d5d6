"""Which planted faults each validation policy catches, beside the original script's default on the same faults.

Faults go into the weights of the bundled models, and into the outputs of these and of light models. Each is held to the
defaults of every precision. A fault is *visible* to a precision if it changes an output by more than that precision
explains: a root-mean-square change above three times, or a largest change above ten times, that of the clean model
computed so. A fault that is visible and not caught is a gap; others are hidden in the precision's own error.

Exit status: 1 if less than 80 faults were planted, or a clean output was refused without a reason.
"""

from __future__ import annotations

import dataclasses
import math
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import onnx
import onnxruntime
from faults import Array, Fault, Outputs, Subject, load_subject, made_small, planted, planted_small, run_model
from measuring import Report, Target, parser, table
from onnx import ModelProto, TensorProto, numpy_helper

from pytest_ortperf.cases.model import Model
from pytest_ortperf.cases.model_list import read_models
from pytest_ortperf.cases.rules import Fp16Rule, Tolerance
from pytest_ortperf.execution.accuracy.array_difference import Difference
from pytest_ortperf.execution.accuracy.error_ratio import error_ratio
from pytest_ortperf.execution.accuracy.output_accuracy import compare, difference_of
from pytest_ortperf.execution.accuracy.policy import RELATIVE, choose_tolerance
from pytest_ortperf.execution.accuracy.precision_floor import FACTOR, LARGEST_FACTOR, ErrorPair, judged
from pytest_ortperf.execution.inputs.generated_inputs import generate_inputs
from pytest_ortperf.execution.model.fp16 import convert
from pytest_ortperf.execution.model.fp64 import fp64_model

ROOT = Path(__file__).parents[1]
PRECISIONS = ("fp32", "tf32", "fp16", "bf16", "int8")
ORIGINAL = "original"
LIGHT = ("squeezenet", "resnet50", "inception_v1")
FEWEST = 80
OWN_ERRORS = (None, 30.0, 10.0, 3.0)
"""Bounds that are tried beside the defaults."""

_TINY = 1e-300

UNCHANGED = "no element changes for these inputs, such as a weight of a row that is not looked up"
WITHIN = "at most 3 times (root mean square) and 10 times (largest) what the precision itself changes"


@dataclass(frozen=True, slots=True)
class Verdict:
    """One fault under one policy."""

    caught: bool
    visible: bool
    """Whether it changes an output by more than the precision does by itself."""

    reason: str
    """What caught it; of one that was not caught how large it is beside the precision's own error."""

    multiple: float
    """Of the precision's own error, as `own_error` bounds it; infinite where type, shape or NaN are wrong."""

    def caught_with(self, own_error: float) -> bool:
        """Whether the defaults and that bound together catch it."""
        return self.caught or self.multiple > own_error


@dataclass(frozen=True, slots=True)
class Judge:
    """The policies on one model."""

    subject: Subject
    noisy: Mapping[str, Outputs]
    """Outputs of the clean model as each precision gives them; for fp32, what it would give without rounding."""

    def verdict(self, precision: str, outputs: Outputs) -> Verdict:
        """Return what the defaults of a precision say to wrong outputs."""
        clean = self.subject.clean
        tolerances = {name: tolerance_of(precision, name) for name in clean}
        found = compare(outputs, clean, tolerances.__getitem__)
        wrong = [it for it in found if not it.within_tolerance and not self._is_excused(precision, outputs, it.name)]
        visible, size = self._visibility(precision, outputs)
        return Verdict(
            bool(wrong), visible, str(wrong[0].message) if wrong else size, self._multiple(precision, outputs)
        )

    def _multiple(self, precision: str, outputs: Outputs) -> float:
        sides = (outputs, self.noisy[precision])
        pairs = [
            [difference_of(name, side, {name: reference}, tolerance_of(precision, name)) for side in sides]
            for name, reference in self.subject.clean.items()
        ]
        return max((_multiple(own, unit, precision) for own, unit in pairs), default=0.0)

    def _is_excused(self, precision: str, outputs: Outputs, name: str) -> bool:
        """Whether an output has its second chance; the clean model in that precision is the baseline."""
        if precision not in RELATIVE:
            return False
        tolerance, clean = tolerance_of(precision, name), self.subject.clean
        own = difference_of(name, outputs, clean, tolerance)
        theirs = difference_of(name, self.noisy[precision], clean, tolerance)
        if own.structure or own.nonfinite or own.moments.cosine is None:
            return False
        return judged(ErrorPair(own, theirs, "", ""), tolerance.rtol or 0.0, tolerance.atol or 0.0).is_explained

    def _visibility(self, precision: str, outputs: Outputs) -> tuple[bool, str]:
        texts: list[tuple[float, str]] = []
        changed = False
        for name, reference in self.subject.clean.items():
            own = difference_of(name, outputs, {name: reference}, tolerance_of(precision, name))
            if own.structure or own.nonfinite:
                return True, "type, shape, NaN or infinity"
            if own.max_abs_error is None:
                if own.mismatches:
                    return True, "text"
                continue
            changed = changed or own.max_abs_error > 0
            noise = difference_of(name, self.noisy[precision], {name: reference}, tolerance_of(precision, name))
            largest, usual = noise.max_abs_error or 0.0, noise.moments.rmse or 0.0
            times = max(
                own.max_abs_error / (LARGEST_FACTOR * largest or _TINY),
                (own.moments.rmse or 0.0) / (FACTOR * usual or _TINY),
            )
            if times > 1:
                texts.append((times, f"`{name}` by {own.max_abs_error:.2g}; the precision itself {largest:.2g}"))
        if texts:
            return True, max(texts)[1]
        return False, WITHIN if changed else UNCHANGED


def _multiple(own: Difference, unit: Difference, precision: str) -> float:
    if own.structure or own.nonfinite:
        return math.inf
    if own.max_abs_error is None:
        return math.inf if own.mismatches else 0.0
    return error_ratio(own, unit, precision)


def tolerance_of(precision: str, output: str) -> Any:
    """Return the default policy of a precision."""
    nothing = Model(name="m", path=Path("m.onnx"), origin="")
    return choose_tolerance(nothing, precision=precision, provider="cpu", output=output, command_line=Tolerance())


def original_catches(outputs: Outputs, clean: Outputs) -> bool:
    """Return what the original script's defaults say: rtol 0, atol 20, up to 20 % of the elements outside.

    It compares with `numpy.testing.assert_allclose`: shape, NaN and infinities have to be the same, types need not.
    """
    return any(_original_refuses(np.asarray(outputs[name]), np.asarray(clean[name])) for name in clean)


def _original_refuses(output: Array, reference: Array) -> bool:
    if output.shape != reference.shape:
        return True
    if reference.dtype.kind in "OSU":
        return not np.array_equal(output, reference)
    with np.errstate(invalid="ignore"):
        one, other = output.astype(np.float64), reference.astype(np.float64)
    infinite = np.isinf(one)
    if not np.array_equal(np.isnan(one), np.isnan(other)) or not np.array_equal(one[infinite], other[infinite]):
        return True
    finite = np.isfinite(one) & np.isfinite(other)
    outside = np.abs(one[finite] - other[finite]) > 20  # noqa: PLR2004 - the original's atol
    return bool(outside.size and 100 * outside.mean() >= 20)  # noqa: PLR2004 - its percentage


def subjects(*, light: bool) -> Iterator[Subject]:
    """Yield the bundled models, then the light ones."""
    for model in read_models(ROOT / "models.json", workspace=None):
        if "light" not in model.tags:
            yield load_subject(model.name, model.path, sorted(model.path.parent.glob("test_data_set_*")))
        elif light and model.name in LIGHT:
            proto = onnx.load(model.path)
            session = onnxruntime.InferenceSession(str(model.path), providers=["CPUExecutionProvider"])
            inputs = generate_inputs(session.get_inputs(), model=model, dims={}, seed=0)
            other = {name: np.array(np.flip(np.asarray(value))) for name, value in inputs.items()}
            yield Subject(model.name, proto, inputs, other, run_model(proto, inputs))


def judge_of(subject: Subject) -> Judge:
    """Return the policies with what each precision makes of the clean model."""
    return Judge(subject, {precision: _noisy(subject, precision) for precision in PRECISIONS})


def _noisy(subject: Subject, precision: str) -> Outputs:
    if precision == "fp32":
        return _unrounded(subject) or _optimised(subject)
    if precision == "fp16":
        half = convert(onnx.shape_inference.infer_shapes(subject.model), Fp16Rule())[0]
        return run_model(half, subject.inputs)
    rounding = _ROUNDINGS[precision]
    model = ModelProto()
    model.CopyFrom(subject.model)
    for tensor in model.graph.initializer:
        if tensor.data_type == TensorProto.FLOAT:
            tensor.CopyFrom(numpy_helper.from_array(rounding(numpy_helper.to_array(tensor)), tensor.name))
    inputs = {name: rounding(value) if value.dtype == np.float32 else value for name, value in subject.inputs.items()}
    outputs = run_model(model, inputs)
    return {name: rounding(it) if getattr(it, "dtype", None) == np.float32 else it for name, it in outputs.items()}


def _unrounded(subject: Subject) -> Outputs | None:
    """Return the outputs computed in float64 and rounded once; `None` where the CPU has no such kernels."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        onnx.save_model(subject.model, path)
        model = fp64_model(path)
    wide = {
        name: value.astype(np.float64) if value.dtype == np.float32 else value for name, value in subject.inputs.items()
    }
    try:
        found = run_model(model, wide) if model else None
    except Exception:  # noqa: BLE001 - ONNX Runtime's have no common base, and say here that a kernel is lacking
        return None
    return found and {name: _like(value, subject.clean[name]) for name, value in found.items()}


def _like(value: Any, other: Any) -> Any:
    return value.astype(other.dtype) if isinstance(value, np.ndarray) and value.dtype == np.float64 else value


def _optimised(subject: Subject) -> Outputs:
    session = onnxruntime.InferenceSession(subject.model.SerializeToString(), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, dict(subject.inputs)), strict=True))


def _to_int8(values: Array) -> Array:
    largest = float(np.abs(values).max()) if values.size else 0.0
    step = largest / 127 or 1.0
    return np.asarray(np.round(values / step) * step, np.float32)


_ROUNDINGS = {
    "tf32": lambda values: values.astype(np.float16).astype(np.float32),
    "bf16": lambda values: values.astype(ml_dtypes.bfloat16).astype(np.float32),
    "int8": _to_int8,
}
"""What weights, inputs and outputs are rounded to; TF32 has float16's mantissa."""


@dataclass(frozen=True, slots=True)
class Row:
    """One fault with the verdict of each policy."""

    model: str
    fault: Fault
    verdicts: Mapping[str, Verdict]
    original: bool
    """Whether the original's defaults catch it."""


def rows_of(subject: Subject) -> Iterator[Row]:
    """Yield every fault of a model under every policy."""
    judge = judge_of(subject)
    small = Judge(
        dataclasses.replace(subject, clean=made_small(subject.clean)),
        {precision: made_small(outputs) for precision, outputs in judge.noisy.items()},
    )
    for by, faults in ((judge, planted(subject)), (small, planted_small(small.subject.clean))):
        for fault in faults:
            verdicts = {precision: by.verdict(precision, fault.outputs) for precision in PRECISIONS}
            yield Row(subject.name, fault, verdicts, original_catches(fault.outputs, by.subject.clean))


def refused_clean(subject: Subject) -> list[str]:
    """Return the precisions whose policy refuses what the clean model gives in that precision."""
    judge = judge_of(subject)
    return [
        f"{subject.name} {precision}: {verdict.reason}"
        for precision, outputs in judge.noisy.items()
        if not _overflows(outputs) and (verdict := judge.verdict(precision, outputs)).caught
    ]


def _overflows(outputs: Outputs) -> bool:
    """Whether the clean model's numbers are beyond the precision's range: then its policy has to refuse it."""
    floats = [it for it in outputs.values() if getattr(it, "dtype", np.dtype(object)).kind == "f"]
    return not all(np.isfinite(it).all() for it in floats)


def kinds_table(rows: list[Row]) -> str:
    """Return per kind of fault how many of those visible are caught; behind them those that must be invisible."""
    kinds: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        kinds[row.fault.kind].append(row)
    lines = [
        [kind, str(len(found)), *(_share(found, precision) for precision in PRECISIONS), _original(found)]
        for kind, found in kinds.items()
    ]
    total = ["**all**", str(len(rows)), *(_share(rows, precision) for precision in PRECISIONS), _original(rows)]
    return table(["fault", "planted", *PRECISIONS, ORIGINAL], [*lines, total])


def _share(rows: list[Row], precision: str) -> str:
    found = [row.verdicts[precision] for row in rows]
    visible = [it for it in found if it.visible]
    hidden = len(found) - len(visible)
    text = f"{sum(it.caught for it in visible)} of {len(visible)}"
    return f"{text}, {hidden} hidden" if hidden else text


def _original(rows: list[Row]) -> str:
    return f"{sum(row.original for row in rows)} of {len(rows)}"


def own_error_table(rows: list[Row]) -> str:
    """Return what `own_error` adds: of the visible faults how many are caught with each bound."""
    lines = []
    for factor in OWN_ERRORS:
        cells = []
        for precision in PRECISIONS:
            visible = [it for row in rows if (it := row.verdicts[precision]).visible]
            caught = sum(it.caught if factor is None else it.caught_with(factor) for it in visible)
            cells.append(f"{caught} of {len(visible)}")
        lines.append(["defaults alone" if factor is None else f"`own_error` {factor:g}", *cells])
    return table(["bound", *PRECISIONS], lines)


def hidden_table(rows: list[Row]) -> str:
    """Return per reason how many faults each precision cannot show."""
    counts = {
        reason: [sum(row.verdicts[it].reason == reason for row in rows) for it in PRECISIONS]
        for reason in (UNCHANGED, WITHIN)
    }
    return table(["why it is invisible", *PRECISIONS], [[reason, *map(str, found)] for reason, found in counts.items()])


def gaps(rows: list[Row]) -> list[str]:
    """Return each fault that is visible to a precision and passes its policy."""
    return [
        f"- {precision}: {row.model}, {row.fault.kind} in `{row.fault.where}`: {row.verdicts[precision].reason} "
        f"({row.verdicts[precision].multiple:.3g} times)"
        for precision in PRECISIONS
        for row in rows
        if row.verdicts[precision].visible and not row.verdicts[precision].caught
    ]


def main() -> int:
    """Plant, judge and print; return the exit status."""
    given = parser(__doc__, rounds=1).parse_args()
    report = Report("Planted faults")
    found = list(subjects(light=True))
    rows = [row for subject in found for row in rows_of(subject)]
    open_ones, refused = gaps(rows), [text for subject in found for text in refused_clean(subject)]
    report.sections = [
        kinds_table(rows),
        "## Hidden",
        hidden_table(rows),
        "## Visible and not caught",
        "\n".join(open_ones) or "None.",
        "## With a bound in multiples of the precision's own error",
        own_error_table(rows),
        "## Clean outputs refused",
        "\n".join(f"- {text}" for text in refused) or "None.",
    ]
    report.targets = [
        Target(f"at least {FEWEST} faults", f"{len(rows)} planted", len(rows) >= FEWEST),
        Target("clean outputs pass in every precision", f"{len(refused)} refused", not refused),
    ]
    report.data = {
        "faults": [
            {
                "model": row.model,
                "kind": row.fault.kind,
                "where": row.fault.where,
                "original": row.original,
                **{name: [it.caught, it.visible, it.reason, it.multiple] for name, it in row.verdicts.items()},
            }
            for row in rows
        ]
    }
    report.finish(given.output)
    return int(not all(target.kept for target in report.targets))


if __name__ == "__main__":
    sys.exit(main())
