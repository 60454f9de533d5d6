"""What trtexec printed: numbers by their name, never by position; what is cut or missing is absent.

Written against logs of TensorRT 8.0 to 11.0; older ones are refused. A number counts only with its unit behind it,
so that a log that ends inside one gives nothing instead of fewer digits.

TensorRT's versions: how trtexec spells them, and which are too old.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

from pytest_ortperf.errors import OrtPerfError
from pytest_ortperf.execution.trtexec.causes import LogLine, find_cause, is_error, lines_of, messages_of, runs_of
from pytest_ortperf.execution.trtexec.printed import PrintedRow, TrtexecLog

OLDEST = (8, 0, 0)
"""Before it, the banner names no version and the summary has another format."""

SUPPORTED = "Logs of TensorRT 8.0 and newer are read; trtexec of TensorRT 8.6, 10.x and 11.x is supported for running."


class UnsupportedVersionError(OrtPerfError):
    """A log of TensorRT 7 or older.

    Attributes:
        found: Its version, as far as it can be told, and how it was.
    """

    def __init__(self, found: str) -> None:
        super().__init__(unsupported(f"this trtexec log is from {found}", "run trtexec again"))
        self.found = found


def unsupported(what: str, then: str) -> str:
    """Return why something old is refused, what is supported, and what to do after installing that."""
    return f"{what}, which is not supported. {SUPPORTED} Install one of these versions and {then}."


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


def version_in_words(text: str) -> tuple[int, int, int] | None:
    """Return the version of `8601` or `8.6.1`."""
    parts = [int(part) for part in text.split(".")]
    if len(parts) == 1:
        return version_of(text)
    return (*parts[:3], 0)[:3] if len(parts) >= 2 else None  # type: ignore[return-value] # noqa: PLR2004


def in_digits(version: tuple[int, int, int]) -> str:
    """Return `8.6.1`."""
    return ".".join(map(str, version))


NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"

ROWS = {
    "Latency": "latency",
    "Host Time": "host",
    "End-to-End Host Latency": "end_to_end",
    "Enqueue Time": "enqueue",
    "H2D Latency": "h2d",
    "GPU Compute Time": "gpu_compute",
    "D2H Latency": "d2h",
}
"""Row of a summary as printed -> its name here. `latency` is copy in, compute, copy out of one query; `host`, of
`trtexec_safe` alone, is by the host's clock."""

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

_ROW = re.compile(
    rf"(?:^|(?<=ms )|(?<=qps ))(?P<name>{'|'.join(map(re.escape, sorted(ROWS, key=len, reverse=True)))}):\s*(?=min\b)"
)
"""Head of a row: where a line starts, or where line breaks were lost."""

_CELL = re.compile(
    rf"\b(?P<key>min|max|mean|median|percentile\((?P<percent>{NUMBER})%\))\s*=?\s*(?P<value>{NUMBER})\s*ms(?!\w)"
)
_OLD_CELL = rf"(?:min|max|mean|median|percentile): {NUMBER} ms(?: at {NUMBER}%)?"
_OLD_BLOCK = re.compile(rf"{_OLD_CELL} \(end to end ")
"""Of a summary of TensorRT 7 and older, a line of its first block."""

_OLD_LINE = re.compile(
    rf"{_OLD_CELL}|throughput: {NUMBER} qps|walltime: {NUMBER} s|total compute time: {NUMBER} s"
    rf"|Average on \d+ runs - GPU latency: {NUMBER} ms - Host latency: {NUMBER} ms \(end to end {NUMBER} ms\)"
    rf"|Average over \d+ runs is {NUMBER} ms \(host walltime is {NUMBER} ms, .*"
)
"""Other lines of TensorRT 7 and older. Another program can print some of them beside a newer log."""

_ADDS_UP = 0.01
"""Each mean is rounded by itself, and queries overlap."""

