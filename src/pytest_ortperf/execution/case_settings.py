"""How cases are run: what the options say, for the stage that runs them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pytest_ortperf.cases.keys import EMPTY
from pytest_ortperf.cases.rules import Fp16Io, Tolerance

InputSource = Literal["auto", "zoo", "random"]
GraphOptimization = Literal["disable", "basic", "extended", "all"]
TensorrtCache = Literal["off", "run", "persistent"]
EnvironmentGate = Literal["off", "warn", "strict"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """A trtexec program that answers."""

    path: str
    version: tuple[int, int, int]
    build_tag: str | None = None
    flags: Mapping[str, str] = field(default_factory=dict)
    """Name of each flag without its dashes -> section of `--help`: `Model`, `Build`, `Inference`, `Reporting` ..."""

    @property
    def version_text(self) -> str:
        """Return `10.16.1`."""
        return ".".join(map(str, self.version))

    def as_builtins(self) -> dict[str, Any]:
        """Return what pytest-xdist can carry to its workers."""
        return {
            "path": self.path,
            "version": list(self.version),
            "build_tag": self.build_tag,
            "flags": dict(self.flags),
        }


def tool_of_builtins(data: Mapping[str, Any]) -> Tool:
    """Return the tool that `Tool.as_builtins` took apart."""
    major, minor, patch = data["version"]
    return Tool(path=data["path"], version=(major, minor, patch), build_tag=data["build_tag"], flags=data["flags"])


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownValidation:
    """What is known of the validation of a case that is benchmarked."""

    passed: bool = False
    sha256: str | None = None
    """Of the model that passed; `None` if its record does not tell."""

    run: str | None = None
    """The stored run that it passed in; `None` is this one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenData:
    """Data of a call in a user's own test; `None` is *not given*."""

    inputs: Mapping[str, Any] | None = None
    """Arrays by input name."""

    references: Mapping[str, Any] | None = None
    """Arrays by output name."""

    reference_model: Path | None = None
    """Another model, whose outputs on the CPU are the reference."""


_LEAST_BUDGET_S, _MOST_BUDGET_S, _MOST_MIN_S = 1.0, 60.0, 2.0
_MIN_SHARE = 6


def sampling_times_s(precision_target: float) -> tuple[float, float]:
    """Return the least and most seconds of timed iterations that suit a precision target, a share of the median.

    3 s at the default of 3 %; the time grows with the square of the precision, as the width of an interval shrinks
    with the root of the number of samples: 27 s at 1 %.
    """
    settings = ExecutionSettings()
    most = settings.max_time_s * (settings.precision_target / precision_target) ** 2
    most = min(max(most, _LEAST_BUDGET_S), _MOST_BUDGET_S)
    return min(most / _MIN_SHARE, _MOST_MIN_S), most


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionSettings:
    """Settings of `pytest_ortperf.execution.execute`; the defaults are the product's."""

    input_source: InputSource = "auto"
    """`zoo` is stored data only, `random` generated only, `auto` stored where there are some."""

    given: GivenData = field(default_factory=GivenData)
    """Over what `input_source` says."""

    seed: int = 0
    """Of generated inputs."""

    seeds: int | None = None
    """Seeds from `seed` on, each a data set, beside stored ones too; `None` is one where nothing is stored."""

    checks: frozenset[str] = frozenset({"repeat", "batch"})
    """What a validation checks of a case's own outputs."""

    iterations: int | None = None
    """Timed iterations; `None` times until the median is precise enough."""

    warmup: int | None = None
    """Warm-up iterations; `None` runs until two windows of them agree."""

    precision_target: float = 0.03
    """Half-width of the median's 95 % interval, as a share of the median, at which sampling ends."""

    min_time_s: float = 0.5
    """Of timed iterations, where `iterations` is not given; less if `max_time_s` is."""

    max_time_s: float = 3.0
    """Likewise; each timing mode has its own."""

    keep_samples: bool = True
    """Whether the record holds the samples themselves, not their statistics alone."""

    timing: tuple[str, ...] = ()
    """Of `TIMINGS`, the headline first; empty is `bound` and `host` on devices, `host` elsewhere."""

    data_sets: Literal["first", "each"] = "first"
    """Stored data sets that a benchmark times."""

    concurrency: int | None = None
    """Threads on one session, in a measurement of its own; `None` is no such measurement."""

    rotate_inputs: int | None = None
    """Buffers that iterations take in turn; `None` chooses by the size of inputs and cache."""

    device_graph: bool = False
    """Whether sessions capture and replay a CUDA graph: set by the timing mode `graph` for its own."""

    tolerance: Tolerance = field(default_factory=Tolerance)
    """Over those of the model list and the defaults by precision."""

    graph_optimization: GraphOptimization | None = None
    """Over that of the model list; `None` leaves it to the list, else ONNX Runtime's `all`."""

    threads: int | None = None
    """Intra-op threads, likewise."""

    inter_op_threads: int | None = None
    execution_mode: Literal["sequential", "parallel"] | None = None
    session_config: Mapping[str, str] = field(default_factory=lambda: EMPTY)
    """Session config entries, over those of the model list."""

    custom_op_libraries: tuple[str, ...] = ()
    plugins: Mapping[str, str] = field(default_factory=lambda: EMPTY)
    """Full name of a plugin provider -> its library."""

    devices: Mapping[str, str] = field(default_factory=lambda: EMPTY)
    """Short name of a provider -> its device, as its option or plugin takes it."""

    unusable: Mapping[str, str] = field(default_factory=lambda: EMPTY)
    """Short name of a provider asked for -> why no session can be made on it here."""

    max_fallback_percent: float = 100.0
    """Share of nodes that may lie on other providers than the one asked for; all of them never may."""

    operators: Literal["auto", "on", "off"] = "auto"
    """Whether the operators of a benchmark are timed in one more session; `auto` where that is short."""

    keep: frozenset[str] = frozenset()
    """Of `log`, `profile`, `graph`: files of each case to keep."""

    keep_folder: Path | None = None

    trt_cache: TensorrtCache = "run"
    """How long TensorRT's engines and timings are kept: not at all, for the run, or for good."""

    trt_cache_folder: Path | None = None
    """Where; `None` is nowhere for `run`, and the user's own cache folder for `persistent`."""

    ep_options: Mapping[str, Mapping[str, str]] = field(default_factory=lambda: EMPTY)
    """Provider options by short name; over those of the model list, key by key."""

    cache: Path | None = None
    """Folder of converted models; `None` is the user's cache folder."""

    cache_limit_byte: int = 10 * 2**30
    """What the cache may hold; beyond it goes what was used longest ago."""

    fp16_io: Fp16Io | None = None
    """Over that of the model list; `None` leaves it to the list, else `keep`."""

    track_memory: bool = True
    """Whether a benchmark takes memory, energy and clocks."""

    fix_dims: bool = False
    """Whether dimension values are made static in sessions, for all models."""

    environment: EnvironmentGate = "warn"
    """Whether the machine is looked at, and whether an unfit one ends a benchmark."""

    unfit: tuple[str, ...] = ()
    """What makes the machine unfit for the whole run, for messages."""

    workspace: Path | None = None
    trtexec: Path | None = None
    """The program, as the user names it; `None` looks for it."""

    trtexec_tool: Tool | None = None
    """The program that answered once for all cases; `None` asks it where it is needed."""
