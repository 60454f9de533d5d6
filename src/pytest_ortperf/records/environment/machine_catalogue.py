"""The catalogue of machine checks: what each looks at, when, how bad it can get, why it matters, one thing to try."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pytest_ortperf.records.environment.machine_checks import OFF, Finding, Level

When = Literal["run", "benchmark"]


@dataclass(frozen=True, slots=True)
class Check:
    """One check."""

    id: str
    when: When
    """Once for the `run`, or before and after the timed part of each `benchmark`."""

    looks_at: str
    off: str
    """When it is off, and how bad that is."""

    why: str
    advice: str


CHECKS: tuple[Check, ...] = (
    Check(
        "governor",
        "run",
        "clock governor of the cores this process may use",
        "warning: not `performance`",
        "The clock follows the load, so short runs are timed while it still rises",
        "sudo cpupower frequency-set -g performance",
    ),
    Check(
        "turbo",
        "run",
        "turbo boost",
        "advice: on",
        "How far the clock may rise depends on temperature and on what other cores do",
        "switch it off for comparisons: echo 1 > /sys/devices/system/cpu/intel_pstate/no_turbo, or echo 0 > "
        "/sys/devices/system/cpu/cpufreq/boost",
    ),
    Check(
        "smt",
        "run",
        "simultaneous multithreading",
        "advice: on",
        "Two threads share the units of one core: a neighbour there halves its speed",
        "use as many threads as cores (--ortperf-threads), or echo off > /sys/devices/system/cpu/smt/control",
    ),
    Check(
        "isolated-cores",
        "run",
        "cores taken from the scheduler (`isolcpus`)",
        "warning: this process runs on several of them",
        "The scheduler does not spread threads over isolated cores: all may end up on one",
        "isolate with a cpuset instead of isolcpus, or pin the session's threads with "
        "--ortperf-session-config=session.intra_op_thread_affinities=...",
    ),
    Check(
        "threads",
        "run",
        "intra-op threads (those asked for, else ONNX Runtime's choice: one for each core of the machine) beside the "
        "cores that affinity and control group leave",
        "warning: more threads than cores",
        "Threads wait for each other's turn on a core, which adds milliseconds at random",
        "--ortperf-threads=N with N at most the cores that are left",
    ),
    Check(
        "core-kinds",
        "run",
        "fast and slow cores (Intel P and E, ARM big and LITTLE) among those this process may use",
        "warning: more than one kind",
        "Which kind a thread gets is chance, and all wait for the slowest",
        "bind to one kind: taskset -c CORES pytest --ortperf-threads=N ...",
    ),
    Check(
        "aslr",
        "run",
        "randomised addresses",
        "advice: on",
        "Each process lays out its memory anew, so that two processes differ by some percent for ever",
        "repeat in several processes, or setarch --addr-no-randomize pytest ...",
    ),
    Check(
        "swap",
        "run",
        "swap space in use",
        "advice: used",
        "Memory that comes back from disk during a run takes milliseconds",
        "free memory, then sudo swapoff -a && sudo swapon -a",
    ),
    Check(
        "load",
        "run",
        "load average of the last minute",
        "warning: above an eighth of the cores; reject: above half of them. `strict` waits for it up to 240 s",
        "Other work takes cores, caches and memory bandwidth from what is measured",
        "end other work, or wait until uptime shows a load near 0",
    ),
    Check(
        "runnable",
        "benchmark",
        "threads of others that run or are ready to, at the start of the timed part",
        "warning: more than a quarter of the cores",
        "Other work takes cores, caches and memory bandwidth from what is measured",
        "end other work; look with top -H",
    ),
    Check(
        "other-load",
        "benchmark",
        "CPU time that others used during the timed part",
        "warning: more than a quarter of the cores",
        "Other work takes cores, caches and memory bandwidth from what is measured",
        "end other work; with pytest-xdist, measure without -n",
    ),
    Check(
        "steal",
        "benchmark",
        "CPU time that the hypervisor gave to others during the timed part",
        "warning: above 2 % of what this machine wanted",
        "Samples hold time in which the virtual machine did not run at all",
        "measure on dedicated hardware or an instance type without shared cores",
    ),
    Check(
        "quota",
        "benchmark",
        "time for which the control group's CPU quota held threads back",
        "warning: at all",
        "A throttled group stands still for the rest of its period, often tens of milliseconds",
        "raise the container's CPU limit, or lower --ortperf-threads below it",
    ),
    Check(
        "swapping",
        "benchmark",
        "pages swapped during the timed part",
        "warning: any",
        "Memory that comes back from disk takes milliseconds",
        "free memory, or measure a smaller model or batch",
    ),
    Check(
        "cpu-heat",
        "benchmark",
        "how often the CPU lowered its clock because of heat",
        "reject: at all",
        "The clock was below what the CPU can do: samples before and after are of two machines",
        "cool the machine, or lower the load with --ortperf-threads",
    ),
    Check(
        "gpu-driver",
        "run",
        "whether NVML answers, and the driver's version",
        "unknown: it does not",
        "",
        "",
    ),
    Check(
        "gpu-ecc",
        "run",
        "error correction, and uncorrected memory errors since the driver was loaded",
        "reject: any uncorrected error",
        "Memory of this GPU gave wrong data; results and times are of a broken device",
        "nvidia-smi --query --display=ECC, then reset or replace the GPU",
    ),
    Check(
        "gpu-mig",
        "run",
        "multi-instance mode",
        "advice: on",
        "Other instances share the power limit and the clocks of this GPU",
        "leave the other instances idle, or switch MIG off: sudo nvidia-smi -mig 0",
    ),
    Check(
        "gpu-persistence",
        "run",
        "persistence mode",
        "advice: off",
        "The driver lets go of the GPU between processes, so each session starts it anew",
        "sudo nvidia-smi -pm 1",
    ),
    Check(
        "gpu-power-limit",
        "run",
        "power limit as set, as in force, and the board's own",
        "warning: in force is below what was set, or below the board's own",
        "Under load the clock falls until the power fits",
        "sudo nvidia-smi -pl WATT with the board's default",
    ),
    Check(
        "gpu-numa",
        "run",
        "NUMA node of the GPU beside the cores this process may use",
        "advice: cores of other nodes are among them",
        "Copies and launches from a far node take longer, and which node it is is chance",
        "numactl --cpunodebind=NODE --membind=NODE pytest ...",
    ),
    Check(
        "gpu-processes",
        "benchmark",
        "other processes with a CUDA context; also looked at once for the run",
        "reject: any",
        "They take turns with what is measured, and hold memory",
        "end them; nvidia-smi lists them. With pytest-xdist, measure without -n",
    ),
    Check(
        "gpu-hardware-slowdown",
        "benchmark",
        "hardware slowdown, heat slowdown and power brake, from NVML's clock event reasons and counters",
        "reject: a bit is set, or the counter of heat grew by more than 1 ms",
        "The clock was cut to a half or less: the samples are of a GPU that protects itself",
        "let it cool, check fans and power supply; nvidia-smi --query --display=PERFORMANCE",
    ),
    Check(
        "gpu-power-cap",
        "benchmark",
        "clock held down by the power limit",
        "warning: for more than 1 % of the timed part",
        "The clock depends on how much power the data needs, and on temperature",
        "fix the clock below where the limit is reached: sudo nvidia-smi --lock-gpu-clocks=MHZ",
    ),
    Check(
        "gpu-clock",
        "benchmark",
        "SM clock at the end of the timed part beside the default",
        "reject: below 75 % of it, for another reason than a clock that somebody set or an idle GPU",
        "Numbers at such a clock compare with nothing",
        "look for the reason: nvidia-smi --query --display=PERFORMANCE,CLOCK",
    ),
    Check(
        "gpu-clock-spread",
        "benchmark",
        "lowest and highest SM clock in the second of iterations after the timed ones, where that is taken "
        "(`--ortperf-track-memory`)",
        "warning: more than 5 % apart",
        "The clock moved under the same work, so iterations of one benchmark are not alike",
        "fix the clock: sudo nvidia-smi --lock-gpu-clocks=MHZ",
    ),
    Check(
        "gpu-temperature",
        "benchmark",
        "temperature beside where the hardware slows down",
        "warning: within 5 degrees of it",
        "A little more heat and the clock falls",
        "pause between benchmarks, or improve the airflow",
    ),
    Check(
        "gpu-pcie",
        "benchmark",
        "generation and width of the PCIe link, under load, beside the best that GPU and slot can",
        "warning: below it",
        "Copies between host and GPU take longer than on this machine at its best",
        "reseat the card or use another slot; check the firmware's PCIe settings",
    ),
    Check(
        "canary",
        "run",
        "fixed work of 1 s at the start and at the end of the run; in `strict` only",
        "warning: more than 5 % slower or faster afterwards",
        "The machine was another one at the end than at the start: compare no first case with a last one",
        "run again once the machine is quiet and has its working temperature",
    ),
)

BY_ID = {check.id: check for check in CHECKS}


def finding(check: str, level: Level, seen: str, *, advice: str | None = None) -> Finding:
    """Return a finding with the catalogue's words.

    Args:
        check: Id.
        level: How bad.
        seen: What was seen, with the value.
        advice: Instead of the catalogue's, where the value tells more.
    """
    if level not in OFF:
        return Finding(check=check, level=level, seen=seen)
    row = BY_ID[check]
    return Finding(check=check, level=level, seen=seen, why=row.why, advice=advice or row.advice)
