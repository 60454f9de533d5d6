import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper

from pytest_ortperf.cases.model import Model
from pytest_ortperf.cases.model_list import read_models
from pytest_ortperf.cases.rules import InputRule
from pytest_ortperf.errors import CaseError
from pytest_ortperf.execution.inputs.generated_inputs import generate_inputs
from pytest_ortperf.execution.inputs.tensor_types import DTYPES
from pytest_ortperf.execution.inputs.tensor_values import run

INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "int4", "uint4", "int2", "uint2")
FLOATS = ("float", "double", "float16", "bfloat16", "float8e4m3fn", "float8e5m2", "float8e4m3fnuz", "float4e2m1")


@dataclass
class InputMeta:
    name: str = "x"
    type: str = "tensor(float)"
    shape: list[Any] = field(default_factory=lambda: [64])


def model_with(**rules: InputRule) -> Model:
    return Model(name="m", path=Path("m.onnx"), origin="models.json: models[0] 'm'", inputs=rules)


def generate(meta: InputMeta, rule: InputRule | None = None, seed: int = 0, **dims: int) -> Any:
    model = model_with() if rule is None else model_with(**{meta.name: rule})
    return generate_inputs([meta], model=model, dims=dims, seed=seed)[meta.name]


@pytest.mark.parametrize("element", [name for name in DTYPES if name != "string"])
def test_each_type_has_a_generator(element: str) -> None:
    array = generate(InputMeta(type=f"tensor({element})"))

    assert (array.dtype, array.shape) == (DTYPES[element], (64,))
    assert len(set(array.astype(np.complex128).tolist())) > 1
    assert np.isfinite(array.astype(np.complex128)).all()


@pytest.mark.parametrize("element", [*INTEGERS, "bool"])
def test_integers_are_zero_or_one(element: str) -> None:
    assert set(generate(InputMeta(type=f"tensor({element})")).astype(int).tolist()) == {0, 1}


@pytest.mark.parametrize("element", FLOATS)
def test_floats_lie_between_minus_one_and_one_and_have_both_signs(element: str) -> None:
    array = generate(InputMeta(type=f"tensor({element})", shape=[2000])).astype(np.float64)

    assert array.min() >= -1.0
    assert array.max() < 1.0
    assert array.min() < -0.4
    assert array.max() > 0.4


def test_strings_are_short_words() -> None:
    array = generate(InputMeta(type="tensor(string)", shape=[2, 3]))

    assert (array.dtype, array.shape) == (np.dtype(object), (2, 3))
    assert all(isinstance(word, str) and 1 <= len(word) <= 5 for word in array.flat)


def test_the_values_of_a_seed_stay_as_they_are() -> None:
    # Stored results and caches rely on these: a change here changes every generated input of every user.
    metas = [InputMeta("x", shape=[3]), InputMeta("ids", "tensor(int64)", [8]), InputMeta("s", "tensor(string)", [2])]

    inputs = generate_inputs(metas, model=model_with(), dims={}, seed=7)

    assert {name: value.tolist() for name, value in inputs.items()} == {
        "x": np.array([-0.23668204247951508, -0.1180974543094635, -0.4824342131614685], np.float32).tolist(),
        "ids": [0, 1, 0, 0, 0, 1, 0, 1],
        "s": ["red", "dog"],
    }


def test_another_input_changes_nothing_for_the_first() -> None:
    x, y = InputMeta("x"), InputMeta("y")

    alone = generate_inputs([x], model=model_with(), dims={}, seed=1)
    both = generate_inputs([y, x], model=model_with(), dims={}, seed=1)

    assert alone["x"].tolist() == both["x"].tolist()
    assert both["x"].tolist() != both["y"].tolist()


def test_another_seed_gives_other_values() -> None:
    assert generate(InputMeta(), seed=1).tolist() != generate(InputMeta(), seed=2).tolist()


@pytest.mark.parametrize(
    ("shape", "dims", "expected"),
    [
        (["batch", 3, None], {"batch": 4}, (4, 3, 1)),
        (["batch", "batch"], {}, (1, 1)),
        ([0, 2], {}, (0, 2)),
        ([-1, 2], {}, (1, 2)),
        ([], {}, ()),
        (["n"], {"n": 0}, (0,)),
    ],
)
@pytest.mark.parametrize("fill", ["uniform", "ramp"])
def test_dimensions_come_from_dims_or_are_one(
    fill: Any, shape: list[Any], dims: dict[str, int], expected: tuple[int, ...]
) -> None:
    assert generate(InputMeta(shape=shape), InputRule(fill=fill), **dims).shape == expected


