"""The model of a case in the precision it asks for, and with the shapes that its provider needs.

Shapes inside a model: inferred symbolically where a provider asks for them, or made static by the user's choice.
"""

from __future__ import annotations

import dataclasses
import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx
import onnxruntime

from pytest_ortperf.cases.matrix import Case
from pytest_ortperf.errors import CaseError, CaseSkipped
from pytest_ortperf.execution.case_settings import ExecutionSettings
from pytest_ortperf.execution.machine.tensorrt_libraries import preload_tensorrt, tensorrt_version
from pytest_ortperf.execution.model.artifact_cache import MODEL, Artifact, ArtifactCache, default_folder
from pytest_ortperf.execution.model.external_data import check_external_data, external_files, load_external_data
from pytest_ortperf.execution.model.float32_nodes import LARGEST
from pytest_ortperf.execution.model.fp16 import CONVERTED, NOTHING, fp16_model, save
from pytest_ortperf.execution.model.model_dimensions import free_dims, require_dimensions
from pytest_ortperf.execution.model.model_file import (
    ENGINE,
    check_model_file,
    inspect_precision,
    load_graph,
    mentions_half,
)
from pytest_ortperf.execution.model.model_hash import content_key, model_sha256
from pytest_ortperf.records.record import ModelFact

_RECIPE = 1


def wants_shape_inference(error_text: str) -> bool:
    """Whether a provider refused a model because shapes inside it are unknown; TensorRT's words are known."""
    return "run shape inference" in error_text


def infer_shapes(path: Path, cache: ArtifactCache) -> Artifact:
    """Return the model with the shapes inside it, from the cache or inferred now.

    By ONNX Runtime's symbolic inference; where that gives up, by onnx's own, and the fact `note` says so.

    Raises:
        CaseError: Stage `model`: sympy is missing, or no inference takes the model.
    """
    if importlib.util.find_spec("sympy") is None:
        raise _error("symbolic shape inference needs sympy; install it with: pip install 'pytest-ortperf[symbolic]'")
    try:
        key = {
            "what": f"shapes {_RECIPE}",
            "content": content_key(path, cache),
            "onnx": onnx.__version__,
            "onnxruntime": onnxruntime.__version__,
        }
        return cache.get(key, lambda folder: _make(path, folder))
    except Exception as error:
        raise _error(f"{path}: no shapes could be inferred ({type(error).__name__}: {error})") from error


def _make(path: Path, folder: Path) -> Mapping[str, Any]:
    external = bool(external_files(onnx.load_model(path, load_external_data=False)))
    note = "symbolic shape inference"
    try:
        inferred = _symbolic(path)
    except Exception as error:  # noqa: BLE001 - it raises whatever its bookkeeping trips over
        note = f"shape inference by onnx: the symbolic one failed ({type(error).__name__}: {error})"
        onnx.shape_inference.infer_shapes_path(path, folder / MODEL, data_prop=True)
        if not external:
            return {"note": note}
        inferred = onnx.load_model(folder / MODEL, load_external_data=False)
        load_external_data(inferred, path.parent)
    save(inferred, folder / MODEL, external=external)
    return {"note": note}


def _symbolic(path: Path) -> onnx.ModelProto:
    from onnxruntime.tools.symbolic_shape_infer import SymbolicShapeInference

    # merging differing symbolic dimensions is what ONNX Runtime advises for TensorRT
    model = onnx.load_model(path, load_external_data=False)
    load_external_data(model, path.parent)
    inferred: onnx.ModelProto = SymbolicShapeInference.infer_shapes(model, auto_merge=True)
    return inferred


def _error(message: str) -> CaseError:
    return CaseError(message, stage="model", kind="model error")


FP16_IN_FP32 = "fp16 storage, fp32 compute"
"""Such a provider has no half-precision kernels for most operators: it casts around fp32 ones."""

BY_OPTION = "provider option"

STRONGLY_TYPED_MAJOR = 11

