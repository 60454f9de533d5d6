"""The option table: flag, ini twin, help; and the settings that it fills.

`None` always means *not given*: the command line wins over the ini file, that over the defaults, which live in the
settings classes alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import pytest

T = TypeVar("T")

Kind = Literal["string", "bool", "args", "linelist"]


@dataclass(frozen=True, slots=True)
class Option:
    """One option: `--ortperf-NAME`, its ini twin `ortperf_NAME`, and their one help text."""

    name: str
    help: str
    metavar: str | None = None
    kind: Kind = "string"
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
        "CUDAExecutionProvider, or the groups cuda_trt and acl; separated by commas or spaces, repeatable. "
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
        "folder of converted models; they are found again by content, and never written beside yours",
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
    Option("iterations", "timed iterations", "N", default_text="as many as fit --ortperf-max-time, at least 10"),
    Option("warmup", "warm-up iterations", "N", default_text="at least 3, and at least 0.1 s"),
    Option("max-time", "time to spend on timed iterations, per case", "SECONDS", default_text="2"),
    Option("rtol", "relative tolerance of outputs", "FLOAT", default_text="by precision: fp32 1e-3, fp16 1e-2"),
    Option("atol", "absolute tolerance of outputs", "FLOAT", default_text="by precision: fp32 1e-5, fp16 1e-3"),
    Option(
        "percent-mismatch",
        "share of an output's elements, in percent, that may be outside the tolerance",
        "PERCENT",
        default_text="0",
    ),
    Option(
        "graph-optimization",
        "ONNX Runtime's graph optimisation level",
        choices=("disable", "basic", "extended", "all"),
        default_text="all",
    ),
    Option("threads", "intra-op threads of a session", "N", default_text="ONNX Runtime's choice"),
    Option("inter-op-threads", "threads that run operators at once, in parallel mode", "N", default_text="as above"),
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
    Option("workspace", "where relative paths of model lists start", "DIR", default_text="the list's own folder"),
    Option(
        "timeout",
        "deadline of a case, kept by killing its process; the model list may name another",
        "SECONDS",
        default_text="600",
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
    Option("results", "folder of the results", "DIR", default_text="result, where pytest was started"),
    Option(
        "label",
        "label of the run, such as branch=main; repeatable",
        "NAME=VALUE",
        "args",
        default_text="branch, commit, date and url from CI variables or git",
    ),
)

_BY_NAME = {option.name: option for option in OPTIONS}


def add_options(parser: pytest.Parser) -> None:
    """Add every option with its ini twin."""
    group = parser.getgroup("ortperf", "ONNX models x execution providers (pytest-ortperf)")
    for option in OPTIONS:
        text = f"{option.help} (default: {option.default_text}; ini: {option.ini})".replace("%", "%%")
        group.addoption(option.flag, dest=option.ini, default=None, help=text, **_argparse(option))
        parser.addini(option.ini, f"as {option.flag}", type=option.kind, default=None)


def _argparse(option: Option) -> dict[str, Any]:
    if option.kind == "bool":
        return {"action": "store_true"}
    if option.choices:
        return {"choices": option.choices}
    if option.kind in {"args", "linelist"}:
        return {"action": "append", "metavar": option.metavar}
    return {"metavar": option.metavar}


def given(config: pytest.Config, name: str) -> Any:
    """Return what the command line, else the ini file, gives for an option; `None` if neither does.

    Raises:
        pytest.UsageError: If an ini value is none of the option's choices.
    """
    option = _BY_NAME[name]
    value = getattr(config.option, option.ini, None)
    if value is not None:
        return value
    value = config.getini(option.ini)
    if value in (None, "", []):
        return None
    if option.choices and value not in option.choices:
        raise pytest.UsageError(f"{option.ini} = {value}: choose from {', '.join(option.choices)}")
    return value


def effective(config: pytest.Config) -> dict[str, object]:
    """Return every option that is given, by name, for the run header."""
    values = {option.name: given(config, option.name) for option in OPTIONS}
    return {name: value for name, value in values.items() if value is not None}


def on_command_line(config: pytest.Config, name: str) -> bool:
    """Whether the option was given as a flag, not in the ini file."""
    return getattr(config.option, _BY_NAME[name].ini, None) is not None


def flags(config: pytest.Config, *, without: frozenset[str]) -> list[str]:
    """Return the options of the command line as they are typed, but for those named."""
    found = []
    for option in OPTIONS:
        value = getattr(config.option, option.ini, None)
        if value is None or option.name in without:
            continue
        values = value if isinstance(value, list) else [value]
        found += [option.flag if each is True else f"{option.flag}={each}" for each in values]
    return found


def store(config: pytest.Config, name: str, value: Any) -> None:
    """Replace an option's value, so that pytest-xdist hands what the controller found to its workers."""
    setattr(config.option, _BY_NAME[name].ini, value)


def hand_on(config: pytest.Config, name: str, value: Any) -> None:
    """Keep what the controller found where pytest-xdist's workers find it too; builtins only."""
    setattr(config.option, f"ortperf_found_{name}", value)


def handed_on(config: pytest.Config, name: str, default: T) -> T:
    """Return what the controller handed on under a name."""
    value: T = getattr(config.option, f"ortperf_found_{name}", default)
    return value


def number(config: pytest.Config, name: str, convert: Callable[[str], T], *, least: float) -> T | None:
    """Return an option as a number of at least `least`.

    Raises:
        pytest.UsageError: If it is none, or less.
    """
    text = given(config, name)
    if text is None:
        return None
    what = "a whole number" if convert is int else "a number"
    try:
        value = convert(text)
    except ValueError:
        value = None
    if value is None or not value >= least:  # type: ignore[operator]
        raise pytest.UsageError(f"{_BY_NAME[name].flag}: {text!r} is not {what} of at least {least:g}")
    return value


def pairs(texts: Sequence[str] | None, flag: str, form: str) -> list[tuple[str, str]]:
    """Split `NAME=VALUE` at the first equals sign.

    Raises:
        pytest.UsageError: If there is none or the name is empty.
    """
    found = []
    for text in texts or ():
        name, sign, value = text.partition("=")
        if not sign or not name.strip() or not value.strip():
            raise pytest.UsageError(f"{flag}: {text!r} is not of the form {form}")
        found.append((name.strip(), value.strip()))
    return found


def split_names(texts: Sequence[str] | None) -> list[str]:
    """Split at commas and spaces, in order, each name once."""
    words = [word for text in texts or () for word in text.replace(",", " ").split()]
    return list(dict.fromkeys(words))


def absolute(path: str, config: pytest.Config) -> Path:
    """Return a path of the command line, relative to where pytest was started."""
    return (config.invocation_params.dir / path).absolute()
