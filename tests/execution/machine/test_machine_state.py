from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from gpu_answers import V100, Nvml
from machine_trees import AMD, FIRECRACKER, plant

from pytest_ortperf.cases.matrix import Case
from pytest_ortperf.cases.model import Model
from pytest_ortperf.cases.providers import find_provider
from pytest_ortperf.errors import CaseError
from pytest_ortperf.execution.case_settings import ExecutionSettings
from pytest_ortperf.execution.machine.machine_state import (
    MachineWatch,
    cuda_device,
    refuse_machine,
    refuse_state,
    rejection_text,
    survey_machine,
    unwatched,
    wait_for_quiet,
    watched_machine,
)
from pytest_ortperf.execution.machine.nvml import Gpu, NoGpu
from pytest_ortperf.execution.session.resolved_options import provider_options
from pytest_ortperf.records.environment.machine_catalogue import finding
from pytest_ortperf.records.environment.machine_checks import MachineState
from pytest_ortperf.records.resources import Clocks


class Machine:
    """A quiet machine with one GPU whose answers a test changes; sleeping takes no time."""

    def __init__(self, root: Path) -> None:
        self.answers: dict[str, Any] = dict(V100)
        self.slept: list[float] = []
        self.watch = MachineWatch(
            gpu=Gpu(Nvml(self.answers), "0"),
            root=plant(root, AMD),
            sleep=self.slept.append,
            cores=frozenset(range(4)),
            own=frozenset({1}),
        )

    def bits(self, *values: int) -> None:
        """Answer with these reasons one after another, then with the last one."""
        left: Iterator[int] = iter(values)
        last = values[-1]
        self.watch.gpu = Gpu(Nvml(self.answers | {"CurrentClocksEventReasons": lambda: next(left, last)}), "0")


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def state_of(watch: MachineWatch) -> MachineState:
    assert watch.state is not None
    return watch.state


def test_what_was_measured_comes_back_with_the_machine_around_it(machine: Machine) -> None:
    assert machine.watch.take("bound", lambda: 42, lambda: pytest.fail("warmed up again")) == 42
    assert machine.watch.take("host", lambda: 43, lambda: pytest.fail("warmed up again")) == 43
    state = state_of(machine.watch)
    assert [(span.timing, span.discarded) for span in state.spans] == [("bound", 0), ("host", 0)]
    assert {span.before.gpu.sm_clock_mhz for span in state.spans if span.before.gpu} == {1380}
    # too short for shares of CPU time; without heat counters and control group
    assert [(found.level, found.check) for found in state.findings] == [
        ("unknown", "other-load"),
        ("unknown", "steal"),
        ("unknown", "quota"),
        ("unknown", "cpu-heat"),
    ]
    assert state.level == "unknown"


def test_a_spoiled_measurement_is_made_again_once_the_gpu_has_recovered(machine: Machine) -> None:
    machine.bits(0, 0x40, 0x40, 0x40, 0, 0, 0)
    results, warmed = iter([1, 2]), []
    assert machine.watch.take("host", lambda: next(results), lambda: warmed.append(1)) == 2
    assert machine.slept == [0.5, 0.5, 0.5]
    assert warmed == [1]
    state = state_of(machine.watch)
    assert [span.discarded for span in state.spans] == [1]
    assert "gpu-hardware-slowdown" not in {found.check for found in state.findings}


def test_a_gpu_that_does_not_recover_is_marked_and_its_numbers_are_kept(machine: Machine) -> None:
    machine.bits(0x8)
    results = iter([1, 2, 3])
    assert machine.watch.take("host", lambda: next(results), lambda: None) == 2
    assert sum(machine.slept) == 10.0
    state = state_of(machine.watch)
    assert (state.level, state.spans[0].discarded) == ("reject", 1)
    assert [found.seen for found in state.findings if found.level == "reject"] == ["GPU 0: hardware slowdown"]


def test_another_process_is_no_reason_to_measure_again(machine: Machine) -> None:
    machine.answers["ComputeRunningProcesses"] = [SimpleNamespace(pid=n, usedGpuMemory=None) for n in (1, 2)]
    machine.bits(0)
    machine.watch.take("host", lambda: 1, lambda: None)
    state = state_of(machine.watch)
    assert (state.level, state.spans[0].discarded, machine.slept) == ("reject", 0, [])


