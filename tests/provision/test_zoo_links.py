"""`ortperf zoo links` and `many`: links files and archives, from this machine and from addresses."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from provision.zoo_examples import BAD_ARCHIVES, content_of, data_archive, tar_of, zip_of
from provision.zoo_hub import Fault, LocalHub, running, sha256
from pytest_ortperf import cli
from pytest_ortperf.provision.zoo import transfer


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalHub]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NO_PROXY", "localhost")
    monkeypatch.setattr(transfer, "_LONGEST_PAUSE_S", 0.01)
    with running(LocalHub()) as hub:
        yield hub


def zoo(*arguments: str) -> int:
    return cli.main(["zoo", *arguments])


def listed() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(Path("models.json").read_text("utf-8"))["models"]
    return found


def finals() -> set[str]:
    return {path.name for path in Path("models").iterdir() if path.name != ".zoo"}


def test_a_links_file_gives_a_model_for_each_archive(server: LocalHub, capfd: pytest.CaptureFixture[str]) -> None:
    fork_first = {"net/._a.onnx": b"fork", "net/b.onnx": b"b", "net/a/z.onnx": b"z"}
    server.plain = {"/x/mnist-8.tar.gz": data_archive("mnist", b"mnist"), "/two.zip": zip_of(fork_first)}
    Path("local.tar").write_bytes(tar_of({"model.onnx": b"local"}, packed=False))
    digest = sha256(server.plain["/x/mnist-8.tar.gz"])
    lines = [
        "# models",
        "",
        f"{server.storage}/x/mnist-8.tar.gz#sha256={digest}",
        f"{server.storage}/two.zip?a=b",
        "local.tar",
    ]
    Path("links.txt").write_text("\n".join(lines))
    assert zoo("links", "links.txt") == 0
    assert listed() == [
        {"name": "mnist-8", "path": "models/mnist-8/mnist/model.onnx", "test_data": "models/mnist-8/mnist"},
        {"name": "two", "path": "models/two/net/a/z.onnx"},
        {"name": "local", "path": "models/local/model.onnx"},
    ]
    told = capfd.readouterr().out
    assert f"not checked, no checksum given: {server.storage}/two.zip#sha256={sha256(server.plain['/two.zip'])}" in told
    assert f"{digest}" not in told
    assert [path for path in Path("models").rglob("*") if path.name.startswith("._") or "MACOSX" in path.name] == []
    server.requests.clear()
    assert zoo("links", "links.txt") == 0
    assert server.requests == []


def test_archives_are_named_in_place_of_a_links_file(server: LocalHub) -> None:
    server.plain = {"/net.tgz": tar_of({"n.onnx": b"n"}), "/all": f"{server.storage}/net.tgz\n".encode()}
    assert zoo("links", f"{server.storage}/all") == 0
    assert [entry["name"] for entry in listed()] == ["net"]
    server.plain["/download"] = tar_of({"n.onnx": b"n"})
    assert zoo("links", f"{server.storage}/download", "-o", "other.json") == 0
    server.requests.clear()
    assert zoo("links", f"{server.storage}/download", "-o", "other.json") == 0
    assert (finals(), server.requests) == ({"net", "download"}, [])


def test_many_lists_every_model_of_an_archive(server: LocalHub) -> None:
    files = {"a/model.onnx": b"a", "a/test_data_set_0/input_0.pb": b"i", "b/b.onnx": b"b", "b/._b.onnx": b"fork"}
    server.plain = {"/partner.zip": zip_of(files)}
    server.faults = {"/partner.zip": Fault(status=503, times=2)}
    assert zoo("many", f"{server.storage}/partner.zip") == 0
    assert listed() == [
        {"name": "partner/a", "path": "models/partner/a/model.onnx", "test_data": "models/partner/a"},
        {"name": "partner/b", "path": "models/partner/b/b.onnx"},
    ]


def test_redirects_are_followed_over_http_alone(server: LocalHub, capfd: pytest.CaptureFixture[str]) -> None:
    server.plain = {"/store/x": tar_of({"n.onnx": b"n"})}
    server.redirects = {
        "/net.tar.gz": f"{server.endpoint.replace('127.0.0.1', 'localhost')}/gone",
        "/a.tar.gz": "/store/x",
    }
    server.redirects |= {"/file.tar.gz": "file:///etc/passwd"}
    assert zoo("links", f"{server.storage}/a.tar.gz") == 0
    assert zoo("links", f"{server.storage}/net.tar.gz") == 2
    assert zoo("links", f"{server.storage}/file.tar.gz") == 2
    assert "answers 404" in capfd.readouterr().err
    assert finals() == {"a"}


def test_signatures_in_addresses_are_not_shown_and_may_change(
    server: LocalHub, capfd: pytest.CaptureFixture[str]
) -> None:
    server.plain = {"/net.tar.gz": tar_of({"n.onnx": b"n"})}
    assert zoo("links", f"{server.storage}/net.tar.gz?sig=secret1") == 0
    assert zoo("links", f"{server.storage}/net.tar.gz?sig=secret2") == 0
    server.plain.clear()
    assert zoo("links", f"{server.storage}/other.tar.gz?sig=secret3") == 2
    told = capfd.readouterr()
    assert "other.tar.gz" in told.err
    state = Path("models/.zoo/finished.json").read_text("utf-8")
    assert "secret" not in told.out + told.err + state
    assert len(server.requests) == 1


@pytest.mark.parametrize("name", ["parent.tar.gz", "link.tar.gz", "cut.tar.gz", "parent.zip", "encrypted.zip"])
def test_a_bad_archive_leaves_nothing_and_the_others_come(
    server: LocalHub, name: str, capfd: pytest.CaptureFixture[str]
) -> None:
    server.plain = {f"/{name}": BAD_ARCHIVES[name][0](), "/good.tar.gz": tar_of({"n.onnx": b"n"})}
    assert zoo("links", f"{server.storage}/{name}", f"{server.storage}/good.tar.gz") == 1
    assert (finals(), [entry["name"] for entry in listed()]) == ({"good"}, ["good"])
    assert "failed: " in capfd.readouterr().err
    left = {path.name for path in Path("models/.zoo").rglob("*") if path.is_file()}
    assert left == {"finished.json", ".gitignore", "lock"}


@pytest.mark.parametrize(
    ("content", "suffix", "message"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n", "", "is a Git LFS pointer instead of a file"),
        (b"<html>", "", "is no archive; .tar.gz, .tgz"),
        (tar_of({"a.txt": b""}), "", "holds no .onnx file"),
        (tar_of({"a.onnx": b""}), f"#sha256={'0' * 64}", "came with SHA-256"),
    ],
    ids=["pointer", "no archive", "no model", "wrong sum"],  # archives hold the time they were made at
)
def test_what_is_no_model_is_told(
    server: LocalHub, content: bytes, suffix: str, message: str, capfd: pytest.CaptureFixture[str]
) -> None:
    server.plain = {"/net.tar.gz": content}
    assert zoo("links", f"{server.storage}/net.tar.gz{suffix}") == 2
    assert message in capfd.readouterr().err
    assert (finals(), Path("models.json").exists()) == (set(), False)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ftp://host/a.tar.gz", "line 1: 'ftp://host/a.tar.gz' is neither an address nor the path of an archive"),
        ("\n../a.tar.gz\n", "line 2: '../a.tar.gz' is neither"),
        ("# nothing\n", "holds no links"),
        ("http://host/a.tar.gz#md5=1", "what follows # must be sha256="),
        ("http://a/n.zip\nhttp://b/n.tar.gz", "would both be unpacked into n; rename one of the files"),
    ],
)
def test_a_links_file_with_something_else_is_refused(
    server: LocalHub, text: str, message: str, capfd: pytest.CaptureFixture[str]
) -> None:
    Path("links.txt").write_text(text)
    assert zoo("links", "links.txt") == 2
    assert message in capfd.readouterr().err
    assert server.requests == []


def test_links_from_an_address_name_no_files_of_this_machine(
    server: LocalHub, capfd: pytest.CaptureFixture[str]
) -> None:
    Path("local.tar.gz").write_bytes(tar_of({"a.onnx": b""}))
    server.plain = {"/links.txt": str(Path("local.tar.gz").absolute()).encode()}
    assert zoo("links", f"{server.storage}/links.txt") == 2
    assert "is neither an address nor the path of an archive" in capfd.readouterr().err


def test_a_folder_from_elsewhere_is_left_alone(server: LocalHub, capfd: pytest.CaptureFixture[str]) -> None:
    server.plain = {"/net.tar.gz": tar_of({"n.onnx": b"n"}), "/x/net.tar.gz": tar_of({"m.onnx": b"m"})}
    Path("models/net").mkdir(parents=True)
    assert zoo("links", f"{server.storage}/net.tar.gz") == 2
    assert "models/net is there already, from elsewhere; move or delete it" in capfd.readouterr().err
    Path("models/net").rmdir()
    assert zoo("links", f"{server.storage}/net.tar.gz") == 0
    assert zoo("links", f"{server.storage}/x/net.tar.gz") == 2
    assert f"models/net holds what was unpacked from {server.storage}/net.tar.gz" in capfd.readouterr().err


def test_a_download_that_breaks_off_is_gone_on_with_by_the_next_command(
    server: LocalHub, capfd: pytest.CaptureFixture[str]
) -> None:
    server.plain = {"/net.tar.gz": tar_of({"n.onnx": content_of("n")})}
    server.faults = {"/net.tar.gz": Fault(cut_at=30_000, times=99)}
    assert zoo("links", f"{server.storage}/net.tar.gz") == 2
    assert "30000 bytes are kept, and the same command goes on there" in capfd.readouterr().err
    server.faults.clear()
    assert zoo("links", f"{server.storage}/net.tar.gz") == 0
    assert server.started()["/net.tar.gz"][-1] == 30_000
    assert Path("models/net/n.onnx").read_bytes() == content_of("n")


def test_an_archive_that_is_too_large_for_the_limit_given_is_refused(
    server: LocalHub, capfd: pytest.CaptureFixture[str]
) -> None:
    server.plain = {"/net.zip": zip_of({"n.onnx": content_of("n")})}
    assert zoo("many", f"{server.storage}/net.zip", "--max-size", "0.00001") == 2
    assert "unpacks to more than" in capfd.readouterr().err
