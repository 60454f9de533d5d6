from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from ort_models import AZURE, CPU, NoHooks, add_relu, case, folding

from pytest_ortperf.errors import CaseError, CaseSkipped
from pytest_ortperf.execution.case_settings import ExecutionSettings, GivenData
from pytest_ortperf.execution.record_builder import Journal, RecordBuilder
from pytest_ortperf.execution.session import verified_session as opening
from pytest_ortperf.execution.session.creation import create_session
from pytest_ortperf.execution.session.placement import FOLDED
from pytest_ortperf.execution.session.verified_session import open_session
from pytest_ortperf.records.record import ModelFact

SETTINGS = ExecutionSettings()


@pytest.fixture
def facts() -> Iterator[RecordBuilder]:
    """Return the empty facts of a case."""
    journal = Journal(captures=False)
    yield RecordBuilder(journal=journal)
    journal.close()


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """Return a model file of two nodes."""
    path = tmp_path / "m.onnx"
    path.write_bytes(add_relu())
    return path


def test_session_and_placement_become_known(model: Path, facts: RecordBuilder) -> None:
    session = open_session(str(model), case(model), SETTINGS, facts, NoHooks())

    assert session.get_providers() == [CPU]
    assert facts.session is not None
    assert (facts.session.requested_providers, facts.session.active_providers) == ((CPU,), (CPU,))
    assert facts.placement is not None
    assert facts.placement.op_types_by_provider == {CPU: {"Add": 1, "Relu": 1}}
    assert facts.reason is None
    assert [*facts.stage_ns] == ["session", "placement"]


def test_graph_folded_to_constants_is_told_as_the_reason(facts: RecordBuilder) -> None:
    for _ in range(2):
        open_session(folding(), case(provider=AZURE), SETTINGS, facts, NoHooks())

    assert facts.reason == FOLDED


def test_graph_folded_to_constants_gets_no_session_to_be_timed(facts: RecordBuilder) -> None:
    benchmark = dataclasses.replace(case(provider=AZURE), mode="benchmark")
    open_session(folding(), benchmark, SETTINGS, facts, NoHooks())

    with pytest.raises(CaseSkipped) as raised:
        open_session(folding(), benchmark, SETTINGS, facts, NoHooks())

    assert str(raised.value) == FOLDED


