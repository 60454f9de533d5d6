"""The inputs of a case and what its outputs are compared with.

Arrays given by a user's own test, as the inputs and references of a case.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from pytest_ortperf.cases.matrix import Case
from pytest_ortperf.errors import CaseError
from pytest_ortperf.execution.case_settings import ExecutionSettings
from pytest_ortperf.execution.inputs.generated_inputs import generate_inputs, rule_for
from pytest_ortperf.execution.inputs.stored_data import (
    DataSet,
    find_data_sets,
    read_inputs,
    read_outputs,
    unused_arrays,
)
from pytest_ortperf.execution.inputs.tensor_types import Meta, TypeInfo, Value, as_floats, element_name, parse_type
from pytest_ortperf.execution.inputs.tensor_values import values_hash
from pytest_ortperf.execution.model.model_dimensions import dimension_key, fixes_dims
from pytest_ortperf.records.record import TensorFact

GIVEN = "given"
"""Of the data set that such arrays make."""


def given_inputs(
    values: Mapping[str, Any], session: onnxruntime.InferenceSession, *, cast_floats: bool
) -> dict[str, Value]:
    """Return the arrays by input name, lists and numbers made arrays of the declared type.

    Args:
        values: By input name; overridable initialisers count as inputs that need not be given.
        session: Has the inputs.
        cast_floats: Turn float arrays of another precision into the model's instead of refusing them.

    Raises:
        CaseError: Stage `inputs`, if a name is unknown or missing, or a type or shape is not the declared one.
    """
    metas = session.get_inputs()
    known = {meta.name: meta for meta in (*metas, *session.get_overridable_initializers())}
    _require_names(values, metas, known)
    return {name: _checked(value, known[name], cast_floats=cast_floats) for name, value in values.items()}


def given_references(values: Mapping[str, Any], session: onnxruntime.InferenceSession) -> dict[str, Value]:
    """Return reference outputs by name.

    Raises:
        CaseError: Stage `reference`, if the model has no such output.
    """
    types = {meta.name: parse_type(meta.type) for meta in session.get_outputs()}
    unknown = [name for name in values if name not in types]
    if unknown:
        text = f"the reference has {_listed(unknown)}; the model's outputs are {_listed(types)}"
        raise CaseError(text, stage="reference", kind="input error")
    return {name: _as_value(value, types[name]) for name, value in values.items()}


def _require_names(values: Iterable[str], metas: Sequence[Meta], known: Mapping[str, Meta]) -> None:
    unknown = [name for name in values if name not in known]
    if unknown:
        _fail(f"inputs= has {_listed(unknown)}; the model's inputs are {_listed(meta.name for meta in metas)}")
    missing = [meta.name for meta in metas if meta.name not in values and parse_type(meta.type).kind != "optional"]
    if missing:
        _fail(f"inputs= lacks {_listed(missing)}; give one array for each input of the model")


def _checked(value: Any, meta: Meta, *, cast_floats: bool) -> Value:
    info = parse_type(meta.type)
    found = _as_value(value, info)
    if cast_floats:
        found = as_floats(found, info.dtype)
    if not isinstance(found, np.ndarray) or info.kind != "tensor":
        return found
    element = element_name(found.dtype)
    if element != info.element:
        _fail(f"input '{meta.name}' is tensor({element}); the model declares {info.text}, give {info.dtype}")
    _check_shape(found, meta)
    return found


def _as_value(value: Any, info: TypeInfo) -> Value:
    if value is not None and info.kind == "optional" and info.inner is not None:
        return _as_value(value, info.inner)
    if isinstance(value, list | tuple) and info.kind == "sequence" and info.inner is not None:
        return [_as_value(each, info.inner) for each in value]
    if value is None or isinstance(value, np.ndarray) or (info.kind != "tensor" and isinstance(value, list | dict)):
        found: Value = value
        return found
    # a framework's tensor brings its type along; numbers and lists have none
    has_type = info.kind != "tensor" or hasattr(value, "__array__")
    return np.asarray(value) if has_type else np.asarray(value, dtype=info.dtype)


def _check_shape(value: np.ndarray[Any, Any], meta: Meta) -> None:
    # ONNX Runtime says [] for scalars and for unknown ranks alike
    declared = list(meta.shape)
    fits = len(declared) == value.ndim and all(
        not isinstance(dim, int) or dim == size for dim, size in zip(declared, value.shape, strict=True)
    )
    if declared and not fits:
        shape = ", ".join("?" if dim is None else str(dim) for dim in declared)
        _fail(f"input '{meta.name}' has shape {value.shape}; the model declares ({shape})")


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)


def _fail(text: str) -> None:
    raise CaseError(text, stage="inputs", kind="input error")


STORED = "stored"
GENERATED = "generated"


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseData:
    """One set of inputs."""

    name: str
    """`test_data_set_0`, or `generated (seed 0)`."""

    origin: str
    """`stored` or `generated`."""

    inputs: Mapping[str, Value]
    references: Mapping[str, Value] | None
    """Stored outputs; `None` if there are none."""

    assumed_axes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """By input, the axes whose size nobody gave."""

    note: str | None = None
    """What looks like test data and is not read, for people."""


def case_data(session: onnxruntime.InferenceSession, case: Case, settings: ExecutionSettings) -> Iterator[CaseData]:
    """Yield the data sets of a case, read or generated one by one; at least one.

    Raises:
        CaseError: Stage `inputs`, if data is given or asked for, and absent, or does not fit the model.
    """
    given = settings.given
    if given.inputs is not None:
        inputs = given_inputs(given.inputs, session, cast_floats=case.precision is not None)
        found = iter([CaseData(name=GIVEN, origin=STORED, inputs=inputs, references=None)])
    else:
        found = _found_data(session, case, settings)
    for data in found:
        if given.references is not None:
            yield dataclasses.replace(data, references=given_references(given.references, session))
        else:
            # another model's outputs are computed, whatever is stored
            yield dataclasses.replace(data, references=None) if given.reference_model else data


def _found_data(session: onnxruntime.InferenceSession, case: Case, settings: ExecutionSettings) -> Iterator[CaseData]:
    folder = _data_folder(case)
    if folder is not None and _stored_wanted(case, settings):
        for data_set in find_data_sets(folder):
            yield _stored(session, case, data_set)
    elif settings.input_source == "zoo":
        raise CaseError(
            f"no stored test data for {case.model.name}; --ortperf-input=zoo takes nothing else. "
            f"Name its folder with test_data in the model list, or use --ortperf-input=auto",
            stage="inputs",
            kind="input error",
        )
    if generates_inputs(case, settings):
        yield from _seeded(session, case, settings)


def stored_sets(case: Case, settings: ExecutionSettings) -> int:
    """Return how many stored data sets a case has; 0 if its inputs are given or generated.

    Raises:
        CaseError: Stage `inputs`, if their folder cannot be read.
    """
    folder = _data_folder(case)
    if settings.given.inputs is not None or folder is None or not _stored_wanted(case, settings):
        return 0
    return len(find_data_sets(folder))


def generates_inputs(case: Case, settings: ExecutionSettings) -> bool:
    """Whether inputs of a case are generated, alone or beside stored ones."""
    stored = _data_folder(case) is not None and _stored_wanted(case, settings)
    wanted = settings.input_source != "zoo" and (bool(settings.seeds) or not stored)
    return wanted and settings.given.inputs is None


def _data_folder(case: Case) -> Path | None:
    if case.precision == "fp16" and case.model.test_data_fp16 is not None:
        return case.model.test_data_fp16
    return case.model.test_data


def _seeded(session: onnxruntime.InferenceSession, case: Case, settings: ExecutionSettings) -> Iterator[CaseData]:
    """Yield generated data of each seed; inputs that no seed changes only once."""
    seen: set[str] = set()
    for seed in range(settings.seed, settings.seed + (settings.seeds or 1)):
        data = _generated(session, case, settings, seed)
        found = values_hash(data.inputs) if settings.seeds else ""
        if not seen or found not in seen:
            yield data
        seen.add(found)


def _stored_wanted(case: Case, settings: ExecutionSettings) -> bool:
    # chosen dimensions need inputs of that size, which stored ones have only by chance
    return settings.input_source == "zoo" or (settings.input_source == "auto" and not case.dims)


def _stored(session: onnxruntime.InferenceSession, case: Case, data_set: DataSet) -> CaseData:
    cast = case.precision is not None
    inputs = read_inputs(
        data_set,
        session.get_inputs(),
        case.model,
        overridable=session.get_overridable_initializers(),
        cast_floats=cast,
    )
    references = read_outputs(data_set, session.get_outputs(), case.model)
    names = [meta.name for meta in (*session.get_inputs(), *session.get_overridable_initializers())]
    names += [meta.name for meta in session.get_outputs()]
    left = [*data_set.passed_over, *unused_arrays(data_set, names)]
    return CaseData(
        name=data_set.name,
        origin=STORED,
        inputs=inputs,
        references=references or None,
        note=f"test data passed over: {', '.join(left)}" if left else None,
    )


def _generated(session: onnxruntime.InferenceSession, case: Case, settings: ExecutionSettings, seed: int) -> CaseData:
    # static ones are in the inputs' shapes already
    dims = {} if fixes_dims(case, settings) else dict(case.dims)
    metas = session.get_inputs()
    inputs = generate_inputs(
        metas, model=case.model, dims=dims, assumed=dict(case.assumed), seed=seed, variation=case.variation
    )
    references = None
    if case.model.stored_outputs and settings.input_source != "random" and not case.dims:
        outputs = DataSet(name=GENERATED, path=case.model.path.parent, inputs=(), outputs=case.model.stored_outputs)
        references = read_outputs(outputs, session.get_outputs(), case.model)
    varied = f", variation {case.variation}" if case.variation else ""
    name = f"{GENERATED} (seed {seed}{varied})"
    return CaseData(
        name=name,
        origin=GENERATED,
        inputs=inputs,
        references=references,
        assumed_axes=_assumed_axes(metas, case),
    )


def _assumed_axes(metas: Sequence[Meta], case: Case) -> dict[str, tuple[int, ...]]:
    assumed = dict(case.assumed).keys() - dict(case.dims).keys()
    axes = {
        meta.name: tuple(n for n, dim in enumerate(meta.shape) if dimension_key(meta.name, n, dim) in assumed)
        for meta in metas
        if rule_for(case.model.inputs, meta.name).shape is None
    }
    return {name: found for name, found in axes.items() if found}


def tensor_facts(data: CaseData) -> tuple[TensorFact, ...]:
    """Return name, type and shape of each input as fed."""
    return tuple(
        TensorFact(
            name=name,
            dtype=str(value.dtype) if isinstance(value, np.ndarray) else type(value).__name__,
            shape=tuple(int(size) for size in value.shape) if isinstance(value, np.ndarray) else None,
            origin=data.origin,
            assumed_axes=data.assumed_axes.get(name, ()),
        )
        for name, value in data.inputs.items()
    )


def batch_of(
    session: onnxruntime.InferenceSession, inputs: Mapping[str, Value], batch_dim: str | None = None
) -> int | None:
    """Return the size of the dimension that calls itself a batch, wherever it stands; else the leading dimension.

    The leading dimension counts where all inputs with more than one dimension agree on it, by convention, whether it
    has a name or not. `None` is unknown.

    Args:
        session: Of the case.
        inputs: As fed.
        batch_dim: Name that the model list gives the batch; otherwise a name that begins with `batch`.
    """
    arrays = {name: value for name, value in inputs.items() if isinstance(value, np.ndarray)}
    known = [(meta, arrays[meta.name].shape) for meta in session.get_inputs() if meta.name in arrays]
    named = {
        size
        for meta, shape in known
        for dim, size in zip(meta.shape or (), shape, strict=False)
        if isinstance(dim, str) and (dim == batch_dim if batch_dim else dim.lower().startswith("batch"))
    }
    sizes = named if len(named) == 1 else {shape[0] for _, shape in known if len(shape) > 1}
    return int(sizes.pop()) if len(sizes) == 1 else None


def cast_floats(values: Mapping[str, Value], metas: Sequence[Meta]) -> dict[str, Value]:
    """Return the values with float tensors, in sequences too, in the precision of the metas; others as they are."""
    types = {meta.name: parse_type(meta.type) for meta in metas}
    return {name: as_floats(value, types[name].dtype) if name in types else value for name, value in values.items()}
