import os
from pathlib import Path
from typing import Any

import pytest

from pytest_ortperf.cases import directory
from pytest_ortperf.cases.directory import read_directory
from pytest_ortperf.cases.model import Model
from pytest_ortperf.errors import ModelListError

LAYOUT = """zoo:
  - holds no models. Expected is a folder per model, at any depth, such as
      resnet50/model.onnx
      resnet50/test_data_set_0/input_0.pb
      resnet50/test_data_set_0/output_0.pb
    where test data may be left out; or name a model list (JSON) with --ortperf-models=PATH"""


@pytest.fixture
def zoo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    root = tmp_path / "zoo"
    root.mkdir()
    return root


def make(root: Path, *files: str) -> None:
    """Make empty files, and folders where the name ends in a slash."""
    for name in files:
        path = root / name
        if name.endswith("/"):
            path.mkdir(parents=True)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()


def found(root: Path) -> list[tuple[str, str, str | None]]:
    """Name, file and test data of each model; paths below the root."""
    return [
        (
            model.name,
            model.path.relative_to(root).as_posix(),
            None if model.test_data is None else model.test_data.relative_to(root).as_posix(),
        )
        for model in read_directory(root)
    ]


def message_of(root: Path) -> str:
    with pytest.raises(ModelListError) as caught:
        read_directory(root)
    return str(caught.value)


def test_folder_with_one_file_is_a_model_named_by_its_path(zoo: Path) -> None:
    make(zoo, "vision/resnet50/model.onnx", "vision/resnet50/test_data_set_0/input_0.pb")

    assert read_directory(Path("zoo")) == (
        Model(
            name="vision/resnet50",
            path=zoo / "vision/resnet50/model.onnx",
            test_data=zoo / "vision/resnet50",
            group="zoo",
            origin="zoo/vision/resnet50/model.onnx",
        ),
    )


def test_folder_without_test_data_is_a_model_too(zoo: Path) -> None:
    make(zoo, "bert/model.onnx", "bert/notes/readme.txt")

    assert found(zoo) == [("bert", "bert/model.onnx", None)]


