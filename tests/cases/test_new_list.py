from __future__ import annotations

import json
from pathlib import Path

from pytest_ortperf.cases.model_list import read_models
from pytest_ortperf.cases.names import name_issue
from pytest_ortperf.cases.new_list import FoundModel, data_beside, find_models, list_text


def touch(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def found(root: Path) -> dict[str, str]:
    models, unreadable = find_models(root)
    assert unreadable == ()
    return {model.name: model.path.relative_to(root).as_posix() for model in models}


def test_folders_that_hold_no_models_of_ones_own_are_passed_over(tmp_path: Path) -> None:
    touch(
        tmp_path,
        "a.onnx",
        "deep/er/B.ONNX",
        ".hidden/c.onnx",
        "node_modules/d.onnx",
        "environment/pyvenv.cfg",
        "environment/lib/e.onnx",
        "result/records_20260101-000000.jsonl",
        "result/bisect/f.onnx",
        "test_data_set_0/g.onnx",
        "._h.onnx",
        "i.onnx.data",
    )
    assert found(tmp_path) == {"a": "a.onnx", "B": "deep/er/B.ONNX"}


def test_the_folder_given_is_searched_whatever_it_is(tmp_path: Path) -> None:
    touch(tmp_path, "records_20260101-000000.jsonl", "a.onnx")
    assert found(tmp_path) == {"a": "a.onnx"}


def test_links_are_followed_once(tmp_path: Path) -> None:
    touch(tmp_path, "real/a.onnx")
    (tmp_path / "real/round").symlink_to(tmp_path / "real")
    (tmp_path / "again").symlink_to(tmp_path / "real")
    models, _ = find_models(tmp_path)
    assert [model.name for model in models] == ["a"]


def test_names_are_short_unique_and_valid(tmp_path: Path) -> None:
    root = tmp_path / "project"
    touch(
        root,
        "model.onnx",
        "bert/model.onnx",
        "bert/onnx/model_fp16.onnx",
        "gpt/onnx/model.onnx",
        "gpt/onnx/model_fp16.onnx",
        "x/net.onnx",
        "x/net.ONNX",
        "y/net.onnx",
        "odd/a::b@[1].onnx",
        "odd/tab\there.onnx",
    )
    names = found(root)
    assert names == {
        "project": "model.onnx",
        "bert": "bert/model.onnx",
        "bert/onnx/model_fp16": "bert/onnx/model_fp16.onnx",
        "gpt": "gpt/onnx/model.onnx",
        "gpt/onnx/model_fp16": "gpt/onnx/model_fp16.onnx",
        "project/x/net": "x/net.ONNX",
        "project/x/net-2": "x/net.onnx",
        "y/net": "y/net.onnx",
        "a_b__1_": "odd/a::b@[1].onnx",
        "tab_here": "odd/tab\there.onnx",
    }
    assert [name_issue(name) for name in names] == [None] * len(names)


def test_test_data_is_that_beside_the_model_or_above_where_no_model_is(tmp_path: Path) -> None:
    touch(
        tmp_path,
        "own/model.onnx",
        "own/test_data_set_0/input_0.pb",
        "zoo/resnet/test_data_set_0/input_0.pb",
        "zoo/resnet/v1/net.onnx",
        "own/below/other.onnx",
        "packed/p.onnx",
        "packed/test_data_0.npz",
        "none/n.onnx",
    )
    models = {model.name: model for model in find_models(tmp_path)[0]}
    assert {name: model.test_data for name, model in models.items()} == {
        "own": tmp_path / "own",
        "other": None,
        "net": tmp_path / "zoo/resnet",
        "p": tmp_path / "packed",
        "n": None,
    }
    assert data_beside(tmp_path / "packed/p.onnx") == models["p"]
    assert data_beside(tmp_path / "none/n.onnx") == FoundModel(name="n", path=tmp_path / "none/n.onnx")


def test_the_text_is_a_list_with_short_entries_on_a_line(tmp_path: Path) -> None:
    long = {"name": "b", "path": "é/" + "x" * 100, "dims": {"batch": 1}}
    text = list_text([{"name": "a", "path": "a.onnx"}, long, {"name": "c", "path": "not\udcff.onnx"}])
    assert text.splitlines()[2] == '    {"name": "a", "path": "a.onnx"},'
    assert text.splitlines()[3:8] == [
        "    {",
        '      "name": "b",',
        f'      "path": "é/{"x" * 100}",',
        '      "dims": {"batch": 1}',
        "    },",
    ]
    assert json.loads(text)["models"][1] == long
    (tmp_path / "models.json").write_text(text, encoding="utf-8")
    assert [model.name for model in read_models(tmp_path / "models.json", workspace=None)] == ["a", "b", "c"]
