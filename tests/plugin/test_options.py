"""Every option from its flag, and from its ini twin alone, to the setting that it fills."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pytest_ortperf.settings import options
from pytest_ortperf.settings.option_table import OPTIONS
from pytest_ortperf.settings.run_settings import RunSettings, read_settings

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

READ_ELSEWHERE = {"progress": "off", "baseline": "20260101-000000", "fail-on": "failures", "paired": True}
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