@pytest.mark.parametrize(
    ("options", "note", "told"),
    [
        ({}, None, ("tf32", "TF32 allowed")),
        ({}, "symbolic shape inference", ("tf32", "symbolic shape inference; TF32 allowed")),
        ({"use_tf32": "0"}, "symbolic shape inference", (None, "symbolic shape inference")),
    ],
)
def test_compute_precision_is_told_beside_other_notes_and_once(
    options: Mapping[str, str],
    note: str | None,
    told: tuple[str | None, str],
    facts: RecordBuilder,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    created = create_session(folding(), case(), SETTINGS, NoHooks())
    fact = dataclasses.replace(created.fact, provider_options={"CUDAExecutionProvider": options})
    on_cuda = dataclasses.replace(created, fact=fact)
    monkeypatch.setattr(opening, "create_session", lambda *_, **__: on_cuda)
    monkeypatch.delenv("NVIDIA_TF32_OVERRIDE", raising=False)
    facts.model_fact = ModelFact(path="m.onnx", byte=1, precision="fp32", note=note)

    for _ in range(2):
        open_session("m.onnx", case(provider="cuda"), SETTINGS, facts, NoHooks())

    assert (facts.model_fact.compute_precision, facts.model_fact.note) == told


def test_provider_without_nodes_fails_at_placement_with_the_session_known(model: Path, facts: RecordBuilder) -> None:
    with pytest.raises(CaseError) as raised:
        open_session(str(model), case(model, AZURE), SETTINGS, facts, NoHooks())

    assert (str(raised.value), raised.value.stage, raised.value.kind) == (
        f"asked for {AZURE}, 0 of 2 nodes ran there; {CPU} got 1 Add, 1 Relu",
        "placement",
        "fallback",
    )
    assert facts.session is not None
    assert facts.session.active_providers == (AZURE, CPU)


def test_provider_that_the_run_found_unusable_makes_no_session(model: Path, facts: RecordBuilder) -> None:
    settings = ExecutionSettings(unusable={"cuda": "libcudart.so.13 is missing"})

    with pytest.raises(CaseError) as raised:
        open_session(str(model), case(model, "cuda"), settings, facts, NoHooks())

    assert (str(raised.value), raised.value.stage, raised.value.kind) == (
        "CUDAExecutionProvider cannot be used here: libcudart.so.13 is missing",
        "session",
        "provider unavailable",
    )
    assert (facts.session, facts.placement) == (None, None)


@pytest.mark.parametrize(("of_list", "of_run", "is_tried"), [({"a": "1"}, {}, True), ({"a": "1"}, {"a": "2"}, False)])
def test_options_of_the_model_list_may_make_an_unusable_provider_usable(
    model: Path, facts: RecordBuilder, of_list: dict[str, str], of_run: dict[str, str], *, is_tried: bool
) -> None:
    plain = case(model)
    pinned = dataclasses.replace(plain, model=dataclasses.replace(plain.model, ep_options={"cpu": of_list}))
    settings = ExecutionSettings(unusable={"cpu": "needs an option"}, ep_options={"cpu": of_run})

    if is_tried:
        assert open_session(str(model), pinned, settings, facts, NoHooks()).get_providers() == [CPU]
    else:
        with pytest.raises(CaseError, match="cannot be used here: needs an option"):
            open_session(str(model), pinned, settings, facts, NoHooks())


def test_older_runtime_tells_placement_by_a_profile_that_is_not_left_behind(
    model: Path, facts: RecordBuilder, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(opening, "has_assignment_info", lambda: False)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    open_session(str(model), case(model), SETTINGS, facts, NoHooks())

    assert facts.placement is not None
    assert facts.placement.source == "profile"
    assert facts.placement.op_types_by_provider == {CPU: {"Add": 1, "Relu": 1}}
    assert list(tmp_path.iterdir()) == [model]


def test_profile_catches_a_provider_without_nodes(
    model: Path, facts: RecordBuilder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "has_assignment_info", lambda: False)

    with pytest.raises(CaseError) as raised:
        open_session(str(model), case(model, AZURE), SETTINGS, facts, NoHooks())

    assert str(raised.value) == f"asked for {AZURE}, 0 of 2 nodes ran there; {CPU} got 1 Add, 1 Relu"


def test_placement_stays_unknown_where_no_profile_can_be_made(
    model: Path, facts: RecordBuilder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "assignment_is_complete", lambda: False)
    # of a wrong shape: no run of the model succeeds
    given = dataclasses.replace(SETTINGS, given=GivenData(inputs={"x": np.ones((1, 5), np.float32)}))

    open_session(str(model), case(model), given, facts, NoHooks())

    assert facts.placement is None
    assert facts.reason is not None
    assert facts.reason.startswith(
        f"placement is unknown: ONNX Runtime {onnxruntime.__version__} does not tell all of it, and no profile does: "
    )
    with pytest.raises(CaseError) as raised:
        open_session(str(model), case(model, AZURE), given, facts, NoHooks())
    assert str(raised.value).startswith(f"asked for {AZURE}, and whether any node ran there is unknown: ONNX Runtime ")


def test_what_is_entered_for_creation_is_left_before_a_profile_is_made(
    model: Path, facts: RecordBuilder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "assignment_is_complete", lambda: False)
    events = []

    @contextmanager
    def creating() -> Iterator[None]:
        events.append("begins")
        yield
        events.append("ends")

    class Hooks(NoHooks):
        def configure_session(self, session_options: onnxruntime.SessionOptions) -> None:  # noqa: ARG002 - a protocol
            events.append("session")

    open_session(str(model), case(model), SETTINGS, facts, Hooks(), creating())

    assert facts.placement is not None
    assert facts.placement.op_types_by_provider == {CPU: {"Add": 1, "Relu": 1}}
    assert events == ["begins", "session", "ends", "session"]
