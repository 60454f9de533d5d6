import errno
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import onnx
import pytest
from fp16_models import product, saved

from pytest_ortperf.errors import CaseError
from pytest_ortperf.execution.model import artifact_cache, model_hash
from pytest_ortperf.execution.model.artifact_cache import ArtifactCache, default_folder, temporary_folder
from pytest_ortperf.execution.model.model_hash import content_key

GIB = 2**30


class Maker:
    """Writes a model of some size and counts how often."""

    def __init__(self, byte: int = 10) -> None:
        self.byte = byte
        self.times = 0

    def __call__(self, folder: Path) -> Mapping[str, Any]:
        self.times += 1
        (folder / "model.onnx").write_bytes(b"m" * self.byte)
        return {"times": self.times}


def names(cache: ArtifactCache) -> set[str]:
    return {path.name for path in (cache.folder / "artifacts").iterdir()}


def test_an_artifact_is_made_once(tmp_path: Path) -> None:
    make = Maker()
    first = ArtifactCache(tmp_path, GIB).get({"a": 1}, make)
    again = ArtifactCache(tmp_path, GIB).get({"a": 1}, make)
    assert (make.times, first.facts, again.facts, again.note) == (1, {"times": 1}, {"times": 1}, None)
    assert again.model.read_bytes() == b"m" * 10
    assert again.model.parent.parent == tmp_path / "artifacts"


def test_another_key_is_another_artifact(tmp_path: Path) -> None:
    cache = ArtifactCache(tmp_path, GIB)
    make = Maker()
    assert cache.get({"a": 1}, make).folder != cache.get({"a": 2}, make).folder
    assert make.times == 2


def test_what_fails_half_way_leaves_nothing(tmp_path: Path) -> None:
    cache = ArtifactCache(tmp_path, GIB)

    def fail(folder: Path) -> Mapping[str, Any]:
        (folder / "model.onnx").write_bytes(b"half")
        raise ValueError("no such operator")

    with pytest.raises(ValueError, match=r"^no such operator$"):
        cache.get({}, fail)
    assert names(cache) == set()
    assert cache.get({}, Maker()).facts == {"times": 1}


def test_what_was_used_longest_ago_goes_first(tmp_path: Path) -> None:
    cache = ArtifactCache(tmp_path, 2500)
    folders = [cache.get({"n": number}, Maker(1000)).folder for number in range(2)]
    for age, folder in zip((100, 200), folders, strict=True):
        then = time.time() - age
        os.utime(folder / "facts.json", (then, then))
    newest = cache.get({"n": 2}, Maker(1000)).folder
    assert names(cache) == {folders[0].name, newest.name}


def test_folders_inside_an_artifact_count_and_what_links_lead_to_does_not(tmp_path: Path) -> None:
    (tmp_path / "large").mkdir()
    (tmp_path / "large/file").write_bytes(b"l" * 5000)

    def make(folder: Path) -> Mapping[str, Any]:
        (folder / "a/b").mkdir(parents=True)
        (folder / "a/b/file").write_bytes(b"m" * 1000)
        (folder / "a/large").symlink_to(tmp_path / "large")
        return {}

    cache = ArtifactCache(tmp_path / "cache", GIB)
    artifact = cache.get({}, make)
    (entry,) = cache.entries()
    assert (entry.folder, entry.facts, entry.byte) == (
        artifact.folder,
        {},
        1000 + (artifact.folder / "facts.json").stat().st_size,
    )
    assert entry.used == (artifact.folder / "facts.json").stat().st_mtime


def test_what_is_in_use_stays(tmp_path: Path) -> None:
    cache = ArtifactCache(tmp_path, 0)
    held = cache.get({"n": 0}, Maker())
    second = cache.get({"n": 1}, Maker()).folder
    cache.get({"n": 2}, Maker())
    assert held.model.exists()
    assert second.name not in names(cache)


def test_what_a_killed_process_left_goes_after_a_day(tmp_path: Path) -> None:
    cache = ArtifactCache(tmp_path, GIB)
    cache.get({"n": 0}, Maker())
    old, new = (tmp_path / "artifacts" / name for name in ("making-old", "making-new"))
    old.mkdir()
    new.mkdir()
    os.utime(old, (0, 0))
    cache.get({"n": 1}, Maker())
    assert (old.exists(), new.exists()) == (False, True)


