from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from pytest_ortperf.cases.model import Model
from pytest_ortperf.cases.rules import InputRule, Tolerance
from pytest_ortperf.errors import CaseError
from pytest_ortperf.execution.accuracy.output_accuracy import compare
from pytest_ortperf.execution.inputs.generated_inputs import parse_slices
from pytest_ortperf.execution.inputs.stored_data import DataSet, find_data_sets, read_inputs, read_outputs
from pytest_ortperf.execution.inputs.tensor_values import run

ERRORS = onnxruntime.capi.onnxruntime_pybind11_state
NOT_FOR_THIS_RUNTIME = (ERRORS.Fail, ERRORS.NotImplemented, ERRORS.InvalidGraph)
ONNX_DATA = Path(onnx.__file__).parent / "backend" / "test" / "data"


@dataclass
class ValueMeta:
    name: str
    type: str = "tensor(float)"
    shape: list[Any] = field(default_factory=list)


def model_with(**fields: Any) -> Model:
    return Model(name="m", path=Path("m.onnx"), origin="models.json: models[0] 'm'", **fields)


def store(folder: Path, files: Mapping[str, onnx.TensorProto | onnx.SequenceProto | onnx.MapProto | bytes]) -> DataSet:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        data = content if isinstance(content, bytes) else content.SerializeToString()
        (folder / f"{name}.pb").write_bytes(data)
    (data_set,) = find_data_sets(folder)
    return data_set


def tensor(values: Any, name: str = "", dtype: Any = np.float32) -> onnx.TensorProto:
    return numpy_helper.from_array(np.array(values, dtype), name)


def as_lists(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: np.asarray(value).tolist() for name, value in values.items()}


def error_of(data_set: DataSet, metas: Sequence[ValueMeta], model: Model | None = None) -> str:
    with pytest.raises(CaseError) as caught:
        read_inputs(data_set, metas, model or model_with())
    assert (caught.value.stage, caught.value.kind) == ("inputs", "input error")
    return str(caught.value)


def test_a_folder_with_files_is_one_data_set_in_numeric_order(tmp_path: Path) -> None:
    for name in ("input_10.pb", "input_2.pb", "input0.pb", "output0.pb", "._input_1.pb", "input_3.txt", "input.pb"):
        (tmp_path / name).touch()
    (tmp_path / "test_data_set_0").mkdir()

    assert find_data_sets(tmp_path) == [
        DataSet(
            name=tmp_path.name,
            path=tmp_path,
            inputs=(tmp_path / "input0.pb", tmp_path / "input_2.pb", tmp_path / "input_10.pb"),
            outputs=(tmp_path / "output0.pb",),
        )
    ]


def test_folders_are_data_sets_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    for name in ("test_data_set_10", "test_data_set_2", "test_data_0", "other_3"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "output_0.pb").touch()
    (tmp_path / "test_data_empty").mkdir()
    (tmp_path / "test_data.txt").touch()

    names = [data_set.name for data_set in find_data_sets(tmp_path)]

    assert names == ["test_data_0", "test_data_set_2", "test_data_set_10"]


def test_no_data_set_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CaseError) as caught:
        find_data_sets(tmp_path)

    assert str(caught.value) == (
        f"{tmp_path}: no data set found; expected files input_<n>.pb and output_<n>.pb "
        "(or .npy), folders test_data* that hold them, or files test_data*.npz; --ortperf-input=random generates inputs"
    )


def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CaseError) as caught:
        find_data_sets(tmp_path / "gone")

    assert str(caught.value) == (
        f"{tmp_path / 'gone'}: the folder cannot be read (No such file or directory); "
        "check the path and its permissions"
    )


def test_two_files_of_one_number_are_an_error(tmp_path: Path) -> None:
    (tmp_path / "input_0.pb").touch()
    (tmp_path / "input0.pb").touch()

    with pytest.raises(CaseError) as caught:
        find_data_sets(tmp_path)

    assert str(caught.value) == f"{tmp_path / 'input_0.pb'}: input 0 is in 'input0.pb' too; remove one"


def test_files_belong_to_the_names_in_them(tmp_path: Path) -> None:
    data_set = store(tmp_path, {"input_0": tensor([2], "b"), "input_1": tensor([1], "a")})

    inputs = read_inputs(data_set, [ValueMeta("a"), ValueMeta("b")], model_with())

    assert as_lists(inputs) == {"b": [2.0], "a": [1.0]}


