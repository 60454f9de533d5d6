from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from machine_trees import AMD, ARM, CONTAINER_V1, CONTAINER_V2, CPU, FIRECRACKER, INTEL, Tree, plant

from pytest_ortperf.execution.machine.host_checks import HOST_CHECKS, Host, host_findings, own_cores
from pytest_ortperf.execution.machine.machine_files import cores_of, cores_text, read_list
from pytest_ortperf.records.environment.host import control_groups
from pytest_ortperf.records.environment.machine_catalogue import BY_ID

NOTHING: Tree = {}
BOARD = "a virtual machine does not see its host's"
QUOTA = (
    "warning threads: 8 intra-op threads, ONNX Runtime's choice; this process may use 8 of 8 cores, "
    "the control group's quota is 2 cores"
)

EXPECTED = {
    "intel": (
        INTEL,
        8,
        [
            "warning governor: powersave on 8 of 8 cores",
            "advice turbo: turbo boost is on",
            "advice smt: cores run two or more threads each (SMT is on)",
            "ok isolated-cores: none are isolated",
            "ok threads: 4 intra-op threads, ONNX Runtime's choice; this process may use 8 of 8 cores",
            "ok core-kinds: all cores look alike (kHz 3900000)",
            "advice aslr: randomize_va_space is 2",
            "advice swap: 104 of 2047 MiB are used",
            "ok load: 0.31 on 8 cores",
        ],
    ),
    "amd": (
        AMD,
        4,
        [
            "ok governor: performance on 4 of 4 cores",
            "ok turbo: turbo boost is off",
            "ok smt: a core runs one thread (SMT is off)",
            "warning isolated-cores: cores 2-3 are isolated, this process may use 0-3",
            "ok threads: 4 intra-op threads, ONNX Runtime's choice; this process may use 4 of 4 cores",
            "ok core-kinds: all cores look alike (kHz 3000000)",
            "ok aslr: randomize_va_space is 0",
            "ok swap: there is none",
            "ok load: 0 on 4 cores",
        ],
    ),
    "arm": (
        ARM,
        6,
        [
            "warning governor: schedutil on 4 of 6 cores, performance on 2 of 6 cores",
            "unknown turbo: no turbo setting is shown",
            "unknown smt: no multithreading is shown",
            "ok isolated-cores: none are isolated",
            "ok threads: 6 intra-op threads, ONNX Runtime's choice; this process may use 6 of 6 cores",
            "warning core-kinds: cores 4-5 are faster than 0-3 (capacity 1024 and 485)",
            "unknown aslr: the kernel does not tell",
            "unknown swap: the kernel does not tell",
            "warning load: 1 on 6 cores",
        ],
    ),
    "container": (
        CONTAINER_V2,
        8,
        [
            f"unknown governor: no clock governor is shown; {BOARD}",
            f"unknown turbo: no turbo setting is shown; {BOARD}",
            "advice smt: cores run two or more threads each (SMT is on)",
            "ok isolated-cores: none are isolated",
            QUOTA,
            f"unknown core-kinds: neither capacity nor clock of the cores is shown; {BOARD}",
            "unknown aslr: the kernel does not tell",
            "unknown swap: the kernel does not tell",
            "reject load: 9 on 8 cores",
        ],
    ),
    "firecracker": (
        FIRECRACKER,
        2,
        [
            f"unknown governor: no clock governor is shown; {BOARD}",
            f"unknown turbo: no turbo setting is shown; {BOARD}",
            f"unknown smt: no multithreading is shown; {BOARD}",
            "ok isolated-cores: none are isolated",
            "ok threads: 2 intra-op threads, ONNX Runtime's choice; this process may use 2 of 2 cores",
            "unknown core-kinds: all cores look alike (capacity 1024)",
            "advice aslr: randomize_va_space is 2",
            "ok swap: there is none",
            "ok load: 0.2 on 2 cores",
        ],
    ),
    "nothing readable": (
        NOTHING,
        0,
        [
            "unknown governor: no clock governor is shown",
            "unknown turbo: no turbo setting is shown",
            "unknown smt: no multithreading is shown",
            "unknown isolated-cores: the kernel does not tell",
            "unknown threads: the system does not tell which cores this process may use",
            "unknown core-kinds: neither capacity nor clock of the cores is shown",
            "unknown aslr: the kernel does not tell",
            "unknown swap: the kernel does not tell",
            "unknown load: the kernel does not tell",
        ],
    ),
}


def told(host: Host) -> list[str]:
    return [f"{found.level} {found.check}: {found.seen}" for found in host_findings(host)]


@pytest.mark.parametrize("machine", EXPECTED)
def test_each_machine_says_what_it_shows(tmp_path: Path, machine: str) -> None:
    tree, cores, expected = EXPECTED[machine]
    assert told(Host(root=plant(tmp_path, tree), cores=frozenset(range(cores)))) == expected


def test_here_each_check_answers_with_a_level_of_its_own() -> None:
    findings = host_findings(Host(cores=own_cores()))
    assert [found.check for found in findings] == [check.__name__.replace("_", "-") for check in HOST_CHECKS]
    assert all(found.check in BY_ID for found in findings)