def test_root_with_one_file_has_the_name_of_its_folder(zoo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(zoo, "model.onnx", "test_data_set_0/")
    monkeypatch.chdir(zoo)

    (model,) = read_directory(Path())

    assert (model.name, model.path, model.test_data) == ("zoo", zoo / "model.onnx", zoo)
    assert model.origin == "zoo/model.onnx"


def test_several_files_in_a_folder_are_named_by_file_and_share_test_data(zoo: Path) -> None:
    make(zoo, "top_1.onnx", "top_2.onnx", "bert/fp32.onnx", "bert/fp16.onnx", "bert/test_data_0/")

    assert found(zoo) == [
        ("bert/fp16", "bert/fp16.onnx", "bert"),
        ("bert/fp32", "bert/fp32.onnx", "bert"),
        ("top_1", "top_1.onnx", None),
        ("top_2", "top_2.onnx", None),
    ]


def test_folder_with_test_data_takes_the_only_file_below_it(zoo: Path) -> None:
    make(zoo, "bert/test_data_set_0/x/decoy.onnx", "bert/export/v1/model.onnx")

    assert found(zoo) == [("bert", "bert/export/v1/model.onnx", "bert")]


def test_folder_with_test_data_lends_it_to_several_files_below_it(zoo: Path) -> None:
    make(zoo, "bert/test_data_set_0/", "bert/fp32/model.onnx", "bert/fp16/model.onnx")
    make(zoo, "bert/own/model.onnx", "bert/own/test_data_set_0/")

    assert found(zoo) == [
        ("bert/fp16", "bert/fp16/model.onnx", "bert"),
        ("bert/fp32", "bert/fp32/model.onnx", "bert"),
        ("bert/own", "bert/own/model.onnx", "bert/own"),
    ]


def test_several_files_in_the_only_folder_below_keep_their_names(zoo: Path) -> None:
    make(zoo, "bert/test_data_set_0/", "bert/export/a.onnx", "bert/export/b.onnx")

    assert found(zoo) == [
        ("bert/export/a", "bert/export/a.onnx", "bert"),
        ("bert/export/b", "bert/export/b.onnx", "bert"),
    ]


def test_models_below_a_model_are_found_but_not_in_its_test_data(zoo: Path) -> None:
    make(zoo, "bert/model.onnx", "bert/test_data_set_0/model.onnx", "bert/small/model.onnx")

    assert found(zoo) == [
        ("bert", "bert/model.onnx", "bert"),
        ("bert/small", "bert/small/model.onnx", None),
    ]


def test_test_data_without_a_file_is_an_issue(zoo: Path) -> None:
    make(zoo, "bert/test_data_set_0/", "good/model.onnx")

    assert message_of(zoo) == (
        "zoo:\n"
        '  - "bert" holds test data but no .onnx file of its own, in it or below it; '
        "add the model, or remove the folder"
    )


def test_hidden_and_macos_names_are_passed_over(zoo: Path) -> None:
    make(zoo, "a/._model.onnx", "a/model.onnx", "._b/model.onnx", ".git/model.onnx", "__MACOSX/a/model.onnx")
    make(zoo, "a/._test_data_set_0/", "a/test_data_set_0.tar.gz", "a/.hidden/c.onnx")

    assert found(zoo) == [("a", "a/model.onnx", None)]


def test_models_are_sorted_with_numbers_by_value(zoo: Path) -> None:
    make(zoo, *(f"{name}/m.onnx" for name in ("test_10", "test_2", "alpha", "test_1/v10", "test_1/v9")))

    assert [name for name, _, _ in found(zoo)] == ["alpha", "test_1/v9", "test_1/v10", "test_2", "test_10"]


@pytest.mark.parametrize("files", [[], ["readme.md", "empty/deeper/"]])
def test_directory_without_models_shows_the_layout(zoo: Path, files: list[str]) -> None:
    make(zoo, *files)

    assert message_of(zoo) == LAYOUT


def test_names_that_ids_cannot_hold_name_the_folder(zoo: Path) -> None:
    make(zoo, "a@b/model.onnx", "c[0]/x.onnx", "c[0]/y.onnx")

    assert message_of(zoo) == (
        "zoo:\n"
        '  - "a@b/model.onnx": the name "a@b" holds \'@\', which pytest ids give a meaning; '
        "rename the folder or file\n"
        "  - \"c[0]/x.onnx\": the name \"c[0]/x\" holds '[' and ']', which pytest ids give a meaning; "
        "rename the folder or file\n"
        "  - \"c[0]/y.onnx\": the name \"c[0]/y\" holds '[' and ']', which pytest ids give a meaning; "
        "rename the folder or file"
    )


def test_name_that_is_not_utf8_is_shown_escaped(zoo: Path) -> None:
    os.mkdir(os.fsencode(zoo) + b"/caf\xe9")  # noqa: PTH102
    Path(os.fsdecode(os.fsencode(zoo) + b"/caf\xe9/m.onnx")).touch()

    assert message_of(zoo) == (
        'zoo:\n  - "caf\\udce9/m.onnx": the name "caf\\udce9" holds a control or invisible character; '
        "rename the folder or file"
    )


def test_two_files_with_one_name_are_both_named(zoo: Path) -> None:
    make(zoo, "a.onnx", "b.onnx", "a/model.onnx")

    assert message_of(zoo) == ('zoo:\n  - "a/model.onnx" and "a.onnx" both give the name "a"; rename one of the two')


def test_links_are_followed(zoo: Path, tmp_path: Path) -> None:
    make(tmp_path, "store/v2/model.onnx", "store/v2/test_data_set_0/", "store/file.onnx")
    (zoo / "latest").symlink_to(tmp_path / "store/v2")
    (zoo / "also").symlink_to("latest")
    make(zoo, "linked_file/")
    (zoo / "linked_file/model.onnx").symlink_to(tmp_path / "store/file.onnx")

    assert found(zoo) == [
        ("also", "also/model.onnx", "also"),
        ("latest", "latest/model.onnx", "latest"),
        ("linked_file", "linked_file/model.onnx", None),
    ]


def test_dangling_link_to_a_file_is_a_model_and_to_a_folder_nothing(zoo: Path) -> None:
    make(zoo, "bert/")
    (zoo / "bert/model.onnx").symlink_to("gone.onnx")
    (zoo / "old").symlink_to("gone")

    assert found(zoo) == [("bert", "bert/model.onnx", None)]


def test_links_in_circles_end(zoo: Path) -> None:
    make(zoo, "a/model.onnx", "b/model.onnx")
    (zoo / "a/up").symlink_to("..")
    (zoo / "a/b").symlink_to("../b")
    (zoo / "b/a").symlink_to("../a")
    (zoo / "self").symlink_to("self")

    assert [name for name, _, _ in found(zoo)] == ["a", "a/b", "b", "b/a"]


def test_link_to_a_folder_above_the_root_ends(zoo: Path) -> None:
    make(zoo, "a/model.onnx", "x/")
    (zoo / "x/out").symlink_to("../..")

    assert [name for name, _, _ in found(zoo)] == ["a"]


def test_too_many_folders_end_with_an_issue(zoo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(directory, "FOLDERS_AT_MOST", 3)
    make(zoo, "a/", "b/", "c/")

    assert message_of(zoo) == "zoo:\n  - has over 3 folders below; name a smaller directory of models"


def test_very_deep_folders_are_read(zoo: Path) -> None:
    deep = "/".join("d" * 60)
    make(zoo, f"{deep}/m.onnx")

    assert [file for _, file, _ in found(zoo)] == [f"{deep}/m.onnx"]


@pytest.mark.parametrize(
    ("refused", "shown"), [("secret", '"secret"'), ("secret/sub", '"secret/sub"'), ("", "the directory")]
)
def test_unreadable_directory_is_named(zoo: Path, monkeypatch: pytest.MonkeyPatch, refused: str, shown: str) -> None:
    make(zoo, "good/model.onnx", "secret/sub/model.onnx")
    scandir = os.scandir

    def refuse(path: str) -> Any:
        if path == str(zoo / refused):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)

    assert message_of(zoo) == (
        f"zoo:\n  - {shown} cannot be read (Permission denied); make it readable, or move it elsewhere"
    )


def test_each_folder_is_listed_once_and_none_is_asked_for_its_state(zoo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(zoo, *(f"m{index}/model.onnx" for index in range(20)), "m0/test_data_set_0/input_0.pb")
    listed = []
    scandir = os.scandir

    def noted(path: str) -> Any:
        listed.append(path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", noted)
    monkeypatch.setattr(os, "stat", lambda path: pytest.fail(f"os.stat({path!r})"))

    models = read_directory(zoo)

    assert len(models) == 20
    assert sorted(listed) == sorted([str(zoo), *(str(zoo / f"m{index}") for index in range(20))])


def test_names_that_ids_cannot_hold_are_left_out_and_told_beside_others(zoo: Path) -> None:
    make(zoo, "a@b/model.onnx", "good/model.onnx")
    told: list[str] = []

    assert [model.name for model in read_directory(zoo, told.append)] == ["good"]
    (text,) = told
    assert text == (
        'zoo: model left out: "a@b/model.onnx": the name "a@b" holds \'@\', which pytest ids give a meaning; '
        "rename the folder or file"
    )


def test_suffixes_may_be_upper_case(zoo: Path) -> None:
    make(zoo, "a/MODEL.ONNX", "b/x.Onnx", "b/y.onnx", "a/TEST_DATA_0.NPZ")

    assert found(zoo) == [("a", "a/MODEL.ONNX", "a"), ("b/x", "b/x.Onnx", None), ("b/y", "b/y.onnx", None)]


def test_archives_named_test_data_are_test_data(zoo: Path) -> None:
    make(zoo, "net/model.onnx", "net/test_data_0.npz", "other/model.onnx", "other/x.npz", "other/input_0.pb")
    told: list[str] = []

    assert [bool(model.test_data) for model in read_directory(zoo, told.append)] == [True, False]
    (text,) = told
    assert text == (
        'zoo: passed over, though it looks like test data: "other/input_0.pb", "other/x.npz"; name an .npz file '
        "test_data_<n>.npz, and put others into a folder test_data_set_<n>"
    )
