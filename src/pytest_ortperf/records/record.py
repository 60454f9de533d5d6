"""The record of one case: what happened, with absent things absent (`None`), never 0.

Times are integer nanoseconds, sizes integer bytes. Identity holds no clock, host or counter.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from pytest_ortperf.records.checks import LeakCheck, ThreadCheck, ValgrindCheck
from pytest_ortperf.records.environment.machine_checks import Canary, MachineState
from pytest_ortperf.records.latency import Latency
from pytest_ortperf.records.operators import OperatorProfile
from pytest_ortperf.records.pictures import ErrorPicture
from pytest_ortperf.records.program import ProgramFact
from pytest_ortperf.records.resources import Resources

STAGES = (
    "settings",
    "lease",
    "model",
    "precision",
    "inputs",
    "session",
    "placement",
    "first_run",
    "warm_up",
    "timing",
    "concurrency",
    "resources",
    "profile",
    "reference",
    "comparison",
    "consistency",
    "leaks",
    "threads",
    "limits",
    "teardown",
)
"""Where a case can end, in the order of the flow."""

FAILURE_KINDS = (
    "model error",
    "input error",
    "precision error",
    "session error",
    "provider unavailable",
    "fallback",
    "runtime error",
    "result accuracy issue",
    "timing unavailable",
    "limit",
    "leak",
    "race",
    "environment",
    "crash",
    "timeout",
    "internal error",
)
"""Classes of failure, stable over runs: comparisons look at these, not at message texts."""

TIMINGS = ("host", "bound", "bound+copies", "graph")
"""What the clock can cover; see `pytest_ortperf.execution.timing.timing_modes`."""

VALIDATED, NEVER_VALIDATED, OTHERWISE_VALIDATED = "validated", "never validated", "validated with another model"
"""What the `validation` of a benchmark begins with."""

OUTCOMES = ("passed", "failed", "crashed", "timed_out", "skipped", "xfailed", "xpassed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why a case did not pass."""

    kind: str
    """One of `FAILURE_KINDS`."""

    stage: str | None
    """One of `STAGES`; `None` if it died before the first."""

    message: str
    signal: int | None = None
    """Number of the signal that ended the process."""

    exit_code: int | None = None
    """Exit status of a process that ended by itself without a result."""

    log_tail: tuple[str, ...] = ()
    """Last lines the process wrote to its standard output and error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorFact:
    """One input or output as it was fed or got."""

    name: str
    dtype: str
    """As ONNX Runtime names it inside `tensor(...)`: `float`, `int64`; or the whole type of a non-tensor."""

    shape: tuple[int, ...] | None
    """`None` for sequences, maps and optionals."""

    origin: str
    """Of inputs: `stored` or `generated`; of outputs `computed`."""

    assumed_axes: tuple[int, ...] = ()
    """Axes whose size nobody gave: it was assumed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFact:
    """The model file that really ran."""

    path: str
    byte: int
    """Size of the `.onnx` file, external data not counted."""

    precision: str | None
    """What its weights are: `fp32`, `fp16`, `bf16`, `int8`, `mixed`; `None` if nothing tells."""

    fp16_from: str | None = None
    """`stored` or `converted` where an fp16 variant was asked for."""

    fp16_clipped: int | None = None
    """Values of converted weights that float16 cannot hold and that became the largest it has."""

    fp16_flushed: int | None = None
    """Values of converted weights that are too small for float16 and became 0."""

    compute_precision: str | None = None
    """Lowest that the provider may compute its numbers in: `tf32`, `fp32` ...; `None` is what its weights are."""

    note: str | None = None
    """For people, such as `fp16 storage, fp32 compute`; several are joined by semicolons."""

    sha256: str | None = None
    """Of the user's file: the file's own, or of the list of hashes of the file and its external data, where it has any;
    `None` if a file is missing, and in records of older versions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionFact:
    """The session as asked for and as made."""

    requested_providers: tuple[str, ...]
    active_providers: tuple[str, ...]
    provider_options: Mapping[str, Mapping[str, str]]
    graph_optimization: str
    intra_op_threads: int | None
    """`None` is ONNX Runtime's default."""

    creation_ns: int
    second_creation_ns: int | None = None
    first_run_ns: int | None = None
    engines: str | None = None
    """`built` or `loaded`: TensorRT's, by the first session, where they are cached."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """Which provider got which nodes, as ONNX Runtime assigned them: before fusions that a provider makes."""

    nodes_by_provider: Mapping[str, int]
    """Full provider name -> number of nodes."""

    op_types_by_provider: Mapping[str, Mapping[str, int]]
    """Full provider name -> operator type -> number of nodes."""

    source: str
    """`assignment info`, `profile`, or both where the first was incomplete."""

    @property
    def total_nodes(self) -> int:
        """Number of nodes over all providers."""
        return sum(self.nodes_by_provider.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Copies:
    """What it takes to move the inputs of a case to its device and its outputs back, each timed by itself."""

    to_device_ns: float
    """Median over repetitions; all inputs."""

    to_host_ns: float
    to_device_byte: int
    to_host_byte: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Concurrent:
    """Several threads on one session for a fixed time: throughput, not latency of a single stream."""

    timing: str
    """What each iteration covers, as in `Latency`."""

    iterations: tuple[int, ...]
    """Per thread."""

    p50_ns: tuple[float, ...]
    """Per thread: the median latency of its iterations."""

    thread_ns: tuple[int, ...]
    """Per thread: from the common start to the end of its last iteration."""

    wall_ns: int
    """From the common start to the end of the last iteration of all."""

    batch: int | None = None

    @property
    def iterations_per_s(self) -> float:
        """Sum of the threads' rates."""
        return sum(count / taken for count, taken in zip(self.iterations, self.thread_ns, strict=True)) * 1e9

    @property
    def inferences_per_s(self) -> float | None:
        """Iterations times batch; `None` if the batch is unknown."""
        return None if self.batch is None else self.iterations_per_s * self.batch