_HERE = r"(?:^|(?<=\s))"
_VERSION_TEXT = re.compile(r"^TensorRT version: (?P<text>\d+(?:\.\d+)*)\s*$")
_OPTION = re.compile(rf"^(?P<name>{'|'.join(map(re.escape, OPTIONS))}): (?P<value>.*\S)\s*$")
_FACTS: Mapping[str, re.Pattern[str]] = {
    "throughput_qps": re.compile(rf"{_HERE}(?:Total t|T)hroughput: ({NUMBER}) qps(?!\w)"),
    "walltime_s": re.compile(rf"{_HERE}Walltime: ({NUMBER}) s(?!\w)"),
    "gpu_total_s": re.compile(rf"{_HERE}Total GPU Compute Time: ({NUMBER}) s(?!\w)"),
    "gpu_cv_percent": re.compile(rf"coefficient of variance = ({NUMBER})%"),
    "build_s": re.compile(rf"^Engine built in ({NUMBER}) sec"),
    "deserialize_s": re.compile(rf"^Engine deserialized in ({NUMBER}) sec"),
    "engine_mib": re.compile(rf"^Created engine with size: ({NUMBER}) MiB"),
    "context_mib": re.compile(rf"^Created execution context with device memory size: ({NUMBER}) MiB"),
    "builder_peak_gpu_mib": re.compile(
        rf"Peak memory usage of TRT CPU/GPU memory allocators: CPU \d+ MiB, GPU ({NUMBER}) MiB"
    ),
}
_OF_SUMMARY = frozenset({"throughput_qps", "walltime_s", "gpu_total_s", "gpu_cv_percent"})
_OF_TRACE = _OF_SUMMARY | {"trace_s"}
_WARMUP = re.compile(rf"^Warmup completed (\d+) queries over ({NUMBER}) ms(?!\w)")
_TRACE = re.compile(rf"^Timing trace has (\d+) queries over ({NUMBER}) s(?!\w)")
_START = "=== Model Options ==="
_SUMMARY = re.compile(r"^=== Performance summary")


def parse_log(text: str) -> TrtexecLog:
    """Return the last run of a log; see `parse_logs`."""
    return _Parser().parse(list(runs_of(lines_of(text)))[-1])


