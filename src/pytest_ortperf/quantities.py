"""Every measured quantity, declared once: tables, JUnit properties, limits, comparisons and docs follow from it.

A new one is a row of `QUANTITIES`, beside the code that measures it and the field of the record that holds it.
Nothing of the package is imported here, since cases, records and reports all read this table. So records are untyped
here, and a test checks each path against their fields.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

CASE, TIMING, OPERATOR, OUTPUT = "case", "timing mode", "operator type", "output"
"""What a quantity has one value for, which is read from: a `Record`; a `TimingRow`; a `Placed`; an `OutputAccuracy`."""


@dataclass(frozen=True, slots=True)
class Scale:
    """A unit, and how values in it are made and shown."""

    unit: str
    per: float = 1
    """How many of what the record holds make one: 1,000,000 ns make a millisecond."""

    decimals: int | None = None
    """In tables; `None` leaves values as they are."""

    is_coarse: bool = False
    """Whether JUnit rounds as tables do; else it has six digits of the value."""


MS, S, MIB = Scale("ms", 1e6, 6), Scale("s", 1e9, 9), Scale("MiB", 2**20, 2, is_coarse=True)
BYTE = Scale("byte", 1, 1)
MJ, W, MHZ, PER_S = Scale("mJ", 1, 4), Scale("W", 1, 4), Scale("MHz", 1, 1), Scale("per s", 1, 4)
PERCENT, SHARE = Scale("%", 1, 4), Scale("%", 0.01, 4)
"""Of what is a percentage, or a share of 1, in the record."""

RATIO = Scale("", 1, 6, is_coarse=True)
PLAIN = Scale("")
"""As the record has it."""


@dataclass(frozen=True, slots=True)
class Group:
    """Quantities whose columns stand together."""

    title: str
    of: str
    """`CASE`, `TIMING`, `OPERATOR` or `OUTPUT`."""

    timing: str | tuple[str, ...] | None = None
    """Of a case's quantities in a table of timing modes: the modes in whose rows they stand, or the field that holds
    the mode; `None` is all."""


LATENCY = Group("Latency", TIMING)
WARM_UP = Group("Warm-up", TIMING)
ENERGY = Group("Energy", CASE, "resources.timing")
CLOCKS = Group("Clocks", CASE, "resources.timing")
COPIES = Group("Copies to and from the device", CASE, ("host", "bound+copies"))
THREADS = Group("Threads on one session", CASE, "concurrent.timing")
PROGRAM = Group("Programs beside ONNX Runtime", TIMING)
NODES = Group("Nodes and their time", CASE)
OPERATORS = Group("Operator types", OPERATOR)
SESSION = Group("Sessions", CASE)
ENGINES = Group("TensorRT engines", CASE)
HOST_MEMORY = Group("Host memory", CASE)
GPU_MEMORY = Group("GPU memory", CASE)
ERRORS = Group("Errors of outputs", OUTPUT)
NEEDED = Group("Tolerances that would do", OUTPUT)
PRECISION = Group("Errors beside that of the precision", OUTPUT)
CHECKS = Group("Leaks and threads", CASE)
WHOLE = Group("Of the whole case, in no table of their own", CASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Footprint:
    """When something measured once or twice a run counts as changed: all of one side beyond all of the other."""

    topic: str
    larger: str
    smaller: str
    """Kinds of the change."""

    share: float
    least: float
    """By more than both, the latter in the record's unit."""

    scale: Scale
    """Of the text."""

    sure_from: int
    """Runs on each side; with fewer it is sure where each of several readings of a run shows it."""

    is_time: bool = False
    """Whether it is compared on the same machine alone, and between engines that were both built or both loaded."""


MEMORY = Footprint(
    topic="memory", larger="LARGER", smaller="SMALLER", share=0.02, least=8 * 2**20, scale=MIB, sure_from=2
)
CREATION = Footprint(
    topic="creation", larger="SLOWER", smaller="FASTER", share=0.25, least=50e6, scale=MS, sure_from=6, is_time=True
)
"""Of six runs on each side 2 in 924 are all slower or all faster by chance; of 3 it would be 1 in 10."""


@dataclass(frozen=True, slots=True)
class Drift:
    """What the growth of an output's error is held against; `reports.comparison.accuracy_changes` does it."""

    against: str
    """Field of the output; without a value there is no drift."""

    word: str
    """For that."""

    from_one: bool = False
    """Whether the error is the distance from 1."""


