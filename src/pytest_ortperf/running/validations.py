"""What became of a case's validation, in this run or a stored one, decides whether and how it is benchmarked.

What failed validation in a stored run, and whether that still tells something of a case today.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import importlib.util
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from pytest_ortperf.cases.case_id import validation_nodeid
from pytest_ortperf.cases.matrix import Case
from pytest_ortperf.errors import CaseError
from pytest_ortperf.execution.case_settings import ExecutionSettings, KnownValidation
from pytest_ortperf.execution.process.child import ChildEnd, answer_of
from pytest_ortperf.records.codec import as_dict, from_dict
from pytest_ortperf.records.environment.host import collect_environment
from pytest_ortperf.records.environment.run_header import Environment
from pytest_ortperf.records.record import Record
from pytest_ortperf.records.record_checks import check_record
from pytest_ortperf.records.store import DAMAGE, raw_lines, runs_of
from pytest_ortperf.reports.tables.gains import PASSED
from pytest_ortperf.running.case_item import CaseItem
from pytest_ortperf.running.resume import VERSIONS
from pytest_ortperf.running.test_reports import RECORD
from pytest_ortperf.settings import option_table

REMEMBERED = ("result accuracy issue", "runtime error", "session error", "crash")
"""Kinds of failure that the same model, entry, options and versions give again."""

OUT_OF_MEMORY = 9
"""Signal that the kernel kills with where memory is short: another time there may be more."""

_VALIDATION = b'"mode":"validate"'
_SHOWN = 200


def validation_key(item: CaseItem) -> str | None:
    """Return the hash of everything that a verdict on an item's outputs holds for.

    That is the content of the model files, the entry, the stored data, the options, the versions, the native libraries
    and the hardware; the mode is not among it.

    The files are read in a child, within the item's time: they may be of any kind and size.

    Returns:
        `None` if a file cannot be read, or a hook configures sessions, of which nobody knows whether it does the same
        again.
    """
    settings = item.run.settings.execution
    if item.hooks.changes_sessions:
        return None
    content = answer_of(lambda: _content(item.case, settings), item.timeout_s)
    if content is None or isinstance(content, ChildEnd):
        return None
    facts = {
        "content": content,
        "entry": repr(item.case.model),
        "case": [item.case.variant, item.case.provider.full_name],
        "settings": _relevant(settings),
        "versions": {name: getattr(_environment(settings.workspace), name) for name in VERSIONS},
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()


def is_remembered(record: Mapping[str, Any]) -> bool:
    """Whether the failure of a record, in builtins, would come again."""
    failure = record["failure"]
    return (
        record["outcome"] in {"failed", "crashed"}
        and failure is not None
        and failure["kind"] in REMEMBERED
        and failure["signal"] != OUT_OF_MEMORY
    )


class KnownFailures:
    """Newest stored verdict of each validation in a results folder."""

    def __init__(self, results: Path) -> None:
        self._results = results

    def reason(self, item: CaseItem) -> str | None:
        """Return why not to benchmark; `None` if its validation passed, or nothing like it is known."""
        stored = self._verdicts.get(validation_nodeid(item.nodeid))
        if stored is None or not stored["validation_key"] or stored["validation_key"] != validation_key(item):
            return None
        message = " ".join(stored["failure"]["message"].split())
        shown = message if len(message) <= _SHOWN else f"{message[:_SHOWN]} ..."
        return (
            f"failed validation on {stored['started'][:16].replace('T', ' ')} UTC (run {stored['run']}): {shown} "
            f"(--ortperf-retry-failed benchmarks it all the same; a validation that passes clears it)"
        )

    def validation(self, item: CaseItem) -> KnownValidation:
        """Return what the newest stored validation of a benchmark says."""
        stored = self._verdicts.get(validation_nodeid(item.nodeid))
        if stored is None or stored["outcome"] not in PASSED:
            return KnownValidation()
        return KnownValidation(passed=True, sha256=_sha256(stored), run=stored["run"])

    @functools.cached_property
    def _verdicts(self) -> dict[str, dict[str, Any]]:
        newest: dict[str, dict[str, Any]] = {}
        for path in runs_of(self._results):
            for record in _validations(path):
                known = newest.get(record["nodeid"])
                if known is None or known["started"] < record["started"]:
                    newest[record["nodeid"]] = record
        return newest


def _validations(path: Path) -> Iterator[dict[str, Any]]:
    """Yield what decides about the validations in a records file; damaged lines say nothing."""
    run = path.stem.removeprefix("records_")
    for line in raw_lines(path):
        if _VALIDATION not in line:
            continue
        try:
            data = json.loads(line)
            found = {
                key: data.get(key)
                for key in ("nodeid", "started", "failure", "validation_key", "outcome", "model_fact")
            }
            if data["mode"] == "validate" and data["outcome"] != "skipped":
                check_record(from_dict(Record, data))
                yield {**found, "run": run}
        except DAMAGE:
            continue


def _sha256(record: Mapping[str, Any]) -> str | None:
    found: str | None = (record["model_fact"] or {}).get("sha256")
    return found


def _relevant(settings: ExecutionSettings) -> dict[str, str]:
    """Return all settings but those that hang on an option which cannot change outputs."""
    others = {name for option in option_table.OPTIONS if option.scope != "outputs" for name in option.fields}
    return {
        field.name: _text(getattr(settings, field.name))
        for field in dataclasses.fields(settings)
        if field.name not in others
    }


def _text(value: object) -> str:
    # the order of a set changes from process to process
    return repr(sorted(value) if isinstance(value, frozenset) else value)


def _content(case: Case, settings: ExecutionSettings) -> list[str] | None:
    from pytest_ortperf.execution.model.model_hash import file_hashes

    model = case.model
    paths = [model.path, *([model.fp16_path] if model.fp16_path else [])]
    folders = [folder for folder in (model.test_data, model.test_data_fp16) if folder is not None]
    try:
        found = [text for path in paths for text in file_hashes(path)]
        stored = [*model.stored_outputs, *(path for folder in folders for path in _data_files(folder))]
        return [*found, *map(_state, stored), *_libraries(case, settings)]
    except (OSError, ValueError, CaseError):
        return None


def _data_files(folder: Path) -> list[Path]:
    found = sorted(folder.rglob("*")) if folder.is_dir() else [folder]
    return [path for path in found if path.suffix.lower() in {".pb", ".npy", ".npz"}]


def _libraries(case: Case, settings: ExecutionSettings) -> list[str]:
    """Return the state of the native code that computes: a build of one's own keeps its version."""
    from pytest_ortperf.execution.session.session_config import session_config_of

    named = (*settings.plugins.values(), *session_config_of(case, settings).custom_op_libraries)
    return [*map(_state, map(Path, named)), *_runtime_libraries()]


