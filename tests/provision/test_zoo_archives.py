"""Archives: what comes out of good ones, and that nothing comes out of bad ones, inside or outside the folder."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import lzma
import random
from pathlib import Path

import pytest

from provision.zoo_examples import BAD_ARCHIVES, content_of, tar_of, zip_of
from pytest_ortperf.provision.zoo.archives import ArchiveError, Limits, archive_stem, is_archive, unpack

TRIES = 40
"""Damaged archives of each form."""

LIMITS = Limits(byte=4_000_000, members=100, ratio=100, small_byte=1_000_000)
FILES = {
    "net/model.onnx": content_of("model"),
    "net/test_data_set_0/input_0.pb": b"data",
    "net/._model.onnx": b"fork",
    "__MACOSX/net/model.onnx": b"fork",
}


def files_below(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("net.tar.gz", tar_of(FILES)),
        ("net.tar", tar_of(FILES, packed=False)),
        ("net.tar.bz2", bz2.compress(tar_of(FILES, packed=False))),
        ("net.tar.xz", lzma.compress(tar_of(FILES, packed=False))),
        ("net.zip", zip_of(FILES)),
    ],
    ids=lambda value: value if isinstance(value, str) else "",  # archives hold the time they were made at
)
def test_good_archives_give_their_files_without_what_macos_adds(tmp_path: Path, name: str, content: bytes) -> None:
    path, folder = tmp_path / name, tmp_path / "out"
    path.write_bytes(content)
    folder.mkdir()
    assert is_archive(path)
    unpack(path, folder, name="net", limits=LIMITS)
    assert files_below(folder) == {name: FILES[name] for name in list(FILES)[:2]}


@pytest.mark.parametrize("name", BAD_ARCHIVES)
def test_bad_archives_are_refused_and_write_nothing_outside(tmp_path: Path, name: str) -> None:
    write, message = BAD_ARCHIVES[name]
    path, folder = tmp_path / name, tmp_path / "inner" / "out"
    path.write_bytes(write())
    folder.mkdir(parents=True)
    with pytest.raises(ArchiveError) as caught:
        unpack(path, folder, name=name, limits=LIMITS)
    assert str(caught.value).startswith(f"{name}: ")
    assert message in str(caught.value)
    outside = [each for each in tmp_path.rglob("*") if each.is_file() and not each.is_relative_to(folder)]
    assert outside == [path]
    assert [each for each in folder.rglob("*") if not (each.is_dir() or each.is_file()) or each.is_symlink()] == []
    assert sum(each.stat().st_size for each in folder.rglob("*") if each.is_file()) <= LIMITS.byte


def test_a_disk_without_room_is_seen_before_a_member_is_written(tmp_path: Path) -> None:
    path = tmp_path / "net.tar.gz"
    path.write_bytes(tar_of({"net/model.onnx": bytes(1000)}))
    (tmp_path / "out").mkdir()
    asked = []

    def room(byte: int) -> None:
        asked.append(byte)
        if byte > 999:
            raise ArchiveError("no room")

    with pytest.raises(ArchiveError, match="no room"):
        unpack(path, tmp_path / "out", name="net", room=room)
    assert (asked, files_below(tmp_path / "out")) == ([1000], {})


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("mnist-8.tar.gz", "mnist-8"),
        ("a.b.TGZ", "a.b"),
        ("many.zip", "many"),
        ("model.onnx", None),
        ("links.txt", None),
    ],
)
def test_archives_are_told_by_their_names(name: str, stem: str | None) -> None:
    assert archive_stem(name) == stem


@pytest.mark.parametrize("form", ["tar", "zip", "gz", "xz", "bz2"])
def test_damage_anywhere_is_an_error_of_the_archive_or_does_no_harm(tmp_path: Path, form: str) -> None:
    files = {"net/model.onnx": b"m" * 600, "net/test_data_set_0/input_0.pb": b"data"}
    plain = tar_of(files, packed=False)
    pack = {"tar": bytes, "gz": gzip.compress, "xz": lzma.compress, "bz2": bz2.compress}
    whole = zip_of(files) if form == "zip" else pack[form](plain)  # type: ignore[operator]
    chance = random.Random(form)  # noqa: S311 - the same each time
    path = tmp_path / "archive"
    for number in range(TRIES):
        damaged = bytearray(
            whole[: chance.randrange(300, len(whole))] if number % 3 == 0 and len(whole) > 300 else whole
        )
        for _ in range(chance.randrange(1, 4)):
            damaged[chance.randrange(min(len(damaged), 2000))] = chance.randrange(256)
        path.write_bytes(damaged)
        folder = tmp_path / str(number)
        folder.mkdir()
        with contextlib.suppress(ArchiveError):
            unpack(path, folder, name="net", limits=LIMITS)
    assert {each.name for each in tmp_path.iterdir()} == {"archive", *map(str, range(TRIES))}
    assert not [each for each in tmp_path.rglob("*") if each.is_symlink()]