def test_a_gpu_that_nvml_does_not_open_is_unknown(tmp_path: Path) -> None:
    watch = MachineWatch(gpu=NoGpu("Unknown Error"), root=plant(tmp_path, FIRECRACKER), cores=frozenset({0, 1}))
    watch.take("host", lambda: 1, lambda: None)
    assert ("unknown", "gpu-driver") in {(found.level, found.check) for found in state_of(watch).findings}
    assert state_of(watch).spans[0].before.gpu is None


@pytest.mark.parametrize(
    ("clocks", "told"),
    [
        (Clocks(mean_sm_mhz=1980, min_sm_mhz=1881, max_sm_mhz=1980, samples=90), None),
        (
            Clocks(mean_sm_mhz=1700, min_sm_mhz=1500, max_sm_mhz=1980, samples=90),
            ("warning", "GPU 0: 1500 to 1980 MHz in 90 samples"),
        ),
        (
            "the GPU was busy in 3 of 90 samples, 30 are needed",
            ("unknown", "GPU 0: the GPU was busy in 3 of 90 samples, 30 are needed"),
        ),
    ],
)
def test_a_clock_that_moved_under_the_same_work_is_told(
    machine: Machine, clocks: Clocks | str, told: tuple[str, str] | None
) -> None:
    machine.watch.take("bound", lambda: 1, lambda: None)
    machine.watch.note_clocks(clocks)
    found = {it.check: (it.level, it.seen) for it in state_of(machine.watch).findings}
    assert found.get("gpu-clock-spread") == told


def test_without_a_gpu_no_clock_is_judged(tmp_path: Path) -> None:
    for watch in (unwatched(), MachineWatch(root=plant(tmp_path, AMD), cores=frozenset({0}), own=frozenset({1}))):
        watch.take("host", lambda: 1, lambda: None)
        watch.note_clocks("NVML tells nothing")
        assert "gpu-clock-spread" not in {it.check for it in (watch.state.findings if watch.state else ())}


def test_off_reads_nothing() -> None:
    watch = dataclasses.replace(unwatched(), root=Path("/nowhere"))
    assert watch.take("host", lambda: 1, lambda: None) == 1
    assert watch.state is None


def case(provider: str) -> Case:
    model = Model(name="m", path=Path("m.onnx"), origin="test")
    return Case(model=model, mode="benchmark", provider=find_provider(provider), precision=None, dims=())


def test_the_setting_says_whether_a_case_is_watched() -> None:
    with watched_machine(case("cpu"), ExecutionSettings(environment="off")) as watch:
        assert not watch.on
    with watched_machine(case("cpu"), ExecutionSettings()) as watch:
        assert (watch.on, watch.gpu) == (True, None)


@pytest.mark.parametrize(
    ("provider", "settings", "device"),
    [
        ("cpu", {}, None),
        ("openvino", {"devices": {"openvino": "GPU"}}, None),
        ("cuda", {}, 0),
        ("tensorrt", {"devices": {"tensorrt": "1"}}, 1),
        ("cuda", {"ep_options": {"cuda": {"device_id": "2"}}}, 2),
        ("cuda", {"devices": {"cuda": "x"}}, None),
    ],
)
def test_a_case_uses_the_gpu_of_its_provider(provider: str, settings: dict[str, Any], device: int | None) -> None:
    assert cuda_device(find_provider(provider), ExecutionSettings(**settings)) == device


@pytest.mark.parametrize(
    ("settings", "device"),
    [
        ({}, 3),
        ({"devices": {"cuda": "1"}}, 3),
        ({"devices": {"cuda": "1"}, "ep_options": {"cuda": {"device_id": "2"}}}, 2),
    ],
)
def test_the_gpu_that_is_watched_is_the_one_that_the_session_gets(settings: dict[str, Any], device: int) -> None:
    model = Model(name="m", path=Path("m.onnx"), origin="test", ep_options={"cuda": {"device_id": "3"}})
    pinned = Case(model=model, mode="benchmark", provider=find_provider("cuda"), precision=None)
    given = provider_options(pinned, ExecutionSettings(**settings), b"")["CUDAExecutionProvider"]
    assert given["device_id"] == str(device)
    with watched_machine(pinned, ExecutionSettings(**settings)) as watch:
        assert watch.label == f"GPU {device}"