@dataclass(frozen=True, slots=True)
class Quantity:
    """One quantity, with everything that is derived from it."""

    group: Group
    name: str
    """The column too, where the group stands in a table. Its last word is the unit."""

    field: str | tuple[str, ...] | Callable[[Any], Any]
    """Path of attributes to the value; several paths, of which the highest value counts; or a function."""

    scale: Scale
    meaning: str
    """For messages and the documentation."""

    junit: str | None = None
    """JUnit property, after `ortperf.`: of the headline's timing mode, and the highest of outputs."""

    expect: str | None = None
    """Key of its limit in a model list."""

    is_least: bool = False
    """Whether the limit is the least that is allowed, not the most."""

    in_validations: bool = False
    """Whether validations are held to the limit too."""

    note: str | Callable[[Any], str] = "one measurement"
    """What a value held against a limit was found from."""

    unknown: str | Callable[[Any], str] = "it was not measured"
    """Why there is no value to hold against a limit."""

    percentile: int | None = None
    """Of samples, which have to be many enough."""

    interval: tuple[str, str] | None = None
    """Paths to both ends of its 95 % interval; its limit is decided on that."""

    bound: str | None = None
    """Of an output: field, and column beside this one, of what the tolerance asks for."""

    comparison: Footprint | Drift | None = None
    label: str = ""
    """In the text of a comparison."""

    @property
    def unit(self) -> str:
        """Its name; empty for numbers."""
        return self.scale.unit

    @property
    def of_latency(self) -> bool:
        """Whether there is a value for each timing mode."""
        return self.group.of == TIMING

    def readings(self, source: Any) -> dict[str, Any]:
        """Return what is known by path, as the record holds it."""
        if callable(self.field):
            found = {"": self.field(source)}
        else:
            found = {path: read(source, path) for path in ([self.field] if isinstance(self.field, str) else self.field)}
        return {path: value for path, value in found.items() if value is not None}

    def value(self, source: Any) -> Any:
        """Return the value in its unit; `None` if it is not known."""
        if isinstance(self.field, str):  # nearly all: thousands of cases have hundreds of cells
            found = read(source, self.field)
        else:
            found = max(self.readings(source).values(), default=None)
        return found if found is None or self.scale.per == 1 else found / self.scale.per

    def ends(self, source: Any) -> tuple[Any, Any] | None:
        """Return both ends of its interval in its unit; `None` where nothing is known of them."""
        low, high = (read(source, path) for path in self.interval) if self.interval else (None, None)
        return None if low is None or high is None else (low / self.scale.per, high / self.scale.per)

    def cell(self, source: Any) -> Any:
        """Return the value as tables show it."""
        value = self.value(source)
        return value if value is None or self.scale.decimals is None else round(value, self.scale.decimals)


def read(source: Any, path: str) -> Any:
    """Return what a path of attributes and keys leads to; `None` where something on it is absent."""
    for name in path.split("."):
        if source is None:
            return None
        source = source.get(name) if isinstance(source, Mapping) else getattr(source, name, None)
    return source


def nodes_on_provider(record: Any) -> int | None:
    """Return how many nodes ran on the provider that the case asked for."""
    return record.placement.nodes_by_provider.get(record.provider_full_name, 0) if record.placement else None


def _of_all_nodes(record: Any, whole: int) -> float | None:
    total = read(record, "placement.total_nodes")
    return whole * (nodes_on_provider(record) or 0) / total if total else None


def _no_memory(name: str) -> Callable[[Any], str]:
    return lambda record: read(record, f"resources.absent.{name}") or "it was not measured"


def _engine_build_ns(record: Any) -> Any:
    """Return what a program says, else by how much creating engines took longer than loading them again."""
    if record.program:
        return record.program.build_ns
    first, second = (read(record, f"session.{name}_ns") for name in ("creation", "second_creation"))
    return first - second if second is not None and record.session.engines == "built" else None


def _arena_byte(record: Any) -> int | None:
    arenas = read(record, "operators.arenas") or ()
    return max((it.held_byte for it in arenas if it.provider == record.provider_full_name), default=None)


_PEAK = "the higher of session creation and runs"
_NO_BATCH = (
    "the batch is unknown: no dimension of the inputs calls itself one, and they do not agree on the leading one; "
    "name it as batch_dim in the model list"
)

