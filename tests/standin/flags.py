"""Which flags a version takes: those that its own `--help` lists, as recorded; those of 11 by what changed since 10."""

from __future__ import annotations

import re
from pathlib import Path

from printed import Version

DATA = Path(__file__).parent.parent / "data"
HELP = {(8, 2): "help_v8201.txt", (8, 5): "help_v8500.txt", (8, 6): "help_v8601.txt", (10, 0): "help_v100001.txt"}
NEWEST = "help_v101601.txt"

GONE_IN_11 = {
    "best",
    "bf16",
    "calib",
    "calibProfile",
    "fp16",
    "fp8",
    "int4",
    "int8",
    "layerOutputTypes",
    "layerPrecisions",
    "maxShapesCalib",
    "minShapesCalib",
    "optShapesCalib",
    "precisionConstraints",
    "restricted",
    "weightless",
}
NEW_IN_11 = {
    "includeDataTransfers": "Enable DMA transfers to and from device (default = disabled).",
    "noCudaGraph": "Disable the capture of the engine's execution as a CUDA graph (default = enabled).",
    "noSpinWait": "Do not actively synchronize on GPU events (default = spin-wait).",
}
"""NVIDIA/TensorRT, tags v10.16 and v11.0, samples/common/sampleOptions.cpp; no real `--help` of 11 was at hand."""

_LISTED = re.compile(r"^\s+(?=--\w)((?:--?\w+[^\s,]*,?\s?)+)")


def help_text(version: Version) -> str:
    """Return what `--help` prints, without the banner."""
    file = HELP.get(version.numbers[:2], NEWEST)
    lines = (DATA / "trtexec_help" / file).read_text(encoding="utf-8").splitlines()[1:]
    if version.numbers[0] >= 11:
        lines = _of_11(lines)
    return "\n".join(lines)


def accepted(version: Version) -> set[str]:
    """Return the names of all flags of a version."""
    return {name for line in help_text(version).splitlines() for name in _names(line)}


def parse(argv: list[str], version: Version) -> tuple[dict[str, str], list[str]]:
    """Return options by name, and the text of each that this version does not know."""
    known = accepted(version)
    options, unknown = {}, []
    for argument in argv:
        name, _, value = argument.removeprefix("--").partition("=")
        if argument.startswith("--") and name in known:
            options[name] = value
        else:
            unknown.append(f"{argument.partition('=')[0]} {value}")
    return options, unknown


def _names(line: str) -> list[str]:
    found = _LISTED.match(line)
    return re.findall(r"--(\w+)", found[1]) if found else []


def _of_11(lines: list[str]) -> list[str]:
    kept = []
    for line in lines:
        if not set(_names(line)) & GONE_IN_11:
            kept.append(line)
        if line == "=== Inference Options ===":
            kept += [f"  --{name:25} {text}" for name, text in NEW_IN_11.items()]
    return kept
