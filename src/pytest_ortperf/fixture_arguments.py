"""Arguments of a call in a user's own test -> a case and the settings that it runs with."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, TypedDict, runtime_checkable

import pytest

from pytest_ortperf.cases.case_id import Mode
from pytest_ortperf.cases.expectations import read_expect
from pytest_ortperf.cases.issues import Issues, Place
from pytest_ortperf.cases.matrix import Case
from pytest_ortperf.cases.model import Model
from pytest_ortperf.cases.names import name_issue
from pytest_ortperf.cases.provider_option_rules import read_ep_options
from pytest_ortperf.cases.providers import Provider, find_provider
from pytest_ortperf.cases.sources import RAMP, SCHEMES, find_source
from pytest_ortperf.errors import OrtPerfError, SettingsError
from pytest_ortperf.execution.case_settings import ExecutionSettings, GivenData
from pytest_ortperf.running.run import Run
from pytest_ortperf.settings.timings import read_timings

__tracebackhide__ = True  # a wrong argument shows the line of the user's test

Limits = Mapping[str, Any]


class CaseArguments(TypedDict, total=False):
    """What both kinds of call take; left out, the run's options count."""

    ep: str
    """Execution provider, by short or full name; else the first of `--ortperf-ep`, else `cpu`."""

    precision: Literal["fp16"] | None
    """Convert the model to fp16 before."""

    dims: Mapping[str, int]
    """Values of symbolic dimensions."""

    inputs: Mapping[str, Any]
    """Arrays by input name."""

    test_data: str | os.PathLike[str]
    """Folder of stored data, as in a model list."""

    name: str
    """What the model is called in case ids; else its file or graph name."""

    ep_options: Mapping[str, str | int | float | bool]
    """Provider options, over those of the run."""

    expect: Limits | Sequence[Limits]
    """Limits, as in a model list."""

    isolation: Literal["forked", "none"]
    timeout: float
    """Deadline in seconds; not with isolation `none`."""


class BenchmarkArguments(CaseArguments, total=False):
    """Of `ortperf.benchmark`."""

    iterations: int
    warmup: int
    min_time: float
    max_time: float
    """Of timed iterations, in seconds, per timing mode."""

    timing: str | Sequence[str]
    """Timing modes."""


class ValidateArguments(CaseArguments, total=False):
    """Of `ortperf.validate`."""

    reference: object
    """Arrays by output name, or a model (as the first argument) whose outputs on the CPU count."""

    rtol: float
    atol: float
    percent_mismatch: float


@runtime_checkable
class _Serialisable(Protocol):
    """An `onnx.ModelProto`, without importing onnx."""

    def SerializeToString(self) -> bytes:  # noqa: N802 - protobuf's name
        """Return the model as bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call, read."""

    case: Case
    settings: ExecutionSettings
    isolation: str
    """`forked` or `none`."""

    timeout_s: float


def read_call(model: object, mode: Mode, arguments: Mapping[str, Any], *, run: Run, folder: Path) -> Call:
    """Return what a call asks for.

    Args:
        model: Its first argument.
        mode: What is called.
        arguments: The others.
        run: Whose settings count where the call has none.
        folder: Where models that are no files are written; it need not exist.

    Raises:
        TypeError: If an argument is unknown.
        ValueError: If one cannot be used.
    """
    _require_known(arguments, mode)
    try:
        return Call(
            case=_case(model, mode, arguments, run, folder),
            settings=_settings(arguments, run.settings.execution, folder),
            isolation=_isolation(arguments, run),
            timeout_s=arguments.get("timeout", run.settings.timeout_s),
        )
    except OrtPerfError as error:
        raise ValueError(str(error)) from None


def _require_known(arguments: Mapping[str, Any], mode: Mode) -> None:
    keys: Any = BenchmarkArguments if mode == "benchmark" else ValidateArguments
    unknown = [name for name in arguments if name not in keys.__annotations__]
    if unknown:
        raise TypeError(f"ortperf.{mode} takes no {', '.join(unknown)}; it takes {', '.join(keys.__annotations__)}")


def _isolation(arguments: Mapping[str, Any], run: Run) -> str:
    default = "none" if run.settings.isolation == "none" else "forked"
    isolation: str = arguments.get("isolation") or default
    if isolation not in {"forked", "none"}:
        raise ValueError(f"isolation={isolation!r} is neither 'forked' nor 'none'")
    return isolation


