from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

import pytest_ortperf.execution
from pytest_ortperf.records.codec import as_dict, from_dict
from pytest_ortperf.records.environment.host import fingerprint
from pytest_ortperf.records.environment.machine_catalogue import CHECKS, finding
from pytest_ortperf.records.environment.machine_checks import (
    LEVELS,
    OFF,
    Canary,
    CanaryPart,
    Finding,
    GpuReading,
    HostReading,
    MachineState,
    Reading,
    Span,
    drift_percent,
    merged,
    worst,
)
from pytest_ortperf.records.environment.run_header import GpuFact

GIB = 2**30


def test_a_state_survives_json() -> None:
    host = HostReading(at_ns=1, own_cpu_ns=2, busy_ns=3, load1=0.5)
    gpu = GpuReading(sm_clock_mhz=1980, limited_ns={"power cap": 4}, other_processes=("process 6",))
    before, after = Reading(host=host, gpu=gpu), Reading(host=host)
    span = Span(timing="host", before=before, after=after, discarded=1)
    state = MachineState(spans=(span,), findings=(finding("steal", "warning", "3%"),))
    assert from_dict(MachineState, json.loads(json.dumps(as_dict(state)))) == state


def test_the_worst_finding_counts_and_unknown_is_not_ok() -> None:
    assert LEVELS == ("ok", "unknown", "advice", "warning", "reject")
    assert worst([]) == "ok"
    assert worst([finding("load", "ok", ""), finding("smt", "unknown", "")]) == "unknown"
    assert worst([finding("load", "reject", ""), finding("smt", "advice", "")]) == "reject"


def test_of_each_check_the_worst_finding_stays() -> None:
    load = [finding("load", level, level) for level in ("ok", "reject", "warning")]
    smt = finding("smt", "advice", "on")
    assert merged([load[0], smt, *load[1:]]) == (load[1], smt)


def test_words_come_from_the_catalogue_where_something_is_off() -> None:
    assert finding("load", "ok", "0 on 8 cores") == Finding(check="load", level="ok", seen="0 on 8 cores")
    assert finding("gpu-persistence", "advice", "off") == Finding(
        check="gpu-persistence",
        level="advice",
        seen="off",
        why="The driver lets go of the GPU between processes, so each session starts it anew",
        advice="sudo nvidia-smi -pm 1",
    )
    assert finding("load", "warning", "", advice="wait").advice == "wait"


def test_drift_is_of_the_parts_that_both_have() -> None:
    def of(**fast_ns: int) -> Canary:
        return Canary(parts={name: CanaryPart(fast_ns=ns, median_ns=9, repeats=5) for name, ns in fast_ns.items()})

    assert drift_percent(of(a=100, b=200), of(a=110, c=1)) == {"a": pytest.approx(10)}


def test_every_check_has_words_that_are_its_own() -> None:
    assert len({check.id for check in CHECKS}) == len(CHECKS)
    for check in CHECKS:
        assert check.looks_at
        assert not check.looks_at.endswith(".")
        levels = re.findall(r"\b(advice|warning|reject|unknown): ", check.off)
        assert levels, check.id
        if any(level in OFF for level in levels):
            assert check.why, check.id
            assert check.advice, check.id


def test_the_catalogue_holds_the_checks_that_are_made_and_no_other() -> None:
    folder = Path(pytest_ortperf.execution.__file__).parent
    source = "".join(path.read_text(encoding="utf-8") for path in folder.rglob("*.py"))
    made = set(re.findall(r'(?:finding|_refused|_judge_count)\(\s*"([a-z-]+)"', source))
    assert made == {check.id for check in CHECKS}


def test_a_fingerprint_is_of_the_hardware_alone() -> None:
    gpus = [GpuFact(index=n, name="NVIDIA H100", uuid=f"GPU-{n}", memory_byte=80 * GIB - 1) for n in range(2)]
    assert fingerprint("AMD EPYC 9654", 8, 16_724_606_976, gpus) == (
        "AMD EPYC 9654, 8 cores, 16 GiB, 2 x NVIDIA H100 80 GiB"
    )
    assert fingerprint(None, None, None, []) == "unknown CPU, unknown cores, unknown memory"
    assert fingerprint("A", 1, 16 * GIB, [GpuFact(index=0, name="T4")]) == "A, 1 core, 16 GiB, 1 x T4"


@pytest.mark.parametrize(("gib", "text"), [(15.1, "16"), (62.6, "64"), (503.5, "512"), (7.7, "8"), (12.0, "12")])
def test_memory_that_the_kernel_keeps_does_not_change_a_fingerprint(gib: float, text: str) -> None:
    assert fingerprint("A", 2, int(gib * GIB), []) == f"A, 2 cores, {text} GiB"