@pytest.mark.parametrize("names", [("x", "y"), ("", ""), ("a", "other")])
def test_files_belong_to_positions_where_names_do_not_match(tmp_path: Path, names: tuple[str, str]) -> None:
    data_set = store(tmp_path, {"input_0": tensor([1], names[0]), "input_1": tensor([2], names[1])})

    inputs = read_inputs(data_set, [ValueMeta("a"), ValueMeta("b")], model_with())

    assert as_lists(inputs) == {"a": [1.0], "b": [2.0]}


@pytest.mark.parametrize("first", ["other", "a", ""])
def test_names_that_contradict_positions_are_not_guessed(tmp_path: Path, first: str) -> None:
    data_set = store(tmp_path, {"input_0": tensor([1], first), "input_1": tensor([2], "a")})

    assert error_of(data_set, [ValueMeta("a"), ValueMeta("b")]) == (
        f"{tmp_path / 'input_1.pb'}: holds 'a', but by its number it would be 'b', as not all files hold names of "
        "the model ('a', 'b'); name the tensors in the files, or give \"input_order\" in the model list"
    )


def test_the_model_list_s_order_wins_over_names(tmp_path: Path) -> None:
    data_set = store(tmp_path, {"input_0": tensor([1], "a"), "input_1": tensor([2], "b")})

    inputs = read_inputs(data_set, [ValueMeta("a"), ValueMeta("b")], model_with(input_order=("b", "a")))

    assert as_lists(inputs) == {"b": [1.0], "a": [2.0]}


@pytest.mark.parametrize("order", [("b",), ("a", "c"), ("a", "a")])
def test_an_order_that_does_not_fit_is_an_error(tmp_path: Path, order: tuple[str, ...]) -> None:
    data_set = store(tmp_path, {"input_0": tensor([1]), "input_1": tensor([2])})
    listed = ", ".join(f"'{name}'" for name in order)

    assert error_of(data_set, [ValueMeta("a"), ValueMeta("b")], model_with(input_order=order)) == (
        f'{tmp_path}: "input_order" of the model list is {listed}, for 2 input files of the inputs '
        "'a', 'b'; name each file's input once, in the order of the files"
    )


def test_too_many_files_are_an_error(tmp_path: Path) -> None:
    data_set = store(tmp_path, {"input_0": tensor([1]), "input_1": tensor([2])})

    assert error_of(data_set, [ValueMeta("a")]) == (
        f"{tmp_path}: 2 input files for 1 inputs ('a'); store one input_<n>.pb for each input"
    )


def test_too_few_files_are_an_error(tmp_path: Path) -> None:
    data_set = store(tmp_path, {"input_0": tensor([1])})

    assert error_of(data_set, [ValueMeta("a"), ValueMeta("b"), ValueMeta("c")]) == (
        f"{tmp_path}: 1 input files for 3 inputs, nothing for 'b', 'c'; store one input_<n>.pb for each input"
    )


def test_optional_inputs_need_no_file(tmp_path: Path) -> None:
    data_set = store(tmp_path, {"input_0": tensor([1])})

    inputs = read_inputs(data_set, [ValueMeta("a"), ValueMeta("b", "optional(tensor(float))")], model_with())

    assert as_lists(inputs) == {"a": [1.0]}


def test_an_initializer_may_be_stored_but_need_not(tmp_path: Path) -> None:
    weight = helper.make_tensor("w", TensorProto.FLOAT, [1], [10.0])
    infos = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "xwy"]
    graph = helper.make_graph([helper.make_node("Add", ["x", "w"], ["y"])], "g", infos[:2], infos[2:], [weight])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])

    for files, expected in (
        ({"input_0": tensor([1])}, 11.0),
        ({"input_0": tensor([1], "x"), "input_1": tensor([5], "w")}, 6.0),
    ):
        inputs = read_inputs(
            store(tmp_path / str(expected), files),
            session.get_inputs(),
            model_with(),
            overridable=session.get_overridable_initializers(),
        )
        assert run(session, None, inputs)[0].tolist() == [expected]