def _case(model: object, mode: Mode, arguments: Mapping[str, Any], run: Run, folder: Path) -> Case:
    provider = _provider(arguments.get("ep"), run)
    precision = arguments.get("precision")
    if precision not in {None, "fp16"}:
        raise ValueError(f"precision={precision!r} is neither 'fp16' nor None, which is the model as given")
    found = _model(model, folder / "model")
    changes = _model_fields(arguments, provider)
    name = arguments.get("name", found.name)
    issue = name_issue(name)
    if issue:
        raise ValueError(f"the name {name!r} {issue}; choose another with name=")
    dims = tuple(arguments.get("dims", {}).items())
    if not all(isinstance(size, int) and size > 0 for _, size in dims):
        raise ValueError(f"dims={dict(dims)!r}: sizes are integers above 0")
    found = dataclasses.replace(found, name=name, dims={key: (size,) for key, size in dims}, **changes)
    return Case(model=found, mode=mode, provider=provider, precision=precision, dims=dims)


def _provider(name: str | None, run: Run) -> Provider:
    if name is not None:
        try:
            return find_provider(name)
        except SettingsError as error:
            raise ValueError(str(error).removeprefix("--ortperf-")) from None
    return next(iter(run.settings.axes.providers), find_provider("cpu"))


def _model_fields(arguments: Mapping[str, Any], provider: Provider) -> dict[str, Any]:
    issues = Issues("arguments")
    found: dict[str, Any] = {}
    if "expect" in arguments:
        found["limits"] = read_expect(_plain(arguments["expect"]), Place(issues, "").inside("expect"))
    if "ep_options" in arguments:
        place = Place(issues, "").inside("ep_options")
        found["ep_options"] = read_ep_options({provider.name: dict(arguments["ep_options"])}, place)
    if "test_data" in arguments:
        found["test_data"] = Path(arguments["test_data"]).absolute()
    issues.check()
    return found


def _plain(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else [dict(item) for item in value]


def _settings(arguments: Mapping[str, Any], run: ExecutionSettings, folder: Path) -> ExecutionSettings:
    names = {"iterations": "iterations", "warmup": "warmup", "min_time": "min_time_s", "max_time": "max_time_s"}
    changes: dict[str, Any] = {field: arguments[name] for name, field in names.items() if name in arguments}
    tolerance = {name: arguments[name] for name in ("rtol", "atol", "percent_mismatch") if name in arguments}
    changes["tolerance"] = dataclasses.replace(run.tolerance, **tolerance)
    if "test_data" in arguments:
        changes["input_source"] = "zoo"
    elif run.input_source == "zoo":
        changes["input_source"] = "auto"
    if "timing" in arguments:
        changes["timing"] = _timing(arguments["timing"])
    changes["given"] = GivenData(inputs=arguments.get("inputs"), **_reference(arguments.get("reference"), folder))
    return dataclasses.replace(run, **changes)


def _timing(timing: str | Sequence[str]) -> tuple[str, ...]:
    try:
        return read_timings(timing if isinstance(timing, str) else ",".join(timing))
    except pytest.UsageError as error:
        raise ValueError(str(error).replace("--ortperf-timing: ", "timing=", 1)) from None


def _reference(reference: object, folder: Path) -> dict[str, Any]:
    if reference is None:
        return {}
    if isinstance(reference, Mapping):
        return {"references": reference}
    return {"reference_model": _model(reference, folder / "reference").path}


def _model(model: object, folder: Path) -> Model:
    """Return a model with the name it has by itself; one that is no file is written to the folder."""
    if isinstance(model, bytes):
        return _written(model, "model", folder)
    if isinstance(model, str) and model.partition(":")[0] in SCHEMES:
        source = find_source(model)
        return Model(name=source.name, path=source.path, origin="", inputs=RAMP, stored_outputs=source.stored_outputs)
    if isinstance(model, str | os.PathLike):
        path = Path(model).absolute()
        return Model(name=path.stem, path=path, origin="")
    if isinstance(model, _Serialisable):
        return _written(model.SerializeToString(), str(getattr(getattr(model, "graph", None), "name", "")), folder)
    raise TypeError(
        f"a model is a path, onnx-light:NAME, bytes, or an onnx.ModelProto; this is {type(model).__qualname__}"
    )


def _written(data: bytes, name: str, folder: Path) -> Model:
    usable = "model" if name_issue(name) else name
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{usable.replace('/', '_')}.onnx"
    path.write_bytes(data)
    return Model(name=usable, path=path, origin="")