def test_unknown_dims_are_refused_with_those_there_are() -> None:
    metas = [InputMeta("x", shape=["batch", 3, "sequence"]), InputMeta("y", shape=["batch"])]

    with pytest.raises(CaseError) as caught:
        generate_inputs(metas, model=model_with(), dims={"batch": 1, "seq": 2}, seed=0)

    assert str(caught.value) == (
        "dims: no input has the dimension 'seq'; the model's inputs have 'batch', 'sequence': "
        'correct "dims" of the model, or give it "dims": {} where those of the defaults are not for it'
    )
    assert (caught.value.stage, caught.value.kind) == ("inputs", "input error")


def test_dims_of_a_model_without_symbolic_dimensions_are_refused() -> None:
    with pytest.raises(CaseError, match="the model's inputs have no symbolic dimension: correct"):
        generate(InputMeta(), n=2)


def test_a_rule_sets_range_and_shape_by_glob() -> None:
    model = model_with(**{"ids_b": InputRule(high=3), "ids_*": InputRule(low=10, high=12, shape=(50,))})
    metas = [InputMeta("ids_a", "tensor(int64)", [2]), InputMeta("ids_b", "tensor(int64)", [50])]

    inputs = generate_inputs(metas, model=model, dims={}, seed=0)

    assert inputs["ids_a"].shape == (50,)
    assert set(inputs["ids_a"].tolist()) == {10, 11, 12}
    assert set(inputs["ids_b"].tolist()) == {0, 1, 2, 3}


@pytest.mark.parametrize(
    ("element", "rule", "expected"),
    [
        ("float", InputRule(fill="ramp"), [0.0, 0.25, 0.5, 0.75]),
        ("float", InputRule(fill="ramp", low=1, high=5), [1.0, 2.0, 3.0, 4.0]),
        ("int64", InputRule(fill="ramp", low=3, high=6), [3, 4, 5, 6]),
        ("uint4", InputRule(fill="ramp"), [0, 0, 1, 1]),
        ("float16", InputRule(fill="zeros"), [0.0] * 4),
        ("bool", InputRule(fill="ones"), [True] * 4),
        ("bfloat16", InputRule(fill="ones"), [1.0] * 4),
        ("int32", InputRule(low=5, high=5), [5] * 4),
        ("uint64", InputRule(low=2**63, high=2**63), [2**63] * 4),
    ],
)
def test_fills(element: str, rule: InputRule, expected: list[float]) -> None:
    assert generate(InputMeta(type=f"tensor({element})", shape=[4]), rule).tolist() == expected


@pytest.mark.parametrize(
    ("type_text", "rule", "message"),
    [
        ("tensor(uint8)", InputRule(low=-1), "no uint8 from -1 to 1; low and high must lie in 0 to 255"),
        ("tensor(int4)", InputRule(high=8), "no int4 from 0 to 8; low and high must lie in -8 to 7"),
        ("tensor(float)", InputRule(low=5), "no float from 5 up to 1.0; low must be below high: give both"),
        ("tensor(string)", InputRule(fill="ramp"), "no strings for fill 'ramp'; leave it out"),
        (
            "map(int64,tensor(float))",
            None,
            'no map(int64,tensor(float)) can be generated; give stored inputs with "test_data" in the model list',
        ),
        (
            "seq(map(int64,tensor(float)))",
            None,
            'no seq(map(int64,tensor(float))) can be generated; give stored inputs with "test_data" in the model list',
        ),
    ],
)
def test_what_cannot_be_generated_is_an_error(type_text: str, rule: InputRule | None, message: str) -> None:
    with pytest.raises(CaseError) as caught:
        generate(InputMeta(type=type_text), rule)

    assert str(caught.value) == (
        f"input 'x': {message}\nThe input 'x' was generated. If the model needs other values, give them in the model "
        'list: "inputs": {"x": {"value": ...}}, or "choices", "low" and "high" or "shape" there; or stored ones with '
        '"test_data"'
    )


@pytest.mark.parametrize(
    ("size", "message"),
    [
        (2**44, r"input 'x': there is no memory for it \(Unable to allocate .*\); choose smaller dimensions"),
        (2**62, rf"input 'x': no array has shape \({2**62},\); choose smaller dimensions"),
    ],
)
def test_dimensions_that_no_memory_holds_are_named(size: int, message: str) -> None:
    with pytest.raises(CaseError, match=message) as caught:
        generate(InputMeta(shape=["batch"]), batch=size)
    assert (caught.value.stage, caught.value.kind) == ("inputs", "input error")


def test_a_sequence_has_one_tensor_and_an_optional_a_value() -> None:
    (item,) = generate(InputMeta(type="seq(tensor(int64))", shape=[]))

    assert (item.dtype, item.shape) == (np.dtype("int64"), (2,))
    assert generate(InputMeta(type="optional(tensor(float16))", shape=["n", 2])).shape == (1, 2)
    assert isinstance(generate(InputMeta(type="optional(seq(tensor(float)))", shape=[])), list)