@pytest.mark.parametrize(
    ("slices", "expected"),
    [
        ("0:1", [[0.0, 1.0, 2.0]]),
        (":, 1:", [[1.0, 2.0], [4.0, 5.0]]),
        ("..., ::2", [[0.0, 2.0], [3.0, 5.0]]),
        ("-1:,:-1", [[3.0, 4.0]]),
        ("::-1", [[3.0, 4.0, 5.0], [0.0, 1.0, 2.0]]),
    ],
)
def test_slices_cut_stored_inputs(tmp_path: Path, slices: str, expected: list[Any]) -> None:
    data_set = store(tmp_path, {"input_0": tensor(np.arange(6).reshape(2, 3), "data:0")})
    model = model_with(inputs={"data*": InputRule(slices=slices)})
    shape = [len(expected), len(expected[0])]

    inputs = read_inputs(data_set, [ValueMeta("data:0", shape=shape)], model)

    assert as_lists(inputs) == {"data:0": expected}


@pytest.mark.parametrize("text", ["", "1", "0:1,", "a:", "::0", "0:1:2:3", "__import__('os')", "0:1 0:2", "1.5:"])
def test_what_is_not_a_slice_is_refused(text: str) -> None:
    part = text.rsplit(",", maxsplit=1)[-1].strip()

    with pytest.raises(CaseError) as caught:
        parse_slices(text)

    assert str(caught.value) == (
        f"slices {text!r}: {part!r} is not a slice; write Python slices such as '0:1' or '0:1, :, 2:'"
    )


def test_more_slices_than_dimensions_are_an_error(tmp_path: Path) -> None:
    data_set = store(tmp_path, {"input_0": tensor([1, 2])})
    model = model_with(inputs={"x": InputRule(slices=":, :")})

    assert error_of(data_set, [ValueMeta("x")], model) == (
        f"{tmp_path / 'input_0.pb'}: slices ':, :' do not fit shape (2,); give at most 1"
    )


def test_a_git_lfs_pointer_is_named_as_such(tmp_path: Path) -> None:
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 12\n"

    assert error_of(store(tmp_path, {"input_0": pointer}), [ValueMeta("x")]) == (
        f"{tmp_path / 'input_0.pb'}: is a Git LFS pointer, not a tensor; fetch the data with `git lfs pull`"
    )


@pytest.mark.parametrize("kept", range(40))
def test_a_truncated_file_is_an_error_wherever_it_ends(tmp_path: Path, kept: int) -> None:
    whole = tensor([1, 2, 3, 4], "x").SerializeToString()
    assert len(whole) > 23
    content = whole[: min(kept, len(whole) - 1)]

    message = error_of(store(tmp_path, {"input_0": content}), [ValueMeta("x", shape=["n"])])

    assert message.startswith(f"{tmp_path / 'input_0.pb'}: {len(content)} bytes do not hold a TensorProto (")
    assert message.endswith(
        "), which the model's tensor(float) needs; "
        "the file is truncated or holds something else: write or download it again"
    )


def test_a_file_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    data_set = store(tmp_path, {"input_0": tensor([1])})
    (tmp_path / "input_0.pb").unlink()
    (tmp_path / "input_0.pb").mkdir()

    assert error_of(data_set, [ValueMeta("x")]) == (
        f"{tmp_path / 'input_0.pb'}: cannot be read (Is a directory); check that it exists and may be read"
    )


@pytest.mark.parametrize(
    ("dtype", "declared", "message"),
    [
        (
            np.float64,
            "tensor(float)",
            "holds tensor(double) for input 'x', which the model declares as tensor(float); store it as float",
        ),
        (
            np.int32,
            "tensor(int64)",
            "holds tensor(int32) for input 'x', which the model declares as tensor(int64); store it as int64",
        ),
        (
            np.float32,
            "tensor(bfloat16)",
            "holds tensor(float) for input 'x', which the model declares as tensor(bfloat16); store it as bfloat16",
        ),
    ],
)
def test_a_wrong_dtype_is_an_error(tmp_path: Path, dtype: Any, declared: str, message: str) -> None:
    data_set = store(tmp_path, {"input_0": tensor([1], "x", dtype)})

    assert error_of(data_set, [ValueMeta("x", declared)]) == f"{tmp_path / 'input_0.pb'}: {message}"


def test_input_floats_of_another_precision_are_cast_if_told(tmp_path: Path) -> None:
    files = {"input_0": tensor([1.5], "x"), "input_1": tensor([1], "n", np.int64)}
    data_set = store(tmp_path, files)
    metas = [ValueMeta("x", "tensor(float16)"), ValueMeta("n", "tensor(int64)")]

    inputs = read_inputs(data_set, metas, model_with(), cast_floats=True)

    assert {name: value.dtype for name, value in inputs.items()} == {"x": np.float16, "n": np.int64}


