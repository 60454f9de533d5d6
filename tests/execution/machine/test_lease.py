from __future__ import annotations

import fcntl
import os
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
from pytest_ortperf.execution.machine.lease import Claim, claims_of, device_of, holding, lease, lock_folder
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


def test_a_folder_of_somebody_else_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / f"pytest-ortperf-locks-{os.getuid()}"
    folder.symlink_to(tmp_path)
    with pytest.raises(CaseError) as caught:
        lock_folder()
    assert str(caught.value) == (
        f"{folder} is not this user's folder, so benchmarks cannot wait for each other there; remove it, or set "
        f"ORTPERF_LOCKS to another folder"
    )
    assert (caught.value.stage, caught.value.kind) == ("lease", "environment")


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
