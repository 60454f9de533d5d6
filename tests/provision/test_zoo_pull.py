"""`ortperf zoo pull` with the real `huggingface_hub` against a hub on this machine, in whatever way that misbehaves."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("huggingface_hub", reason="needs the zoo extra")

import model_examples as examples
from plugin.test_interrupts import wait_for
from provision.zoo_examples import (
    BAD_ARCHIVES,
    LEGACY,
    ORGANISATION,
    content_of,
    data_archive,
    environment_of,
    legacy_path,
    start,
    tar_of,
    write_catalogue,
)
from provision.zoo_hub import COMMIT, Fault, LocalHub, running
from pytest_ortperf import cli
from pytest_ortperf.cases.model_list import read_models
from pytest_ortperf.provision.zoo import catalogue, transfer

NAMES = ("first-7", "second-8", "third-9")
KILLED_AT = [0, 1, 16_384, 100_000, 250_001, 400_000, 555_555, 700_000, 899_999, 999_999]


@dataclass
class Zoo:
    """A hub, a folder to pull into, and the command."""

    hub: LocalHub
    folder: Path
    models: dict[str, bytes] = field(default_factory=dict)

    def run(self, *arguments: str) -> int:
        return cli.main(["zoo", *arguments])

    def file(self, name: str) -> Path:
        return self.folder / f"models/{name}/{name}.onnx"

    def started(self, name: str) -> list[int]:
        return self.hub.started().get(legacy_path(name), [])

    def write(self, archives: dict[str, bytes] | None = None) -> None:
        write_catalogue(self.folder / "catalogue.json", self.models, archives or {}, {"first-7", "third-9"})

    def finals(self) -> dict[str, bytes]:
        """Return every file that has its final name."""
        found = (path for path in (self.folder / "models").rglob("*") if path.is_file() and ".zoo" not in path.parts)
        return {path.stem: path.read_bytes() for path in found}

    def listed(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads((self.folder / "models.json").read_text("utf-8"))["models"]
        return found


@pytest.fixture
def zoo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Zoo]:
    models = {name: content_of(name) for name in NAMES}
    hub = LocalHub({LEGACY: {legacy_path(name): content for name, content in models.items()}})
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(catalogue, "SHIPPED", tmp_path / "catalogue.json")
    with running(hub):
        for name, value in environment_of(hub, tmp_path / "home").items():
            monkeypatch.setenv(name, value)
        found = Zoo(hub, tmp_path, models)
        found.write()
        yield found


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "_LONGEST_PAUSE_S", 0.0)


def test_pull_fetches_checks_and_lists(zoo: Zoo, capfd: pytest.CaptureFixture[str]) -> None:
    assert zoo.run("pull", "first-7", "second-8") == 0
    assert zoo.finals() == {name: zoo.models[name] for name in NAMES[:2]}
    assert zoo.listed() == [
        {"name": name, "path": f"models/{name}/{name}.onnx", "tags": ["vision", "classification"]} for name in NAMES[:2]
    ]
    assert [model.name for model in read_models(zoo.folder / "models.json", workspace=None)] == list(NAMES[:2])
    told = capfd.readouterr()
    assert told.out.splitlines() == [
        f"from {LEGACY} at {COMMIT[:12]}",
        "without test data, which the hub does not have: first-7, second-8",
        "  add them from your own archives with --with-data=DIR, or have inputs generated",
        "models.json: added: first-7, second-8",
        "next: pytest --ortperf-mode=both --ortperf-models=models.json",
    ]
    assert sorted(line.split(maxsplit=1)[1] for line in told.err.splitlines()) == [
        "first-7: 48.8 KiB",
        "second-8: 48.8 KiB",
    ]
    assert not any(request.has_login for request in zoo.hub.requests)


def test_what_is_finished_is_never_fetched_twice_nor_the_hub_asked(zoo: Zoo) -> None:
    assert zoo.run("pull", "first-7") == 0
    zoo.hub.asked.clear()
    assert zoo.run("pull", "first-7") == 0
    assert (zoo.started("first-7"), zoo.hub.asked) == ([0], [])
    assert zoo.run("pull", "--all") == 0
    assert zoo.started("first-7") == [0]
    assert zoo.finals() == zoo.models


def test_the_original_list_and_expressions_select(zoo: Zoo) -> None:
    assert zoo.run("pull", "--original", "-k", "not FIRST") == 0
    assert set(zoo.finals()) == {"third-9"}
    assert zoo.run("pull", "-k", "second or (first and classification)") == 0
    assert set(zoo.finals()) == set(NAMES)


def test_a_model_that_the_mirror_lacks_comes_from_its_own_repository(
    zoo: Zoo, capfd: pytest.CaptureFixture[str]
) -> None:
    del zoo.hub.repositories[LEGACY][legacy_path("second-8")]
    zoo.hub.repositories[f"{ORGANISATION}/second-8"] = {"second-8.onnx": zoo.models["second-8"], "README.md": b"#"}
    assert zoo.run("pull", "--all") == 0
    assert zoo.finals() == zoo.models
    assert f"from {ORGANISATION}/second-8 at" in capfd.readouterr().out
    del zoo.hub.repositories[LEGACY]
    shutil.rmtree(zoo.folder / "models")
    assert zoo.run("pull", "second-8") == 0


def test_any_repository_of_the_hub_can_be_named(zoo: Zoo) -> None:
    external = {"net.onnx": b"net", "net.onnx.data": content_of("data"), "config.json": b"{}", "README.md": b"#"}
    zoo.hub.repositories |= {
        f"{ORGANISATION}/resnet18d_Opset18": {"resnet18d_Opset18.onnx": b"resnet"},
        "team/net": external,
        "team/two": {"a.onnx": b"a", "b.onnx": b"b"},
    }
    assert zoo.run("pull", "resnet18d_Opset18", "team/net", "team/two:b.onnx", "team/two:a.onnx") == 0
    assert zoo.finals() == {
        "resnet18d_Opset18": b"resnet",
        "net": b"net",
        "net.onnx": external["net.onnx.data"],
        "b": b"b",
        "a": b"a",
    }
    assert [entry["name"] for entry in zoo.listed()] == ["resnet18d_Opset18", "team/net", "team/two/b", "team/two/a"]
    assert all((zoo.folder / entry["path"]).is_file() for entry in zoo.listed())


def test_the_login_is_for_the_hub_alone(zoo: Zoo) -> None:
    zoo.hub.repositories["team/net"] = {"net.onnx": b"net", "net.onnx_small": b"small"}
    assert zoo.run("pull", "team/net") == 0
    assert {request.path: request.has_login for request in zoo.hub.requests} == {
        "net.onnx": False,
        "net.onnx_small": True,
    }


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("frist-7",), "'frist-7' is not among the zoo's models; did you mean 'first-7'?"),
        (("../evil",), "'../evil' is no model's name"),
        ((), "no model is selected; ortperf zoo list shows their names"),
        (("-k", "first and"), "-k 'first and' is no expression"),
        (("first-7", "--revision", "v9"), "has no revision 'v9'"),
        (("first-7", "--with-data", "missing"), "--with-data=missing: no such folder"),
    ],
)
def test_what_cannot_be_asked_for_is_said(
    zoo: Zoo, arguments: tuple[str, ...], message: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert zoo.run("pull", *arguments) == 2
    assert message in capfd.readouterr().err


def test_a_repository_with_several_models_names_them(zoo: Zoo, capfd: pytest.CaptureFixture[str]) -> None:
    zoo.hub.repositories["team/two"] = {"a.onnx": b"a", "b.onnx": b"b"}
    assert zoo.run("pull", "team/two") == 2
    assert "has 2 models (a.onnx, b.onnx); name one: team/two:PATH" in capfd.readouterr().err


@pytest.mark.parametrize(
    "fault", [Fault(cut_at=30_000), Fault(cut_at=30_000, chunked=True), Fault(status=503, times=2)]
)
def test_a_connection_that_breaks_off_is_gone_on_with(zoo: Zoo, fault: Fault, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "_LONGEST_PAUSE_S", 0.01)
    zoo.hub.faults[legacy_path("first-7")] = fault
    assert zoo.run("pull", "first-7") == 0
    assert zoo.finals() == {"first-7": zoo.models["first-7"]}
    assert zoo.started("first-7") == ([0, 30_000] if fault.cut_at else [0])


@pytest.mark.usefixtures("quick")
def test_a_server_that_sends_nothing_is_asked_again(zoo: Zoo) -> None:
    zoo.hub.faults[legacy_path("first-7")] = Fault(hang_at=20_000)
    assert zoo.run("pull", "first-7", "--stalled", "0.1") == 0
    assert zoo.started("first-7") == [0, 20_000]
    assert zoo.finals() == {"first-7": zoo.models["first-7"]}


def test_a_slow_server_is_waited_for(zoo: Zoo) -> None:
    zoo.hub.faults[legacy_path("first-7")] = Fault(pause_s=0.05)
    assert zoo.run("pull", "first-7", "--stalled", "0.5") == 0
    assert zoo.finals() == {"first-7": zoo.models["first-7"]}


def failing(zoo: Zoo, fault: Fault, monkeypatch: pytest.MonkeyPatch) -> int:
    """Pull two models, of which the first has a fault."""
    monkeypatch.setattr(transfer, "_LONGEST_PAUSE_S", 0.01)
    zoo.hub.faults[legacy_path("first-7")] = fault
    return zoo.run("pull", "first-7", "second-8")


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (Fault(wrong=True), "came with SHA-256"),
        (Fault(status=404), "the hub does not have"),
        (Fault(status=403), "answers 403 Forbidden"),
        (Fault(status=500, times=99), "answers 500 Internal Server Error; 0 bytes are kept"),
        (Fault(cut_at=1, times=99), "the connection broke off; 1 bytes are kept, and the same command goes on there"),
    ],
    ids=lambda value: None if isinstance(value, Fault) else value[:20],
)
def test_a_model_that_cannot_be_got_is_told_and_the_others_come(
    zoo: Zoo, fault: Fault, message: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert failing(zoo, fault, monkeypatch) == 1
    assert zoo.finals() == {"second-8": zoo.models["second-8"]}
    assert [entry["name"] for entry in zoo.listed()] == ["second-8"]
    told = capfd.readouterr().err
    assert "failed: first-7: " in told
    assert message in told
    zoo.hub.faults.clear()
    assert zoo.run("pull", "first-7") == 0
    assert zoo.finals()["first-7"] == zoo.models["first-7"]


def test_other_content_on_the_hub_is_not_even_fetched(zoo: Zoo, capfd: pytest.CaptureFixture[str]) -> None:
    zoo.hub.repositories[LEGACY][legacy_path("first-7")] = content_of("other")
    assert zoo.run("pull", "first-7") == 2
    assert "has other content (SHA-256" in capfd.readouterr().err
    assert (zoo.finals(), zoo.hub.requests) == ({}, [])


def test_a_file_of_the_users_is_never_written_over(zoo: Zoo, capfd: pytest.CaptureFixture[str]) -> None:
    zoo.file("first-7").parent.mkdir(parents=True)
    zoo.file("first-7").write_bytes(b"mine")
    assert zoo.run("pull", "first-7", "second-8") == 1
    assert zoo.file("first-7").read_bytes() == b"mine"
    assert "is there with other content" in capfd.readouterr().err


def test_the_right_file_is_taken_as_it_is(zoo: Zoo) -> None:
    zoo.file("first-7").parent.mkdir(parents=True)
    zoo.file("first-7").write_bytes(zoo.models["first-7"])
    assert zoo.run("pull", "first-7") == 0
    assert zoo.hub.requests == []


def leave_part(zoo: Zoo, at: int = 20_000) -> Path:
    """Leave part of a file, as an interrupted command does."""
    path = legacy_path("first-7")
    zoo.hub.faults[path] = Fault(cut_at=at, times=99)
    assert zoo.run("pull", "first-7") == 2
    (part,) = (zoo.folder / "models/.zoo").glob("*.part")
    assert part.stat().st_size == at
    zoo.hub.faults.clear()
    zoo.hub.requests.clear()
    return part


@pytest.mark.usefixtures("quick")
def test_a_later_command_goes_on_and_says_so(zoo: Zoo, capfd: pytest.CaptureFixture[str]) -> None:
    leave_part(zoo)
    assert zoo.run("pull", "first-7") == 0
    assert (zoo.started("first-7"), zoo.finals()) == ([20_000], {"first-7": zoo.models["first-7"]})
    assert "first-7: 48.8 KiB; went on after 20000 bytes from before" in capfd.readouterr().err


def damage(part: Path) -> None:
    part.write_bytes(bytes(part.stat().st_size))


def lose_facts(part: Path) -> None:
    part.with_name(f"{part.name}.json").unlink()


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    ("change", "fault", "started", "note"),
    [
        (None, Fault(no_ranges=True), [0], "began anew: the server does not go on in the middle"),
        (None, Fault(etag="other"), [0], "began anew: the server does not go on in the middle"),
        (damage, Fault(), [20_000, 0], "what was there of it was damaged; it was fetched anew"),
        (lose_facts, Fault(), [0], "began anew: nothing tells whether the 20000 bytes from before"),
    ],
)
def test_what_cannot_be_gone_on_with_begins_anew_and_says_so(
    zoo: Zoo,
    change: Callable[[Path], None] | None,
    fault: Fault,
    started: list[int],
    note: str,
    capfd: pytest.CaptureFixture[str],
) -> None:
    part = leave_part(zoo)
    if change is not None:
        change(part)
    zoo.hub.faults[legacy_path("first-7")] = fault
    assert zoo.run("pull", "first-7") == 0
    assert (zoo.started("first-7"), zoo.finals()) == (started, {"first-7": zoo.models["first-7"]})
    assert note in capfd.readouterr().err


@pytest.mark.usefixtures("quick")
def test_all_bytes_of_a_killed_command_need_only_their_name(zoo: Zoo) -> None:
    part = leave_part(zoo)
    part.write_bytes(zoo.models["first-7"])
    assert zoo.run("pull", "first-7") == 0
    assert (zoo.started("first-7"), zoo.finals()) == ([], {"first-7": zoo.models["first-7"]})


def test_a_disk_without_room_is_told_before_anything_is_fetched(
    zoo: Zoo, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    usage = shutil.disk_usage(zoo.folder)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=120_000))
    assert zoo.run("pull", "--all") == 2
    assert "146.5 KiB are to be written and" in capfd.readouterr().err
    assert (zoo.hub.requests, zoo.finals()) == ([], {})
    assert zoo.run("pull", "first-7", "second-8") == 0


def test_test_data_come_from_the_users_own_archives(zoo: Zoo, capfd: pytest.CaptureFixture[str]) -> None:
    archives = {name: data_archive(name, zoo.models[name]) for name in NAMES[:2]}
    zoo.write({"first-7": archives["first-7"], "second-8": b"another archive"})
    store = zoo.folder / "store/deep"
    store.mkdir(parents=True)
    for name, content in archives.items():
        (store / f"{name}.tar.gz").write_bytes(content)
    assert zoo.run("pull", "--all") == 0
    assert zoo.run("pull", "--all", "--with-data", "store") == 0
    assert [entry.get("test_data") for entry in zoo.listed()] == ["models/first-7", "models/second-8", None]
    sets = sorted(path.name for path in (zoo.folder / "models/first-7").glob("*/input_0.pb") for path in [path.parent])
    assert sets == ["test_data_set_0", "test_data_set_1"]
    told = capfd.readouterr().out
    assert "second-8.tar.gz is not the zoo's own archive" in told
    assert "first-7.tar.gz" not in told
    assert "models.json: given test data: first-7, second-8" in told
    assert "without test data, which the hub does not have: third-9" in told


def test_test_data_come_from_an_address_and_must_be_the_zoos(zoo: Zoo, capfd: pytest.CaptureFixture[str]) -> None:
    archives = {name: data_archive(name, zoo.models[name]) for name in NAMES}
    zoo.write({**archives, "second-8": b"another archive"})
    zoo.hub.plain |= {
        f"/mirror/{legacy_path('first-7', '.tar.gz')}": archives["first-7"],
        "/mirror/second-8.tar.gz": archives["second-8"],
        "/mirror/third-9.tar.gz": archives["third-9"],
    }
    assert zoo.run("pull", "--all", "--with-data", f"{zoo.hub.storage}/mirror") == 1
    assert [entry.get("test_data") for entry in zoo.listed()] == ["models/first-7", None, "models/third-9"]
    assert "failed: test data of second-8.tar.gz: the server announces" in capfd.readouterr().err
    assert list((zoo.folder / "models/.zoo").rglob("*.tar.gz")) == []


def test_an_archive_that_the_hub_has_after_all_is_used(zoo: Zoo) -> None:
    archive = data_archive("first-7", zoo.models["first-7"])
    zoo.write({"first-7": archive})
    zoo.hub.repositories[LEGACY][legacy_path("first-7", ".tar.gz")] = archive
    assert zoo.run("pull", "first-7") == 0
    assert [entry.get("test_data") for entry in zoo.listed()] == ["models/first-7"]


def test_an_archive_without_test_data_is_told(zoo: Zoo, capfd: pytest.CaptureFixture[str]) -> None:
    (zoo.folder / "first-7.tar.gz").write_bytes(tar_of({"model.onnx": b"x"}))
    assert zoo.run("pull", "first-7", "--with-data", "first-7.tar.gz") == 1
    assert "failed: test data of first-7: first-7.tar.gz holds none" in capfd.readouterr().err


@pytest.mark.parametrize("name", ["parent.tar.gz", "link.tar.gz", "cut.tar.gz"])
def test_a_bad_archive_gives_no_test_data(zoo: Zoo, name: str, capfd: pytest.CaptureFixture[str]) -> None:
    (zoo.folder / "store").mkdir()
    (zoo.folder / "store/first-7.tar.gz").write_bytes(BAD_ARCHIVES[name][0]())
    assert zoo.run("pull", "first-7", "--with-data", "store") == 1
    assert "failed: test data of first-7: first-7.tar.gz: " in capfd.readouterr().err
    assert (zoo.finals(), zoo.listed()[0].get("test_data")) == ({"first-7": zoo.models["first-7"]}, None)


def test_without_the_client_its_extra_is_named(
    zoo: Zoo, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    assert zoo.run("pull", "first-7") == 2
    assert "pip install 'pytest-ortperf[zoo]'" in capfd.readouterr().err


def test_no_hub_at_all_is_told(zoo: Zoo, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:1")
    assert zoo.run("pull", "first-7") == 2
    assert "http://127.0.0.1:1 could not be asked about" in capfd.readouterr().err


@pytest.mark.slow
def test_pytest_runs_the_list_that_is_written(zoo: Zoo) -> None:
    model = examples.relu(zoo.folder / "source/first-7/model.onnx", [2])
    examples.store(zoo.folder / "source/first-7/test_data_set_0", x=np.array([-1, 1]), y=np.array([0, 1]))
    files = {str(path.relative_to(zoo.folder / "source")): path for path in model.parent.rglob("*") if path.is_file()}
    archive = tar_of({name: path.read_bytes() for name, path in files.items()})
    zoo.models = {"first-7": model.read_bytes()}
    zoo.hub.repositories[LEGACY] = {legacy_path("first-7"): zoo.models["first-7"]}
    zoo.write({"first-7": archive})
    (zoo.folder / "first-7.tar.gz").write_bytes(archive)
    assert zoo.run("pull", "first-7", "--with-data", ".") == 0
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--ortperf-mode=validate", "--ortperf-ep=cpu"]
    done = subprocess.run(
        command,
        cwd=zoo.folder,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, "1 passed" in done.stdout) == (0, True), done.stdout
    records = next((zoo.folder / "result").glob("records_*.jsonl")).read_text("utf-8")
    assert "test_data_set_0" in records


@pytest.mark.slow
def test_a_command_killed_at_ten_places_goes_on_each_time(zoo: Zoo) -> None:
    zoo.models["first-7"] = whole = content_of("large", 1_000_000)
    zoo.write()
    path = legacy_path("first-7")
    zoo.hub.repositories[LEGACY][path] = whole
    for at in KILLED_AT:
        zoo.hub.faults[path] = Fault(hang_at=at)
        kill_at(zoo, at)
        assert (part_size(zoo), zoo.finals()) == (at, {})
        assert not (zoo.folder / "models.json").exists()
    zoo.hub.faults.clear()
    process = start(zoo.hub, zoo.folder / "catalogue.json", zoo.folder, "zoo", "pull", "first-7")
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert zoo.finals() == {"first-7": whole}
    assert zoo.started("first-7") == [0, *KILLED_AT]
    assert sum(request.sent for request in zoo.hub.requests) == len(whole)
    assert "went on after 999999 bytes from before" in err
    assert "models.json: added: first-7" in out


def kill_at(zoo: Zoo, at: int) -> None:
    """Start the command, and kill it once so many bytes have come."""
    requests = len(zoo.hub.requests)
    process = start(zoo.hub, zoo.folder / "catalogue.json", zoo.folder, "zoo", "pull", "first-7")
    wait_for(lambda: len(zoo.hub.requests) > requests and part_size(zoo) >= at, f"{at} bytes")
    process.send_signal(signal.SIGKILL)
    process.communicate()
    zoo.hub.release.set()
    zoo.hub.release.clear()


def part_size(zoo: Zoo) -> int:
    return sum(part.stat().st_size for part in (zoo.folder / "models/.zoo").glob("*.part"))


@pytest.mark.slow
def test_ctrl_c_ends_at_once_and_the_same_command_goes_on(zoo: Zoo) -> None:
    path = legacy_path("first-7")
    zoo.hub.faults[path] = Fault(hang_at=30_000)
    process = start(zoo.hub, zoo.folder / "catalogue.json", zoo.folder, "zoo", "pull", "first-7")
    wait_for(lambda: part_size(zoo) == 30_000, "30000 bytes")
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=5)
    assert (process.returncode, "ortperf: interrupted" in err, zoo.finals()) == (130, True, {})
    zoo.hub.release.set()
    assert zoo.run("pull", "first-7") == 0
    assert zoo.started("first-7") == [0, 30_000]


@pytest.mark.slow
def test_on_a_terminal_one_line_is_written_over(zoo: Zoo) -> None:
    zoo.hub.faults[legacy_path("first-7")] = Fault(pause_s=0.3)
    ours, theirs = pty.openpty()
    with start(zoo.hub, zoo.folder / "catalogue.json", zoo.folder, "zoo", "pull", "first-7", stderr=theirs) as process:
        os.close(theirs)
        shown = b""
        with contextlib.suppress(OSError):  # the other side is closed
            while chunk := os.read(ours, 1 << 16):
                shown += chunk
        process.communicate(timeout=60)
    os.close(ours)
    parts = shown.decode().split("\r\x1b[K")
    assert any(re.fullmatch(r"\[#+\.+\] \d+% of 48\.8 KiB, 0 of 1 files, [\d.]+ KiB/s, .*left", part) for part in parts)
    assert [part[9:] for part in parts if "\n" in part] == ["first-7: 48.8 KiB\r\n"]


@pytest.mark.slow
def test_two_commands_at_once_fetch_each_file_once(zoo: Zoo) -> None:
    for name in NAMES:
        zoo.hub.faults[legacy_path(name)] = Fault(pause_s=0.1)
    both = [start(zoo.hub, zoo.folder / "catalogue.json", zoo.folder, "zoo", "pull", "--all") for _ in range(2)]
    ends = [process.communicate(timeout=60) for process in both]
    assert [process.returncode for process in both] == [0, 0], ends
    assert zoo.finals() == zoo.models
    assert [zoo.started(name) for name in NAMES] == [[0], [0], [0]]
    assert len(zoo.listed()) == 3
    assert sum("writes to" in err for _, err in ends) == 1


@pytest.mark.slow
def test_a_full_disk_is_told_and_what_has_come_is_gone_on_with(zoo: Zoo) -> None:
    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, 30_000))

    process = start(zoo.hub, zoo.folder / "catalogue.json", zoo.folder, "zoo", "pull", "first-7", preexec_fn=limited)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "first-7.onnx: not written: File too large. What has come is kept" in err
    assert (part_size(zoo), zoo.finals()) == (30_000, {})
    assert zoo.run("pull", "first-7") == 0
    assert zoo.started("first-7") == [0, 30_000]


def test_a_holder_that_gets_nowhere_is_named(zoo: Zoo, capfd: pytest.CaptureFixture[str]) -> None:
    from pytest_ortperf.provision.zoo.folder import ModelFolder

    hold = "import fcntl, sys\nfile = open(sys.argv[1], 'a')\nfcntl.flock(file, fcntl.LOCK_EX)\n"
    hold += "file.write('process 7 on elsewhere')\nfile.flush()\nprint('held', flush=True)\nsys.stdin.read()\n"
    (zoo.folder / "models/.zoo").mkdir(parents=True)
    command = [sys.executable, "-c", hold, str(zoo.folder / "models/.zoo/lock")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        told: list[str] = []
        with (
            pytest.raises(catalogue.ZooError, match=r"process 7 on elsewhere holds .* and has fetched nothing for 0 s"),
            ModelFolder(zoo.folder / "models").held(told.append, idle_s=0.1),
        ):
            pass
        holder.communicate("")
    assert told == [f"process 7 on elsewhere writes to {zoo.folder / 'models'}; waiting for it"]
    with ModelFolder(zoo.folder / "models").held(told.append):
        pass
    assert capfd.readouterr().err == ""