QUANTITIES: tuple[Quantity, ...] = (
    Quantity(LATENCY, "iterations", "summary.count", PLAIN, "timed iterations", junit="iterations"),
    Quantity(LATENCY, "warmup_iterations", "latency.warmup_iterations", PLAIN, "iterations before the first timed one"),
    Quantity(LATENCY, "throughput_per_s", "summary.throughput_per_s", PER_S, "inferences per second",
             expect="throughput", is_least=True, unknown=_NO_BATCH),
    Quantity(LATENCY, "latency_mean_ms", "summary.mean_ns", MS, "mean latency", junit="mean_ms", expect="mean_ms"),
    Quantity(LATENCY, "latency_p50_ms", "summary.p50_ns", MS, "median latency", junit="median_ms", expect="p50_ms",
             interval=("summary.p50_low_ns", "summary.p50_high_ns")),
    Quantity(LATENCY, "latency_min_ms", "summary.min_ns", MS, "shortest iteration", junit="min_ms"),
    Quantity(LATENCY, "latency_max_ms", "summary.max_ns", MS, "longest iteration", expect="max_ms"),
    Quantity(LATENCY, "latency_standard_deviation_ms", "summary.standard_deviation_ns", MS, "standard deviation"),
    Quantity(LATENCY, "latency_p90_ms", "summary.p90_ns", MS, "90th percentile of latency",
             junit="p90_ms", expect="p90_ms", percentile=90),
    Quantity(LATENCY, "latency_p95_ms", "summary.p95_ns", MS, "95th percentile of latency",
             junit="p95_ms", expect="p95_ms", percentile=95),
    Quantity(LATENCY, "latency_p99_ms", "summary.p99_ns", MS, "99th percentile of latency",
             junit="p99_ms", expect="p99_ms", percentile=99),
    Quantity(LATENCY, "latency_p50_low_ms", "summary.p50_low_ns", MS, "lower end of the median's 95 % interval",
             junit="ci_low_ms"),
    Quantity(LATENCY, "latency_p50_high_ms", "summary.p50_high_ns", MS, "upper end of the median's 95 % interval",
             junit="ci_high_ms"),
    Quantity(LATENCY, "latency_p50_half_width_percent", "summary.half_width", SHARE,
             "half the width of that interval, as a share of the median"),
    Quantity(LATENCY, "latency_mad_ms", "summary.mad_ns", MS, "median of the absolute differences from the median"),
    Quantity(LATENCY, "latency_variation_percent", "summary.variation", SHARE,
             "standard deviation as a share of the mean"),
    Quantity(LATENCY, "lag1_correlation", "summary.lag1_correlation", Scale("", 1, 4),
             "correlation of each iteration with the next"),
    Quantity(LATENCY, "mild_outliers", "summary.mild_outliers", PLAIN,
             "iterations 1.5 to 3 interquartile ranges outside the quartiles"),
    Quantity(LATENCY, "severe_outliers", "summary.severe_outliers", PLAIN, "iterations further outside"),
    Quantity(LATENCY, "modes", "summary.modes", PLAIN, "values that iterations gather around", junit="modes"),
    Quantity(LATENCY, "blocks", "summary.blocks", PLAIN, "blocks of iterations behind the median's interval"),
    Quantity(LATENCY, "block_iterations", "latency.block_iterations", PLAIN, "iterations in a block"),
    Quantity(WARM_UP, "warmup_s", "latency.warmup_ns", S, "time of the warm-up"),
    Quantity(ENERGY, "energy_per_iteration_mj", "resources.energy.per_iteration_mj", MJ, "energy of an iteration",
             junit="energy_per_iteration_mj"),
    Quantity(ENERGY, "power_w", "resources.energy.power_w", W, "mean power during iterations"),
    Quantity(CLOCKS, "sm_clock_mean_mhz", "resources.clocks.mean_sm_mhz", MHZ, "mean SM clock during iterations",
             junit="sm_clock_mhz"),
    Quantity(COPIES, "host_to_device_ms", "copies.to_device_ns", MS, "copying all inputs to the device"),
    Quantity(COPIES, "device_to_host_ms", "copies.to_host_ns", MS, "copying all outputs back"),
    Quantity(THREADS, "concurrent_threads", lambda it: len(it.concurrent.iterations) if it.concurrent else None, PLAIN,
             "threads that share the session"),
    Quantity(THREADS, "concurrent_iterations_per_s", "concurrent.iterations_per_s", PER_S, "iterations of all threads"),
    Quantity(THREADS, "concurrent_inferences_per_s", "concurrent.inferences_per_s", PER_S, "inferences of all threads"),
    Quantity(THREADS, "concurrent_p50_ms",
             lambda it: statistics.median(it.concurrent.p50_ns) if it.concurrent else None, MS,
             "median over threads of their median latencies"),
    Quantity(PROGRAM, "program_throughput_per_s",
             lambda it: it.record.program.throughput_per_s.get(it.latency.timing) if it.record.program else None, PER_S,
             "queries per second as the program prints them"),
    Quantity(WHOLE, "host_peak_memory_mib",
             ("resources.host_memory.creation_peak_byte", "resources.host_memory.run_peak_byte"), MIB,
             "peak resident memory of the case alone", junit="peak_host_memory_mib", expect="host_memory_mib",
             note=_PEAK, unknown=_no_memory("host_memory"), comparison=MEMORY, label="host peak"),
    Quantity(WHOLE, "gpu_peak_memory_mib",
             ("resources.device_memory.creation_peak_byte", "resources.device_memory.run_peak_byte"), MIB,
             "peak GPU memory of the process", junit="peak_vram_mib", expect="gpu_memory_mib",
             note=_PEAK, unknown=_no_memory("device_memory"), comparison=MEMORY, label="GPU peak"),
    Quantity(WHOLE, "nodes_on_provider_percent", lambda it: _of_all_nodes(it, 100), PERCENT,
             "share of nodes on the provider asked for",
             expect="nodes_on_ep_percent", is_least=True, in_validations=True,
             note=lambda it: f"{nodes_on_provider(it)} of {it.placement.total_nodes} nodes",
             unknown=lambda it: (
                 "no node is left of the graph" if it.placement else "it is not known where the nodes ran")),
    Quantity(NODES, "total_nodes", "placement.total_nodes", PLAIN, "nodes of the graph", junit="nodes"),
    Quantity(NODES, "nodes_on_provider", nodes_on_provider, PLAIN, "nodes on the provider asked for",
             junit="nodes_on_ep"),
    Quantity(NODES, "ratio_of_nodes_on_provider", lambda it: _of_all_nodes(it, 1), RATIO, "their share, 0 to 1",
             junit="ops_on_ep"),
    Quantity(NODES, "ratio_of_execution_time_on_provider",
             lambda it: it.operators.share_of(it.provider_full_name) if it.operators else None, RATIO,
             "share of the operators' time on the provider asked for, 0 to 1", junit="time_on_ep"),
    Quantity(NODES, "execution_time_on_provider_ms",
             lambda it: it.operators.time_ns_of(it.provider_full_name) if it.operators else None, MS,
             "time of the operators on the provider asked for in a profiled run"),
    Quantity(NODES, "profiled_run_ms", "operators.run_ns", MS, "median time of a profiled run"),
    Quantity(NODES, "operators_ms", "operators.total_ns", MS, "time of all operators in a profiled run"),
    Quantity(NODES, "between_operators_ms", "operators.between_ns", MS, "the rest of a profiled run"),
    Quantity(NODES, "profiled_runs", "operators.runs", PLAIN, "runs that were profiled"),
    Quantity(OPERATORS, "nodes", "nodes", PLAIN, "nodes of the type, as assigned"),
    Quantity(OPERATORS, "nodes_as_run", "time.nodes", PLAIN, "nodes of the type after fusions"),
    Quantity(OPERATORS, "time_ms", "time.time_ns", MS, "time of the type in a profiled run"),
    Quantity(OPERATORS, "time_percent",
             lambda it: it.record.operators.share(it.time.time_ns) if it.record.operators and it.time else None, SHARE,
             "its share of the time of all operators"),
    Quantity(OPERATORS, "device_kernels_ms", "time.kernel_ns", MS, "time of the device's kernels"),
    Quantity(SESSION, "session_creation_s", "session.creation_ns", S, "creation of the first session",
             junit="session_creation_s", expect="session_creation_s", unknown="the first session was not timed",
             comparison=CREATION, label="session creation"),
    Quantity(SESSION, "second_session_creation_s", "session.second_creation_ns", S, "creation of the second session",
             expect="second_session_creation_s", unknown="the second session was not timed",
             comparison=CREATION, label="second session creation"),
    Quantity(SESSION, "first_run_s", "session.first_run_ns", S, "first run",
             expect="first_run_s", unknown="the first run was not timed"),
    Quantity(SESSION, "wait_for_hardware_s", "stage_ns.lease", S, "wait for other cases on the same device",
             junit="wait_for_hardware_s"),
    Quantity(ENGINES, "engine_build_s", _engine_build_ns, S, "building the engines, where they were not loaded"),
    Quantity(ENGINES, "engine_size_mib", "program.engine_byte", MIB, "size of the engine's file"),
    Quantity(ENGINES, "execution_context_mib", "program.context_byte", MIB, "GPU memory for activations and scratch"),
    Quantity(ENGINES, "builder_peak_gpu_mib", "program.build_peak_byte", MIB, "most GPU memory that the builder held"),
    Quantity(HOST_MEMORY, "host_memory_before_mib", "resources.host_memory.baseline_byte", MIB,
             "what the process had before the first session"),
    Quantity(HOST_MEMORY, "host_memory_creation_peak_mib", "resources.host_memory.creation_peak_byte", MIB,
             "peak over that while the first session was created"),
    Quantity(HOST_MEMORY, "host_memory_session_mib", "resources.host_memory.creation_byte", MIB,
             "what of it stayed"),
    Quantity(HOST_MEMORY, "host_memory_run_peak_mib", "resources.host_memory.run_peak_byte", MIB,
             "peak in the second session's creation and first runs"),
    Quantity(GPU_MEMORY, "gpu_memory_creation_peak_mib", "resources.device_memory.creation_peak_byte", MIB,
             "peak while the first session was created"),
    Quantity(GPU_MEMORY, "gpu_memory_run_peak_mib", "resources.device_memory.run_peak_byte", MIB,
             "peak in runs that were not timed"),
    Quantity(GPU_MEMORY, "arena_held_mib", _arena_byte, MIB, "most that the arena of the provider asked for held"),
    Quantity(ERRORS, "max_abs_error", "max_abs_error", PLAIN, "largest absolute error",
             junit="max_abs_error", comparison=Drift("atol", "atol"), label="largest error"),
    Quantity(ERRORS, "max_rel_error", "max_rel_error", PLAIN, "largest relative error"),
    Quantity(ERRORS, "percent_mismatch", "percent_mismatch", Scale("%"), "elements outside the tolerance",
             junit="percent_mismatch", bound="percent_mismatch_allowed",
             comparison=Drift("percent_mismatch_allowed", "allowed"), label="percent of elements outside"),
    Quantity(ERRORS, "cosine", "cosine", PLAIN, "cosine of the angle between output and reference",
             bound="cosine_least", comparison=Drift("cosine_least", "at most", from_one=True), label="1 - cosine"),
    Quantity(ERRORS, "snr_db", "snr_db", Scale("dB"), "power of the reference to that of the error",
             bound="snr_db_least"),
    Quantity(ERRORS, "peak_percent", "peak_percent", Scale("%"), "largest error by the largest reference value",
             bound="peak_percent_allowed"),
    Quantity(ERRORS, "nonfinite_mismatches", "nonfinite_mismatches", PLAIN, "elements where NaN or infinities differ"),
    Quantity(ERRORS, "elements", "elements", PLAIN, "elements of the reference"),
    Quantity(ERRORS, "nonfinite_references", "nonfinite_references", PLAIN, "reference values that are not finite"),
    Quantity(NEEDED, "needed_rtol", "needed_rtol", PLAIN, "smallest `rtol` that would do, with `atol` as it is"),
    Quantity(NEEDED, "needed_atol", "needed_atol", PLAIN, "smallest `atol` that would do, with `rtol` as it is"),
    Quantity(PRECISION, "rmse_to_golden", "relative.rmse", PLAIN, "root mean square error against golden outputs"),
    Quantity(PRECISION, "baseline_rmse_to_golden", "relative.baseline_rmse", PLAIN, "that of the precision on the CPU"),
    Quantity(PRECISION, "own_error", "own_error", PLAIN, "error in multiples of what the precision makes by itself",
             bound="own_error_allowed"),
    Quantity(CHECKS, "leak_per_run_byte", lambda it: it.leak_check.worst("runs") if it.leak_check else None, BYTE,
             "memory that each run leaks, by `ortperf check --leaks`; 0 if none"),
    Quantity(CHECKS, "leak_per_session_byte", lambda it: it.leak_check.worst("sessions") if it.leak_check else None,
             BYTE, "memory that each session leaks, its runs' apart"),
    Quantity(CHECKS, "lost_byte", "valgrind_check.lost_byte", BYTE, "memory that valgrind finds definitely lost"),
    Quantity(CHECKS, "wrong_iterations", "thread_check.wrong", PLAIN,
             "iterations of threads outside the tolerance of what one thread gets"),
)  # fmt: skip
