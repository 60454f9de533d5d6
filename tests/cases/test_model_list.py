# ruff: noqa: E501 - a table of messages in full
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_ortperf.cases import model_list
from pytest_ortperf.cases.entry import ORIGINAL_KEYS, entry_keys
from pytest_ortperf.cases.model import Model
from pytest_ortperf.cases.model_list import read_models
from pytest_ortperf.errors import ModelListError

ENTRY = {"name": "a", "path": "a.onnx"}


Read = Callable[..., tuple[Model, ...]]
IssuesOf = Callable[[Any], list[str]]


def test_relative_paths_start_at_the_workspace_where_given(read: Read, tmp_path: Path) -> None:
    (model,) = read([{**ENTRY, "test_data": "/abs"}], workspace=Path("space"))

    assert (model.path, model.test_data) == (tmp_path / "space/a.onnx", Path("/abs"))


def test_relative_paths_start_at_the_folder_of_the_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/list.json").write_text(json.dumps([ENTRY]))

    (model,) = read_models(Path("sub/list.json"), workspace=None)

    assert (model.path, model.origin) == (tmp_path / "sub/a.onnx", "sub/list.json: models[0] 'a'")


def test_a_directory_is_read_as_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "zoo/bert").mkdir(parents=True)
    (tmp_path / "zoo/bert/m.onnx").touch()

    (model,) = read_models(Path("zoo"), workspace=None)

    assert (model.name, model.path) == ("bert", tmp_path / "zoo/bert/m.onnx")


def test_missing_models_are_not_looked_for(read: Read) -> None:
    assert [model.path.exists() for model in read([ENTRY])] == [False]


@pytest.mark.parametrize(
    ("content", "issue"),
    [
        (b"", 'is empty; write a list of models such as [{"name": "resnet50", "path": "resnet50.onnx"}]'),
        (b" \n", 'is empty; write a list of models such as [{"name": "resnet50", "path": "resnet50.onnx"}]'),
        (b"[]", 'holds no models; add an entry such as {"name": "resnet50", "path": "resnet50.onnx"}'),
        (b'{"models": []}', 'holds no models; add an entry such as {"name": "resnet50", "path": "resnet50.onnx"}'),
        (b'[{"root_working_directory": "/x"}]', 'holds no models; add an entry such as {"name": "resnet50", "path": "resnet50.onnx"}'),
        (b"3", 'is 3; it must be a list of models, or an object such as {"models": [{"name": "resnet50", "path": "resnet50.onnx"}]}'),
        (b"{}", "missing key 'models'"),
        (b'{"models": {}}', "models: is {}; it must be a list of models"),
        (b'{"models": [{"source": "onnx-light:vgg19"}], "default": {}}', "unknown key 'default'; did you mean 'defaults'? Known keys are $schema, defaults, models"),
        (b'{"models": [{"source": "onnx-light:vgg19"}], "defaults": []}', "defaults: is []; it must be an object"),
        (b'{"models": [{"source": "onnx-light:vgg19"}], "$schema": 1}', '"$schema": is 1; it must be a text, the address of the schema'),
        (b'{"models": [{"source": "onnx-light:vgg19"}], "defaults": {"name": "a"}}', "defaults: unknown key 'name'; known keys are tolerance, dims, fix_dims, symbolic_shapes, batch_dim, fp16, tags, group, ep_options, timeout, inputs, session, expect, skip, xfail"),
        (b'{"models": [{"source": "onnx-light:vgg19"}], "defaults": {"dims": {"b": -1}}}', "defaults.dims.b: is -1; it must be an integer of 0 or more, a list of different ones, or a range with min, opt and max"),
        (b'[\n  {"name" "a"}\n]', "line 2, column 11: not JSON (Expecting ':' delimiter); JSON has no comments and no comma before a closing bracket"),
        (b'[{"name": "a", "path": "a", "name": "b"}]', "repeated key 'name' in {\"name\": \"b\", \"path\": \"a\"}; remove all but one"),
        (b"\xff\xfe[\x00", "is not UTF-8 text (byte 0xff at offset 0); a model list is JSON in UTF-8, and a model is named in a list or by its directory"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", "is a Git LFS pointer, not the list itself; fetch the list with: git lfs pull"),
    ],
)  # fmt: skip
def test_file_that_is_no_list_is_named_with_the_way_out(issues_of: IssuesOf, content: bytes, issue: str) -> None:
    assert issues_of(content) == [issue]


@pytest.mark.parametrize("content", [b"[" * 100_000, b"[" + b"1" * 5000 + b"]"])
def test_json_that_python_refuses_is_an_issue(issues_of: IssuesOf, content: bytes) -> None:
    (line,) = issues_of(content)

    assert line.startswith("is not a model list: ")


def test_byte_order_mark_is_passed_over(read: Read) -> None:
    assert [model.name for model in read(b"\xef\xbb\xbf" + json.dumps([ENTRY]).encode())] == ["a"]


def test_missing_file_names_the_option() -> None:
    with pytest.raises(ModelListError) as caught:
        read_models(Path("nowhere/models.json"), workspace=None)

    assert str(caught.value) == (
        "nowhere/models.json:\n"
        "  - no such file or directory; name a list (JSON) or a model directory with --ortperf-models=PATH"
    )


def test_unreadable_file_is_named_with_the_reason(issues_of: IssuesOf, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, _: int) -> bytes:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(model_list, "read_regular", refuse)

    assert issues_of([ENTRY]) == [
        "cannot be read (Permission denied); make it readable, or name another with --ortperf-models=PATH"
    ]


def test_file_outside_the_current_folder_is_named_as_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    monkeypatch.chdir(inside)

    with pytest.raises(ModelListError) as caught:
        read_models(tmp_path / "models.json", workspace=None)

    assert str(caught.value).split("\n")[0] == f"{tmp_path / 'models.json'}:"


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(sorted([*entry_keys(), *ORIGINAL_KEYS])) | st.text(), inner, max_size=4)
    ),
    max_leaves=12,
)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(JSON_VALUES, max_size=3)
    | st.fixed_dictionaries({"models": JSON_VALUES}, optional={"defaults": JSON_VALUES})
)
def test_any_json_gives_models_or_one_printable_error(read: Read, document: Any) -> None:
    try:
        outcome = f"models.json: {len(read(document))} models"
    except ModelListError as error:
        outcome = str(error)

    assert outcome.startswith("models.json:")
    assert outcome.encode().isascii() is outcome.isascii()  # no half of a surrogate pair
    assert all(line.isprintable() for line in outcome.split("\n"))


