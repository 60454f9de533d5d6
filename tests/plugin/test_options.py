"""Every option from its flag, and from its ini twin alone, to the setting that it fills."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from typing import Any

import pytest

from plugin.project import Project
from pytest_ortperf.cases.rules import Tolerance
from pytest_ortperf.execution.case_settings import ExecutionSettings
from pytest_ortperf.running import validations
from pytest_ortperf.settings import option_table, options
from pytest_ortperf.settings.option_table import GROUP_TITLES, OPTIONS, Option, OptionValue, count
from pytest_ortperf.settings.run_settings import DEFAULT_TIMEOUT_S, RunSettings, read_settings

Read = Callable[[RunSettings], object]


def execution(name: str) -> Read:
    return lambda settings: getattr(settings.execution, name)


def tolerance(name: str) -> Read:
    return lambda settings: getattr(settings.execution.tolerance, name)


ENTRY = {"session.dynamic_block_base": "4"}
ROWS: dict[str, tuple[str, Read, object]] = {
    "mode": ("both", lambda settings: settings.axes.modes, ("validate", "benchmark")),
    "models": ("lists/a.json", lambda settings: [path.name for path in settings.models], ["a.json"]),
    "ep": ("cuda,cpu", lambda settings: [row.name for row in settings.axes.providers], ["cuda", "cpu"]),
    "ep-option": ("cuda.use_tf32=0", execution("ep_options"), {"cuda": {"use_tf32": "0"}}),
    "plugin-ep": ("PlugExecutionProvider=p.so", execution("plugins"), {"PlugExecutionProvider": "p.so"}),
    "device": ("cuda=1", execution("devices"), {"cuda": "1"}),
    "fallback": ("25", execution("max_fallback_percent"), 25.0),
    "fp16": ("true", lambda settings: settings.axes.precisions, (None, "fp16")),
    "fp16-io": ("cast", execution("fp16_io"), "cast"),
    "cache": ("kept", lambda settings: settings.execution.cache and settings.execution.cache.name, "kept"),
    "cache-size": ("0.5", execution("cache_limit_byte"), 2**29),
    "reference-ep": ("openvino", lambda settings: settings.reference_ep, "openvino"),
    "input": ("zoo", execution("input_source"), "zoo"),
    "dim": ("batch=1,8", lambda settings: settings.axes.dims, {"batch": (1, 8)}),
    "fix-dims": ("true", execution("fix_dims"), True),
    "seed": ("7", execution("seed"), 7),
    "seeds": ("3", execution("seeds"), 3),
    "iterations": ("20", execution("iterations"), 20),
    "warmup": ("0", execution("warmup"), 0),
    "precision-target": ("2", execution("precision_target"), 0.02),
    "min-time": ("0", execution("min_time_s"), 0.0),
    "max-time": ("0.5", execution("max_time_s"), 0.5),
    "samples": ("drop", execution("keep_samples"), False),
    "timing": ("bound,host", execution("timing"), ("bound", "host")),
    "data-sets": ("each", execution("data_sets"), "each"),
    "concurrency": ("4", execution("concurrency"), 4),
    "rotate-inputs": ("2", execution("rotate_inputs"), 2),
    "rtol": ("0.25", tolerance("rtol"), 0.25),
    "atol": ("0.5", tolerance("atol"), 0.5),
    "percent-mismatch": ("5", tolerance("percent_mismatch"), 5.0),
    "cosine": ("-0.5", tolerance("cosine"), -0.5),
    "snr-db": ("-3", tolerance("snr_db"), -3.0),
    "top-k": ("5", tolerance("top_k"), 5),
    "second-chance": ("off", tolerance("second_chance"), False),
    "own-error": ("3", tolerance("own_error"), 3.0),
    "checks": ("batch", execution("checks"), {"batch"}),
    "retry-failed": ("true", lambda settings: settings.retry_failed, True),
    "graph-optimization": ("basic", execution("graph_optimization"), "basic"),
    "threads": ("2", execution("threads"), 2),
    "inter-op-threads": ("3", execution("inter_op_threads"), 3),
    "execution-mode": ("parallel", execution("execution_mode"), "parallel"),
    "session-config": ("session.dynamic_block_base=4", execution("session_config"), ENTRY),
    "csv": ("original", lambda settings: settings.csv, "original"),
    "custom-op-library": ("/opt/ops.so", execution("custom_op_libraries"), ("/opt/ops.so",)),
    "trt-cache": ("persistent", execution("trt_cache"), "persistent"),
    "trtexec": ("/opt/trtexec", lambda settings: str(settings.execution.trtexec), "/opt/trtexec"),
    "env": ("strict", execution("environment"), "strict"),
    "workspace": ("/opt/models", lambda settings: str(settings.execution.workspace), "/opt/models"),
    "timeout": ("1.5", lambda settings: settings.timeout_s, 1.5),
    "track-memory": ("off", execution("track_memory"), False),
    "operators": ("on", execution("operators"), "on"),
    "keep": ("log,graph", execution("keep"), {"log", "graph"}),
    "isolation": ("pool", lambda settings: settings.isolation, "pool"),
    "results": ("there", lambda settings: settings.results.name, "there"),
    "label": ("branch=main", lambda settings: settings.labels, ("branch=main",)),
}

READ_ELSEWHERE = {
    "progress": "off",
    "baseline": "20260101-000000",
    "history": "history.db",
    "fail-on": "failures",
    "min-change": "5us",
    "paired": True,
    "ci": "off",
    "resume": "newest",
}
"""By the part of the plugin that they are for."""


def test_every_option_has_a_row() -> None:
    assert sorted([*ROWS, *READ_ELSEWHERE]) == sorted(option.name for option in OPTIONS)


@pytest.mark.parametrize("name", ROWS)
def test_an_option_fills_its_setting(pytester: pytest.Pytester, pytestconfig: pytest.Config, name: str) -> None:
    value, read, expected = ROWS[name]
    (option,) = [option for option in OPTIONS if option.name == name]
    assert read(read_settings(pytestconfig)) != expected  # the tests themselves run without any
    flag = option.flag if option.value.kind == "bool" else f"{option.flag}={value}"
    assert read(read_settings(pytester.parseconfig(flag))) == expected
    pytester.makeini(f"[pytest]\n{option.ini} = {value}\n")
    assert read(read_settings(pytester.parseconfig())) == expected


@pytest.mark.parametrize(("name", "value"), READ_ELSEWHERE.items())
def test_an_option_is_read_from_the_ini_file_too(pytester: pytest.Pytester, name: str, value: object) -> None:
    def given() -> Any:
        return options.given(pytester.parseconfig(), name)

    assert given() is None
    pytester.makeini(f"[pytest]\nortperf_{name.replace('-', '_')} = {value}\n")
    assert given() == value


def test_a_list_without_names_is_no_option_that_took_effect(pytester: pytest.Pytester) -> None:
    config = pytester.parseconfig()
    options.store(config, "ep", [])
    options.store(config, "seed", "1")
    assert options.effective(config) == {"seed": "1"}


DEFAULTS: dict[str, Any] = {"timeout": DEFAULT_TIMEOUT_S} | {
    option.name: default
    for option in OPTIONS
    for default in [getattr(ExecutionSettings(), option.fields[0], None)]
    if default not in (None, frozenset()) and option.value.kind != "bool" and option.default != "not given"
}
"""Of options that have a value if none is given."""


@pytest.mark.parametrize("name", DEFAULTS)
def test_the_default_in_the_help_is_that_of_the_settings(pytestconfig: pytest.Config, name: str) -> None:
    (option,) = [option for option in OPTIONS if option.name == name]
    text = [option.default] if option.value.kind == "args" else option.default
    assert option.value.read(text, option.flag, pytestconfig) == DEFAULTS[name]


def test_settings_that_a_row_names_exist() -> None:
    known = {field.name for settings in (ExecutionSettings, Tolerance) for field in dataclasses.fields(settings)}
    named = {name for option in OPTIONS for name in (option.field, *option.also) if name is not None}
    assert named - known == set()


def test_the_help_shows_options_by_group(pytester: pytest.Pytester) -> None:
    out = pytester.runpytest_inprocess("--help").stdout.str()
    _, *sections = re.split(r"^pytest-ortperf: (.*):$", out, flags=re.MULTILINE)
    titles, texts = sections[::2], sections[1::2]
    shown = {
        title: re.findall(r"^  --ortperf-([a-z0-9-]+)", text, re.MULTILINE)
        for title, text in zip(titles, texts, strict=True)
    }
    assert titles == list(GROUP_TITLES.values())
    assert shown == {
        title: [option.name for option in OPTIONS if option.group == group] for group, title in GROUP_TITLES.items()
    }


ADD_EXTRA = """
from pytest_ortperf.settings import option_table
from pytest_ortperf.settings.option_table import Option, number

