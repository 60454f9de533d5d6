"""What is shipped of the zoo and shown of it, and what becomes of a model list when models are added."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from pytest_ortperf import cli
from pytest_ortperf.cases.model_list import read_models
from pytest_ortperf.cases.names import name_issue, tag_issue
from pytest_ortperf.provision.zoo.catalogue import ZooError, matching, read_catalogue
from pytest_ortperf.provision.zoo.list_file import ListedEntry, add_to_list

HAND_EDITED = """\
{
  "defaults": {"dims": {"batch": [1, 8]}},
  "models": [
    {"name": "bert",   "path": "bert.onnx", "tolerance": {"rtol": 0.01}},
    {
      "name": "first",
      "path": "models/first/first.onnx"
    }
  ]
}
"""


def test_the_zoo_is_shipped_whole() -> None:
    models = read_catalogue()
    assert len(models) == 190
    assert sum(model.archive is not None for model in models.values()) == 184
    assert sum(model.original for model in models.values()) == 46
    assert len({model.file.sha256 for model in models.values()}) > 180
    assert all(re.fullmatch("[0-9a-f]{64}", model.file.sha256 or "") for model in models.values())
    assert [name for name in models if name_issue(name)] == []
    assert [tag for model in models.values() for tag in model.tags if tag_issue(tag)] == []
    mnist = models["mnist-8"]
    assert mnist.file.path == "validated/vision/classification/mnist/model/mnist-8.onnx"
    assert (mnist.file.byte, mnist.opset, mnist.original) == (26454, 8, True)
    assert mnist.file.sha256 == "2f06e72de813a8635c9bc0397ac447a601bdbfa7df4bebc278723b958831c9bf"
    assert mnist.archive is not None
    assert mnist.archive.path == "validated/vision/classification/mnist/model/mnist-8.tar.gz"


@pytest.mark.parametrize(
    ("expression", "names"),
    [
        ("mnist", {"mnist-1", "mnist-7", "mnist-8", "mnist-12", "mnist-12-int8"}),
        ("MNIST and not (12 or 1.onnx)", {"mnist-7", "mnist-8"}),
        ("not not mnist-8", {"mnist-8"}),
        ("super_resolution", {"super-resolution-10"}),
        ("no such model", None),
        ("(mnist", None),
        ("or", None),
        ("", None),
    ],
)
def test_an_expression_selects(expression: str, names: set[str] | None) -> None:
    if names is None:
        with pytest.raises(ZooError, match="is no expression"):
            matching(read_catalogue().values(), expression)
    else:
        assert {model.name for model in matching(read_catalogue().values(), expression)} == names


def test_list_shows_models(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "110")
    assert cli.main(["zoo", "list", "-k", "mnist-8 or gender_goog"]) == 0
    assert capfd.readouterr().out.splitlines() == [
        "model                 size  opset  for                    original",
        "gender_googlenet  22.8 MiB         vision/body_analysis",
        "mnist-8           25.8 KiB      8  vision/classification  yes",
        "",
        "2 models, 22.9 MiB",
    ]
    assert cli.main(["zoo", "list", "--original"]) == 0
    assert capfd.readouterr().out.splitlines()[-1] == "46 models, 6.7 GiB"
    assert cli.main(["zoo", "list", "-k", "nothing"]) == 1


def entry(name: str, *, data: bool = False) -> ListedEntry:
    folder = Path(f"models/{name}")
    return ListedEntry(name=name, path=folder / f"{name}.onnx", test_data=folder if data else None, tags=("vision",))


@pytest.fixture(autouse=True)
def _in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_list_edited_by_hand_stays_as_it_is() -> None:
    Path("models.json").write_text(HAND_EDITED)
    Path("models.json").chmod(0o640)
    merged = add_to_list(Path("models.json"), [entry("first"), entry("second"), entry("third", data=True)])
    assert (merged.added, merged.given_data, merged.notes) == (["second", "third"], [], [])
    added = """,
    {"name": "second", "path": "models/second/second.onnx", "tags": ["vision"]},
    {"name": "third", "path": "models/third/third.onnx", "test_data": "models/third", "tags": ["vision"]}"""
    assert Path("models.json").read_text() == HAND_EDITED.replace("\n    }\n  ]", f"\n    }}{added}\n  ]")
    assert Path("models.json").stat().st_mode & 0o777 == 0o640
    assert add_to_list(Path("models.json"), [entry("second")]).added == []


def test_test_data_are_added_to_an_entry_without() -> None:
    Path("models.json").write_text(HAND_EDITED)
    Path("bert.onnx").touch()
    bert = ListedEntry(name="other name", path=Path("bert.onnx"), test_data=Path())
    merged = add_to_list(Path("models.json"), [entry("first", data=True), bert])
    assert (merged.added, merged.given_data) == ([], ["first", "other name"])
    expected = HAND_EDITED.replace('first.onnx"\n', 'first.onnx",\n      "test_data": "models/first"\n')
    expected = expected.replace('{"rtol": 0.01}}', '{"rtol": 0.01}, "test_data": "."}')
    assert Path("models.json").read_text() == expected
    assert [model.test_data is not None for model in read_models(Path("models.json"), workspace=None)] == [True, True]


def test_a_name_that_is_taken_is_told() -> None:
    Path("models.json").write_text('[{"name": "first", "path": "mine.onnx"}]')
    merged = add_to_list(Path("models.json"), [entry("first"), entry("second")])
    assert merged.added == ["second"]
    assert merged.notes == ["first is in models.json with another path; its entry was left alone"]
    assert json.loads(Path("models.json").read_text())[0]["path"] == "mine.onnx"


@pytest.mark.parametrize("text", ["", "{", '[{"nam": 1}]', "[]"])
def test_a_file_that_is_no_list_stays_and_another_is_written(text: str) -> None:
    Path("models.json").write_text(text)
    merged = add_to_list(Path("models.json"), [entry("first")])
    assert (merged.path.name, merged.added) == ("models.zoo.json", ["first"])
    assert merged.notes[0].startswith("models.json is no model list (")
    assert Path("models.json").read_text() == text
    assert [model.name for model in read_models(Path("models.zoo.json"), workspace=None)] == ["first"]


def test_byte_order_marks_line_ends_and_links_stay() -> None:
    Path("real.json").write_bytes(b'\xef\xbb\xbf[\r\n  {"name": "x", "path": "x.onnx"}\r\n]\r\n')
    Path("models.json").symlink_to("real.json")
    add_to_list(Path("models.json"), [entry("first")])
    assert Path("models.json").is_symlink()
    assert Path("real.json").read_bytes() == (
        b'\xef\xbb\xbf[\r\n  {"name": "x", "path": "x.onnx"},\r\n'
        b'    {"name": "first", "path": "models/first/first.onnx", "tags": ["vision"]}\r\n]\r\n'
    )


def test_a_list_of_the_original_script_takes_models() -> None:
    original = {"model_name": "a", "working_directory": "w", "model_path": "a.onnx", "test_data_path": "."}
    Path("models.json").write_text(json.dumps([{"root_working_directory": "/r"}, original]))
    assert add_to_list(Path("models.json"), [entry("first", data=True)]).added == ["first"]
    assert [model.name for model in read_models(Path("models.json"), workspace=None)] == ["a", "first"]


def test_a_list_that_cannot_be_written_is_told() -> None:
    Path("file").touch()
    with pytest.raises(ZooError, match=r"models\.json: not written: "):
        add_to_list(Path("file/models.json"), [entry("first")])
