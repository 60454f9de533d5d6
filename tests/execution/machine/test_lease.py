from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from pytest_ortperf.cases.matrix import Case
from pytest_ortperf.cases.model import Model
from pytest_ortperf.cases.providers import find_provider
from pytest_ortperf.errors import CaseError
from pytest_ortperf.execution.case_settings import ExecutionSettings
from pytest_ortperf.execution.machine import lease as lease_module
from pytest_ortperf.execution.machine.lease import Claim, claims_of, device_of, holding, lease, lock_folder
from pytest_ortperf.execution.process import lock_wait
from pytest_ortperf.execution.process.child import Child, ChildEnd
from pytest_ortperf.execution.record_builder import Journal, RecordBuilder, waited_s


@pytest.fixture
def journal() -> Iterator[Journal]:
    made = Journal(captures=False)
    yield made
    made.close()


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.delenv("ORTPERF_LOCKS", raising=False)


def case_on(provider: str, mode: str = "benchmark") -> Case:
    model = Model(name="m", path=Path("m.onnx"), origin="models.json")
    return Case(model=model, mode=mode, provider=find_provider(provider), precision=None, dims=())


@pytest.mark.parametrize(
    ("provider", "mode", "claims"),
    [
        ("cpu", "benchmark", [("cpu", False)]),
        ("cpu", "validate", [("cpu", True)]),
        ("openvino", "benchmark", [("cpu", False)]),
        ("qnn", "benchmark", [("cpu", False)]),
        ("dml", "benchmark", [("gpu-dml-1", False), ("cpu", True)]),
        ("dml", "validate", [("gpu-dml-1", True), ("cpu", True)]),
    ],
)
def test_a_benchmark_claims_what_it_measures_and_a_validation_shares_it(
    provider: str, mode: str, claims: list[tuple[str, bool]]
) -> None:
    found = claims_of(case_on(provider, mode), ExecutionSettings(devices={"dml": "1"}))
    assert [(claim.name, claim.shared) for claim in found] == claims


def test_the_device_is_that_of_the_most_specific_option() -> None:
    case = case_on("cuda")
    assert device_of(case, ExecutionSettings()) == "0"
    assert device_of(case, ExecutionSettings(devices={"cuda": "1"})) == "1"
    options = {"cuda": {"device_id": "2"}}
    assert device_of(case, ExecutionSettings(devices={"cuda": "1"}, ep_options=options)) == "2"


def free(folder: Path, name: str) -> bool:
    """Whether nobody holds a claim of that name, shared or not."""
    with (folder / f"{name}.lock").open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


def test_shared_claims_overlap_and_an_exclusive_one_waits_for_them(journal: Journal, tmp_path: Path) -> None:
    order = []

    def measure() -> None:
        with holding(tmp_path, Claim("cpu", shared=False), journal):
            order.append("benchmark")

    with ExitStack() as validations:
        for _ in range(2):
            validations.enter_context(holding(tmp_path, Claim("cpu", shared=True), journal))
        assert journal.latest("waiting") is None
        thread = threading.Thread(target=measure)
        thread.start()
        while journal.latest("waiting") is None:
            time.sleep(0.005)
        order.append("validations")
    thread.join()
    assert order == ["validations", "benchmark"]
    assert free(tmp_path, "cpu")


def test_a_benchmark_that_waits_is_not_overtaken_by_validations(journal: Journal, tmp_path: Path) -> None:
    order: list[str] = []

    def work(name: str, claim: Claim, own: Journal) -> None:
        with holding(tmp_path, claim, own):
            order.append(name)

    later = Journal(captures=False)
    with holding(tmp_path, Claim("cpu", shared=True), journal):
        threads = [threading.Thread(target=work, args=("benchmark", Claim("cpu", shared=False), journal))]
        threads[0].start()
        while journal.latest("waiting") is None:
            time.sleep(0.005)
        threads.append(threading.Thread(target=work, args=("validation", Claim("cpu", shared=True), later)))
        threads[1].start()
        while later.latest("waiting") is None:
            time.sleep(0.005)
    for thread in threads:
        thread.join()
    later.close()
    assert order == ["benchmark", "validation"]


