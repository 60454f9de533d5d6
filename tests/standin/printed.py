"""The log of a version, in the format of recorded ones."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from pathlib import Path

DATA = Path(__file__).parent.parent / "data" / "trtexec"
STAMP = "[07/07/2026-02:10:45]"
HEADS = {8: "v8600_04.txt", 10: "v101601_01.txt", 11: "../trtexec_more/v110000_run_exportprofile.txt"}
HEADS_OF_BUILDS = {11: "../trtexec_more/v110000_build_skipinference.txt"}
"""Recorded logs whose option section is printed; from 11 on a run of an engine lists no options of a build."""


@dataclass(frozen=True)
class Version:
    """A version of TensorRT."""

    numbers: tuple[int, int, int]

    @classmethod
    def read(cls, text: str) -> Version:
        """Return that of `10.16.1`."""
        major, minor, patch = map(int, text.split("."))
        return cls((major, minor, patch))

    @property
    def digits(self) -> str:
        """As in the banner: 8601, 101601."""
        major, minor, patch = self.numbers
        return str(major * 1000 + minor * 100 + patch if major < 10 else major * 10_000 + minor * 100 + patch)

    @property
    def text(self) -> str:
        """Return `10.16.1`."""
        return ".".join(map(str, self.numbers))


class Log:
    """What is printed."""

    def __init__(self, version: Version, argv: list[str], *, nameless: bool) -> None:
        self.version = version
        self._command = " ".join(["trtexec", *argv])
        self._nameless = nameless

    def banner(self, word: str) -> None:
        """Print the first or the last line."""
        major = self.version.numbers[0]
        name = "" if self._nameless else f" [TensorRT v{self.version.digits}]" + (" [b11]" if major >= 10 else "")
        print(f"&&&& {word} TensorRT.trtexec{name} # {self._command}", flush=True)

    def line(self, level: str, text: str) -> None:
        """Print one message."""
        print(f"{STAMP} [{level}] {text}")

    def options(self, given: dict[str, str]) -> None:
        """Print the option section of a recorded log, with what differs here."""
        graph, transfers, spin = self._defaults(given)
        here = {
            "Data transfers": transfers,
            "CUDA Graph": graph,
            "Spin-wait": spin,
            "Save engine": given.get("saveEngine", ""),
            "Load engine": given.get("loadEngine", ""),
            "Precision": "FP32+FP16"
            if "fp16" in given
            else "Strongly Typed"
            if self.version.numbers[0] > 10
            else "FP32",
        }
        for text in self._recorded_head(HEADS | HEADS_OF_BUILDS if "onnx" in given else HEADS):
            name = text.partition(":")[0]
            self.line("I", f"{name}: {here[name]}" if name in here else text)
        self.line("I", f"TensorRT version: {self.version.text}")

    def _defaults(self, given: dict[str, str]) -> tuple[str, str, str]:
        if self.version.numbers[0] >= 11:
            states = "noCudaGraph" not in given, "includeDataTransfers" in given, "noSpinWait" not in given
        else:
            states = "useCudaGraph" in given, "noDataTransfers" not in given, "useSpinWait" in given
        graph, transfers, spin = ("Enabled" if state else "Disabled" for state in states)
        return graph, transfers, spin

    def _recorded_head(self, heads: dict[int, str]) -> list[str]:
        lines = (DATA / heads[self.version.numbers[0]]).read_text(encoding="utf-8").splitlines()
        texts = [line.partition("] [I] ")[2] for line in lines if "] [I] " in line]
        return texts[texts.index("=== Model Options ===") : texts.index("=== Device Information ===")]

    def summary(self, rows: dict[str, list[float]], walltime_s: float) -> None:
        """Print the performance summary; rows are in ms, by their printed names."""
        count = len(rows["GPU Compute Time"])
        self.line("I", "=== Performance summary ===")
        self.line("I", f"Throughput: {count / walltime_s:g} qps")
        for name in ("Latency", "Enqueue Time", "H2D Latency", "GPU Compute Time", "D2H Latency"):
            self.line("I", f"{name}: {_row(rows[name])}")
        self.line("I", f"Total Host Walltime: {walltime_s:g} s")
        self.line("I", f"Total GPU Compute Time: {sum(rows['GPU Compute Time']) / 1000:g} s")


def _row(values: list[float]) -> str:
    ordered = sorted(values)
    cells = {
        "min": ordered[0],
        "max": ordered[-1],
        "mean": statistics.fmean(values),
        "median": statistics.median(values),
    }
    cells |= {f"percentile({percent}%)": _percentile(ordered, percent) for percent in (90, 95, 99)}
    return ", ".join(f"{name} = {value:g} ms" for name, value in cells.items())


def _percentile(ordered: list[float], percent: int) -> float:
    exclude = int((1 - percent / 100) * len(ordered))
    return ordered[max(len(ordered) - 1 - exclude, 0)]