def parse_logs(text: str) -> tuple[TrtexecLog, ...]:
    """Return each run of a text that may hold several, one after another. At least one, which may be empty.

    Raises:
        UnsupportedVersionError: TensorRT 7 or older wrote one of them.
    """
    return tuple(_Parser().parse(run) for run in runs_of(lines_of(text)))


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
        self.told: dict[str, str] = {}
        self.old_banner: str | None = None
        self.old_block: str | None = None
        self.old_line: str | None = None

    def parse(self, run: Sequence[LogLine]) -> TrtexecLog:
        """Return what the lines of a run say; refuse a run of TensorRT 7 or older."""
        for banner in (line.banner for line in run if line.banner):
            self._banner(banner)
        for level, message in messages_of(run):
            self._message(level, message)
        self._refuse_old()
        if run and run[0].text.startswith("Latency:") and not self._adds_up():
            self.rows.pop("latency", None)
        lines = [line.text for line in run]
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

    def _adds_up(self) -> bool:
        """Whether a latency is that of the copies and the compute; else the name of its row may have lost its head."""
        means = [self.rows.get(name, {}).get("mean") for name in ("latency", "h2d", "gpu_compute", "d2h")]
        known = [mean for mean in means if mean is not None]
        return len(known) == len(means) and math.isclose(known[0], sum(known[1:]), rel_tol=_ADDS_UP)

    def _banner(self, banner: re.Match[str]) -> None:
        found: dict[str, object] = {"build_tag": banner["tag"], "command": banner["command"]}
        if banner["version"]:
            found["version"] = version_in_words(banner["version"])
        elif banner["command"] and not banner["tag"]:  # so it is not cut
            self.old_banner = "its banner names no version"
        if banner["word"] != "RUNNING":
            found["status"] = banner["word"]
        self.known.update({key: value for key, value in found.items() if value})

    def _message(self, level: str, message: str) -> None:
        if level == "W":
            self.warnings.append(message)
        if level == "V":  # the explanations of the rows stand there, under the rows' own names
            return
        if message == _START:
            self._new_run()
        if _SUMMARY.search(message):
            self._new_summary()
        self._note_old(message)
        self._fact(message)
        self._take_rows(message)

    def _new_run(self) -> None:
        """Forget what a run told whose banner, or the one of this run, is lost."""
        self._new_summary(set(self.facts))
        self.counts.clear()
        self.options.clear()
        self.old_block = self.old_line = None

    def _new_trace(self) -> None:
        """Forget what another measurement of the same run told: its numbers are not those of this one."""
        self._new_summary(_OF_TRACE)
        self.counts.clear()

    def _new_summary(self, of_old: AbstractSet[str] = _OF_SUMMARY) -> None:
        self.rows, self.percentiles, self.told = {}, {}, {}
        for name in of_old:
            self.facts.pop(name, None)

    def _take_rows(self, message: str) -> None:
        heads = list(_ROW.finditer(message))
        for head, end in zip(heads, [*(head.start() for head in heads[1:]), len(message)], strict=False):
            self._cells(ROWS[head["name"]], message[head.end() : end])
            self.old_block = None

    def _note_old(self, message: str) -> None:
        """Keep a line that TensorRT 8.0 and newer do not print."""
        if _OLD_BLOCK.search(message):
            self.old_block = self.old_block or f"it has the line '{message[:80]}'"
        elif _OLD_LINE.fullmatch(message):
            self.old_line = self.old_line or f"it has the line '{message[:80]}'"
        elif self.counts.get("queries") == 0 and message.startswith("Average on "):
            self.old_line = self.old_line or "it has averages of a trace of 0 queries"

    def _refuse_old(self) -> None:
        """Refuse a run of TensorRT 7 or older.

        A line of a block is a sure sign. A banner may be edited, and other programs can print the other lines: these
        count only if no version and no row shows a newer one.
        """
        version: Any = self.known.get("version")
        sign = self.old_block or (None if version or self.rows else self.old_line or self.old_banner)
        if version and version < OLDEST:
            raise UnsupportedVersionError(f"TensorRT {in_digits(version)}")
        if sign:
            named = f"TensorRT {in_digits(version)}, in the format of " if version else ""
            raise UnsupportedVersionError(f"{named}TensorRT 7 or older ({sign})")

    def _cells(self, name: str, message: str) -> None:
        if self.told.get(name, message) != message:  # of another summary, whose head is lost
            self._new_summary()
        self.told[name] = message
        seen: set[str] = set()
        for cell in _CELL.finditer(message):
            if cell["key"] in seen:  # of a row without a known name
                break
            seen.add(cell["key"])
            cells, percentiles = self.rows.setdefault(name, {}), self.percentiles.setdefault(name, {})
            if cell["percent"] is None:
                cells[cell["key"]] = float(cell["value"])
            else:
                percentiles[float(cell["percent"])] = float(cell["value"])

    def _row(self, name: str) -> PrintedRow:
        return PrintedRow(percentiles=self.percentiles[name], **self.rows[name])

    def _fact(self, message: str) -> None:
        for name, pattern in _FACTS.items():
            found = pattern.search(message)
            if found:
                self._told(name, float(found[1]))
        warmup, trace = _WARMUP.match(message), _TRACE.match(message)
        if warmup or (trace and self.counts.get("queries") not in {None, int(trace[1])}):
            self._new_trace()
        if warmup:
            self.counts["warmup_queries"] = int(warmup[1])
        if trace:
            self.counts["queries"] = int(trace[1])
            self.facts["trace_s"] = float(trace[2])
        self._setting(message)

    def _told(self, name: str, value: float) -> None:
        if name in _OF_SUMMARY and self.facts.get(name, value) != value:  # of another summary, whose head is lost
            self._new_summary()
        self.facts[name] = value

    def _setting(self, message: str) -> None:
        version, option = _VERSION_TEXT.match(message), _OPTION.match(message)
        if version and "version" not in self.known:
            self.known["version"] = version_in_words(version["text"])
        if option:
            self.options.setdefault(OPTIONS[option["name"]], option["value"])