def test_the_wait_is_a_stage_and_is_known_while_it_lasts(journal: Journal, tmp_path: Path) -> None:
    assert waited_s(journal) == 0.0
    facts = RecordBuilder(journal=journal)
    folder = lock_folder()
    assert folder == tmp_path / f"pytest-ortperf-locks-{os.getuid()}"
    other = ExitStack()
    other.enter_context(holding(folder, Claim("cpu", shared=False), journal))

    def end_the_other() -> None:
        while journal.latest("waiting") is None:
            time.sleep(0.005)
        time.sleep(0.1)
        other.close()

    thread = threading.Thread(target=end_the_other)
    thread.start()
    with lease(case_on("cpu"), ExecutionSettings(), facts):
        assert not free(folder, "cpu")
        assert facts.stage is None
    thread.join()
    assert free(folder, "cpu")
    assert 0.1 <= waited_s(journal) <= facts.stage_ns["lease"] / 1e9
    done = waited_s(journal)
    journal.note(waiting=time.monotonic() - 5)
    assert done + 5 <= waited_s(journal) < done + 6


def test_a_folder_of_somebody_else_is_replaced_by_the_same_one_each_time(tmp_path: Path) -> None:
    (tmp_path / f"pytest-ortperf-locks-{os.getuid()}").symlink_to(tmp_path)
    (tmp_path / f"pytest-ortperf-locks-{os.getuid()}-1").write_text("in the way")
    folder = tmp_path / f"pytest-ortperf-locks-{os.getuid()}-2"
    assert [lock_folder(), lock_folder()] == [folder, folder]
    assert folder.stat().st_mode & 0o777 == 0o700


def test_a_network_file_system_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease_module, "network_file_system", lambda _: "lustre")
    with pytest.raises(CaseError) as caught:
        lock_folder()
    assert str(caught.value) == (
        f"{tmp_path}/pytest-ortperf-locks-{os.getuid()} is on a network file system (lustre), where locks may keep "
        "nobody out; benchmarks cannot wait for each other there. Set ORTPERF_LOCKS to a folder on this machine"
    )
    assert (caught.value.stage, caught.value.kind) == ("lease", "environment")


HOLD = """
import fcntl, sys, time
file = open(sys.argv[1], "w")
fcntl.flock(file, fcntl.LOCK_EX)
print("held", flush=True)
time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that holds the lock of the CPU."""
    command = [sys.executable, "-c", HOLD, str(tmp_path / "cpu.lock")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def refused_wait(journal: Journal, folder: Path) -> str:
    with pytest.raises(CaseError) as caught, holding(folder, Claim("cpu", shared=False), journal):
        pass
    assert (caught.value.stage, caught.value.kind) == ("lease", "environment")
    return str(caught.value)


def test_a_stopped_holder_is_named_with_what_lets_it_go_on(
    journal: Journal, tmp_path: Path, holder: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock_wait, "STOPPED_S", 0.05)
    monkeypatch.setattr(lease_module, "_LOOK_S", 0.02)
    holder.send_signal(signal.SIGSTOP)
    text = refused_wait(journal, tmp_path)
    assert text.startswith(f"{tmp_path}/cpu.lock: held by process {holder.pid} ({sys.executable} -c")
    assert text.endswith(
        f"which is stopped. Let it go on with 'kill -CONT {holder.pid}', or end it with 'kill -KILL {holder.pid}'"
    )


def test_a_wait_is_bounded_and_names_the_holder(
    journal: Journal, tmp_path: Path, holder: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease_module, "WAIT_S", 0.1)
    monkeypatch.setattr(lease_module, "_LOOK_S", 0.02)
    text = refused_wait(journal, tmp_path)
    assert text.startswith(f"{tmp_path}/cpu.lock: still held by process {holder.pid} ({sys.executable} -c")
    assert text.endswith("Wait for its end, or end it")


def test_another_folder_can_be_chosen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORTPERF_LOCKS", str(tmp_path / "shared" / "locks"))
    assert lock_folder() == tmp_path / "shared" / "locks"
    assert lock_folder().is_dir()


def test_a_wait_for_hardware_moves_the_deadline_of_a_child(journal: Journal) -> None:
    def serve(waited: float) -> str:
        journal.note(waited_s=waited)
        time.sleep(0.6)
        return "done"

    child = Child(serve, lambda: waited_s(journal))
    try:
        assert child.ask(1000.0, 0.3) == "done"
    finally:
        child.end()
    strict = Child(serve)
    try:
        end = strict.ask(1000.0, 0.3)
    finally:
        strict.end()
    assert isinstance(end, ChildEnd)
    assert end.timed_out