def test_two_processes_make_it_once(tmp_path: Path) -> None:
    script = """
import sys, time
from pathlib import Path
from pytest_ortperf.execution.model.artifact_cache import ArtifactCache
folder = Path(sys.argv[1])
def make(work):
    with (folder / "made").open("a") as file:
        file.write("x")
    time.sleep(0.3)
    (work / "model.onnx").write_bytes(b"whole")
    return {}
print(ArtifactCache(folder, 2**30).get({}, make).model.read_text())
"""
    command = [sys.executable, "-c", script, str(tmp_path)]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    assert [process.communicate()[0] for process in both] == ["whole\n", "whole\n"]
    assert (tmp_path / "made").read_text() == "x"


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path / f"pytest-ortperf-cache-{os.getuid()}"


def test_a_folder_that_cannot_be_one_is_replaced_with_a_note(tmp_path: Path, temporary: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    artifact = ArtifactCache(tmp_path / "file", GIB).get({}, Maker())
    assert artifact.folder.parent.parent == temporary
    assert artifact.note == (
        f"cache folder {tmp_path / 'file'} cannot be used (Not a directory); {temporary} is used instead"
    )
    assert temporary.stat().st_mode & 0o777 == 0o700


@pytest.mark.skipif(sys.platform != "linux", reason="/proc refuses folders as a home does that is not mounted")
def test_a_folder_where_none_can_be_made_is_replaced_with_a_note(temporary: Path) -> None:
    artifact = ArtifactCache(Path("/proc/home/me"), GIB).get({"a": 1}, Maker())
    assert artifact.folder.parent == temporary / "artifacts"
    assert artifact.note == (
        f"cache folder /proc/home/me cannot be used (No such file or directory); {temporary} is used instead"
    )


def test_a_full_disk_is_replaced_with_a_note(tmp_path: Path, temporary: Path) -> None:
    make = Maker()

    def make_on_full_disk(folder: Path) -> Mapping[str, Any]:
        if tmp_path / "cache" in folder.parents:
            raise OSError(errno.ENOSPC, "No space left on device")
        return make(folder)

    artifact = ArtifactCache(tmp_path / "cache", GIB).get({}, make_on_full_disk)
    assert artifact.note == (
        f"cache folder {tmp_path / 'cache'} cannot be used (No space left on device); {temporary} is used instead"
    )


def test_another_ones_temporary_folder_is_not_taken(tmp_path: Path, temporary: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    temporary.symlink_to(tmp_path / "elsewhere")
    private = temporary.with_name(f"{temporary.name}-1")
    assert [temporary_folder(), temporary_folder()] == [private, private]


def test_a_folder_that_everybody_may_write_to_is_not_taken_from_others(
    tmp_path: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "shared"
    folder.mkdir()
    folder.chmod(0o777)
    assert ArtifactCache(folder, GIB).get({}, Maker()).note is None  # this user's own
    uid = os.getuid()
    temporary.mkdir(mode=0o700)
    monkeypatch.setattr(artifact_cache, "private_folder", lambda _: temporary)
    monkeypatch.setattr(os, "getuid", lambda: uid + 1)
    assert ArtifactCache(folder, GIB).get({}, Maker()).note == (
        f"cache folder {folder} cannot be used (everybody may write to it); {temporary} is used instead"
    )


def flip(folder: Path) -> None:
    path = folder / "model.onnx"
    path.write_bytes(b"n" + path.read_bytes()[1:])


def cut(folder: Path) -> None:
    os.truncate(folder / "model.onnx", 3)


def folder_in_place(folder: Path) -> None:
    (folder / "model.onnx").unlink()
    (folder / "model.onnx").mkdir()


def pipe_in_place(folder: Path) -> None:
    (folder / "model.onnx").unlink()
    os.mkfifo(folder / "model.onnx")


def replaced(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.symlink_to("/nowhere")


def facts(text: str) -> Callable[[Path], object]:
    return lambda folder: (folder / "facts.json").write_text(text)


DAMAGE: dict[str, Callable[[Path], object]] = {
    "a bit flipped": flip,
    "cut": cut,
    "deleted": lambda folder: (folder / "model.onnx").unlink(),
    "a folder in its place": folder_in_place,
    "a pipe in its place": pipe_in_place,
    "the folder is a link": replaced,
    "facts cut": facts("{"),
    "facts emptied": facts(""),
    "facts of an older version": facts('{"times": 1}'),
    "facts without outputs": facts('{"outputs":[]}'),
    "facts changed": facts('{"facts": {"times": 7}, "files": {}, "sha256": "0"}'),
    "facts nested deeply": facts("[" * 100_000),
    "facts that are zeros": facts("\0" * 1000),
}


@pytest.mark.parametrize("what", DAMAGE)
def test_what_is_damaged_is_made_again(tmp_path: Path, what: str) -> None:
    cache = ArtifactCache(tmp_path, GIB)
    make = Maker()
    folder = cache.get({}, make).folder
    DAMAGE[what](folder)
    again = cache.get({}, make)
    assert (make.times, again.facts, again.note) == (2, {"times": 2}, None)
    assert again.model.read_bytes() == b"m" * 10
    assert cache.get({}, make).facts == {"times": 2}
    assert make.times == 2
    assert names(cache) == {folder.name}


def test_a_wait_for_whoever_makes_it_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = ArtifactCache(tmp_path, GIB)
    folder = cache.get({}, Maker()).folder
    monkeypatch.setattr(artifact_cache, "WAIT_S", 0.0)
    monkeypatch.setattr(artifact_cache, "_LOOK_S", 0.01)
    script = """
import fcntl, sys
file = open(sys.argv[1], "w")
fcntl.flock(file, fcntl.LOCK_EX)
print("held", flush=True)
input()
"""
    command = [sys.executable, "-c", script, str(tmp_path / "locks" / f"{folder.name}.lock")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(CaseError, match=rf"{folder.name}\.lock: still held by process {other.pid} \("):
            cache.get({}, Maker())
        other.kill()


@pytest.mark.parametrize(
    ("given", "folder"),
    [("/caches", Path("/caches/pytest-ortperf")), ("relative", None), ("", None)],
)
def test_default_folder_follows_xdg(given: str, folder: Path | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", given)
    assert default_folder() == (folder or Path.home() / ".cache/pytest-ortperf")


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files count as settled at once; the change time cannot be set back."""
    monkeypatch.setattr(model_hash, "_SETTLED_NS", -1)


@pytest.mark.usefixtures("settled")
def test_a_file_is_hashed_once_until_it_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = ArtifactCache(tmp_path / "cache", GIB)
    path = saved(product([[1.0] * 4] * 4), tmp_path / "m.onnx")
    loads = []
    load = onnx.load_model
    monkeypatch.setattr(onnx, "load_model", lambda *args, **kwargs: loads.append(1) or load(*args, **kwargs))
    first = content_key(path, cache)
    assert content_key(path, cache) == first
    assert len(loads) == 1
    saved(product([[2.0] * 4] * 4), path)
    assert content_key(path, cache) != first
    assert len(loads) == 2


def test_a_file_just_written_is_not_remembered(tmp_path: Path) -> None:
    cache = ArtifactCache(tmp_path / "cache", GIB)
    path = saved(product([[1.0] * 4] * 4), tmp_path / "m.onnx")
    content_key(path, cache)
    assert not cache.memo_path(path).exists()


@pytest.mark.usefixtures("settled")
@pytest.mark.parametrize("memo", ["", "{", "[]", '{"state": 1}'])
def test_a_damaged_memo_is_made_anew(tmp_path: Path, memo: str) -> None:
    cache = ArtifactCache(tmp_path / "cache", GIB)
    path = saved(product([[1.0] * 4] * 4), tmp_path / "m.onnx")
    key = content_key(path, cache)
    cache.memo_path(path).write_text(memo)
    assert content_key(path, cache) == key


def test_external_data_is_part_of_the_content(tmp_path: Path) -> None:
    cache = ArtifactCache(tmp_path / "cache", GIB)
    model = product([[1.0] * 4] * 4)
    path = saved(model, tmp_path / "m.onnx", save_as_external_data=True, location="w.bin", size_threshold=0)
    key = content_key(path, cache)
    (tmp_path / "w.bin").write_bytes(b"\0" * 64)
    changed = content_key(path, cache)
    (tmp_path / "w.bin").unlink()
    gone = content_key(path, cache)
    assert list(key) == ["model", "external w.bin"]
    assert key["model"] == changed["model"] == gone["model"]
    assert len({key["external w.bin"], changed["external w.bin"], gone["external w.bin"]}) == 3
    assert gone["external w.bin"] is None


def test_write_whole_leaves_nothing_behind_where_it_fails(tmp_path: Path) -> None:
    (tmp_path / "name").mkdir()
    with pytest.raises(IsADirectoryError):
        artifact_cache.write_whole(tmp_path / "name", "text")
    assert [path.name for path in tmp_path.iterdir()] == ["name"]