@given(
    element=st.sampled_from(FLOATS),
    low=st.floats(-2, 2, width=16),
    width=st.floats(0.25, 4, width=16),
    seed=st.integers(0, 2**63),
)
def test_the_upper_end_is_excluded_however_few_digits_the_type_has(
    element: str, low: float, width: float, seed: int
) -> None:
    low = float(np.array(low).astype(DTYPES[element]))
    high = low + width

    array = generate(InputMeta(type=f"tensor({element})"), InputRule(low=low, high=high), seed)

    assert (array.astype(np.float64) >= low).all()
    assert (array.astype(np.float64) < high).all()


def test_generated_inputs_run() -> None:
    names = {"a": TensorProto.FLOAT, "b": TensorProto.BFLOAT16, "c": TensorProto.INT4, "d": TensorProto.BOOL}
    graph = helper.make_graph(
        [helper.make_node("Cast", [name], [f"{name}_out"], to=TensorProto.FLOAT) for name in names],
        "graph",
        [helper.make_tensor_value_info(name, element, ["n", 3]) for name, element in names.items()],
        [helper.make_tensor_value_info(f"{name}_out", TensorProto.FLOAT, ["n", 3]) for name in names],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])

    inputs = generate_inputs(session.get_inputs(), model=model_with(), dims={"n": 2}, seed=0)
    outputs = run(session, None, inputs)

    for fed, got in zip(inputs.values(), outputs, strict=True):
        np.testing.assert_array_equal(got, fed.astype(np.float32))


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        ("int64", 7, 7),
        ("int64", 2**53 + 1, 2**53 + 1),
        ("uint8", 255.0, 255),
        ("int4", -8, -8),
        ("float", 0.5, 0.5),
        ("float16", 3, 3),
        ("bfloat16", 2.0, 2),
        ("bool", True, True),
        ("bool", 0, False),
        ("string", "a b", "a b"),
    ],
)
def test_a_value_fills_the_whole_tensor_and_a_scalar(kind: str, value: Any, expected: Any) -> None:
    for shape in ([], [2, 3]):
        array = generate(InputMeta(type=f"tensor({kind})", shape=shape), InputRule(value=value))
        assert (array.dtype, array.shape) == (DTYPES[kind], tuple(shape))
        assert set(array.reshape(-1).tolist()) == {expected}


@pytest.mark.parametrize("declared", [[2, 2], ["n", 2], []])
def test_a_list_is_the_whole_tensor(declared: list[Any], read: Any) -> None:
    rule = read({"x": {"value": [[1, 2], [3, 4]]}})
    assert generate(InputMeta(type="tensor(int64)", shape=declared), rule).tolist() == [[1, 2], [3, 4]]


@pytest.fixture
def read(tmp_path: Path) -> Any:
    def rule(inputs: dict[str, Any]) -> InputRule:
        path = tmp_path / "models.json"
        path.write_text(json.dumps([{"name": "m", "path": "m.onnx", "inputs": inputs}]))
        return read_models(path, workspace=None)[0].inputs["x"]

    return rule


@pytest.mark.parametrize(("kind", "choices"), [("int64", (3, 512)), ("float", (0.25, -4.0)), ("string", ("yes", "no"))])
def test_choices_are_drawn_by_the_seed(kind: str, choices: tuple[Any, ...]) -> None:
    meta, rule = InputMeta(type=f"tensor({kind})", shape=[100]), InputRule(choices=choices)
    first, again, other = (generate(meta, rule, seed).tolist() for seed in (0, 0, 1))
    assert first == again != other
    assert set(first) == set(choices)


@pytest.mark.parametrize(
    ("kind", "rule", "message"),
    [
        ("int32", InputRule(value=0.5), "no int32 is 0.5; give whole numbers from -2147483648 to 2147483647"),
        ("uint8", InputRule(choices=(1, 256)), "no uint8 is 256; give whole numbers from 0 to 255"),
        ("float", InputRule(value="1"), 'no float is "1"; give numbers'),
        ("float16", InputRule(value=1e6), "no float16 is as large as 1e+06; give smaller numbers"),
        ("string", InputRule(value=1), "no string is 1; give texts"),
        ("bool", InputRule(choices=(2,)), "no bool is 2; give true or false"),
        ("float", InputRule(value=(1, 2), shape=(2,)), "the value has shape (2,); the model declares (64)"),
    ],
)  # fmt: skip
def test_values_that_no_input_can_have_are_named(kind: str, rule: InputRule, message: str) -> None:
    with pytest.raises(CaseError) as caught:
        generate(InputMeta(type=f"tensor({kind})"), rule)
    assert str(caught.value).partition("\n")[0] == f"input 'x': {message}"