extra = Option("peak-percent", number("PERCENT", least=0), "inputs", help="largest error")
option_table.OPTIONS = (*option_table.OPTIONS, extra)
"""
"""A plugin that adds a row to the table; nothing else names the option."""


@pytest.mark.parametrize(
    ("flags", "ini"),
    [(["--ortperf-peak-percent=0.25"], ""), ([], "ortperf_peak_percent = 0.25")],
    ids=["flag", "ini"],
)
def test_an_option_needs_its_row_and_its_consumer_only(project: Project, flags: list[str], ini: str) -> None:
    project.models("m")
    project.write("extra.py", ADD_EXTRA)
    project.write("pytest.ini", f"[pytest]\n{ini}\n")
    (record,) = project.run("-p", "extra", "--ortperf-ep=cpu", *flags).records
    assert record["accuracy"][0]["outputs"][0]["peak_percent_allowed"] == 0.25


PRINT_COMMANDS = """
def pytest_collection_finish(session):
    for item in session.items:
        print(item.rerun_command())
        print(item.case_command("bisect"))
"""


def test_an_option_without_a_scope_is_repeated_by_commands(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    extra = Option("extra", OptionValue("TEXT"), "results", help="anything")
    monkeypatch.setattr(option_table, "OPTIONS", (*OPTIONS, extra))
    project.models("m")
    project.write("conftest.py", PRINT_COMMANDS)
    given = ("--ortperf-warmup=1", "--ortperf-label=a=b", "--ortperf-extra=x")

    result = project.collection("-s", "--ortperf-ep=cpu", *given)

    node = "'models.json::m::validate[cpu]'"
    assert [line for line in result.out.splitlines() if line.startswith(("pytest ", "ortperf "))] == [
        f"pytest --ortperf-mode=validate --ortperf-ep=cpu --ortperf-warmup=1 --ortperf-extra=x {node}",
        f"ortperf bisect {node} --ortperf-extra=x",
    ]


def test_a_stored_failure_depends_on_an_option_without_a_scope(monkeypatch: pytest.MonkeyPatch) -> None:
    def settings(iterations: int) -> dict[str, str]:
        return validations._relevant(ExecutionSettings(iterations=iterations))  # noqa: SLF001 - a part of a hash

    assert settings(1) == settings(2)
    without_scope = Option("iterations", count(), "measuring", help="timed iterations")
    rows = (option for option in OPTIONS if option.name != "iterations")
    monkeypatch.setattr(option_table, "OPTIONS", (*rows, without_scope))
    assert settings(1) != settings(2)
