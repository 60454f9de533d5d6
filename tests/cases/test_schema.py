import functools
import json
from collections.abc import Callable
from typing import Any

import jsonschema
import pytest

from pytest_ortperf.cases.entry import ORIGINAL_KEYS, ROOT_KEYS, entry_keys
from pytest_ortperf.cases.expectations import EXPECT_KEYS
from pytest_ortperf.cases.keys import keys_of
from pytest_ortperf.cases.model import Model, ModelDefaults
from pytest_ortperf.cases.model_list import schema_text, top_keys
from pytest_ortperf.cases.names import RESERVED_TAGS
from pytest_ortperf.cases.rules import SKIP_KEYS, TOLERANCE_KEYS, XFAIL_KEYS, DimRange, Fp16Rule, InputRule, SessionRule

ENTRY = {"name": "a", "path": "a.onnx"}


Read = Callable[..., tuple[Model, ...]]
IssuesOf = Callable[[Any], list[str]]


@functools.cache
def validator() -> jsonschema.Draft202012Validator:
    schema = json.loads(schema_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


@pytest.mark.parametrize(
    ("definition", "keys"),
    [
        ("list", top_keys()),
        ("defaults", keys_of(ModelDefaults)),
        ("entry", entry_keys()),
        ("original_entry", ORIGINAL_KEYS),
        ("original_root", ROOT_KEYS),
        ("tolerance", TOLERANCE_KEYS),
        ("input", keys_of(InputRule)),
        ("fp16", keys_of(Fp16Rule)),
        ("dim_range", keys_of(DimRange)),
        ("session", keys_of(SessionRule)),
        ("expect", EXPECT_KEYS),
        ("skip", SKIP_KEYS),
        ("xfail", XFAIL_KEYS),
    ],
)
def test_schema_describes_every_key_the_code_knows_and_no_other(definition: str, keys: Any) -> None:
    properties = json.loads(schema_text())["$defs"][definition]["properties"]

    assert set(properties) == set(keys)
    assert [key for key, value in properties.items() if not value.get("description")] == []


def test_schema_reserves_the_same_tags() -> None:
    assert json.loads(schema_text())["$defs"]["tag"]["not"]["enum"] == sorted(RESERVED_TAGS)


ORIGINAL = {"model_name": "o", "working_directory": ".", "model_path": "o", "test_data_path": "."}
GOOD_LISTS = [
    [ENTRY],
    [ORIGINAL],
    [{"root_working_directory": "/x"}, {**ORIGINAL, "model_path_fp16": "a", "test_data_path_fp16": "b"}],
    [ORIGINAL, ENTRY, {"source": "onnx-light:resnet50"}],
    {"$schema": "x", "models": [ENTRY]},
    {"defaults": {}, "models": [ENTRY]},
    {"defaults": {"dims": {"b": [1, 2]}, "timeout": 0.5, "skip": "r"}, "models": [ENTRY]},
    [{**ENTRY, "tolerance": []}],
    [{**ENTRY, "tolerance": [{"rtol": 0, "output": "*"}, {"percent_mismatch": 100}]}],
    [{**ENTRY, "inputs": {"x": {}, "y": {"low": -1, "fill": "uniform", "slices": ":, ::2", "shape": []}}}],
    [{**ENTRY, "inputs": {"x": {"value": [[1, 2.5], [3, 4]]}, "y": {"value": "a", "shape": [2]}}}],
    [{**ENTRY, "inputs": {"x": {"value": False}}}],
    [{**ENTRY, "inputs": {"x": {"choices": [0, 512]}, "y": {"choices": ["", "b"], "shape": [2]}}}],
    [{**ENTRY, "xfail": {"reason": "r", "raises": "crash", "modes": ["validate"]}, "skip": ["r"]}],
    [{**ENTRY, "ep_options": {"rocm": {"a": 1, "b": True, "c": "x", "d": 0.5}}, "tags": ["gpu"]}],
    [{**ENTRY, "dims": {"b": {"min": 1, "opt": 8, "max": 32}}}],
    [{**ENTRY, "expect": {"p50_ms": 5, "dims": {"b": 8}, "timing": "bound"}}],
    [{**ENTRY, "expect": [{"nodes_on_ep_percent": 0, "precision": "fp16"}, {"throughput": 1.5, "provider": "cuda"}]}],
    [{**ENTRY, "fp16": {}, "fix_dims": False, "symbolic_shapes": True}],
    {"defaults": {"fp16": {"io": "cast", "op_block_list": ["Softmax"], "node_block_list": []}}, "models": [ENTRY]},
]  # fmt: skip
BAD_LISTS = [
    [],
    {},
    3,
    {"models": []},
    [3],
    [{}],
    [{"root_working_directory": "/x"}],
    [{"root_working_directory": "/x", **ORIGINAL}],
    [{**ORIGINAL, "tags": []}],
    [{"model_name": "o"}],
    [{"name": "a"}],
    [{"path": "a"}],
    [{"path": "a", "source": "onnx-light:resnet50"}],
    [{**ENTRY, "source": "onnx-light:resnet50"}],
    [{"source": "zoo:resnet50"}],
    {"models": [ENTRY], "expect": {}},
    {"models": [ENTRY], "defaults": {"path": "a"}},
    [{**ENTRY, "name": "a::b"}],
    [{**ENTRY, "name": " a"}],
    [{**ENTRY, "name": "a[b]"}],
    [{**ENTRY, "name": "a\nb"}],
    [{**ENTRY, "name": "n" * 201}],
    [{**ENTRY, "path": " "}],
    [{**ENTRY, "path": 1}],
    [{**ENTRY, "expect": {}}],
    [{**ENTRY, "expect": {"p50": 5}}],
    [{**ENTRY, "expect": {"p50_ms": 0}}],
    [{**ENTRY, "expect": {"nodes_on_ep_percent": 101}}],
    [{**ENTRY, "expect": {"provider": "cuda"}}],
    [{**ENTRY, "expect": {"p50_ms": 1, "timing": "device"}}],
    [{**ENTRY, "expect": {"p50_ms": 1, "dims": {"b": -1}}}],
    [{**ENTRY, "dims": {"b": -1}}],
    [{**ENTRY, "dims": {"b": {"min": 1, "max": 2}}}],
    [{**ENTRY, "dims": {"b": {"min": -1, "opt": 1, "max": 2}}}],
    [{**ENTRY, "dims": {"b": []}}],
    [{**ENTRY, "dims": {"b": [1, 1]}}],
    [{**ENTRY, "tags": ["xfail"]}],
    [{**ENTRY, "tags": ["a-b"]}],
    [{**ENTRY, "tags": ["_a"]}],
    [{**ENTRY, "tags": ["a", "a"]}],
    [{**ENTRY, "tolerance": {}}],
    [{**ENTRY, "tolerance": {"rtol": -1}}],
    [{**ENTRY, "tolerance": {"rtol": 1, "precision": "FP16"}}],
    [{**ENTRY, "inputs": {"x": {"fill": "ones", "low": 1}}}],
    [{**ENTRY, "inputs": {"x": {"value": 1, "low": 1}}}],
    [{**ENTRY, "inputs": {"x": {"value": {}}}}],
    [{**ENTRY, "inputs": {"x": {"choices": [1], "fill": "ones"}}}],
    [{**ENTRY, "inputs": {"x": {"choices": [[1]]}}}],
    [{**ENTRY, "inputs": {"x": {"slices": "1"}}}],
    [{**ENTRY, "inputs": {"x": {"slices": "::0"}}}],
    [{**ENTRY, "inputs": {"x": {"shape": [-1]}}}],
    [{**ENTRY, "ep_options": {"cuda": {"a": None}}}],
    [{**ENTRY, "ep_options": {"cuda": 1}}],
    [{**ENTRY, "skip": ""}],
    [{**ENTRY, "skip": {"modes": ["validate"]}}],
    [{**ENTRY, "skip": {"reason": "r", "raises": "crash"}}],
    [{**ENTRY, "xfail": {"reason": "r", "raises": "error"}}],
    [{**ENTRY, "xfail": {"reason": "r", "providers": []}}],
    [{**ENTRY, "timeout": 0}],
    [{**ENTRY, "fix_dims": 1}],
    [{**ENTRY, "symbolic_shapes": "true"}],
    [{**ENTRY, "fp16": True}],
    [{**ENTRY, "fp16": {"io": "fp16"}}],
    [{**ENTRY, "fp16": {"op_block_list": "Softmax"}}],
    [{**ENTRY, "fp16": {"node_block_list": ["a", "a"]}}],
    [{**ENTRY, "fp16": {"blocked": []}}],
    [{**ENTRY, "outputs": "a"}],
    [{**ENTRY, "input_order": [""]}],
]


@pytest.mark.parametrize("document", GOOD_LISTS, ids=json.dumps)
def test_good_list_is_good_for_schema_and_code(read: Read, document: Any) -> None:
    assert [error.message for error in validator().iter_errors(document)] == []
    assert len(read(document)) > 0


@pytest.mark.parametrize("document", BAD_LISTS, ids=json.dumps)
def test_bad_list_is_bad_for_schema_and_code(issues_of: IssuesOf, document: Any) -> None:
    assert not validator().is_valid(document)
    assert len(issues_of(document)) > 0
