"""Where TensorRT keeps engines and timings: nowhere, for the run, or for good under a key that no change survives.

Whether TensorRT built its engines for a session, or read them from its cache.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pytest_ortperf.cases.matrix import Case
from pytest_ortperf.execution.case_settings import ExecutionSettings
from pytest_ortperf.execution.machine.devices import nvml_gpus
from pytest_ortperf.execution.machine.tensorrt_libraries import tensorrt_version
from pytest_ortperf.execution.model.artifact_cache import Artifact, ArtifactCache
from pytest_ortperf.execution.model.model_dimensions import fixes_dims
from pytest_ortperf.execution.model.model_hash import content_key
from pytest_ortperf.execution.model.precision import cache_of
from pytest_ortperf.execution.session.session_config import session_config_of
from pytest_ortperf.records.environment.host import collect_environment
from pytest_ortperf.records.record import SessionFact

_CLOCK_STEP_NS = 20_000_000
"""A file's time comes from a clock that the kernel moves on less often than the one that is asked."""


def engines_of(session: SessionFact, since_ns: int) -> str | None:
    """Return `built` if a session wrote an engine file, `loaded` if it found them, else `None`.

    Without a cache each session builds its own; with dynamic dimensions and no profile, the first run does.

    Args:
        session: As made, with the options it got.
        since_ns: When its creation began, on the clock of `time.time_ns`.
    """
    folders = [it["trt_engine_cache_path"] for it in session.provider_options.values() if "trt_engine_cache_path" in it]
    times = [path.stat().st_mtime_ns for folder in folders for path in Path(folder).glob("*.engine")]
    if not times:
        return None
    return "built" if max(times) >= since_ns - _CLOCK_STEP_NS else "loaded"


_NOT_OF_THE_ENGINE = frozenset(
    {
        "trt_context_memory_sharing_enable",
        "trt_cuda_graph_enable",
        "trt_detailed_build_log",
        "trt_dump_ep_context_model",
        "trt_dump_subgraphs",
        "trt_engine_cache_enable",
        "trt_engine_cache_path",
        "trt_engine_cache_prefix",
        "trt_ep_context_embed_mode",
        "trt_ep_context_file_path",
        "trt_force_sequential_engine_build",
        "trt_timing_cache_enable",
        "trt_timing_cache_path",
    }
)
"""Options that leave the engine as it is; any other, one we do not know included, gives another engine."""

_KEY_CHARACTERS = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Builder:
    """What builds an engine: an engine of another one is never looked for."""

    onnxruntime: str | None
    tensorrt: str | None
    cuda: str | None
    driver: str | None
    gpus: tuple[str, ...]
    """Names of all GPUs, which fix their compute capabilities."""

    visible: str | None
    """`CUDA_VISIBLE_DEVICES`: it decides which GPU a device id means."""

    tf32_override: str | None = None
    """`NVIDIA_TF32_OVERRIDE`: it decides whether kernels of TF32 may be chosen."""


def cache_options(
    source: str | bytes, case: Case, settings: ExecutionSettings, options: Mapping[str, str]
) -> dict[str, str]:
    """Return the cache options of a case; the folders exist then.

    Args:
        source: The model that the session is made of.
        case: In mode `run` its engines are its own: else the validation's would make the benchmark's session warm.
        settings: Which cache, and where.
        options: All other provider options of the case.
    """
    folders = engine_folders(source, case, settings, options)
    if folders is None:
        return {"trt_engine_cache_enable": "False", "trt_timing_cache_enable": "False"}
    return {
        "trt_engine_cache_enable": "True",
        "trt_engine_cache_path": str(folders[0]),
        "trt_timing_cache_enable": "True",
        "trt_timing_cache_path": str(folders[1]),
    }