_MOST_NAMES = 3
"""Of weights, in a note."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedModel:
    """What a session is made of."""

    source: str
    """Path, as `onnxruntime.InferenceSession` takes it."""

    given: Path
    """The user's file that it comes from."""

    fact: ModelFact
    artifacts: tuple[Artifact, ...] = ()
    """Keep what the session reads from being evicted."""

    has_inferred_shapes: bool = False
    free_dims: tuple[str, ...] = ()
    """What the dimensions without a size of the inputs are called; see `dimension_key`."""


def prepare_model(case: Case, settings: ExecutionSettings, *, trtexec_version: str | None = None) -> PreparedModel:
    """Return the model as given, its stored fp16 twin, or one converted and cached.

    Args:
        case: Whose model.
        settings: Where converted models are cached, and how they are made.
        trtexec_version: The version of TensorRT that runs the case, where that is trtexec's.

    Raises:
        CaseError: Stage `model`, `precision`, or `inputs` for a dimension that the model's entry invents.
        CaseSkipped: If the model has not a dimension that the command line gives, or nothing to convert to fp16.
    """
    stored = case.model.fp16_path if case.precision == "fp16" else None
    path = stored or case.model.path
    size = check_model_file(path, case.model)
    given = _as_given(path, size, settings)
    require_dimensions(case, given.free_dims)
    if case.precision == "fp16" and stored is None:
        prepared = _fp16(case, settings, given, trtexec_version or _tensorrt_version(case, settings))
    else:
        if stored and given.fact.precision == "fp32" and not mentions_half(path):
            raise _no_half(path, case)
        prepared = _with_fact(given, fp16_from="stored" if stored else None)
    if case.provider.half_precision == "fp32" and prepared.fact.precision == "fp16":
        known = dataclasses.replace(prepared.fact, compute_precision="fp32")
        prepared = dataclasses.replace(prepared, fact=noted(known, FP16_IN_FP32))
    return _with_shapes(prepared, settings) if case.model.symbolic_shapes else prepared


def second_try(prepared: PreparedModel, error: CaseError, settings: ExecutionSettings) -> PreparedModel:
    """Return what to make the session from after it could not be made: the model with inferred shapes.

    Raises:
        CaseError: The error given, if inferred shapes are not what it asks for.
    """
    if prepared.has_inferred_shapes or not wants_shape_inference(str(error.__cause__ or error)):
        raise error
    try:
        return _with_shapes(prepared, settings)
    except CaseError as failed:
        raise CaseError(f"{error}\n{failed}", stage=error.stage, kind=error.kind) from error


def fp16_by_option(case: Case, tensorrt: str | None = None) -> bool:
    """Whether TensorRT is given the model as it is and told to use half precision, instead of a converted model.

    Args:
        case: What is asked for.
        tensorrt: Version of TensorRT; 11 and later take precision from the model alone.
    """
    major = int(tensorrt.partition(".")[0]) if tensorrt else 0
    by_option = case.provider.uses_tensorrt and case.precision == "fp16" and case.model.fp16_path is None
    return by_option and major < STRONGLY_TYPED_MAJOR


def noted(fact: ModelFact, *notes: str | None) -> ModelFact:
    """Return a fact whose note says these things too."""
    known = (fact.note, *notes)
    return dataclasses.replace(fact, note="; ".join(dict.fromkeys(text for text in known if text)) or None)


def cache_of(settings: ExecutionSettings) -> ArtifactCache:
    """Return the cache that the settings choose."""
    return ArtifactCache(settings.cache or default_folder(), settings.cache_limit_byte)


def _as_given(path: Path, size: int, settings: ExecutionSettings) -> PreparedModel:
    model = load_graph(path, size)
    check_external_data(model, path)
    sha256 = model_sha256(path, external_files(model), cache_of(settings))
    fact = ModelFact(path=str(path), byte=size, precision=inspect_precision(model), sha256=sha256)
    return PreparedModel(source=str(path), given=path, fact=fact, free_dims=free_dims(model))


