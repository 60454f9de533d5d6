"""Cases that an earlier part of the run has settled: their records are shown again, and nothing is run.

A record is taken over where the case is the same: entry of the list, label, content of the model file. That options,
versions and hardware are those of the run is made sure of before, for all cases at once.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import itertools
import json
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from pytest_ortperf.cases.matrix import Case
from pytest_ortperf.errors import ResultsFileError
from pytest_ortperf.execution.process.child import answer_of
from pytest_ortperf.records.codec import as_dict, from_dict
from pytest_ortperf.records.environment.run_header import RunHeader
from pytest_ortperf.records.record import Record
from pytest_ortperf.records.store import DAMAGE, read_lines
from pytest_ortperf.settings import option_table

HANDED_ON = "resume"
"""Name under which workers find the records file that is continued, and how long it was at the start."""

NEWEST = "newest"
"""What the option means without a run."""

_TRIED_AGAIN = {"crashed", "timed_out"}
_FINAL = {"passed", "failed", "xfailed", "xpassed"}
_SHOWN = 100
_SEARCHED = 50
VERSIONS = ("cpu", "cuda", "cudnn", "driver", "fingerprint", "onnxruntime_distribution", "python", "tensorrt")
"""What of an environment changes outputs or times."""

_RECORD = b'{"type":"record",'


class EarlierRecords:
    """The newest record of each case that stood in the file when the run was resumed."""

    def __init__(self, path: Path, size: int) -> None:
        self._path = path
        self._size = size
        self._found: dict[str, Record | None] = {}
        self._hashes: dict[Path, str] = {}
        """Of the model files read so far: the cases of a model are looked at one after the other."""

    def may_settle(self, nodeid: str) -> bool:
        """Whether there is a final record of a case, whatever its model is now."""
        return nodeid in self._places

    def settled(self, nodeid: str, case: Case, timeout_s: float) -> Record | None:
        """Return the record that stands for a case; `None` if it has to run.

        Args:
            nodeid: Of its item.
            case: What.
            timeout_s: For reading the model, in a child.
        """
        if nodeid not in self._found:
            self._found[nodeid] = self._settled(nodeid, case, timeout_s) if self.may_settle(nodeid) else None
        return self._found[nodeid]

    def _settled(self, nodeid: str, case: Case, timeout_s: float) -> Record | None:
        try:
            with self._path.open("rb") as file:
                file.seek(self._places[nodeid])
                record = from_dict(Record, json.loads(file.readline()))
        except (OSError, *DAMAGE):
            return None
        if record.entry_key != entry_key(case):
            return None
        path = (case.precision == "fp16" and case.model.fp16_path) or case.model.path
        started = datetime.fromisoformat(record.started).timestamp()
        known = record.model_fact.sha256 if record.model_fact else None
        if known is None and record.attempt == 1:
            return None
        hashes = known is not None and path not in self._hashes
        found = answer_of(lambda: _looked_at(case, path, started, hashes=hashes, dates=known is None), timeout_s)
        if not isinstance(found, tuple):
            return None
        changed, sha256 = found
        if sha256 is not None:
            self._hashes[path] = sha256
        return None if changed or (known is not None and self._hashes.get(path) != known) else record

    @functools.cached_property
    def _places(self) -> dict[str, int]:
        """Where the records begin that are final, by node id."""
        places: dict[str, int] = {}
        with contextlib.suppress(OSError):
            for place, data in self._lines():
                places.pop(data["nodeid"], None)
                if is_final(data):
                    places[data["nodeid"]] = place
        return places

    def _lines(self) -> Iterator[tuple[int, Mapping[str, Any]]]:
        with self._path.open("rb") as file:
            place = 0
            for line in file:
                begin, place = place, place + len(line)
                if place > self._size:
                    return
                with contextlib.suppress(*DAMAGE):
                    data = json.loads(line) if line.startswith(_RECORD) else {}
                    if data.get("nodeid", "").endswith(data.get("case_id", " ")):
                        yield begin, data


def same_run(paths: Iterable[Path], now: RunHeader) -> tuple[Path | None, str | None]:
    """Return the first records file of a run with the same options, versions and hardware, or why it is not the first.

    Args:
        paths: The newest first; empty files are of runs that did not begin.
        now: What the run would be.
    """
    why = None
    for path in itertools.islice(paths, _SEARCHED):
        try:
            with path.open("rb") as file:
                (_, header), *_ = read_lines(path, [(1, file.readline())])[0]
        except (OSError, ResultsFileError) as error:
            why = why or str(error)
            continue
        if not isinstance(header, RunHeader):
            continue
        changed = differences(header, now)
        if not changed:
            return path, None
        why = why or f"run {header.run} is another one: {'; '.join(changed)}"
    return None, why


def differences(earlier: RunHeader, now: RunHeader) -> list[str]:
    """Return what a run that is resumed would have of its own: options, selection, labels, versions, hardware."""
    before, after = _identity(earlier), _identity(now)
    return [
        f"{name} was {_shown(before.get(name))}, is {_shown(after.get(name))}"
        for name in before | after
        if before.get(name) != after.get(name)
    ]


def _identity(header: RunHeader) -> dict[str, Any]:
    scopes = {option.name: option.scope for option in option_table.OPTIONS}
    given = {
        f"--ortperf-{name}": value
        for name, value in header.options.items()
        if scopes.get(name) in {"outputs", "measurement", "selection"}
    }
    labels = {f"label {name}": value for name, value in header.labels.items() if name not in {"date", "url"}}
    versions = {name: getattr(header.environment, name) for name in VERSIONS}
    found = {
        **given,
        **labels,
        **versions,
        "selection": header.selection and as_dict(header.selection),
        "environment variables": header.environment.environment_variables,
        "providers": header.providers,
    }
    plain: dict[str, Any] = json.loads(json.dumps(found, default=dict))
    return plain


def _shown(value: object) -> str:
    text = "not given" if value is None else str(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]} ..."


def is_final(record: Mapping[str, Any]) -> bool:
    """Whether a record, in builtins, settles its case.

    What passed or failed does. A crash, a time-out and a failure of the environment may be the moment's fault: they
    are tried once more. What was skipped is decided again.
    """
    failure = record["failure"]
    if record["outcome"] in _TRIED_AGAIN or (failure is not None and failure["kind"] == "environment"):
        return bool(record.get("attempt", 1) > 1)
    return record["outcome"] in _FINAL


def entry_key(case: Case) -> str:
    """Return a hash of what the model list and the run say of a case."""
    return hashlib.sha256(f"{case.case_id} {case.model!r}".encode("utf-8", "backslashreplace")).hexdigest()[:16]


def _looked_at(case: Case, path: Path, started: float, *, hashes: bool, dates: bool) -> tuple[bool, str | None]:
    """Return whether stored data is newer than the record, and the hash of the model's content, read now.

    Args:
        case: What.
        path: Its model.
        started: When its record began, in seconds since 1970.
        hashes: Whether to read the model.
        dates: Whether the model's date counts: the record has no hash where its process died before.
    """
    model = case.model
    folders = [folder for folder in (model.test_data, model.test_data_fp16) if folder is not None]
    stored = [*model.stored_outputs, *(each for folder in folders for each in _files_in(folder))]
    try:
        changed = any(each.stat().st_mtime > started for each in (*stored, *([path] if dates else [])))
        return changed, _content_hash(path) if hashes else None
    except Exception:  # noqa: BLE001 - whatever is wrong with the files, the case itself tells it
        return True, None


def _content_hash(path: Path) -> str | None:
    from pytest_ortperf.execution.model.artifact_cache import ArtifactCache
    from pytest_ortperf.execution.model.external_data import external_files
    from pytest_ortperf.execution.model.model_file import load_graph
    from pytest_ortperf.execution.model.model_hash import model_sha256

    external = external_files(load_graph(path, path.stat().st_size))
    # a cache that remembers nothing: size and date of a file do not stand for its content here
    with tempfile.TemporaryDirectory() as folder:
        return model_sha256(path, external, ArtifactCache(Path(folder), 0))


def _files_in(folder: Path) -> list[Path]:
    found = [Path(parent, name) for parent, _, names in os.walk(folder) for name in names]
    return found if folder.is_dir() else [folder]