@dataclass(frozen=True, slots=True, kw_only=True)
class RelativeError:
    """Two errors against one golden output: that of the case, and that of its precision on the CPU."""

    golden: str
    """What counts as exact: `CPU fp64`, or the reference where the CPU has no such kernels."""

    baseline: str
    """What shows the error of the precision: `fp16 on the CPU, graph optimisation off`."""

    rmse: float | None = None
    """Root of the mean squared error of the case."""

    baseline_rmse: float | None = None
    limit: float | None = None
    """What `rmse` may be, from `baseline_rmse`."""

    max_abs_error: float | None = None
    baseline_max_abs_error: float | None = None
    is_explained: bool
    """Whether the precision accounts for the error of the case."""

    note: str
    """Both errors, or why there are none, for people."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsistencyCheck:
    """Something that has to hold between a case's own outputs, whatever the reference."""

    name: str
    """`repeat`: the same inputs twice; `batch`: a row of a batch as on its own."""

    outcome: str
    """`same`: to the bit; `within`: by the tolerance; `broken`; `not made`."""

    fails: bool = False
    max_abs_error: float | None = None
    note: str
    """What was compared and how it differs, or why it was not, for people."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputAccuracy:
    """One output of one data set against its reference."""

    name: str
    dtype: str
    shape: tuple[int, ...] | None
    within_tolerance: bool
    rtol: float
    atol: float
    percent_mismatch_allowed: float
    percent_mismatch: float | None
    """Share of elements outside the tolerance, over the whole output; `None` if shapes or types differ."""

    max_abs_error: float | None = None
    max_rel_error: float | None = None
    message: str | None = None
    """What is wrong, for people; `None` if within tolerance."""

    cosine: float | None = None
    """Of the angle between output and reference over their finite elements; `None` for zeros and text."""

    cosine_least: float | None = None
    """What the policy asks for; `None` if nothing."""

    snr_db: float | None = None
    """Power of the reference to that of the error, in decibels; infinite if there is no error."""

    snr_db_least: float | None = None
    peak_percent: float | None = None
    """Largest error as a share of the largest absolute reference value."""

    peak_percent_allowed: float | None = None
    nonfinite_mismatches: int | None = None
    """Elements where only one of the two is finite, or both are not and differ."""

    worst_index: tuple[int, ...] | None = None
    """Of the element furthest outside, or closest to it; `None` if all elements are the same."""

    worst_output: str | None = None
    """What stands there, as text: numbers of every type, and strings."""

    worst_reference: str | None = None
    needed_atol: float | None = None
    """Smallest with which each element lies within, with `rtol` as it is; `None` if there is none."""

    needed_rtol: float | None = None
    """Smallest, with `atol` as it is."""

    top_k: int | None = None
    """Where rows were compared by their k largest: then the percentages are of rows."""

    elements: int | None = None
    """Of the reference; `None` in records of older versions."""

    nonfinite_references: int = 0
    """Elements that are NaN or infinite in the reference: nothing can be said of their size."""

    is_constant: bool = False
    """Whether all elements of the reference are the same."""

    is_within_atol: bool = False
    """Whether the whole reference is no larger than `atol`, so that zeros would pass."""

    unscaled_atol: float | None = None
    """What `atol` was before it was multiplied by the output's size."""

    relative: RelativeError | None = None
    """Of an output outside its tolerance: how it stands to the error that the precision itself makes."""

    own_error: float | None = None
    """Error in multiples of what its precision makes by itself; `None` where nobody asked, or it cannot be measured."""

    own_error_allowed: float | None = None

    @property
    def compares_nothing(self) -> bool:
        """Whether there is no element whose value could be wrong."""
        return self.elements is not None and self.elements <= self.nonfinite_references

    @property
    def weakness(self) -> str | None:
        """Why a pass says little, for people; `None` if it does not."""
        if self.elements is None:
            return None
        if self.compares_nothing:
            return "no elements" if not self.elements else f"no finite reference value among {self.elements}"
        told = [
            *(
                [f"{self.nonfinite_references} of {self.elements} reference values not finite"]
                if self.nonfinite_references
                else []
            ),
            *([f"all reference values within atol={self.atol:g}"] if self.is_within_atol else []),
            *(["all reference values the same"] if self.is_constant else []),
        ]
        return ", ".join(told) or None

    @property
    def verdict(self) -> str:
        """`pass`, `pass-relative` or `fail`."""
        if self.within_tolerance:
            return "pass"
        return "pass-relative" if self.relative is not None and self.relative.is_explained else "fail"


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSetAccuracy:
    """The verdict of one data set."""

    data_set: str
    """`test_data_set_0`, or `generated` with its seed."""

    reference: str
    """`stored` or `CPU fp32`."""

    outputs: tuple[OutputAccuracy, ...]

    @property
    def within_tolerance(self) -> bool:
        """Whether every output is."""
        return all(output.within_tolerance for output in self.outputs)

    @property
    def passes(self) -> bool:
        """Whether no output fails: those that pass relative to their precision's own error count."""
        return all(output.verdict != "fail" for output in self.outputs)


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitFact:
    """One limit of the model list, and what was measured."""

    name: str
    """Its key in `expect`, such as `p99_ms`; values are in its unit."""

    timing: str | None
    """Timing mode that was asked for; `None` is the headline."""

    limit: float
    value: float | None
    """`None` if it is unknown; the limit is not kept then. `slowdown_percent` has none: comparisons check it."""

    note: str
    """What the value was found from, or why it is unknown."""

    is_kept: bool
    """Whether the case passes it."""

    low: float | None = None
    """Lower end of the value's 95 % interval; `None` where there is none, and the value itself decides."""

    high: float | None = None
    is_unsure: bool = False
    """Whether the limit lies inside that interval: kept unless the model list says `strict`."""

    way_out: str | None = None
    """Of what is unsure: how to settle it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """The outcome of one case."""

    case_id: str
    """`bert::benchmark[cuda-fp16]`: the same on each machine."""

    nodeid: str
    """pytest's: list file, model, label."""

    model: str
    mode: str
    provider: str
    """Short name, as in the case id."""

    provider_full_name: str
    precision: str | None
    """As asked; `None` is the model as given."""

    dims: Mapping[str, int] = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    group: str | None = None
    """What the model belongs to; `None` in records of older versions."""

    line: int | None = None
    """Where the entry begins in the file of the model list, from 1; `None` for a model of a directory or a test."""

    outcome: str
    reason: str | None = None
    """Of a skip or an expected failure; of a passed case why it shows nothing of its provider."""

    failure: Failure | None = None
    started: str
    """ISO 8601, UTC."""

    duration_ns: int | None = None
    """Of the whole case as its own process saw it."""

    stage_ns: Mapping[str, int] = field(default_factory=dict)
    """Time in each stage that was entered."""

    attempt: int = 1
    """Which one in its run at its item, where that was run again; the last one counts."""

    commands: Mapping[str, str] = field(default_factory=dict)
    """What to do with the case, such as `run it again` -> the command, from where pytest was started."""

    worker: str | None = None
    """pytest-xdist worker, such as `gw0`."""

    entry_key: str | None = None
    """Hash of what the model list says of the case; `None` where it comes from no list, or was lost with its worker."""

    isolation: str | None = None
    """`forked`, `pool`, `none`; with the runner where it matters."""

    model_fact: ModelFact | None = None
    session: SessionFact | None = None
    placement: Placement | None = None
    inputs: tuple[TensorFact, ...] = ()
    assumed_dims: Mapping[str, int] = field(default_factory=dict)
    """Size of each dimension that nobody gave one, by its name or `INPUT.AXIS`."""

    latencies: tuple[Latency, ...] = ()
    """One per timing mode; the first is the headline."""

    refused_timings: Mapping[str, str] = field(default_factory=dict)
    """Timing mode that was asked for -> why this case cannot be measured so."""

    timing_notes: Mapping[str, str] = field(default_factory=dict)
    """Timing mode -> what is to be known of its numbers."""

    copies: Copies | None = None
    """Of cases on a device."""

    concurrent: Concurrent | None = None

    operators: OperatorProfile | None = None
    """Where the time of a benchmark's runs goes, from a session of its own; `None` if none was made or read."""

    program: ProgramFact | None = None
    """The external program that ran the case; `None` where ONNX Runtime did."""

    accuracy: tuple[DataSetAccuracy, ...] = ()
    """One per data set; empty if nothing was compared."""

    checks: tuple[ConsistencyCheck, ...] = ()
    """Of validations: the case against itself."""

    leak_check: LeakCheck | None = None
    """Of `ortperf check`, as the next two."""

    valgrind_check: ValgrindCheck | None = None
    thread_check: ThreadCheck | None = None

    validation: str | None = None
    """Of benchmarks: `validated`, `validated in run RUN`, `never validated` or `validated with another model (...)`;
    `None` where nobody asked, and in records of older versions."""

    validation_key: str | None = None
    """Of a failed validation: hash of the model, its entry, the options and the versions that the verdict holds for."""

    error_pictures: tuple[ErrorPicture, ...] = ()
    """Of outputs that failed, a few; what `kept` calls `picture` is drawn from them."""

    limits: tuple[LimitFact, ...] = ()
    """One per limit that holds for the case, if it came as far as that."""

    resources: Resources | None = None
    """Of a benchmark: memory, energy and clocks; `None` if none were taken."""

    machine: MachineState | None = None
    """Of a benchmark: the machine while it was measured; `None` if nobody looked."""

    canary: Canary | None = None
    """Of a benchmark: fixed work on the host just before it; `None` with `--ortperf-env=off`."""

    log: tuple[str, ...] = ()
    """Last lines that ONNX Runtime and the rest of the process printed, without colours."""

    kept: Mapping[str, str] = field(default_factory=dict)
    """Files kept by request: `log`, `profile`, `graph` -> path; `refused` -> why one could not be made. Of a failed
    validation also `picture`, a page that shows where the outputs differ."""


def last_attempts(records: Iterable[Record]) -> tuple[Record, ...]:
    """Return the records without those that a later attempt at the same item replaces, in their order.

    A case of a model list has one record an attempt; a user's own test may have several.
    """
    found = list(records)
    newest: dict[str, int] = {}
    for place, record in enumerate(found):
        if record.nodeid.endswith(record.case_id):
            newest[record.nodeid] = place
    attempts: dict[str, int] = {}
    for record in found:
        attempts[record.nodeid] = max(record.attempt, attempts.get(record.nodeid, 1))
    return tuple(
        record
        for place, record in enumerate(found)
        if newest.get(record.nodeid, place) == place and record.attempt == attempts[record.nodeid]
    )
