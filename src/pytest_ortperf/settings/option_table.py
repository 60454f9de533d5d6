"""The option table: one row per option, from which come its flag, its ini twin, its help and its page in the docs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

OptionKind = Literal["string", "bool", "args", "linelist"]


@dataclass(frozen=True, slots=True)
class Option:
    """One option: `--ortperf-NAME`, its ini twin `ortperf_NAME`, and their one help text."""

    name: str
    help: str
    metavar: str | None = None
    kind: OptionKind = "string"
    """`bool` is a flag, `args` may be repeated and its ini twin is split at spaces, `linelist` at lines."""

    choices: tuple[str, ...] = ()
    default_text: str = "not given"

    @property
    def flag(self) -> str:
        """As on the command line."""
        return f"--ortperf-{self.name}"

    @property
    def ini(self) -> str:
        """As in the ini file."""
        return f"ortperf_{self.name.replace('-', '_')}"


OPTIONS: tuple[Option, ...] = (
    Option(
        "mode",
        "turn the plugin on: 'validate' checks outputs, 'benchmark' measures, 'both' measures what "
        "passes validation. On the command line without file arguments it collects the model lists "
        "instead of the project's own tests; in the ini file it adds them",
        choices=("validate", "benchmark", "both"),
        default_text="off",
    ),
    Option(
        "models",
        "model list (JSON) or model directory; repeatable",
        "PATH",
        "args",
        default_text="models.json in the root directory",
    ),
    Option(
        "ep",
        "execution providers: short names such as cpu, cuda, tensorrt, openvino, full names such as "
        "CUDAExecutionProvider, the groups cuda_trt and acl, or TensorRT alone as trtexec and trtexec-fp16; separated "
        "by commas or spaces, repeatable. "
        "'auto' is every provider in which a session can really be created here",
        "NAMES",
        "args",
        default_text="auto",
    ),
    Option(
        "ep-option",
        "provider option, such as cuda.use_tf32=0; the value may hold commas, colons and equals signs; repeatable",
        "EP.KEY=VALUE",
        "linelist",
    ),
    Option(
        "plugin-ep",
        "plugin execution provider: its full name, and its library or the Python module that brings it; repeatable. "
        "Installed packages onnxruntime-ep-* and onnxruntime-qnn are found without it",
        "NAME=LIBRARY_OR_MODULE",
        "args",
    ),
    Option(
        "device",
        "device of a provider, such as cuda=1, openvino=GPU or qnn=npu; a number alone is the device id for every "
        "provider that takes one; repeatable",
        "[EP=]DEVICE",
        "args",
        default_text="the provider's first",
    ),
    Option(
        "fallback",
        "nodes on other providers than the one asked for: 'allow', 'fail', or the share in percent that is allowed. "
        "A case none of whose nodes ran there always fails",
        "{allow,fail,PERCENT}",
        default_text="allow",
    ),
    Option("fp16", "add an fp16 variant of every case", kind="bool", default_text="off"),
    Option(
        "fp16-io",
        "float32 inputs and outputs of converted models: 'keep' leaves them, 'cast' makes them float16",
        choices=("keep", "cast"),
        default_text="the model list's, else keep",
    ),
    Option(
        "cache",
        "folder of converted models and reference outputs; they are found again by content, and never written beside "
        "your models",
        "DIR",
        default_text="$XDG_CACHE_HOME/pytest-ortperf, else ~/.cache/pytest-ortperf",
    ),
    Option(
        "cache-size",
        "what that folder may hold; beyond it goes what was used longest ago",
        "GIB",
        default_text="10",
    ),
    Option(
        "reference-ep",
        "provider that gains are against",
        "NAME",
        default_text="cuda for tensorrt, cpu for every other",
    ),
    Option(
        "paired",
        "at the end, measure what passed on a provider and on its reference provider again: in turns, by 6 pairs of "
        "fresh processes, so that the gain has an interval that the machine's moods are not in",
        kind="bool",
        default_text="off",
    ),
    Option(
        "input",
        "'zoo': stored test data only; 'random': generated inputs only; 'auto': stored where there are some",
        choices=("auto", "zoo", "random"),
        default_text="auto",
    ),
    Option(
        "dim",
        "value(s) of a symbolic dimension; several values multiply the cases; repeatable",
        "NAME=VALUE[,VALUE...]",
        "args",
        default_text="the model list's, else 1",
    ),
    Option(
        "fix-dims",
        "make the values of dimensions static in the sessions, so that graph optimisation and the provider see "
        "fixed shapes",
        kind="bool",
        default_text="the model list's, else off",
    ),
    Option("seed", "seed of generated inputs", "N", default_text="0"),
    Option(
        "seeds",
        "validate with inputs generated from that many seeds, beside stored data sets",
        "N",
        default_text="stored data sets alone, or one seed where there are none",
    ),
    Option("iterations", "timed iterations", "N", default_text="until the median is precise enough"),
    Option("warmup", "warm-up iterations", "N", default_text="until two windows of them agree"),
    Option(
        "precision-target",
        "iterations are timed until the 95 % confidence interval of the median is that narrow: half its width, in "
        "percent of the median",
        "PERCENT",
        default_text="1",
    ),
    Option("min-time", "time to spend on timed iterations at least, per timing mode", "SECONDS", default_text="2"),
    Option(
        "max-time",
        "time after which they end even if the interval is wider; the result is then labelled unstable",
        "SECONDS",
        default_text="30",
    ),
    Option(
        "samples",
        "the time of each iteration in the results file: 'keep' all, or 'drop' them and keep their statistics",
        choices=("keep", "drop"),
        default_text="keep",
    ),
    Option(
        "timing",
        "what the clock covers, the headline first, separated by commas: 'host' (arrays in, arrays out), 'bound' "
        "(inputs and outputs in the memory of the device), 'bound+copies', 'graph' (replay of a CUDA graph). 'auto' is "
        "bound and host on devices, host elsewhere; devices are measured in host too, whatever is asked for",
        "MODES",
        default_text="auto",
    ),
    Option(
        "concurrency",
        "measure throughput with that many threads on one session too, apart from latency",
        "N",
        default_text="no such measurement",
    ),
    Option(
        "rotate-inputs",
        "buffers with the same values that iterations take in turn; 1 reads the same one each time, out of the cache",
        "N",
        default_text="as many as exceed the cache for inputs from 1 MiB on, else 1",
    ),
    Option("rtol", "relative tolerance of outputs", "FLOAT", default_text="by precision: fp32 1e-3, fp16 1e-2"),
    Option("atol", "absolute tolerance of outputs", "FLOAT", default_text="by precision: fp32 1e-5, fp16 1e-3"),
    Option(
        "percent-mismatch",
        "share of an output's elements, in percent, that may be outside the tolerance",
        "PERCENT",
        default_text="by precision: 0, bf16 and int8 any",
    ),
    Option(
        "cosine",
        "least cosine of the angle between output and reference",
        "FLOAT",
        default_text="by precision: fp16 0.999, bf16 and int8 0.99, fp32 none",
    ),
    Option(
        "snr-db",
        "least ratio of the reference's power to the error's, in decibels",
        "DB",
        default_text="by precision: bf16 and int8 20, others none",
    ),
    Option(
        "top-k",
        "compare rows instead of elements: the same K have to lie at the top",
        "K",
        default_text="elements are compared",
    ),
    Option(
        "second-chance",
        "'off' fails an output in half precision that is outside its tolerance, even if the same precision on the CPU "
        "is as far off",
        choices=("on", "off"),
        default_text="the model list's, else on",
    ),
    Option(
        "own-error",
        "fail an output whose root-mean-square error is more than FACTOR times what its precision makes by itself on "
        "the CPU, even within its tolerance",
        "FACTOR",
        default_text="the tolerance alone decides",
    ),
    Option(
        "checks",
        "what a validation checks beside the references, separated by commas: 'repeat' (the same inputs twice), "
        "'batch' (rows of a batch as on their own, where the model has such a dimension), or 'none'",
        "CHECKS",
        "args",
        default_text="repeat,batch",
    ),
    Option(
        "retry-failed",
        "benchmark what failed validation in a stored run too; without it a benchmark is skipped where the newest "
        "validation of the same model, entry, options and versions failed",
        kind="bool",
        default_text="off",
    ),
    Option(
        "graph-optimization",
        "ONNX Runtime's graph optimisation level",
        choices=("disable", "basic", "extended", "all"),
        default_text="all",
    ),
    Option("threads", "intra-op threads of a session", "N", default_text="ONNX Runtime's choice"),
    Option(
        "inter-op-threads",
        "threads that run operators at once, in parallel mode",
        "N",
        default_text="ONNX Runtime's choice",
    ),
    Option(
        "execution-mode",
        "run operators one after another, or several at once",
        choices=("sequential", "parallel"),
        default_text="sequential",
    ),
    Option(
        "session-config",
        "session config entry, such as session.intra_op.allow_spinning=0; repeatable",
        "KEY=VALUE",
        "linelist",
    ),
    Option("custom-op-library", "shared library of custom operators; repeatable", "PATH", "args"),
    Option(
        "trt-cache",
        "how long TensorRT's engines and timings are kept: 'off' builds them in each session; 'run' shows the time to "
        "build as the difference between first and second session creation; 'persistent' finds them again in later "
        "runs of the same model, options, versions and GPU",
        choices=("off", "run", "persistent"),
        default_text="run",
    ),
    Option(
        "trtexec",
        "the program trtexec, for the targets trtexec and trtexec-fp16: TensorRT without ONNX Runtime",
        "PATH",
        default_text="on PATH, below the workspace, or where TensorRT is installed",
    ),
    Option(
        "env",
        "check the machine around benchmarks: 'warn' labels records and advises, 'strict' also waits for a quiet "
        "machine and fails benchmarks that an unfit one spoiled, 'off' reads nothing",
        choices=("off", "warn", "strict"),
        default_text="warn",
    ),
    Option("workspace", "where relative paths of model lists start", "DIR", default_text="the list's own folder"),
    Option(
        "timeout",
        "deadline of a case, kept by killing its process; the model list may name another",
        "SECONDS",
        default_text="600",
    ),
    Option(
        "track-memory",
        "memory of host and device, energy and clocks of benchmarks; on a GPU they take one more second of iterations "
        "that nobody times",
        choices=("on", "off"),
        default_text="on",
    ),
    Option(
        "operators",
        "time by operator type, in one more session of each benchmark: 'auto' where that takes at most 10 s, "
        "'on' always, 'off' never",
        choices=("auto", "on", "off"),
        default_text="auto",
    ),
    Option(
        "keep",
        "files of each case to keep in the results folder, separated by commas: 'log' (ONNX Runtime's verbose log), "
        "'profile', 'graph' (the optimised graph); made in a session of their own after the measurement",
        "KINDS",
        "args",
        default_text="none",
    ),
    Option(
        "isolation",
        "'forked': each case in a child process of its own; 'pool': validations share a child until one fails; "
        "'none': in pytest's own process, for a debugger",
        choices=("forked", "pool", "none"),
        default_text="forked; none with --pdb",
    ),
    Option(
        "progress",
        "a line about the case that runs, below pytest's own: 'auto' shows it where pytest writes to a terminal",
        choices=("auto", "off"),
        default_text="auto",
    ),
    Option("results", "folder of the results", "DIR", default_text="result, where pytest was started"),
    Option(
        "baseline",
        "an earlier run to compare with when all items have run: a records file, a results folder (its newest run), "
        "run ids joined by commas, or a git revision whose runs are in the results folder",
        "RUN",
    ),
    Option(
        "fail-on",
        "what of that comparison fails the run, separated by commas: latency, failures, accuracy, placement, memory, "
        "creation, missing, or none",
        "TOPICS",
        default_text="latency,failures",
    ),
    Option(
        "label",
        "label of the run, such as branch=main; repeatable",
        "NAME=VALUE",
        "args",
        default_text="branch, commit, date and url from CI variables or git",
    ),
)
