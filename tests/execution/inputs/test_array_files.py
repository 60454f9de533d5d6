"""numpy's files as test data: whose array is which, and what is said of those that are not read."""

import re
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from test_stored_data import ValueMeta, as_lists, error_of, model_with, store, tensor

from pytest_ortperf.errors import CaseError
from pytest_ortperf.execution.inputs.stored_data import find_data_sets, read_inputs, read_outputs, unused_arrays

A, B, Y = ValueMeta("a", shape=[1, 2]), ValueMeta("b", shape=[3]), ValueMeta("y", shape=[2])
ONE, TWO, OUT = np.ones((1, 2), np.float32), np.full(3, 2, np.float32), np.full(2, 9, np.float32)
READ = ({"a": [[1, 1]], "b": [2, 2, 2]}, {"y": [9, 9]})


def read(folder: Path, **entry: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    (data_set,) = find_data_sets(folder)
    model = model_with(**entry)
    return as_lists(read_inputs(data_set, [A, B], model)), as_lists(read_outputs(data_set, [Y], model))


def objects(*arrays: np.ndarray) -> np.ndarray:
    found = np.empty(len(arrays), object)
    found[:] = arrays
    return found


@pytest.mark.parametrize("name", ["test_data_0.npz", "TEST_DATA_0.NPZ"])
def test_an_archive_holds_arrays_by_name(tmp_path: Path, name: str) -> None:
    with (tmp_path / name).open("wb") as file:
        np.savez(file, b=TWO, a=ONE, y=OUT, other=ONE)
    assert read(tmp_path) == READ
    assert read(tmp_path, input_order=("a", "b")) == READ
    assert unused_arrays(find_data_sets(tmp_path)[0], ["a", "b", "y"]) == [f"'other' in {name}"]


def test_an_archive_holds_stacked_arrays_in_order(tmp_path: Path) -> None:
    np.savez(tmp_path / "test_data_0.npz", inputs=np.stack([ONE, ONE + 1]), outputs=OUT[None])
    (data_set,) = find_data_sets(tmp_path)
    twin = ValueMeta("c", shape=[1, 2])
    assert as_lists(read_inputs(data_set, [A, twin], model_with())) == {"a": [[1, 1]], "c": [[2, 2]]}
    assert as_lists(read_inputs(data_set, [A, twin], model_with(input_order=("c", "a")))) == {
        "c": [[1, 1]],
        "a": [[2, 2]],
    }
    assert as_lists(read_outputs(data_set, [Y], model_with())) == {"y": [9, 9]}


@pytest.mark.parametrize("stored", [ONE, ONE[None]], ids=["as it is", "stacked"])
def test_an_input_called_inputs_is_told_from_the_stack(tmp_path: Path, stored: np.ndarray) -> None:
    np.savez(tmp_path / "test_data_0.npz", inputs=stored)
    (data_set,) = find_data_sets(tmp_path)
    assert as_lists(read_inputs(data_set, [ValueMeta("inputs", shape=[1, 2])], model_with())) == {"inputs": [[1, 1]]}


def test_an_archive_holds_numbered_arrays(tmp_path: Path) -> None:
    np.savez(tmp_path / "test_data_0.npz", input_1=TWO, input_0=ONE, output_0=OUT)
    assert read(tmp_path) == READ


def test_a_folder_holds_numbered_files_of_either_kind(tmp_path: Path) -> None:
    store(tmp_path / "test_data_set_0", {"input_1": tensor([2, 2, 2]), "output_0": tensor([9, 9])})
    np.save(tmp_path / "test_data_set_0" / "input_0.npy", ONE)
    assert read(tmp_path) == READ


def test_a_folder_holds_files_by_name(tmp_path: Path) -> None:
    folder = tmp_path / "test_data_set_0"
    folder.mkdir()
    for name, array in {"b": TWO, "a": ONE, "y": OUT, "z": OUT}.items():
        np.save(folder / f"{name}.npy", array)
    assert read(tmp_path) == READ
    assert unused_arrays(find_data_sets(tmp_path)[0], ["a", "b", "y"]) == ["z.npy"]


def test_a_folder_holds_an_archive_of_inputs_and_one_of_outputs(tmp_path: Path) -> None:
    folder = tmp_path / "test_data_set_0"
    folder.mkdir()
    np.savez(folder / "inputs.npz", a=ONE, b=TWO)
    np.savez(folder / "outputs.npz", y=OUT)
    assert read(tmp_path) == READ


def test_archives_come_after_folders_each_a_data_set(tmp_path: Path) -> None:
    store(tmp_path / "test_data_set_0", {"input_0": tensor([[1, 1]])})
    for number in (10, 2):
        np.savez(tmp_path / f"test_data_{number}.npz", a=ONE)
    np.savez(tmp_path / "weights.npz", a=ONE)
    (tmp_path / "test_data_set_0" / "input_0.pkl").touch()
    (tmp_path / "frozen.pb").touch()
    found = find_data_sets(tmp_path)
    assert [each.name for each in found] == ["test_data_set_0", "test_data_2", "test_data_10"]
    assert found[0].passed_over == ("weights.npz", "test_data_set_0/input_0.pkl")
    assert [each.name for each in find_data_sets(tmp_path / "test_data_10.npz")] == ["test_data_10"]


@pytest.mark.parametrize("dtype", [ml_dtypes.bfloat16, np.dtype("<U3"), np.dtype("S3")])
def test_arrays_of_types_that_numpy_files_do_not_know(tmp_path: Path, dtype: Any) -> None:
    np.savez(tmp_path / "test_data_0.npz", x=np.ones(2).astype(dtype))
    (data_set,) = find_data_sets(tmp_path)
    is_text = np.dtype(dtype).kind in "US"
    meta = ValueMeta("x", "tensor(string)" if is_text else "tensor(bfloat16)", [2])
    (value,) = read_inputs(data_set, [meta], model_with()).values()
    assert isinstance(value, np.ndarray)
    assert value.tolist() == (["1.0", "1.0"] if is_text else [1, 1])
    assert value.dtype == (object if is_text else ml_dtypes.bfloat16)


def test_python_objects_are_refused_with_the_way_to_store_them(tmp_path: Path) -> None:
    path = tmp_path / "test_data_0.npz"
    np.savez(path, inputs=objects(ONE, TWO))
    (data_set,) = find_data_sets(tmp_path)
    assert error_of(data_set, [A, B]) == (
        f"{path}: the array 'inputs' holds Python objects, which only pickle could read, and no pickle is ever loaded; "
        "values of different shapes go into one array each, under the names of the model's inputs and outputs: "
        "np.savez(path, x=..., y=...)"
    )


@pytest.mark.parametrize("name", ["input_0.npy", "a.npy"])
def test_a_pickled_file_is_refused(tmp_path: Path, name: str) -> None:
    np.save(tmp_path / name, objects(ONE, TWO))
    (data_set,) = find_data_sets(tmp_path)
    assert "the array holds Python objects, which only pickle could read, and no pickle" in error_of(data_set, [A])


@pytest.mark.parametrize("content", [b"", b"junk" * 9, b"PK\x03\x04 cut", b"version https://git-lfs.github.com/spec"])
def test_a_file_that_is_no_archive_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "test_data_0.npz").write_bytes(content)
    (data_set,) = find_data_sets(tmp_path)
    text = error_of(data_set, [A])
    assert text.startswith(f"{tmp_path / 'test_data_0.npz'}: ")
    assert re.search("write it again|git lfs pull", text)


def test_arrays_without_names_of_the_model_are_listed(tmp_path: Path) -> None:
    np.savez(tmp_path / "test_data_0.npz", ONE)
    (data_set,) = find_data_sets(tmp_path)
    with pytest.raises(CaseError, match=r"under its name \('a'\); the names of others are not the inputs': 'arr_0' in"):
        read_inputs(data_set, [A], model_with())
