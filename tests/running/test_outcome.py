from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from pytest_ortperf.cases.matrix import Case
from pytest_ortperf.cases.model import Model
from pytest_ortperf.cases.providers import find_provider
from pytest_ortperf.execution.process.child import ChildEnd
from pytest_ortperf.execution.record_builder import Journal, RecordBuilder
from pytest_ortperf.running.outcome import crash_of


def test_the_samples_of_a_case_that_died_stay_apart_by_timing_mode() -> None:
    model = Model(name="m", path=Path("m.onnx"), origin="models.json")
    case = Case(model=model, mode="benchmark", provider=find_provider("cpu"), precision=None)
    journal = Journal(captures=False)
    facts = RecordBuilder(journal=journal)
    facts.sampled("bound", [1, 2], warmup_iterations=3)
    facts.sampled("bound", [3], warmup_iterations=3)
    facts.sampled("host", [7], warmup_iterations=4)
    facts.sampled("graph", [], warmup_iterations=5)
    run = SimpleNamespace(worker=None, runner="own runner")
    attempt: Any = SimpleNamespace(
        case=case,
        run=run,
        facts=facts,
        nodeid="n",
        timeout_s=1.0,
        timeout_origin="",
        entry_key=None,
        crash_expected=False,
        isolation="own runner",
        commands=lambda kind: {"run it again": f"after a {kind}"},
    )
    record = crash_of(attempt, ChildEnd(signal=11, exit_code=None), journal)
    journal.close()
    assert record.commands == {"run it again": "after a crash"}
    found = [(latency.timing, list(latency.samples_ns), latency.warmup_iterations) for latency in record.latencies]
    assert found == [("bound", [1, 2, 3], 3), ("host", [7], 4)]