def engine_folders(
    source: str | bytes,
    case: Case,
    settings: ExecutionSettings,
    options: Mapping[str, str],
    tensorrt: str | None = None,
) -> tuple[Path, Path] | None:
    """Return the folders of a case's engines and of the timings of whoever builds them; `None` if none are kept.

    Args:
        source: As `cache_options`.
        case: As `cache_options`.
        settings: As `cache_options`.
        options: As `cache_options`.
        tensorrt: What builds the engine, such as `trtexec 10.16.1`, where ONNX Runtime does not.
    """
    if settings.trt_cache == "persistent":
        return _persistent(source, case, settings, options, tensorrt)
    if settings.trt_cache == "off" or settings.trt_cache_folder is None:
        return None
    # two lists, and two tests of a user's own, may each have a case of this id
    folder = settings.trt_cache_folder / _hash([case.model.origin, case.case_id])
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder, folder


def _persistent(
    source: str | bytes, case: Case, settings: ExecutionSettings, options: Mapping[str, str], tensorrt: str | None
) -> tuple[Path, Path]:
    """Return the folders of a case's engines, and of the timings that all models of this builder share."""
    builder = this_builder(settings.workspace)
    if tensorrt is not None:
        builder = dataclasses.replace(builder, tensorrt=tensorrt, onnxruntime=None)
    engines = engine_key(model_key(source, case, settings), builder, options)
    cache = cache_of(settings)
    folder = settings.trt_cache_folder or cache.folder
    held = _held(folder, cache.limit_byte, engines, _hash(dataclasses.asdict(builder)))
    return held[0].folder, held[1].folder


@functools.lru_cache(maxsize=1)
def _held(folder: Path, limit_byte: int, engines: str, timings: str) -> tuple[Artifact, Artifact]:
    """Return what this process keeps from eviction until it asks for others, for sessions read and write there."""
    cache = ArtifactCache(folder, limit_byte)
    # first, so that they are held when what the engines have grown to makes something go
    of_builder = cache.get({"TensorRT timings": timings}, _nothing_yet)
    return cache.get({"TensorRT engines": engines}, _nothing_yet, grows=True), of_builder


def _nothing_yet(_: Path) -> Mapping[str, str]:
    return {}


def engine_key(model: Mapping[str, object], builder: Builder, options: Mapping[str, str]) -> str:
    """Return what the engines of one model, builder and set of options are kept under."""
    of_engine = {key: value for key, value in options.items() if key not in _NOT_OF_THE_ENGINE}
    return _hash({"model": dict(model), "builder": dataclasses.asdict(builder), "options": of_engine})


def model_key(source: str | bytes, case: Case, settings: ExecutionSettings) -> dict[str, object]:
    """Return the model's content, its external data's, and what else changes the graph that TensorRT gets."""
    if isinstance(source, bytes):
        content: Mapping[str, str | None] = {"model": hashlib.sha256(source).hexdigest()}
    else:
        content = content_key(Path(source), cache_of(settings))
    fixed = dict(case.dims) if fixes_dims(case, settings) else {}
    return {
        **content,
        "graph optimisation": session_config_of(case, settings).graph_optimization,
        "fixed dimensions": fixed,
    }


@functools.cache
def this_builder(workspace: Path | None) -> Builder:
    """Return what would build an engine here; TensorRT's version is that of the library that loads."""
    environment = collect_environment(nvml_gpus(), workspace=workspace)
    return Builder(
        onnxruntime=environment.onnxruntime_distribution,
        tensorrt=tensorrt_version() or environment.tensorrt,
        cuda=environment.cuda,
        driver=environment.driver,
        gpus=tuple(gpu.name for gpu in environment.gpus),
        visible=os.environ.get("CUDA_VISIBLE_DEVICES"),
        tf32_override=os.environ.get("NVIDIA_TF32_OVERRIDE"),
    )


def remove_run_cache(settings: ExecutionSettings) -> None:
    """Remove the engines and timings of a run that keeps them no longer than itself."""
    if settings.trt_cache == "run" and settings.trt_cache_folder is not None:
        shutil.rmtree(settings.trt_cache_folder, ignore_errors=True)


def _hash(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:_KEY_CHARACTERS]
