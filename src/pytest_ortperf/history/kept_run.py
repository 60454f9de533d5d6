"""A run as a history keeps it: the lines of its records file, or the CSV files of the original script."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import tempfile
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from pytest_ortperf.errors import ResultsFileError
from pytest_ortperf.records.environment.run_header import Environment, RunEnd, RunHeader
from pytest_ortperf.records.store import SCHEMA, StoredRun, numbered, read_lines, run_of
from pytest_ortperf.reports.comparison.sources.script_tables import read_script_folder

RECORDS, SCRIPT = "records", "script"


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a records file, without its end; of a folder of CSV files one file, its name in front."""

    number: int
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Parsed:
    """What the lines of a run mean."""

    kind: str
    stored: StoredRun
    numbers: Sequence[int]
    """Of the line of each record."""

    lines: frozenset[int] = frozenset()
    """Numbers of all that count."""

    means_ns: Mapping[str, tuple[str, float]] = field(default_factory=dict)
    """Timing mode and mean latency by case id, where a run has nothing else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptRun:
    """What is kept of a run."""

    key: str
    """Tells it from all others, wherever it was made."""

    kind: str
    """`RECORDS` or `SCRIPT`."""

    run: str
    source: str | None
    lines: tuple[Line, ...]
    parsed: Parsed
    labels: Mapping[str, str] = field(default_factory=dict)
    """Given beside the run's own."""


def packed(data: bytes) -> bytes:
    """Return the bytes compressed."""
    return zlib.compress(data)


def unpacked(data: bytes) -> bytes:
    """Return what was packed."""
    return zlib.decompress(data)


def kept_records(path: Path, labels: Mapping[str, str] | None = None) -> KeptRun:
    """Return the run of a records file; damaged lines are left out and named in its notes.

    Raises:
        ResultsFileError: If there is no such file, or its header cannot be read.
    """
    try:
        lines = numbered(path.read_bytes())
    except OSError as error:
        raise ResultsFileError(f"{path}: cannot be read: {error.strerror}.") from error
    parsed = _parsed_records(path, lines)
    return KeptRun(
        key=hashlib.sha256(lines[0][1]).hexdigest(),
        kind=RECORDS,
        run=parsed.stored.header.run,
        source=str(path.absolute()),
        lines=tuple(Line(number, data) for number, data in lines if number in parsed.lines),
        parsed=parsed,
        labels=labels or {},
    )


def kept_script(folder: Path, labels: Mapping[str, str] | None = None) -> KeptRun:
    """Return the run of a folder with the CSV files of the original script.

    Raises:
        ResultsFileError: If one cannot be read.
    """
    try:
        files = {path.name: path.read_bytes() for path in sorted(folder.glob("*.csv"))}
        newest = max((path.stat().st_mtime for path in folder.glob("*.csv")), default=0.0)
    except OSError as error:
        raise ResultsFileError(f"{folder}: cannot be read: {error.strerror}.") from error
    started = datetime.fromtimestamp(newest, UTC).isoformat(timespec="seconds")
    head = {"type": SCRIPT, "run": folder.absolute().name, "started": started}
    texts = [name.encode() + b"\n" + data for name, data in files.items()]
    lines = [Line(number, data) for number, data in enumerate([json.dumps(head).encode("ascii"), *texts], start=1)]
    digest = hashlib.sha256()
    for each in texts:
        digest.update(hashlib.sha256(each).digest())
    return KeptRun(
        key=digest.hexdigest(),
        kind=SCRIPT,
        run=str(head["run"]),
        source=str(folder.absolute()),
        lines=tuple(lines),
        parsed=_parsed_script(lines),
        labels=labels or {},
    )


def parse(kind: str, run: str, lines: Iterable[Line]) -> Parsed:
    """Return what the lines that were kept of a run mean.

    Raises:
        ResultsFileError: If they cannot be read.
    """
    if kind == SCRIPT:
        return _parsed_script(list(lines))
    return _parsed_records(Path(f"records_{run}.jsonl"), [(line.number, line.data) for line in lines])


def _parsed_records(path: Path, lines: Sequence[tuple[int, bytes]]) -> Parsed:
    found, notes = read_lines(path, lines)
    stored = run_of(path, found, notes)
    # an earlier attempt at a case is no record of the run
    records = set(map(id, stored.records))
    return Parsed(
        kind=RECORDS,
        stored=stored,
        numbers=[number for number, line in found if id(line) in records],
        lines=frozenset(number for number, _ in found),
    )


def _parsed_script(lines: Sequence[Line]) -> Parsed:
    head = json.loads(lines[0].data)
    with tempfile.TemporaryDirectory() as folder:
        for line in lines[1:]:
            name, _, data = line.data.partition(b"\n")
            (Path(folder) / Path(name.decode()).name).write_bytes(data)
        side = read_script_folder(Path(folder))
    (run,) = side.runs
    environment = Environment(
        cpu=(run.fingerprint or "").partition(", ")[0] or None,
        logical_cores=None,
        usable_cores=None,
        memory_byte=None,
        fingerprint=run.fingerprint,
        python="",
    )
    header = RunHeader(
        schema=SCHEMA,
        run=head["run"],
        started=head["started"],
        command=(),
        options={},
        labels={},
        reference_provider=None,
        providers=tuple(dict.fromkeys(case.record.provider for case in run.cases.values())),
        environment=environment,
    )
    end = RunEnd(ended=head["started"], duration_ns=0, exit_status=0, collected=None)
    # the script had a folder for each group of models
    records = tuple(dataclasses.replace(case.record, group=head["run"]) for case in run.cases.values())
    means = {
        case.record.case_id: (timing, observed[0].mean_ns)
        for case in run.cases.values()
        for timing, observed in case.observations.items()
    }
    return Parsed(
        kind=SCRIPT,
        stored=StoredRun(path=Path(head["run"]), header=header, records=records, end=end, notes=side.notes),
        numbers=range(1, len(records) + 1),
        lines=frozenset(line.number for line in lines),
        means_ns=means,
    )
