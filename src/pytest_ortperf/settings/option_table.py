"""The option table: one row per option.

From a row follow the option's flag, its ini twin, its help and its entry in the docs, how it is read, the setting that
it fills, which commands repeat it, and whether a stored failure still holds when it changes.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Any, Literal

import pytest

OptionKind = Literal["string", "bool", "args", "linelist"]
OptionReader = Callable[[Any, str, pytest.Config], Any]
"""Takes what is given, the flag for messages, and the configuration."""

OptionGroup = Literal["selection", "model", "inputs", "measuring", "machine", "results"]
GROUP_TITLES: Mapping[OptionGroup, str] = {
    "selection": "selection and providers",
    "model": "model, precision and session",
    "inputs": "inputs and accuracy",
    "measuring": "measuring",
    "machine": "machine and isolation",
    "results": "results and gates",
}
"""In the order of `pytest --help` and of the docs."""

Scope = Literal["outputs", "measurement", "case", "run", "report", "selection"]
"""What an option can change.

`outputs`: what a case computes, or whether that passes. `measurement`: its times and memory only. The rest change
neither of them. `case`: the caches and the deadline of a case. `run`: what else this run does with its cases. `report`:
what becomes of the results. `selection`: which cases there are; the command for one case names these options itself.
"""


def _as_given(given: Any, _flag: str, _config: pytest.Config) -> Any:
    return given


@dataclass(frozen=True, slots=True)
class OptionValue:
    """How a value is given and read."""

    metavar: str | None = None
    kind: OptionKind = "string"
    """`bool` is a flag, `args` may be repeated and its ini twin is split at spaces, `linelist` at lines."""

    choices: tuple[str, ...] = ()
    alone: str | None = None
    """What the flag means without a value, where that may be left out."""

    read: OptionReader = _as_given
    """Raises `pytest.UsageError` if it cannot be used."""


@dataclass(frozen=True, slots=True)
class Option:
    """One option: `--ortperf-NAME`, its ini twin `ortperf_NAME`, and what follows from them."""

    name: str
    value: OptionValue
    group: OptionGroup
    scope: Scope = "outputs"
    """The default is the safe one: every command repeats the option, and a change makes stored failures obsolete."""

    _: KW_ONLY
    help: str
    default: str = "not given"
    """In words; where it is a value, it is that of the settings class."""

    field: str | None = None
    """The field of `ExecutionSettings` or `Tolerance` that it fills; `None` is the one of its own name, if any."""

    also: tuple[str, ...] = ()
    """Further fields of `ExecutionSettings` that depend on it; the run fills them itself."""

    @property
    def flag(self) -> str:
        """As on the command line."""
        return f"--ortperf-{self.name}"

    @property
    def ini(self) -> str:
        """As in the ini file."""
        return f"ortperf_{self.name.replace('-', '_')}"

    @property
    def fields(self) -> tuple[str, ...]:
        """Names of settings that depend on it; the first is the one that it fills."""
        return (self.field or self.name.replace("-", "_"), *self.also)


FLAG = OptionValue(kind="bool")


def one_of(*choices: str) -> OptionValue:
    """Return a choice of words."""
    return OptionValue(choices=choices)


def switch(yes: str, no: str) -> OptionValue:
    """Return a choice of two words that is read as a boolean."""
    return OptionValue(choices=(yes, no), read=lambda text, _flag, _config: text == yes)


_MOST = 1e12
"""Of any number; as seconds it is 30,000 years, and clocks take no more."""


def number(
    metavar: str,
    *,
    least: float,
    most: float = math.inf,
    whole: bool = False,
    in_unit: Callable[[float], float] = lambda value: value,
) -> OptionValue:
    """Return a number from `least` to `most`; `in_unit` converts it to the unit of the setting."""
    upper = min(most, _MOST)

    def read(text: str, flag: str, _config: pytest.Config) -> float:
        try:
            value = int(text) if whole else float(text.removesuffix("%") if metavar == "PERCENT" else text)
        except ValueError:
            value = math.nan
        if not least <= value <= upper:
            what = "a whole number" if whole else "a number"
            is_open = most == math.inf and not upper < value < math.inf
            limits = f"of at least {least:g}" if is_open else f"from {least:g} to {upper:.10g}"
            raise pytest.UsageError(f"{flag}: {text!r} is not {what} {limits}")
        return in_unit(value)

    return OptionValue(metavar, read=read)


def count(metavar: str = "N", *, least: int = 1, most: float = math.inf) -> OptionValue:
    """Return a whole number from `least` to `most`."""
    return number(metavar, least=least, most=most, whole=True)


def path(metavar: str) -> OptionValue:
    """Return a path, relative to where pytest was started."""
    return OptionValue(metavar, read=lambda text, _flag, config: absolute(text, config))


def words(metavar: str, choices: tuple[str, ...], none: str = "") -> OptionValue:
    """Return a set of words out of `choices`; `none` is a word for the empty set."""

    def read(texts: list[str], flag: str, _config: pytest.Config) -> frozenset[str]:
        names = frozenset(split_names(texts)) - {none}
        unknown = sorted(names - set(choices))
        if unknown:
            known = ", ".join(choices) + (f", or {none}" if none else "")
            raise pytest.UsageError(f"{flag}: unknown {', '.join(unknown)}; choose from {known}")
        return names

    return OptionValue(metavar, "args", read=read)


def mapping(form: str, kind: OptionKind) -> OptionValue:
    """Return pairs of a name and a value; the last one of a name counts."""
    return OptionValue(form, kind, read=lambda texts, flag, _config: dict(pairs(texts, flag, form)))


def pairs(texts: Iterable[str], flag: str, form: str) -> list[tuple[str, str]]:
    """Split `NAME=VALUE` at the first equals sign.

    Raises:
        pytest.UsageError: If there is none or the name is empty.
    """
    found = []
    for text in texts:
        name, sign, value = text.partition("=")
        if not sign or not name.strip() or not value.strip():
            raise pytest.UsageError(f"{flag}: {text!r} is not of the form {form}")
        found.append((name.strip(), value.strip()))
    return found


def split_names(texts: Iterable[str]) -> list[str]:
    """Split at commas and spaces, in order, each name once."""
    return list(dict.fromkeys(word for text in texts for word in text.replace(",", " ").split()))


def absolute(path: str, config: pytest.Config) -> Path:
    """Return a path of the command line, relative to where pytest was started."""
    return normal(config.invocation_params.dir / path)


def normal(path: Path) -> Path:
    """Return a path as pytest writes those of files it collects: absolute, without `..`, links as they are."""
    return Path(os.path.abspath(path))  # noqa: PTH100 - pathlib's keeps `..`


def read_timings(text: str, flag: str = "--ortperf-timing", _config: object = None) -> tuple[str, ...]:
    """Return the timing modes asked for, the headline first; none is the choice by provider.

    Raises:
        pytest.UsageError: If one is unknown, or stands beside `auto`.
    """
    from pytest_ortperf.records.record import TIMINGS

    names = tuple(split_names([text]))
    if names == ("auto",):
        return ()
    unknown = [name for name in names if name not in TIMINGS]
    if unknown:
        raise pytest.UsageError(
            f"{flag}: {', '.join(unknown)} cannot be used; give auto alone, or some of {', '.join(TIMINGS)}"
        )
    return names


def _fallback(text: str, flag: str, _config: pytest.Config) -> float:
    try:
        share = float({"allow": "100", "fail": "0"}.get(text, text))
    except ValueError:
        share = -1.0
    if not 0 <= share <= 100:  # noqa: PLR2004 - percent
        raise pytest.UsageError(f"{flag}: {text!r} is none of allow, fail, or a percentage from 0 to 100")
    return share


def _dims(texts: list[str], flag: str, _config: pytest.Config) -> dict[str, tuple[int, ...]]:
    form = "NAME=VALUE[,VALUE...] with whole numbers of at least 0, such as batch=1,8"
    found = {}
    for name, text in pairs(texts, flag, form):
        sizes = [word.strip() for word in text.split(",")]
        if not all(size.isdecimal() for size in sizes):
            raise pytest.UsageError(f"{flag}: {name + '=' + text!r} is not of the form {form}")
        found[name] = tuple(dict.fromkeys(map(int, sizes)))
    return found


_THREADS = count(most=2**31 - 1)
"""What ONNX Runtime takes for a number."""

OPTIONS: tuple[Option, ...] = (
    Option("mode", one_of("validate", "benchmark", "both"), "selection", scope="selection", default="off",
           help="turn the plugin on: 'validate' checks outputs, 'benchmark' measures, 'both' measures what passes "
                "validation. On the command line without file arguments it collects the model lists instead of the "
                "project's own tests; in the ini file it adds them"),
    Option("models", OptionValue("PATH", "args"), "selection", scope="selection",
           default="models.json in the root directory", help="model list (JSON) or model directory; repeatable"),
    Option("ep", OptionValue("NAMES", "args", read=lambda texts, _flag, _config: split_names(texts)), "selection",
           scope="selection", default="auto",
           help="execution providers: short names such as cpu, cuda, tensorrt, openvino, full names such as "
                "CUDAExecutionProvider, the groups cuda_trt (with trtexec where --ortperf-trtexec names it) and acl, "
                "or TensorRT alone as trtexec; separated by commas or spaces, repeatable. With -fp16 or -as-given "
                "behind it, as in cuda-fp16, a provider has that precision alone instead of those of the run. Names of "
                "the original scripts, such as ORT-CUDAFp16, are taken too. 'auto' is every provider in which a "
                "session can really be created here"),
    Option("ep-option", OptionValue("EP.KEY=VALUE", "linelist"), "selection",
           help="provider option, such as cuda.use_tf32=0; the value may hold commas, colons and equals signs; "
                "repeatable"),
    Option("plugin-ep", mapping("NAME=LIBRARY_OR_MODULE", "args"), "selection", field="plugins",
           help="plugin execution provider: its full name, and its library or the Python module that brings it; "
                "repeatable. Installed packages onnxruntime-ep-* and onnxruntime-qnn are found without it"),
    Option("device", OptionValue("[EP=]DEVICE", "args"), "selection", default="the provider's first",
           help="device of a provider, such as cuda=1, openvino=GPU or qnn=npu; a number alone is the device id for "
                "every provider that takes one; repeatable"),
    Option("fallback", OptionValue("{allow,fail,PERCENT}", read=_fallback), "selection", default="allow",
           field="max_fallback_percent",
           help="nodes on other providers than the one asked for: 'allow', 'fail', or the share in percent that is "
                "allowed. A case none of whose nodes ran there always fails"),
    Option("fp16", FLAG, "model", scope="selection", default="off", help="add an fp16 variant of every case"),
    Option("fp16-io", one_of("keep", "cast"), "model", default="the model list's, else keep",
           help="float32 inputs and outputs of converted models: 'keep' leaves them, 'cast' makes them float16"),
    Option("cache", path("DIR"), "model", scope="case",
           default="$XDG_CACHE_HOME/pytest-ortperf, else ~/.cache/pytest-ortperf",
           help="folder of converted models and reference outputs; they are found again by content, and never "
                "written beside your models"),
    Option("cache-size", number("GIB", least=0, in_unit=lambda gib: int(gib * 2**30)), "model", scope="case",
           default="10", field="cache_limit_byte",
           help="what that folder may hold; beyond it goes what was used longest ago"),
    Option("reference-ep", OptionValue("NAME"), "results", scope="report",
           default="that of the table of providers, such as cuda for tensorrt", help="provider that gains are against"),
    Option("paired", FLAG, "results", scope="report", default="off",
           help="at the end, measure what passed on a provider and on its reference provider again: in turns, by 6 "
                "pairs of fresh processes, so that the gain has an interval that the machine's moods are not in"),
    Option("input", one_of("auto", "zoo", "random"), "inputs", default="auto", field="input_source",
           help="'zoo': stored test data only; 'random': generated inputs only; 'auto': stored where there are some"),
    Option("dim", OptionValue("NAME=VALUE[,VALUE...]", "args", read=_dims), "model", scope="selection",
           default="the model list's, else a plausible size that the run names",
           help="size(s) of a dimension that has none, by its name or as INPUT.AXIS; several multiply the cases; "
                "repeatable"),
    Option("fix-dims", FLAG, "model", default="the model list's, else off",
           help="make the values of dimensions static in the sessions, so that graph optimisation and the provider "
                "see fixed shapes"),
    Option("seed", count(least=0), "inputs", default="0", help="seed of generated inputs"),
    Option("seeds", count(), "inputs", default="stored data sets alone, or one seed where there are none",
           help="validate with inputs generated from that many seeds, beside stored data sets"),
    Option("iterations", count(), "measuring", scope="measurement", default="until the median is precise enough",
           help="timed iterations"),
    Option("warmup", count(least=0), "measuring", scope="measurement", default="until two windows of them agree",
           help="warm-up iterations"),
    Option("precision-target", number("PERCENT", least=0.01, in_unit=lambda percent: percent / 100), "measuring",
           scope="measurement", default="3",
           help="iterations are timed until the 95 % confidence interval of the median is that narrow: half its "
                "width, in percent of the median. '1%' is the thorough run: up to 27 s a case instead of 3"),
    Option("min-time", number("SECONDS", least=0), "measuring", scope="measurement", field="min_time_s",
           default="0.5",
           help="time to spend on timed iterations at least, per timing mode; 2 with --ortperf-precision-target=1%"),
    Option("max-time", number("SECONDS", least=0.001), "measuring", scope="measurement", field="max_time_s",
           default="3",
           help="time after which they end even if the interval is wider; the result is then labelled unstable. "
                "27 with --ortperf-precision-target=1%, and likewise for others"),
    Option("samples", switch("keep", "drop"), "measuring", scope="run", default="keep", field="keep_samples",
           help="the time of each iteration in the results file: 'keep' all, or 'drop' them and keep their "
                "statistics"),
    Option("timing", OptionValue("MODES", read=read_timings), "measuring", scope="measurement", default="auto",
           help="what the clock covers, the headline first, separated by commas: 'host' (arrays in, arrays out), "
                "'bound' (inputs and outputs in the memory of the device), 'bound+copies', 'graph' (replay of a CUDA "
                "graph). 'auto' is bound and host on devices, host elsewhere; devices are measured in host too, "
                "whatever is asked for"),
    Option("data-sets", one_of("first", "each"), "measuring", scope="measurement", default="first",
           help="which stored data sets a benchmark times: the 'first' alone, or 'each' by itself, a row a data set; "
                "limits are about the first"),
    Option("concurrency", count(), "measuring", scope="measurement", default="no such measurement",
           help="measure throughput with that many threads on one session too, apart from latency"),
    Option("rotate-inputs", count(), "measuring", scope="measurement",
           default="as many as exceed the cache for inputs from 1 MiB on, else 1",
           help="buffers with the same values that iterations take in turn; 1 reads the same one each time, out of "
                "the cache"),
    Option("rtol", number("FLOAT", least=0), "inputs", default="by precision: fp32 1e-3, fp16 1e-2",
           help="relative tolerance of outputs"),
    Option("atol", number("FLOAT", least=0), "inputs", default="by precision: fp32 1e-5, fp16 1e-3",
           help="absolute tolerance of outputs"),
    Option("percent-mismatch", number("PERCENT", least=0, most=100), "inputs",
           default="by precision: 0, bf16 and int8 any",
           help="share of an output's elements, in percent, that may be outside the tolerance"),
    Option("cosine", number("FLOAT", least=-1, most=1), "inputs",
           default="by precision: fp16 0.999, bf16 and int8 0.99, fp32 none",
           help="least cosine of the angle between output and reference"),
    Option("snr-db", number("DB", least=-1000), "inputs", default="by precision: bf16 and int8 20, others none",
           help="least ratio of the reference's power to the error's, in decibels"),
    Option("top-k", count("K"), "inputs", default="elements are compared",
           help="compare rows instead of elements: the same K have to lie at the top"),
    Option("second-chance", switch("on", "off"), "inputs", default="the model list's, else on",
           help="'off' fails an output in half precision that is outside its tolerance, even if the same precision "
                "on the CPU is as far off"),
    Option("own-error", number("FACTOR", least=0), "inputs", default="the tolerance alone decides",
           help="fail an output whose root-mean-square error is more than FACTOR times what its precision makes by "
                "itself on the CPU, even within its tolerance"),
    Option("checks", words("CHECKS", ("repeat", "batch"), none="none"), "inputs", default="repeat,batch",
           help="what a validation checks beside the references, separated by commas: 'repeat' (the same inputs "
                "twice), 'batch' (rows of a batch as on their own, where the model has such a dimension), or 'none'"),
    Option("retry-failed", FLAG, "results", scope="run", default="off",
           help="benchmark what failed validation in a stored run too; without it a benchmark is skipped where the "
                "newest validation of the same model, entry, options and versions failed"),
    Option("graph-optimization", one_of("disable", "basic", "extended", "all"), "model", default="all",
           help="ONNX Runtime's graph optimisation level"),
    Option("threads", _THREADS, "model", default="ONNX Runtime's choice", help="intra-op threads of a session"),
    Option("inter-op-threads", _THREADS, "model", default="ONNX Runtime's choice",
           help="threads that run operators at once, in parallel mode"),
    Option("execution-mode", one_of("sequential", "parallel"), "model", default="sequential",
           help="run operators one after another, or several at once"),
    Option("session-config", mapping("KEY=VALUE", "linelist"), "model",
           help="session config entry, such as session.intra_op.allow_spinning=0; repeatable"),
    Option("custom-op-library",
           OptionValue("PATH", "args", read=lambda paths, _, config: tuple(str(absolute(it, config)) for it in paths)),
           "model", field="custom_op_libraries", help="shared library of custom operators; repeatable"),
    Option("trt-cache", one_of("off", "run", "persistent"), "model", scope="case", default="run",
           also=("trt_cache_folder",),
           help="how long TensorRT's engines and timings are kept: 'off' builds them in each session; 'run' shows "
                "the time to build as the difference between first and second session creation; 'persistent' finds "
                "them again in later runs of the same model, options, versions and GPU"),
    Option("trtexec", path("PATH"), "selection", default="on PATH, below the workspace, or where TensorRT is installed",
           help="the program trtexec, for the targets trtexec and trtexec-fp16: TensorRT without ONNX Runtime"),
    Option("env", one_of("off", "warn", "strict"), "machine", scope="measurement", default="warn", field="environment",
           also=("unfit",),
           help="check the machine around benchmarks: 'warn' labels records and advises, 'strict' also waits for a "
                "quiet machine and fails benchmarks that an unfit one spoiled, 'off' reads nothing"),
    Option("workspace", path("DIR"), "selection", default="the list's own folder",
           help="where relative paths of model lists start"),
    Option("timeout", number("SECONDS", least=0.001, most=1e9), "machine", scope="case", default="600",
           help="deadline of a case, kept by killing its process; the model list may name another"),
    Option("track-memory", switch("on", "off"), "measuring", scope="measurement", default="on",
           help="memory of host and device, energy and clocks of benchmarks; on a GPU they take one more second of "
                "iterations that nobody times"),
    Option("operators", one_of("auto", "on", "off"), "measuring", scope="run", default="auto",
           help="time by operator type, in one more session of each benchmark: 'auto' where that takes at most 10 s, "
                "'on' always, 'off' never"),
    Option("keep", words("KINDS", ("log", "profile", "graph")), "results", scope="run", default="none",
           also=("keep_folder",),
           help="files of each case to keep in the results folder, separated by commas: 'log' (ONNX Runtime's "
                "verbose log), 'profile', 'graph' (the optimised graph); made in a session of their own after the "
                "measurement"),
    Option("isolation", one_of("forked", "pool", "none"), "machine", scope="run", default="forked; none with --pdb",
           help="'forked': each case in a child process of its own; 'pool': validations share a child until one "
                "fails; 'none': in pytest's own process, for a debugger"),
    Option("progress", one_of("auto", "off"), "results", scope="run", default="auto",
           help="a line about the case that runs, below pytest's own: 'auto' shows it where pytest writes to a "
                "terminal"),
    Option("ci", one_of("auto", "off"), "results", scope="report", default="auto",
           help="what CI systems show beside the log: 'auto' writes annotations and the step summary in GitHub "
                "Actions, issues and a summary in Azure Pipelines"),
    Option("results", path("DIR"), "results", scope="report", default="result, where pytest was started",
           help="folder of the results"),
    Option("csv", one_of("ortperf", "original"), "results", scope="report", default="ortperf",
           help="tables that are written: ours, or 'original' for the files of ONNX Runtime's TensorRT performance "
                "script, with its names, columns and words"),
    Option("baseline", OptionValue("RUN"), "results", scope="report",
           help="an earlier run to compare with when all items have run: a records file, a results folder (all its "
                "complete runs of the same thing), run ids joined by commas, a pattern, a git revision whose runs "
                "are in the results folder, or history:BRANCH for the accepted or newest runs of a branch on this "
                "machine"),
    Option("history", OptionValue("URL"), "results", scope="report",
           help="database that the run is added to at its end: a file such as history.db, or "
                "postgresql://HOST/DATABASE; a database that does not answer changes nothing about the run"),
    Option("fail-on", OptionValue("TOPICS"), "results", scope="report", default="latency,failures,missing,incomplete",
           help="what of that comparison fails the run, separated by commas: latency, failures, accuracy, placement, "
                "memory, creation, missing (cases that were not deselected), incomplete (a run that was cut short), "
                "or none. latency:20%, memory:10% and creation:50% decide on that change, whatever the evidence"),
    Option("min-change", OptionValue("TIME"), "results", scope="report", default="2us",
           help="smallest change of a latency that counts in that comparison, such as 5us or 0.2ms; 3 % and the noise "
                "count too"),
    Option("resume", OptionValue("RUN", alone="newest"), "results", scope="report", default="a new run",
           help="continue the newest run of the same thing in the results folder, or the one of this id: what passed "
                "or failed there is taken over where model, versions, options and hardware are the same; what crashed, "
                "timed out or failed by its environment is tried once more; the rest runs. Without a run to continue, "
                "a new one"),
    Option("label", OptionValue("NAME=VALUE", "args"), "results", scope="report",
           default="branch, commit, date and url from CI variables or git",
           help="label of the run, such as branch=main; repeatable"),
)  # fmt: skip