@pytest.mark.parametrize("garbage", ["", "\n", "no number\n", "-\n", "x 99999999999999999999\n"])
def test_files_with_nonsense_are_unknown(tmp_path: Path, garbage: str) -> None:
    tree = dict.fromkeys([*INTEL, f"{CPU}/cpu0/cpu_capacity", "sys/fs/cgroup/cpu.max"], garbage)
    governor = f"{CPU}/cpu0/cpufreq/scaling_governor"  # any word is a governor's name
    findings = host_findings(Host(root=plant(tmp_path, tree | {governor: ""}), cores=frozenset({0})))
    levels = {found.check: found.level for found in findings}
    assert {levels[check] for check in ("turbo", "smt", "core-kinds", "aslr", "swap", "load")} == {"unknown"}


def test_a_file_that_is_a_folder_is_unknown(tmp_path: Path) -> None:
    for path in ("proc/loadavg", "proc/meminfo", f"{CPU}/isolated"):
        (tmp_path / path).mkdir(parents=True)
    levels = {found.check: found.level for found in host_findings(Host(root=tmp_path, cores=frozenset({0})))}
    assert (levels["load"], levels["swap"], levels["isolated-cores"]) == ("unknown", "unknown", "unknown")


@pytest.mark.parametrize(
    ("tree", "cores", "asked", "level", "advice"),
    [
        (CONTAINER_V2, 8, 2, "ok", None),
        (CONTAINER_V2, 8, 3, "warning", "--ortperf-threads=2"),
        (CONTAINER_V1, 4, None, "warning", "--ortperf-threads=1"),
        (INTEL, 4, 5, "warning", "--ortperf-threads=4"),
        (INTEL, 4, 4, "ok", None),
        (INTEL, 4, None, "ok", None),
        (INTEL, 3, None, "warning", "--ortperf-threads=3"),
        (AMD, 2, None, "warning", "--ortperf-threads=2"),
    ],
)
def test_threads_are_held_against_affinity_and_quota(
    tmp_path: Path, tree: Tree, cores: int, asked: int | None, level: str, advice: str | None
) -> None:
    host = Host(root=plant(tmp_path, tree), cores=frozenset(range(cores)), threads=asked)
    found = next(found for found in host_findings(host) if found.check == "threads")
    assert (found.level, found.advice) == (level, advice)


COUNT_THREADS = """
import os
import onnxruntime
from pytest_ortperf.execution.session.probe import tiny_model

os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
before = len(os.listdir("/proc/self/task"))
session = onnxruntime.InferenceSession(tiny_model(), providers=["CPUExecutionProvider"])
print(1 + len(os.listdir("/proc/self/task")) - before)
"""


def test_onnx_runtime_s_own_choice_of_threads_knows_no_affinity() -> None:
    done = subprocess.run([sys.executable, "-c", COUNT_THREADS], capture_output=True, text=True, check=True)
    assert int(done.stdout) == Host(cores=own_cores()).default_threads


def test_a_process_on_big_cores_alone_is_fine(tmp_path: Path) -> None:
    host = Host(root=plant(tmp_path, ARM), cores=frozenset({4, 5}))
    assert "ok core-kinds: all cores look alike (capacity 1024)" in told(host)
    assert "ok governor: performance on 2 of 2 cores" in told(host)


def test_big_cores_are_named_in_the_advice(tmp_path: Path) -> None:
    found = host_findings(Host(root=plant(tmp_path, ARM), cores=frozenset(range(6))))[5]
    assert found.advice == "taskset -c 4-5 pytest --ortperf-threads=2 ..."
    assert found.why == "Which kind a thread gets is chance, and all wait for the slowest"


def test_one_isolated_core_is_no_problem(tmp_path: Path) -> None:
    host = Host(root=plant(tmp_path, AMD), cores=frozenset({2}))
    assert "ok isolated-cores: cores 2-3 are isolated, this process may use 2" in told(host)


@pytest.mark.parametrize(("text", "cores"), [("0-3,8", {0, 1, 2, 3, 8}), ("", set()), ("5", {5})])
def test_lists_of_cores_come_back(text: str, cores: set[int]) -> None:
    assert cores_of(text) == cores
    assert cores_text(cores) == text


@pytest.mark.parametrize("text", ["a", "1-", "1-b", "-1"])
def test_what_is_no_list_of_cores_is_none(text: str) -> None:
    assert cores_of(text) is None


def test_a_list_that_is_no_text_is_none(tmp_path: Path) -> None:
    (tmp_path / "online").write_bytes(b"\xff\xfe")
    assert read_list(tmp_path / "online") is None


def test_groups_of_version_1_lie_below_their_controllers(tmp_path: Path) -> None:
    root = plant(tmp_path, CONTAINER_V1)
    names = [folder.relative_to(root / "sys/fs/cgroup").as_posix() for folder in control_groups(root, "cpu")]
    assert names[:3] == ["cpu/docker/7ca9", "cpu/docker", "cpu"]