def test_an_unfit_machine_ends_benchmarks_in_strict_alone() -> None:
    unfit = (rejection_text(finding("load", "reject", "9 on 8 cores")),)
    refuse_machine(ExecutionSettings(environment="warn", unfit=unfit))
    refuse_machine(ExecutionSettings(environment="strict"))
    with pytest.raises(CaseError) as caught:
        refuse_machine(ExecutionSettings(environment="strict", unfit=unfit))
    assert (caught.value.kind, caught.value.stage) == ("environment", "settings")
    assert str(caught.value) == (
        "the machine is not fit for --ortperf-env=strict:\n"
        "  load: 9 on 8 cores. Other work takes cores, caches and memory bandwidth from what is measured. "
        "Try: end other work, or wait until uptime shows a load near 0\n"
        "--ortperf-env=warn measures all the same and labels the record"
    )


def test_a_spoiled_benchmark_fails_in_strict_alone() -> None:
    bad = MachineState(spans=(), findings=(finding("cpu-heat", "reject", "the CPU lowered its clock 2 times"),))
    good = MachineState(spans=(), findings=(finding("steal", "warning", "9%"),))
    strict = ExecutionSettings(environment="strict")
    refuse_state(bad, ExecutionSettings())
    refuse_state(good, strict)
    refuse_state(None, strict)
    with pytest.raises(CaseError) as caught:
        refuse_state(bad, strict)
    assert (caught.value.kind, caught.value.stage) == ("environment", "timing")
    assert str(caught.value).splitlines()[1] == (
        "  cpu-heat: the CPU lowered its clock 2 times. The clock was below what the CPU can do: samples before and "
        "after are of two machines. Try: cool the machine, or lower the load with --ortperf-threads"
    )


def test_the_survey_has_host_and_gpu_once(tmp_path: Path) -> None:
    root = plant(tmp_path, FIRECRACKER)
    providers = [find_provider(name) for name in ("cpu", "cuda", "tensorrt")]
    checks = [found.check for found in survey_machine(ExecutionSettings(), providers, root=root)]
    assert len(checks) == len(set(checks))
    assert checks[:2] == ["governor", "turbo"]
    assert "gpu-driver" in checks
    assert "gpu-driver" not in {found.check for found in survey_machine(ExecutionSettings(), providers[:1], root=root)}


class Clock:
    """Time that passes by sleeping; the load is `after` once `at` seconds have passed."""

    def __init__(self, root: Path, at: float, after: str) -> None:
        self.now, self._root, self._at, self._after = 0.0, root, at, after

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        if self.now >= self._at:
            plant(self._root, {"proc/loadavg": self._after})


def waited(root: Path, at: float, after: str) -> tuple[float, list[str]]:
    told: list[str] = []
    clock = Clock(root, at, after)
    wait_for_quiet(told.append, root=root, clock=clock, sleep=clock.sleep)
    return clock.now, told


def test_a_quiet_machine_is_not_waited_for(tmp_path: Path) -> None:
    assert waited(plant(tmp_path, AMD), 0, "") == (0, [])


def test_waiting_ends_when_the_load_has_gone(tmp_path: Path) -> None:
    root = plant(tmp_path, AMD | {"proc/loadavg": "2.50 1 1 1/9 9\n"})
    assert waited(root, 12, "0.40 1 1 1/9 9\n") == (
        15,
        ["waiting up to 240 s: the load is 2.5, on 4 cores 0.5 is quiet", "the load is 0.4 after 15 s"],
    )


def test_waiting_ends_after_four_minutes(tmp_path: Path) -> None:
    root = plant(tmp_path, AMD | {"proc/loadavg": "2.50 1 1 1/9 9\n"})
    now, told = waited(root, 1000, "")
    assert (now, told[1]) == (240, "the load is 2.5 after 240 s")


def test_a_load_that_cannot_be_read_is_not_waited_for(tmp_path: Path) -> None:
    assert waited(tmp_path, 0, "") == (0, [])
    root = plant(tmp_path, AMD | {"proc/loadavg": "2.50 1 1 1/9 9\n"})
    assert waited(root, 5, "gone\n")[1][1] == "the load is unknown after 5 s"
