"""The fixture `ortperf`: validate and benchmark a model inside a user's own test, with the records of model lists."""

from __future__ import annotations

import contextlib
import dataclasses
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

import pytest

from pytest_ortperf.recording.lazy_recording import carry_records, records_key, run_of
from pytest_ortperf.records.codec import as_dict
from pytest_ortperf.records.record import Record
from pytest_ortperf.reports.junit import properties

if TYPE_CHECKING:
    from pytest_ortperf.cases.case_id import Mode
    from pytest_ortperf.fixture_arguments import BenchmarkArguments, ValidateArguments
    from pytest_ortperf.running.run import Run

__tracebackhide__ = True  # a failure shows the line of the user's test


class CaseFailed(pytest.fail.Exception):  # type: ignore[misc, name-defined] # a class, made by a decorator
    """A case of a test that did not pass.

    Attributes:
        record: What is known of it.
    """

    __module__ = "ortperf"

    def __init__(self, record: Record) -> None:
        self.record = record
        super().__init__(_failure_text(record))


class OrtPerf:
    """What a test gets: each call runs one case, in a process of its own, and records it."""

    def __init__(self, item: pytest.Item, run: Run, folder: Path) -> None:
        self._item = item
        self._run = run
        self._folder = folder
        self._ids: set[str] = set()
        self._count = 0

    def __repr__(self) -> str:
        return f"<ortperf of {self._item.name}>"

    def benchmark(self, model: object, **arguments: Unpack[BenchmarkArguments]) -> Record:
        """Measure a model, as a benchmark item of a model list does.

        Args:
            model: Path of an `.onnx` file, `onnx-light:NAME`, a serialised model, or an `onnx.ModelProto`.
            **arguments: See `BenchmarkArguments`; what is left out is as the run's options say.

        Returns:
            Its record; `latencies` has one entry per timing mode.

        Raises:
            CaseFailed: If it cannot be measured, or breaks a limit of `expect`. The record comes with it.
            TypeError: If an argument is unknown.
            ValueError: If one cannot be used.
        """
        return self._record(model, "benchmark", dict(arguments))

    def validate(self, model: object, **arguments: Unpack[ValidateArguments]) -> Record:
        """Compare a model's outputs with a reference, as a validation item of a model list does.

        Args:
            model: As of `benchmark`.
            **arguments: See `ValidateArguments`.

        Returns:
            Its record; `accuracy` has one entry per data set.

        Raises:
            CaseFailed: If an output is not within tolerance, or there is none. The record comes with it.
            TypeError: If an argument is unknown.
            ValueError: If one cannot be used.
        """
        return self._record(model, "validate", dict(arguments))

    def _record(self, model: object, mode: Mode, arguments: dict[str, Any]) -> Record:
        from pytest_ortperf.fixture_arguments import read_call
        from pytest_ortperf.fixture_case import FixtureCase

        self._count += 1
        call = read_call(model, mode, arguments, run=self._run, folder=self._folder / str(self._count))
        case = dataclasses.replace(call.case, model=dataclasses.replace(call.case.model, origin=self._item.nodeid))
        call = dataclasses.replace(call, case=self._distinct(case))
        record = FixtureCase(self._item, self._run, call).run_it()
        self._keep(record)
        if record.outcome != "passed":
            raise CaseFailed(record)
        return record

    def _distinct(self, case: Any) -> Any:
        """Return a case whose id no other call of this test has: its model `bert` is called `bert#2`."""
        name, number = case.model.name, 1
        while case.case_id in self._ids:
            number += 1
            case = dataclasses.replace(case, model=dataclasses.replace(case.model, name=f"{name}#{number}"))
        self._ids.add(case.case_id)
        return case

    def _keep(self, record: Record) -> None:
        found = self._item.stash.setdefault(records_key, [])
        found.append(as_dict(record))
        prefix = "ortperf." if len(found) == 1 else f"ortperf.{len(found)}."
        for name, value in properties(record):
            self._item.user_properties.append((prefix + name.removeprefix("ortperf."), value))


@contextlib.contextmanager
def open_fixture(request: pytest.FixtureRequest) -> Iterator[OrtPerf]:
    """Return what the fixture gives a test; recording starts where it is not on."""
    config = request.config
    problem = ""
    try:
        run = run_of(config)
        carry_records(config)
    except pytest.UsageError as error:
        problem = str(error)
    # not while the error is handled: pytest would print it again with all that led to it
    if problem:
        pytest.fail(f"ortperf: {problem}", pytrace=False)
    folder = Path(tempfile.mkdtemp(prefix="ortperf-"))
    try:
        yield OrtPerf(request.node, run, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _failure_text(record: Record) -> str:
    failure = record.failure
    if failure is None:
        return f"{record.case_id}: {record.outcome}"
    lines = [f"{record.case_id}: {failure.kind}: {failure.message}"]
    if failure.log_tail:
        lines += ["", "log of the case:", *(f"  {line}" for line in failure.log_tail)]
    return "\n".join(lines)
