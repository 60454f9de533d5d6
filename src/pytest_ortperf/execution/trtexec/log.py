"""What trtexec printed: numbers by their name, never by position; what is cut or missing is absent.

Written against logs of TensorRT 7.x to 10.16. A number counts only with its unit behind it, so that a log that
ends inside one gives nothing instead of fewer digits.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pytest_ortperf.execution.trtexec.causes import find_cause, is_error

NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"

ROWS = {
    "Latency": "latency",
    "Host Latency": "latency",
    "End-to-End Host Latency": "end_to_end",
    "Enqueue Time": "enqueue",
    "H2D Latency": "h2d",
    "GPU Compute Time": "gpu_compute",
    "GPU Compute": "gpu_compute",
    "D2H Latency": "d2h",
}
"""Row of a summary as printed -> its name here. `latency` is copy in, compute, copy out of one query."""

OPTIONS = {
    "Data transfers": "data_transfers",
    "CUDA Graph": "cuda_graph",
    "Spin-wait": "spin_wait",
    "Precision": "precision",
    "Save engine": "save_engine",
    "Load engine": "load_engine",
    "Skip inference": "skip_inference",
}
"""Line of the option section -> its name here."""

_BANNER = re.compile(
    r"&&&& (?P<word>RUNNING|PASSED|FAILED)\s+TensorRT\.trtexec"
    r"(?:\s+\[TensorRT v(?P<version>\d+(?:\.\d+)*)\])?(?:\s+\[(?P<tag>b\d+)\])?(?:\s+#\s*(?P<command>.*))?"
)
_TAG = re.compile(
    r"(?:\[|(?<=^_))\d\d/\d\d/\d{4}-\d\d:\d\d:\d\d\]\s*(?:\[TRT\]\s*)?\[(?P<level>[VIWEF])\]"
    r"|(?:^|(?<=\s))\[(?P<bare>[WEF])\](?=\s)"
)
_NEW_ROW = re.compile(rf"^(?P<name>{'|'.join(map(re.escape, ROWS))}): (?=min = )")
_CELL = re.compile(rf"(?P<key>min|max|mean|median|percentile\((?P<percent>{NUMBER})%\)) = (?P<value>{NUMBER}) ms(?!\w)")
_OLD_CELL = re.compile(
    rf"^(?P<key>min|max|mean|median|percentile): (?P<value>{NUMBER}) ms(?: at (?P<percent>{NUMBER})%)?"
    rf"(?: \(end to end (?P<end>{NUMBER}) ms(?: at {NUMBER}%)?\))?$"
)
_VERSION_TEXT = re.compile(r"^TensorRT version: (?P<text>\d+(?:\.\d+)*)\s*$")
_OPTION = re.compile(rf"^(?P<name>{'|'.join(map(re.escape, OPTIONS))}): (?P<value>.*\S)\s*$")
_FACTS: Mapping[str, re.Pattern[str]] = {
    "throughput_qps": re.compile(rf"^throughput: ({NUMBER}) qps$", re.IGNORECASE),
    "walltime_s": re.compile(rf"^(?:Total Host )?walltime: ({NUMBER}) s$", re.IGNORECASE),
    "gpu_total_s": re.compile(rf"^Total (?:GPU )?compute time: ({NUMBER}) s$", re.IGNORECASE),
    "gpu_cv_percent": re.compile(rf"coefficient of variance = ({NUMBER})%"),
    "build_s": re.compile(rf"^Engine built in ({NUMBER}) sec"),
    "deserialize_s": re.compile(rf"^Engine deserialized in ({NUMBER}) sec"),
    "engine_mib": re.compile(rf"^Created engine with size: ({NUMBER}) MiB"),
    "context_mib": re.compile(rf"^Created execution context with device memory size: ({NUMBER}) MiB"),
    "builder_peak_gpu_mib": re.compile(
        rf"Peak memory usage of TRT CPU/GPU memory allocators: CPU \d+ MiB, GPU ({NUMBER}) MiB"
    ),
}
_WARMUP = re.compile(rf"^Warmup completed (\d+) queries over ({NUMBER}) ms$")
_TRACE = re.compile(rf"^Timing trace has (\d+) queries over ({NUMBER}) s$")
_SUMMARY = re.compile(r"^=== Performance summary")

Status = Literal["PASSED", "FAILED"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row of a performance summary, in ms; what was not printed is absent."""

    min: float | None = None
    max: float | None = None
    mean: float | None = None
    median: float | None = None
    percentiles: Mapping[float, float] = field(default_factory=dict)
    """Percent -> ms; which ones is an option of trtexec."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrtexecLog:
    """One run as its log tells it."""

    version: tuple[int, int, int] | None = None
    build_tag: str | None = None
    """Such as `b31`."""

    command: str | None = None
    status: Status | None = None
    """What trtexec itself said at the end; `None` if it did not come to say it. `PASSED` is not "measured"."""

    errors: tuple[str, ...] = ()
    """Lines that report an error, whole; a run can pass with some."""

    cause: str | None = None
    """Why it failed: the first error that says something, with the lines that belong to it."""

    warnings: tuple[str, ...] = ()
    """Texts of warnings, without their tags."""

    rows: Mapping[str, Row] = field(default_factory=dict)
    """`latency`, `gpu_compute`, `h2d`, `d2h`, `enqueue`, `end_to_end` -> numbers of the last summary printed."""

    throughput_qps: float | None = None
    """As printed: 7.x prints 0 for explicit batches, and counts samples instead of queries for implicit ones."""

    warmup_queries: int | None = None
    queries: int | None = None
    trace_s: float | None = None
    walltime_s: float | None = None
    gpu_total_s: float | None = None
    gpu_cv_percent: float | None = None
    """Coefficient of variance, where trtexec warns of it."""

    build_s: float | None = None
    deserialize_s: float | None = None
    engine_mib: float | None = None
    context_mib: float | None = None
    """Device memory of the execution context: activations and scratch, without the weights."""

    builder_peak_gpu_mib: float | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    """What the option section says of `OPTIONS`."""

    @property
    def measured(self) -> bool:
        """Whether the log holds a latency or a compute time."""
        return any(self.rows.get(name, Row()).median is not None for name in ("latency", "gpu_compute"))


def parse_log(text: str) -> TrtexecLog:
    """Return the last run of a log; see `parse_logs`."""
    return parse_logs(text)[-1]


def parse_logs(text: str) -> tuple[TrtexecLog, ...]:
    """Return each run of a text that may hold several, one after another. At least one, which may be empty."""
    return tuple(_Parser().parse(run) for run in _runs(text.replace("\r\n", "\n").split("\n")))


def version_of(digits: str) -> tuple[int, int, int] | None:
    """Return major, minor and patch of a banner's number.

    Up to 9.x it is major x 1000 + minor x 100 + patch, from 10 on major x 10000 + minor x 100 + patch
    (`NV_TENSORRT_VERSION` in TensorRT's NvInferVersion.h).
    """
    number = int(digits)
    if 1_000 <= number < 10_000:  # noqa: PLR2004 - see above
        return number // 1000, number // 100 % 10, number % 100
    if number >= 100_000:  # noqa: PLR2004 - see above
        return number // 10_000, number // 100 % 100, number % 100
    return None


def _runs(lines: list[str]) -> Iterator[list[str]]:
    """Split at each start of a run; what stands before the first belongs to it."""
    current: list[str] = []
    started = False
    for line in lines:
        banner = _BANNER.search(line)
        if banner and banner["word"] == "RUNNING":
            if started:
                yield current
                current = []
            started = True
        current.append(line)
    yield current


class _Parser:
    """One run, line by line."""

    def __init__(self) -> None:
        self.facts: dict[str, float] = {}
        self.counts: dict[str, int] = {}
        self.known: dict[str, object] = {}
        self.options: dict[str, str] = {}
        self.warnings: list[str] = []
        self.rows: dict[str, dict[str, float]] = {}
        self.percentiles: dict[str, dict[float, float]] = {}
        self.block: str | None = None

    def parse(self, lines: list[str]) -> TrtexecLog:
        """Return what the lines say."""
        for line in lines:
            banner = _BANNER.search(line)
            if banner:
                self._banner(banner)
                continue
            for level, message in _messages(line):
                self._message(level, message)
        status = self.known.get("status")
        found: dict[str, Any] = {**self.counts, **self.facts, **self.known}
        return TrtexecLog(
            errors=tuple(line for line in lines if is_error(line)),
            cause=None if status == "PASSED" else find_cause(lines),
            warnings=tuple(self.warnings),
            rows={name: self._row(name) for name in self.rows},
            options=self.options,
            **found,
        )

    def _banner(self, banner: re.Match[str]) -> None:
        found: dict[str, object] = {"build_tag": banner["tag"], "command": banner["command"]}
        if banner["version"]:
            found["version"] = _version_in_words(banner["version"])
        if banner["word"] != "RUNNING":
            found["status"] = banner["word"]
        self.known.update({key: value for key, value in found.items() if value})

    def _message(self, level: str, message: str) -> None:
        if level == "W":
            self.warnings.append(message)
        if level == "V":  # the explanations of the rows stand there, under the rows' own names
            return
        if _SUMMARY.search(message):
            self._new_summary()
        elif not self._summary_line(message):
            self._fact(message)

    def _new_summary(self) -> None:
        self.rows, self.percentiles, self.block = {}, {}, None

    def _summary_line(self, message: str) -> bool:
        """Take a line of either form of a summary; say whether it was one."""
        row = _NEW_ROW.match(message)
        if row:
            self._cells(ROWS[row["name"]], message)
            self.block = None
            return True
        if message in ROWS and message != "Latency":
            if message == "Host Latency":
                self._new_summary()
            self.block = ROWS[message]
            return True
        cell = _OLD_CELL.match(message) if self.block else None
        if cell and self.block:
            self._old_cell(self.block, cell)
        return cell is not None

    def _belongs(self, name: str, cell: re.Match[str]) -> bool:
        """Whether a line can be of this block: the head of its own may be lost."""
        told = self.percentiles.get(name) if cell["percent"] else cell["key"] in self.rows.get(name, {})
        return not told and (cell["end"] is not None) == (name == "latency")

    def _cells(self, name: str, message: str) -> None:
        self.rows[name], self.percentiles[name] = {}, {}
        for cell in _CELL.finditer(message):
            self._put(name, cell["key"], cell["percent"], float(cell["value"]))

    def _old_cell(self, name: str, cell: re.Match[str]) -> None:
        if not self._belongs(name, cell):
            self.block = None
            return
        self._put(name, cell["key"], cell["percent"], float(cell["value"]))
        if cell["end"]:
            self._put("end_to_end", cell["key"], cell["percent"], float(cell["end"]))

    def _put(self, name: str, key: str, percent: str | None, value: float) -> None:
        cells = self.rows.setdefault(name, {})
        percentiles = self.percentiles.setdefault(name, {})
        if percent is not None:
            percentiles[float(percent)] = value
        elif not key.startswith("percentile"):  # without its percent, cut, it says nothing
            cells[key] = value

    def _row(self, name: str) -> Row:
        return Row(percentiles=self.percentiles[name], **self.rows[name])

    def _fact(self, message: str) -> None:
        for name, pattern in _FACTS.items():
            found = pattern.search(message)
            if found:
                self.facts[name] = float(found[1])
        warmup, trace = _WARMUP.match(message), _TRACE.match(message)
        if warmup:
            self.counts["warmup_queries"] = int(warmup[1])
        if trace:
            self.counts["queries"] = int(trace[1])
            self.facts["trace_s"] = float(trace[2])
        self._setting(message)

    def _setting(self, message: str) -> None:
        version, option = _VERSION_TEXT.match(message), _OPTION.match(message)
        if version and "version" not in self.known:
            self.known["version"] = _version_in_words(version["text"])
        if option:
            self.options.setdefault(OPTIONS[option["name"]], option["value"])


def _version_in_words(text: str) -> tuple[int, int, int] | None:
    parts = [int(part) for part in text.split(".")]
    if len(parts) == 1:
        return version_of(text)
    return (*parts[:3], 0)[:3] if len(parts) >= 2 else None  # type: ignore[return-value] # noqa: PLR2004


def _messages(line: str) -> Iterator[tuple[str, str]]:
    """Return level and text of each message of a line: two writers can have glued theirs together."""
    tags = list(_TAG.finditer(line))
    ends = [tag.start() for tag in tags[1:]] + [len(line)]
    for tag, end in zip(tags, ends, strict=False):
        yield tag["level"] or tag["bare"], line[tag.end() : end].strip().removeprefix("[TRT] ")