@pytest.mark.parametrize("declared", [[2, 3], ["n", 3], [None, "m"], ["n", "n"], []])
def test_symbolic_dimensions_take_any_size(tmp_path: Path, declared: list[Any]) -> None:
    data_set = store(tmp_path, {"input_0": tensor(np.ones((2, 3)), "x")})

    assert read_inputs(data_set, [ValueMeta("x", shape=declared)], model_with())["x"].shape == (2, 3)


@pytest.mark.parametrize(
    ("declared", "text"), [([2, 4], "(2, 4)"), (["n", 1, None], "(n, 1, ?)"), ([6], "(6)"), ([0, 3], "(0, 3)")]
)
def test_a_wrong_shape_is_an_error(tmp_path: Path, declared: list[Any], text: str) -> None:
    data_set = store(tmp_path, {"input_0": tensor(np.ones((2, 3)), "x")})

    assert error_of(data_set, [ValueMeta("x", shape=declared)]) == (
        f"{tmp_path / 'input_0.pb'}: shape (2, 3) for input 'x', which the model declares as {text}; "
        'store that shape, or cut it with "slices" in the model list'
    )


def test_sequences_optionals_and_maps_are_read_as_the_model_declares_them(tmp_path: Path) -> None:
    one, two = np.array([1, 2], np.float32), np.array([[3]], np.float32)
    data_set = store(
        tmp_path,
        {
            "input_0": numpy_helper.from_dict({5: np.array(1.5, np.float32)}, "map"),
            "input_1": numpy_helper.from_list([one, two], "list"),
            "input_2": numpy_helper.from_optional(one, "some"),
            "input_3": numpy_helper.from_optional(None, "none"),
            "input_4": tensor([4], "tensor"),
        },
    )
    metas = [
        ValueMeta("tensor"),
        ValueMeta("list", "seq(tensor(float))"),
        ValueMeta("some", "optional(tensor(float))"),
        ValueMeta("none", "optional(tensor(float))"),
        ValueMeta("map", "map(int64,tensor(float))"),
    ]

    inputs = read_inputs(data_set, metas, model_with())

    assert list(inputs) == ["map", "list", "some", "none", "tensor"]
    assert inputs["map"] == {5: np.float32(1.5)}
    assert [item.tolist() for item in inputs["list"]] == [[1.0, 2.0], [[3.0]]]
    assert inputs["some"].tolist() == [1.0, 2.0]
    assert inputs["none"] is None
    assert inputs["tensor"].tolist() == [4.0]


def test_a_sequence_of_another_type_is_an_error(tmp_path: Path) -> None:
    data_set = store(tmp_path, {"input_0": numpy_helper.from_list([np.ones(1)], "x")})

    assert error_of(data_set, [ValueMeta("x", "seq(tensor(float))")]) == (
        f"{tmp_path / 'input_0.pb'}: holds tensor(double) for input 'x', which the model declares as "
        "seq(tensor(float)); store it as float"
    )


def with_external_data(folder: Path) -> DataSet:
    proto = tensor(np.arange(4), "x")
    onnx.external_data_helper.set_external_data(proto, "weights.bin")
    folder.mkdir(exist_ok=True)
    (folder / "weights.bin").write_bytes(proto.raw_data)
    proto.ClearField("raw_data")
    return store(folder, {"input_0": proto})


def test_data_outside_the_file_is_found_in_its_folder(tmp_path: Path) -> None:
    inputs = read_inputs(with_external_data(tmp_path), [ValueMeta("x", shape=[4])], model_with())

    assert as_lists(inputs) == {"x": [0.0, 1.0, 2.0, 3.0]}


def test_missing_outside_data_is_an_error(tmp_path: Path) -> None:
    data_set = with_external_data(tmp_path)
    (tmp_path / "weights.bin").unlink()

    message = error_of(data_set, [ValueMeta("x", shape=[4])])

    assert message.startswith(f"{tmp_path / 'input_0.pb'}: ")
    assert "weights.bin" in message