def _fp16(case: Case, settings: ExecutionSettings, given: PreparedModel, tensorrt: str | None) -> PreparedModel:
    if given.fact.precision == ENGINE:
        raise CaseError(
            f"{given.given} holds an engine that was compiled in its own precision; there is no fp16 variant to make. "
            f"Leave out --ortperf-fp16, or compile an engine in fp16 and give it as fp16_path",
            stage="precision",
            kind="precision error",
        )
    if given.fact.precision != "fp16" and fp16_by_option(case, tensorrt):
        return _with_fact(given, fp16_from=BY_OPTION)
    rule = dataclasses.replace(case.model.fp16, io=settings.fp16_io or case.model.fp16.io)
    twin = fp16_model(given.given, rule, cache_of(settings))
    how, weights = twin.facts["how"], twin.facts.get("weights", ())
    if how == NOTHING:
        raise CaseSkipped(_nothing_text(twin.facts["operators"], weights))
    if how != CONVERTED:
        return _noted(_with_fact(given, fp16_from=how), twin.note)
    fact = dataclasses.replace(
        given.fact,
        path=str(twin.model),
        byte=twin.model.stat().st_size,
        precision="fp16",
        fp16_from=how,
        fp16_clipped=twin.facts["clipped"],
        fp16_flushed=twin.facts["flushed"],
    )
    prepared = dataclasses.replace(given, source=str(twin.model), fact=fact, artifacts=(twin,))
    clipped = f"{fact.fp16_clipped} values clipped to ±{LARGEST:.0f}" if fact.fp16_clipped else None
    kept = f"float32 around weights that float16 cannot hold: {_listed(weights)}" if weights else None
    return _noted(prepared, twin.note, clipped, kept)


def loss_text(fact: ModelFact | None) -> str | None:
    """Return how many weights of a converted model are others now; `None` if none is."""
    if fact is None or not (fact.fp16_clipped or fact.fp16_flushed):
        return None
    counts = ((fact.fp16_clipped, f"clipped to ±{LARGEST:.0f}"), (fact.fp16_flushed, "flushed to 0"))
    texts = [f"{count} value{'' if count == 1 else 's'} {what}" for count, what in counts if count]
    return f"converted to fp16 with {' and '.join(texts)}"


def _nothing_text(operators: Sequence[str], weights: Sequence[str]) -> str:
    if not operators:
        return "nothing to convert to fp16: the model has no float32 tensors"
    if weights:
        why = f"weights that float16 cannot hold keep all nodes float32: {_listed(weights)}"
        return f"nothing to convert to fp16: {why} ({', '.join(operators)})"
    return f"nothing to convert to fp16: all nodes stay float32 ({', '.join(operators)})"


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return ", ".join(f"'{name}'" for name in names[:_MOST_NAMES]) + more


def _no_half(path: Path, case: Case) -> CaseError:
    return CaseError(
        f"{path} holds no float16, and {case.model.origin} names it as fp16_path: its weights are fp32; "
        f"name a converted model, or leave fp16_path out to have {case.model.path.name} converted",
        stage="precision",
        kind="precision error",
    )


def _tensorrt_version(case: Case, settings: ExecutionSettings) -> str | None:
    if not case.provider.uses_tensorrt:
        return None
    if settings.workspace is not None:
        preload_tensorrt(settings.workspace)
    return tensorrt_version()


def _with_shapes(prepared: PreparedModel, settings: ExecutionSettings) -> PreparedModel:
    inferred = infer_shapes(Path(prepared.source), cache_of(settings))
    again = dataclasses.replace(
        prepared,
        source=str(inferred.model),
        artifacts=(*prepared.artifacts, inferred),
        has_inferred_shapes=True,
    )
    return _noted(again, inferred.facts["note"], inferred.note)


def _with_fact(prepared: PreparedModel, *, fp16_from: str | None) -> PreparedModel:
    return dataclasses.replace(prepared, fact=dataclasses.replace(prepared.fact, fp16_from=fp16_from))


def _noted(prepared: PreparedModel, *notes: str | None) -> PreparedModel:
    return dataclasses.replace(prepared, fact=noted(prepared.fact, *notes))
