# ruff: noqa: E501 - a table of messages in full
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pytest_ortperf.cases.model import Model
from pytest_ortperf.cases.rules import SessionRule

PROVIDER_NAMES = (
    "cpu, cuda, tensorrt, trtexec, nvtensorrtrtx, openvino, dml, migraphx, rocm, qnn, acl, armnn, xnnpack, coreml, "
    "webgpu, dnnl, cann, vitisai; or a full name that ends in ExecutionProvider"
)


IssuesOfEntry = Callable[..., list[str]]


@pytest.mark.parametrize(
    ("key", "value", "issue"),
    [
        ("path", "", 'path: is ""; it must be a text that is not empty'),
        ("path", ["a"], 'path: is ["a"]; it must be a text that is not empty'),
        ("path", "a\0b", 'path: is "a\\u0000b"; it must be a path without NUL characters'),
        ("path", "a\ud800", 'path: is "a\\ud800"; it must be a path that can be encoded'),
        ("test_data", None, "test_data: is null; it must be a text that is not empty"),
        ("dims", 3, 'dims: is 3; it must be an object of values by dimension name, such as {"batch": [1, 8]}'),
        ("dims", {"b": -1}, "dims.b: is -1; it must be an integer of 0 or more, a list of different ones, or a range with min, opt and max"),
        ("dims", {"b": True}, "dims.b: is true; it must be an integer of 0 or more, a list of different ones, or a range with min, opt and max"),
        ("dims", {"a b": [1, 1]}, 'dims."a b": is [1, 1]; it must be an integer of 0 or more, a list of different ones, or a range with min, opt and max'),
        ("dims", {"b": []}, "dims.b: is []; it must be an integer of 0 or more, a list of different ones, or a range with min, opt and max"),
        ("dims", {"b": [[1]]}, "dims.b: is [[1]]; it must be an integer of 0 or more, a list of different ones, or a range with min, opt and max"),
        ("tags", "nlp", 'tags: is "nlp"; it must be a list of texts'),
        ("tags", ["a", 1], "tags[1]: is 1; it must be a text that is not empty"),
        ("tags", ["a", "a"], 'tags[1]: repeats "a"; remove one'),
        ("outputs", ["a", "a"], 'outputs[1]: repeats "a"; remove one'),
        ("input_order", {}, "input_order: is {}; it must be a list of texts"),
        ("timeout", 0, "timeout: is 0; it must be a number above 0, up to 1000000000"),
        ("timeout", "5", 'timeout: is "5"; it must be a number above 0, up to 1000000000'),
        ("timeout", float("inf"), "timeout: is Infinity; it must be a number above 0, up to 1000000000"),
        ("timeout", 10**400, "timeout: is " + "1" + "0" * 56 + "...; it must be a number above 0, up to 1000000000"),
        ("tolerance", 1, 'tolerance: is 1; it must be an object such as {"rtol": 0.001}, or a list of them'),
        ("session", 1, 'session: is 1; it must be an object such as {"intra_op_threads": 1}, or a list of them'),
        ("session", {"intra_op_threads": 0}, "session.intra_op_threads: is 0; it must be an integer from 1 to 65536"),
        ("session", [{"execution_mode": "both"}], "session[0].execution_mode: unknown mode 'both'; known modes are sequential, parallel"),
        (
            "tolerance",
            {},
            (
                "tolerance: sets nothing; give at least one of rtol, atol, percent_mismatch, cosine, snr_db, "
                "peak_percent, top_k, nan_pattern, repeat, second_chance, own_error"
            ),
        ),
        ("tolerance", {"cosine": 2}, "tolerance.cosine: is 2; it must be a number from -1 to 1"),
        ("tolerance", {"top_k": 0}, "tolerance.top_k: is 0; it must be an integer above 0"),
        ("tolerance", {"repeat": "same"}, "tolerance.repeat: unknown repeat 'same'; known repeats are exact, within, report"),
        ("tolerance", {"rtol": -1}, "tolerance.rtol: is -1; it must be a number, 0 or more"),
        ("tolerance", {"rtol": True}, "tolerance.rtol: is true; it must be a number, 0 or more"),
        ("tolerance", [{"atol": float("nan")}], "tolerance[0].atol: is NaN; it must be a number, 0 or more"),
        ("tolerance", {"percent_mismatch": 101}, "tolerance.percent_mismatch: is 101; it must be a number from 0 to 100"),
        ("tolerance", {"rtol": 1, "precision": "FP16"}, 'tolerance.precision: is "FP16"; it must be a precision in lower case, such as fp32, fp16 or int8'),
        ("tolerance", {"rtol": 1, "provider": "cudda"}, f"tolerance.provider: unknown provider 'cudda'; did you mean 'cuda'? Known providers are {PROVIDER_NAMES}"),
        ("tolerance", {"rtol": 1, "provider": ""}, 'tolerance.provider: is ""; it must be a text that is not empty'),
        ("tolerance", {"rtoll": 1, "atol": 1}, "tolerance: unknown key 'rtoll'; did you mean 'rtol'? Known keys are rtol, atol, percent_mismatch, cosine, snr_db, peak_percent, top_k, nan_pattern, repeat, second_chance, own_error, precision, provider, output"),
        ("inputs", [], 'inputs: is []; it must be an object of rules by input name, such as {"ids": {"high": 100}}'),
        ("inputs", {"x": 1}, 'inputs.x: is 1; it must be an object such as {"low": 0, "high": 100}'),
        ("inputs", {"x": {"low": 2, "high": 1}}, "inputs.x: low 2 is above high 1; swap them"),
        ("inputs", {"x": {"low": "2"}}, 'inputs.x.low: is "2"; it must be a finite number'),
        ("inputs", {"x": {"low": 2, "fill": "ones"}}, "inputs.x: low and high have no effect with fill 'ones'; remove them, or the fill"),
        ("inputs", {"x": {"fill": "random"}}, "inputs.x.fill: unknown fill 'random'; known fills are uniform, ramp, zeros, ones"),
        ("inputs", {"x": {"fill": 1}}, "inputs.x.fill: is 1; it must be one of uniform, ramp, zeros, ones"),
        ("inputs", {"x": {"shape": [-1]}}, "inputs.x.shape: is [-1]; it must be a list of integers, 0 or more"),
        ("inputs", {"x": {"value": None}}, "inputs.x.value: is null; it must be a number, a text, true or false, or a (nested) list of them whose rows are of one length"),
        ("inputs", {"x": {"value": [[1], [1, 2]]}}, "inputs.x.value: is [[1], [1, 2]]; it must be a number, a text, true or false, or a (nested) list of them whose rows are of one length"),
        ("inputs", {"x": {"value": 1, "low": 0, "fill": "ones"}}, "inputs.x: low and fill have no effect beside value; remove them, or value"),
        ("inputs", {"x": {"value": 0, "choices": [1]}}, "inputs.x: choices has no effect beside value; remove it, or value"),
        ("inputs", {"x": {"choices": [1], "high": 3}}, "inputs.x: high has no effect beside choices; remove it, or choices"),
        ("inputs", {"x": {"choices": []}}, "inputs.x.choices: is []; it must be a list of numbers, texts or flags, at least one"),
        ("inputs", {"x": {"choices": [[1]]}}, "inputs.x.choices[0]: is [1]; it must be a number, a text, true or false"),
        ("inputs", {"x": {"value": [1, 2], "shape": [3]}}, "inputs.x: shape [3] is not that of the value; remove it: the list has a shape"),
        ("inputs", {"x": {"shape": 3}}, "inputs.x.shape: is 3; it must be a list of integers, 0 or more"),
        ("inputs", {"x": {"slices": "0:1,a"}}, 'inputs.x.slices: is "0:1,a"; it must be Python slices with commas between, such as "0:1, :, 2:"'),
        ("inputs", {"x": {"slices": "::0"}}, 'inputs.x.slices: is "::0"; it must be Python slices with commas between, such as "0:1, :, 2:"'),
        ("dims", {"b": {"min": 1, "opt": 9, "max": 8}}, 'dims.b: is {"min": 1, "opt": 9, "max": 8}; it must be in the order min, opt, max'),
        ("dims", {"b": {"min": -1, "opt": 1, "max": 8}}, "dims.b.min: is -1; it must be an integer of 0 or more"),
        ("dims", {"b": {"opt": 1, "max": 8}}, "dims.b: missing key 'min'"),
        ("dims", {"b": {"min": 1, "opt": 1, "max": 8, "mean": 2}}, "dims.b: unknown key 'mean'; known keys are min, opt, max"),
        ("ep_options", [], 'ep_options: is []; it must be an object of options by provider, such as {"cuda": {"device_id": 0}}'),
        ("ep_options", {"gpu": {}}, f"ep_options.gpu: unknown provider 'gpu'; known providers are {PROVIDER_NAMES}"),
        ("ep_options", {"cuda": 1}, "ep_options.cuda: is 1; it must be an object of option values"),
        ("ep_options", {"cuda": {"a": None}}, "ep_options.cuda.a: is null; it must be a text, a finite number, true or false"),
        ("ep_options", {"trt": {}, "tensorrt": {}}, "ep_options.tensorrt: the provider 'tensorrt' is given twice; put all its options under one name"),
        ("skip", True, "skip: is true; it must be a reason, an object with a reason, or a list of these"),
        ("skip", "", 'skip: is ""; it must be a text that is not empty'),
        ("skip", {"providers": ["cuda"]}, "skip: missing key 'reason'"),
        ("skip", {"reason": "r", "raises": "crash"}, "skip: unknown key 'raises'; known keys are reason, providers, precisions, modes"),
        ("skip", {"reason": "r", "providers": []}, "skip.providers: is []; it must be a list of provider names, at least one"),
        ("xfail", ["r", {"reason": "r", "modes": ["bench"]}], "xfail[1].modes[0]: unknown mode 'bench'; did you mean 'benchmark'? Known modes are validate, benchmark"),
        ("xfail", {"reason": "r", "raises": "error"}, "xfail.raises: unknown value 'error'; known values are crash"),
        ("xfail", {"reason": "r", "precisions": "fp16"}, 'xfail.precisions: is "fp16"; it must be a list of precisions, at least one'),
    ],
)  # fmt: skip
def test_wrong_value_is_named_with_what_is_allowed(
    issues_of_entry: IssuesOfEntry, key: str, value: Any, issue: str
) -> None:
    assert issues_of_entry(**{key: value}) == [issue]


def test_session_rules_of_an_entry_stand_before_the_defaults(
    read: Callable[..., tuple[Model, ...]], tmp_path: Path
) -> None:
    (model,) = read(
        {
            "defaults": {"session": {"graph_optimization": "basic"}},
            "models": [
                {
                    "name": "a",
                    "path": "a.onnx",
                    "session": [
                        {"provider": "CUDAExecutionProvider", "config": {"session.x": True}},
                        {"custom_op_libraries": ["ops.so"], "inter_op_threads": 2, "execution_mode": "parallel"},
                    ],
                }
            ],
        }
    )

    assert model.session == (
        SessionRule(provider="cuda", config={"session.x": "1"}),
        SessionRule(custom_op_libraries=(str(tmp_path / "ops.so"),), inter_op_threads=2, execution_mode="parallel"),
        SessionRule(graph_optimization="basic"),
    )