@functools.cache
def _runtime_libraries() -> tuple[str, ...]:
    found = importlib.util.find_spec("onnxruntime")
    folders = found.submodule_search_locations if found else None
    paths = sorted(path for folder in folders or () for path in Path(folder, "capi").glob("*.so*"))
    return tuple(map(_state, paths))


def _state(path: Path) -> str:
    status = path.stat()
    return f"{path} {status.st_size} {status.st_mtime_ns}"


@functools.cache
def _environment(workspace: Path | None) -> Environment:
    from pytest_ortperf.execution.machine.devices import nvml_gpus

    return collect_environment(nvml_gpus(), workspace=workspace)


def is_unvalidated(record: Mapping[str, Any]) -> bool:
    """Whether a validation, in builtins, ended without anything to compare: then a benchmark is not refused."""
    return record["outcome"] == "skipped" and (record["reason"] or "").startswith("not validated:")


class Validations:
    """Verdicts seen in this process, as records in builtins by node id of the validation item."""

    def __init__(self, results: Path) -> None:
        self._records: dict[str, dict[str, Any]] = {}
        self._known = KnownFailures(results)
        self._item: CaseItem | None = None

    def remember(self, report: pytest.TestReport) -> None:
        """Keep the outcome of a validation item that ended; a failure gets what later runs know it again by."""
        data = getattr(report, RECORD, None)
        if data is None or data["mode"] != "validate":
            return
        self._records[report.nodeid] = data
        item = self._item
        if item is not None and item.nodeid == report.nodeid and is_remembered(data):
            data["validation_key"] = validation_key(item)

    def keep(self, nodeid: str, record: Record) -> None:
        """Keep the outcome of a validation that an earlier part of the run has settled."""
        if record.mode == "validate":
            self._records[nodeid] = as_dict(record)

    def gate_benchmark(self, item: CaseItem) -> None:
        """Tell a benchmark item to validate by itself, or to be skipped; others are left as they are."""
        self._item = item
        settings = item.run.settings
        if item.case.mode != "benchmark":
            return
        item.known_validation = KnownValidation()
        if settings.mode != "both":
            reason = None if settings.retry_failed else self._known.reason(item)
            if reason is not None:
                item.add_marker(pytest.mark.skip(reason=reason))
            item.known_validation = self._known.validation(item)
            return
        data = self._records.get(validation_nodeid(item.nodeid))
        if data is None:
            item.validate_first = True
        elif data["outcome"] not in PASSED and not is_unvalidated(data):
            record = from_dict(Record, data)
            why = record.failure.message if record.failure else record.reason
            item.add_marker(pytest.mark.skip(reason=f"validation {record.outcome.replace('_', ' ')}: {why}"))
        elif data["outcome"] in PASSED:
            item.known_validation = KnownValidation(passed=True, sha256=_sha256(data))