def test_reading_imports_nothing_heavy(tmp_path: Path) -> None:
    code = (
        f"import sys; sys.path[:0] = {sys.path!r};"
        "import pathlib, pytest_ortperf.cases.model_list as m;"
        "m.read_models(pathlib.Path('models.json'), workspace=None);"
        "print(sorted({'onnx', 'numpy', 'onnxruntime', 'pandas', 'pytest'} & sys.modules.keys()))"
    )
    (tmp_path / "models.json").write_text(json.dumps([{"source": "onnx-light:resnet50"}]))

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)

    assert done.stdout == "[]\n"


def test_group_and_line_of_each_entry(tmp_path: Path) -> None:
    written = tmp_path / "onnx-zoo.json"
    written.write_text(
        """{"$schema": "x", "defaults": {"dims": {"a":
2}}, "models": [
  {"name": "a", "path": "a.onnx"}, {"name": "b",
   "path": "b.onnx", "group": "partner"},

  {"name": "c", "path": "c.onnx"}]}"""
    )
    models = read_models(written, workspace=None)
    assert [(model.name, model.group, model.line) for model in models] == [
        ("a", "onnx-zoo", 3),
        ("b", "partner", 3),
        ("c", "onnx-zoo", 6),
    ]
    written.write_text('\n[{"name": "a", "path": "a.onnx"},\n\n{"name": "b", "path": "b.onnx"}]')
    assert [model.line for model in read_models(written, workspace=None)] == [2, 4]
    written.write_text('{"defaults": {"group": "all"}, "models": [{"name": "a", "path": "a.onnx"}]}')
    assert [model.group for model in read_models(written, workspace=None)] == ["all"]
