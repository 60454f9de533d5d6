from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import onnx
import pytest
from ort_models import NoHooks, add_relu, case

from pytest_ortperf.errors import CaseError
from pytest_ortperf.execution.case_settings import ExecutionSettings
from pytest_ortperf.execution.session import inspection
from pytest_ortperf.execution.session.inspection import InspectionHooks, case_folder, keep_files

ALL = frozenset({"log", "profile", "graph"})


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """Return a model file of two nodes."""
    path = tmp_path / "m.onnx"
    path.write_bytes(add_relu())
    return path


def test_log_profile_and_graph_are_kept(model: Path, tmp_path: Path) -> None:
    settings = ExecutionSettings(keep=ALL, keep_folder=tmp_path / "kept")
    folder = tmp_path / "kept" / "m_validate_cpu"

    kept = keep_files(str(model), case(model), settings, NoHooks())

    assert kept == {
        "log": str(folder / "log.txt"),
        "profile": str(folder / "profile.json"),
        "graph": str(folder / "optimized.onnx"),
    }
    assert sorted(path.name for path in folder.iterdir()) == ["log.txt", "optimized.onnx", "profile.json"]
    assert "[V:onnxruntime:" in (folder / "log.txt").read_text(encoding="utf-8")
    events = json.loads((folder / "profile.json").read_text(encoding="utf-8"))
    assert sum(event["name"] == "model_run" for event in events) == inspection.RUNS
    assert {node.op_type for node in onnx.load_model(folder / "optimized.onnx").graph.node} == {"Add", "Relu"}


@pytest.mark.parametrize(
    ("kind", "name"), [("log", "log.txt"), ("profile", "profile.json"), ("graph", "optimized.onnx")]
)
def test_only_what_was_asked_for_is_kept(model: Path, tmp_path: Path, kind: str, name: str) -> None:
    settings = ExecutionSettings(keep=frozenset({kind}), keep_folder=tmp_path / "kept")

    kept = keep_files(str(model), case(model), settings, NoHooks())

    assert kept == {kind: str(tmp_path / "kept" / "m_validate_cpu" / name)}
    assert [path.name for path in (tmp_path / "kept" / "m_validate_cpu").iterdir()] == [name]


def test_graph_that_cannot_be_written_is_told_and_the_rest_kept(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Refusing(InspectionHooks):
        def configure_session(self, session_options: object) -> None:
            super().configure_session(session_options)  # type: ignore[arg-type]
            if "graph" in self._kinds:
                raise RuntimeError("compiled nodes cannot be serialised")

    monkeypatch.setattr(inspection, "InspectionHooks", Refusing)
    settings = ExecutionSettings(keep=frozenset({"log", "graph"}), keep_folder=tmp_path / "kept")

    kept = keep_files(str(model), case(model), settings, NoHooks())

    assert sorted(kept) == ["log", "refused"]
    assert Path(kept["refused"]).read_text(encoding="utf-8") == "graph: compiled nodes cannot be serialised\n"


def test_session_that_cannot_be_made_is_an_error(model: Path, tmp_path: Path) -> None:
    settings = ExecutionSettings(keep=frozenset({"log"}), keep_folder=tmp_path / "kept")

    with pytest.raises(CaseError) as raised:
        keep_files(str(model), case(model, "NoneExecutionProvider"), settings, NoHooks())

    assert raised.value.kind == "provider unavailable"


def test_folder_of_a_case_has_a_name_for_every_file_system(tmp_path: Path) -> None:
    settings = ExecutionSettings(keep_folder=tmp_path)
    model = dataclasses.replace(case().model, name="node/a b:c")
    named = dataclasses.replace(case(), model=model, mode="benchmark", precision="fp16", dims=(("batch", 8),))

    assert case_folder(case(), settings) == tmp_path / "m_validate_cpu"
    assert case_folder(named, settings) == tmp_path / "node_a_b_c_benchmark_cpu-fp16-batch=8"