def test_outputs_belong_to_names_then_to_the_wanted_outputs_then_to_all(tmp_path: Path) -> None:
    metas = [ValueMeta("a"), ValueMeta("b"), ValueMeta("c")]
    named = store(tmp_path / "named", {"output_0": tensor([2], "b"), "output_1": tensor([1], "a")})
    unnamed = store(tmp_path / "unnamed", {"output_0": tensor([1]), "output_1": tensor([2])})

    assert as_lists(read_outputs(named, metas, model_with())) == {"b": [2.0], "a": [1.0]}
    assert as_lists(read_outputs(named, metas, model_with(outputs=("a",)))) == {"a": [1.0]}
    assert as_lists(read_outputs(unnamed, metas, model_with())) == {"a": [1.0], "b": [2.0]}
    assert as_lists(read_outputs(unnamed, metas, model_with(outputs=("b", "c")))) == {"b": [1.0], "c": [2.0]}
    assert as_lists(read_outputs(unnamed, metas, model_with(outputs=("b",)))) == {"b": [2.0]}


def test_errors_of_outputs_belong_to_the_reference_stage(tmp_path: Path) -> None:
    data_set = store(tmp_path, {"output_0": tensor([1]), "output_1": tensor([2])})

    with pytest.raises(CaseError) as caught:
        read_outputs(data_set, [ValueMeta("y")], model_with())

    assert str(caught.value) == (
        f"{tmp_path}: 2 output files for 1 outputs ('y'); store one output_<n>.pb for each output"
    )
    assert (caught.value.stage, caught.value.kind) == ("reference", "input error")


def conformance_models() -> list[Path]:
    # StringNormalizer needs a locale that not every machine has.
    folders = [path for kind in ("simple", "pytorch-operator") for path in (ONNX_DATA / kind).iterdir()]
    return sorted(folder for folder in folders if (folder / "model.onnx").exists() and "strnorm" not in folder.name)


def test_names_and_positions_agree_for_the_data_of_the_onnx_wheel_and_its_outputs_are_right() -> None:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    read = 0
    for folder in conformance_models():
        try:
            session = onnxruntime.InferenceSession(folder / "model.onnx", options, providers=["CPUExecutionProvider"])
        except NOT_FOR_THIS_RUNTIME:
            continue
        for data_set in find_data_sets(folder):
            by_name = read_inputs(data_set, session.get_inputs(), model_with())
            order = tuple(meta.name for meta in session.get_inputs())[: len(data_set.inputs)]
            by_position = read_inputs(data_set, session.get_inputs(), model_with(input_order=order))
            assert list(by_name) == list(by_position)
            for one, other in zip(by_name.values(), by_position.values(), strict=True):
                np.testing.assert_equal(one, other)
            computed = run(session, None, by_name)
            outputs = dict(zip((meta.name for meta in session.get_outputs()), computed, strict=True))
            references = read_outputs(data_set, session.get_outputs(), model_with())
            accuracies = compare(outputs, references, lambda _: Tolerance(rtol=1e-3, atol=1e-7))
            assert [accuracy.message for accuracy in accuracies if not accuracy.within_tolerance] == []
            read += 1
    assert read > 30


def a_map(keys: Sequence[Any], values: Sequence[float]) -> onnx.MapProto:
    found = onnx.MapProto(key_type=TensorProto.STRING if isinstance(keys[0], str) else TensorProto.INT64)
    found.string_keys.extend(key.encode() for key in keys if isinstance(key, str))
    found.keys.extend(key for key in keys if isinstance(key, int))
    found.values.CopyFrom(numpy_helper.from_list([np.array(value, np.float32) for value in values]))
    return found


@pytest.mark.parametrize("keys", [("a", "ü"), (3, 0)])
def test_keys_of_stored_maps_are_text_or_numbers_in_sequences_too(tmp_path: Path, keys: Sequence[Any]) -> None:
    kind = "map(string,tensor(float))" if isinstance(keys[0], str) else "map(int64,tensor(float))"
    alone = a_map(keys, (0.25, 0.75))
    alone.name = "m"
    rows = onnx.SequenceProto(name="s", elem_type=onnx.SequenceProto.MAP, map_values=[alone, a_map(keys, (0.5, 1))])
    data_set = store(tmp_path, {"output_0": alone, "output_1": rows})
    found = read_outputs(data_set, [ValueMeta("m", kind), ValueMeta("s", f"seq({kind})")], model_with())
    assert found == {
        "m": dict(zip(keys, (0.25, 0.75), strict=True)),
        "s": [dict(zip(keys, row, strict=True)) for row in ((0.25, 0.75), (0.5, 1))],
    }
