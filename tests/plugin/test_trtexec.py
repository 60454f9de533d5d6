"""Whole runs with the target trtexec, for each version of the program that stands in for it."""

from __future__ import annotations

import csv
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper

from plugin.project import Project, Result, tensor
from pytest_ortperf.cases.model import Model
from pytest_ortperf.execution.inputs.generated_inputs import generate_inputs
from standin import VERSIONS, install_standin

EACH = [pytest.param(version, marks=() if version == "10.16.1" else pytest.mark.slow) for version in VERSIONS]
FAST = ("--ortperf-env=off", "--ortperf-min-time=0.1", "--ortperf-operators=off", "--ortperf-seed=3")


def mixed_model() -> bytes:
    """Return `y = x:0 + ids where mask, else 0`, for int64, bool and float inputs of shape (batch, 4)."""
    nodes = [
        helper.make_node("Cast", ["ids"], ["numbers"], to=TensorProto.FLOAT),
        helper.make_node("Add", ["numbers", "x:0"], ["sum"]),
        helper.make_node("Where", ["mask", "sum", "zero"], ["y"]),
    ]
    types = {"ids": TensorProto.INT64, "mask": TensorProto.BOOL, "x:0": TensorProto.FLOAT}
    inputs = [helper.make_tensor_value_info(name, kind, ["batch", 4]) for name, kind in types.items()]
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 4])
    zero = helper.make_tensor("zero", TensorProto.FLOAT, [1], [0.0])
    graph = helper.make_graph(nodes, "mixed", inputs, [output], [zero])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(model.SerializeToString())


@pytest.fixture
def trace(project: Project, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the file that the stand-in tells each start to; without it there is none."""
    path = project.path / "trace.jsonl"
    monkeypatch.setenv("STANDIN_TRACE", str(path))
    return path


def run_with(
    project: Project, version: str, *args: str, mode: str = "benchmark", ep: str = "trtexec", entry: Any = "m"
) -> Result:
    """Run one model with a version of the stand-in, named by its path."""
    program = install_standin(project.path / version, version)
    project.models(entry)
    return project.run(*FAST, f"--ortperf-ep={ep}", f"--ortperf-trtexec={program}", *args, mode=mode)


def told(trace: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in trace.read_text("utf-8").splitlines()]


def failure(result: Result) -> dict[str, Any]:
    assert len(result.records) == 1
    found: dict[str, Any] = result.records[0]["failure"]
    return found


@pytest.mark.parametrize("version", EACH)
def test_validates_and_measures_with_each_version(project: Project, version: str) -> None:
    result = run_with(project, version, mode="both", ep="trtexec,trtexec-fp16")
    assert result.outcomes == {
        "m::validate[trtexec]": "passed",
        "m::benchmark[trtexec]": "passed",
        "m::validate[trtexec-fp16]": "passed",
        "m::benchmark[trtexec-fp16]": "passed",
    }, result.out
    by_case = {record["case_id"]: record for record in result.records}
    benchmark = by_case["m::benchmark[trtexec]"]
    assert [latency["timing"] for latency in benchmark["latencies"]] == ["bound", "bound+copies"]
    compute, with_copies = (latency["summary"]["p50_ns"] for latency in benchmark["latencies"])
    assert compute == pytest.approx(500_000, rel=0.01)
    assert with_copies == pytest.approx(575_000, rel=0.01)
    assert (
        benchmark["latencies"][0]["summary"]["p50_low_ns"]
        < compute
        < benchmark["latencies"][0]["summary"]["p50_high_ns"]
    )
    program = benchmark["program"]
    assert (program["version"], program["engine"]) == (version, "built")
    assert (program["build_ns"], program["load_ns"]) == (9_552_490_000, 6_762_790)
    assert program["engine_byte"] > 100
    assert program["context_byte"] == round(0.119629 * 2**20)
    assert program["numbers_from"] == {"bound": "exported times", "bound+copies": "exported times"}
    accuracy = by_case["m::validate[trtexec]"]["accuracy"][0]
    assert accuracy["outputs"][0]["max_abs_error"] < 1e-5


SPIN = {"useSpinWait"}
FLAGS = {
    "8.6.1": [{"noDataTransfers"} | SPIN, {"exposeDMA"} | SPIN, {"noDataTransfers", "useCudaGraph"} | SPIN],
    "10.16.1": [{"noDataTransfers"} | SPIN, {"exposeDMA"} | SPIN, {"noDataTransfers", "useCudaGraph"} | SPIN],
    "11.0.0": [{"noCudaGraph"}, {"includeDataTransfers", "exposeDMA", "noCudaGraph"}, set()],
}
"""Version -> what makes it measure bound, bound+copies and graph."""


@pytest.mark.parametrize("version", EACH)
def test_one_build_and_a_run_per_timing_mode(project: Project, trace: Path, version: str) -> None:
    result = run_with(project, version, "--ortperf-timing=bound,bound+copies,graph")
    assert result.outcomes == {"m::benchmark[trtexec]": "passed"}, result.out
    build = {"onnx", "saveEngine", "skipInference", "timingCacheFile", "minShapes", "optShapes", "maxShapes"}
    always = {"loadEngine", "loadInputs", "shapes", "iterations", "duration", "warmUp", "percentile", "exportTimes"}
    started = [set(start["options"]) for start in told(trace)]
    assert started == [build, *(always | flags for flags in FLAGS[version])]


@pytest.mark.parametrize("version", EACH)
def test_fp16_is_a_flag_or_from_11_on_a_converted_model(project: Project, trace: Path, version: str) -> None:
    flagged = version != "11.0.0"
    result = run_with(project, version, ep="trtexec-fp16", mode="validate")
    assert result.outcomes == {"m::validate[trtexec-fp16]": "passed"}, result.out
    build = told(trace)[0]["options"]
    assert ("fp16" in build) is flagged
    assert (build["onnx"] == str(project.path / "m.onnx")) is flagged
    fact = result.records[0]["model_fact"]
    assert fact["fp16_from"] == ("provider option" if flagged else "converted")
    assert fact["precision"] == ("fp32" if flagged else "fp16")
    assert 1e-5 < result.records[0]["accuracy"][0]["outputs"][0]["max_abs_error"] < 1e-2


@pytest.mark.parametrize("version", EACH)
def test_three_inputs_come_in_three_files_with_the_bytes_of_their_bindings(
    project: Project, trace: Path, version: str
) -> None:
    project.write("mixed.onnx", mixed_model())
    data = {
        "ids": np.array([[1, 2, 3, -4]], np.int64),
        "mask": np.array([[True, False, True, True]]),
        "x:0": np.array([[0.5, -1.5, 2.25, 3.0]], np.float32),
    }
    for number, (name, value) in enumerate(data.items()):
        project.write(f"mixed/test_data_set_0/input_{number}.pb", tensor(value, name, value.dtype.type))
    expected = np.where(data["mask"], data["x:0"] + data["ids"], 0).astype(np.float32)
    project.write("mixed/test_data_set_0/output_0.pb", tensor(expected, "y"))
    entry = {"name": "mixed", "path": "mixed.onnx", "test_data": "mixed"}
    result = run_with(project, version, mode="validate", entry=entry)
    assert result.outcomes == {"mixed::validate[trtexec]": "passed"}, result.out
    start = told(trace)[1]
    assert start["options"]["loadInputs"] == "ids:input_0.bin,mask:input_1.bin,'x:0':input_2.bin"
    assert start["options"]["shapes"] == "ids:1x4,mask:1x4,'x:0':1x4"
    integers = np.int32 if version == "8.6.1" else np.int64
    assert start["inputs"] == {
        "ids": {"file": "input_0.bin", "hex": data["ids"].astype(integers).tobytes().hex(), "shape": [1, 4]},
        "mask": {"file": "input_1.bin", "hex": "01000101", "shape": [1, 4]},
        "x:0": {"file": "input_2.bin", "hex": data["x:0"].tobytes().hex(), "shape": [1, 4]},
    }
    assert result.records[0]["accuracy"][0]["reference"] == "stored"


@pytest.mark.slow
def test_generated_inputs_are_those_of_onnxruntime_cases(project: Project, trace: Path) -> None:
    path = project.write("mixed.onnx", mixed_model())
    result = run_with(project, "10.16.1", entry={"name": "mixed", "path": "mixed.onnx", "dims": {"batch": 2}})
    assert result.outcomes == {"mixed::benchmark[trtexec-batch=2]": "passed"}, result.out
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    model = Model(name="mixed", path=path, origin="")
    expected = generate_inputs(session.get_inputs(), model=model, dims={"batch": 2}, seed=3)
    fed = {name: found["hex"] for name, found in told(trace)[1]["inputs"].items()}
    assert fed == {name: np.asarray(value).tobytes().hex() for name, value in expected.items()}


@pytest.mark.slow
def test_a_range_of_sizes_is_what_the_engine_is_built_for(project: Project, trace: Path) -> None:
    entry = {"name": "m", "dims": {"batch": {"min": 1, "opt": 4, "max": 16}}}
    result = run_with(project, "10.16.1", mode="validate", entry=entry)
    assert result.outcomes == {"m::validate[trtexec-batch=4]": "passed"}, result.out
    build, start = (start["options"] for start in told(trace))
    assert [build[f"{kind}Shapes"] for kind in ("min", "opt", "max")] == ["x:1x3", "x:4x3", "x:16x3"]
    assert start["shapes"] == "x:4x3"


@pytest.mark.slow
def test_data_sets_of_several_sizes_share_one_engine(project: Project, trace: Path) -> None:
    for number, rows in enumerate((2, 5, 1)):
        values = np.arange(3 * rows).reshape(rows, 3)
        project.write(f"m/test_data_set_{number}/input_0.pb", tensor(values, "x"))
        project.write(f"m/test_data_set_{number}/output_0.pb", tensor(values + np.array([1, 2, 3]), "y"))
    result = run_with(project, "10.16.1", mode="validate", entry={"name": "m", "test_data": "m"})
    assert result.outcomes == {"m::validate[trtexec]": "passed"}, result.out
    starts = [start["options"] for start in told(trace)]
    assert [starts[0][f"{kind}Shapes"] for kind in ("min", "opt", "max")] == ["x:1x3", "x:2x3", "x:5x3"]
    assert [start["shapes"] for start in starts[1:]] == ["x:2x3", "x:5x3", "x:1x3"]
    assert [accuracy["data_set"] for accuracy in result.records[0]["accuracy"]] == [
        "test_data_set_0",
        "test_data_set_1",
        "test_data_set_2",
    ]


@pytest.mark.slow
def test_wrong_outputs_fail_as_those_of_every_provider(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STANDIN_FAIL", "wrong-outputs")
    found = failure(run_with(project, "10.16.1", mode="validate"))
    assert (found["kind"], found["stage"]) == ("result accuracy issue", "comparison")
    monkeypatch.setenv("STANDIN_FAIL", "nan-outputs")
    found = failure(run_with(project, "10.16.1", mode="validate"))
    assert found["kind"] == "result accuracy issue"
    assert "nan" in found["message"].lower()


def test_program_that_is_nowhere_is_a_reason_and_no_crash(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(project.path))
    project.models("m")
    found = failure(project.run("--ortperf-ep=trtexec", "--ortperf-env=off"))
    assert (found["kind"], found["stage"]) == ("provider unavailable", "session")
    assert found["message"] == (
        "trtexec cannot be used here: trtexec was not found: not on PATH, not in /usr/src/tensorrt/bin, "
        "/usr/local/TensorRT*/bin, /opt/tensorrt/bin; it comes with TensorRT: install that, or name the program with "
        "--ortperf-trtexec=PATH"
    )


@pytest.mark.slow
def test_program_below_the_workspace_is_found(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(project.path))
    program = install_standin(project.path / "space" / "TensorRT-10.16" / "bin", "10.16.1")
    project.models({"name": "m", "path": str(project.path / "m.onnx")})
    result = project.run("--ortperf-ep=trtexec", "--ortperf-env=off", f"--ortperf-workspace={project.path / 'space'}")
    assert result.outcomes == {"m::validate[trtexec]": "passed"}, result.out
    assert result.records[0]["program"]["path"] == str(program)


UNUSABLE = {
    "missing-library": (
        "trtexec cannot be used here: {program} --help ended with exit status 127: trtexec: error while loading shared "
        "libraries: libnvinfer.so.10: cannot open shared object file: No such file or directory"
    ),
    "no-version": (
        "trtexec cannot be used here: {program} is from TensorRT 7 or older (its banner names no version), which is "
        "not supported. Logs of TensorRT 8.0 and newer are read; trtexec of TensorRT 8.6, 10.x and 11.x is supported "
        "for running. Install one of these versions and name its program with --ortperf-trtexec=PATH."
    ),
}


@pytest.mark.parametrize("fail", ["missing-library", pytest.param("no-version", marks=pytest.mark.slow)])
def test_program_that_cannot_be_used_says_why(
    project: Project, trace: Path, monkeypatch: pytest.MonkeyPatch, fail: str
) -> None:
    monkeypatch.setenv("STANDIN_FAIL", fail)
    found = failure(run_with(project, "10.16.1", mode="validate"))
    assert (found["kind"], found["stage"]) == ("provider unavailable", "session")
    program = project.path / "10.16.1" / "trtexec"
    assert found["message"] == UNUSABLE[fail].format(program=program)
    assert not trace.exists()  # so nothing was built


@pytest.mark.slow
def test_warnings_become_advice(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STANDIN_FAIL", "warnings")
    result = run_with(project, "8.6.1", "--ortperf-timing=bound")
    advice = result.records[0]["program"]["advice"]
    assert advice == [
        "enqueue-bound: launching kernels takes longer than computing, so the GPU waits; compare with the mode graph",
        "copies dominate: moving the inputs to the device takes longer than computing; compare with the mode bound",
        "unstable GPU compute time (coefficient of variance 6.58751 %): lock the GPU's clock",
    ]
    assert result.records[0]["timing_notes"]["bound"].endswith("; ".join(advice))


@pytest.mark.slow
def test_an_engine_that_is_kept_is_loaded_by_the_next_run(project: Project, trace: Path) -> None:
    cache = (f"--ortperf-cache={project.path / 'cache'}", "--ortperf-trt-cache=persistent", "--ortperf-timing=bound")
    first = run_with(project, "10.16.1", *cache).records[0]["program"]
    second = run_with(project, "10.16.1", *cache).records[0]["program"]
    assert (first["engine"], second["engine"]) == ("built", "loaded")
    assert second["build_ns"] is None
    assert second["engine_byte"] == first["engine_byte"]
    other = run_with(project, "10.16.1", *cache, "--ortperf-ep-option=trtexec.noTF32=true").records[0]["program"]
    newer = run_with(project, "11.0.0", *cache).records[0]["program"]
    assert (other["engine"], newer["engine"]) == ("built", "built")
    builds = [start["options"] for start in told(trace) if "onnx" in start["options"]]
    assert ["noTF32" in build for build in builds] == [False, True, False]


@pytest.mark.slow
@pytest.mark.parametrize(
    "isolation",
    [pytest.param((), marks=pytest.mark.slow), ("-p", "no:pytest_forked")],
    ids=["pytest-forked", "own runner"],
)
@pytest.mark.parametrize("mode", [pytest.param("validate", marks=pytest.mark.slow), "benchmark"])
def test_program_ends_at_the_deadline_with_all_it_started(
    project: Project, monkeypatch: pytest.MonkeyPatch, isolation: tuple[str, ...], mode: str
) -> None:
    pids = project.path / "pids"
    monkeypatch.setenv("STANDIN_FAIL", "hang-run")
    monkeypatch.setenv("STANDIN_PIDS", str(pids))
    result = run_with(project, "10.16.1", "--ortperf-timeout=3", *isolation, mode=mode)
    assert [record["outcome"] for record in result.records] == ["timed_out"], result.out
    assert result.records[0]["failure"]["stage"] == ("first_run" if mode == "validate" else "timing")
    for pid in map(int, pids.read_text("ascii").split()):
        assert _is_gone(pid), f"{pid} lives"


def _is_gone(pid: int) -> bool:
    for _ in range(100):
        try:
            state = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return True
        if state == "Z":
            return True
        time.sleep(0.05)
    return False


@pytest.mark.slow
def test_nothing_of_a_run_is_left(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    temporary = project.path / "tmp"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    result = run_with(project, "10.16.1", mode="both")
    assert set(result.outcomes.values()) == {"passed"}, result.out
    monkeypatch.setenv("STANDIN_FAIL", "hang-run")
    monkeypatch.setenv("STANDIN_PIDS", str(project.path / "pids"))
    run_with(project, "10.16.1", "--ortperf-timeout=3", mode="validate")
    left = [path.name for path in temporary.iterdir() if path.name.startswith("ortperf")]
    assert left == []


@pytest.mark.slow
def test_tables_say_what_ran_and_what_it_built(project: Project) -> None:
    result = run_with(project, "10.16.1", "--ortperf-timing=bound")
    assert result.exit_code == 0, result.out
    (path,) = (project.path / "result").glob("benchmark_session_*.csv")
    with path.open(encoding="utf-8", newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["provider"], row["engines"], row["engine_build_s"]) == ("trtexec", "built", "9.55249")
    assert row["program"] == f"{project.path / '10.16.1' / 'trtexec'} 10.16.1"
    (path,) = (project.path / "result").glob("benchmark_success_*.csv")
    with path.open(encoding="utf-8", newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["engine"], row["version"], row["timing"]) == ("trtexec", "10.16.1", "bound")
    assert float(row["program_throughput_per_s"]) == pytest.approx(2000, rel=0.01)


@pytest.mark.slow
def test_workers_find_the_program_that_the_controller_asked(
    project: Project, trace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = project.path / "tmp"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    result = run_with(project, "10.16.1", "-n2", "--ortperf-timing=bound")
    assert result.outcomes == {"m::benchmark[trtexec]": "passed"}, result.out
    assert [set(start["options"]) & {"onnx", "loadEngine"} for start in told(trace)] == [{"onnx"}, {"loadEngine"}]
    assert [path.name for path in temporary.iterdir() if path.name.startswith("ortperf")] == []


@pytest.mark.slow
def test_users_own_tests_leave_no_engine_behind(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    temporary = project.path / "tmp"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    program = install_standin(project.path / "bin", "10.16.1")
    project.write("test_mine.py", 'def test_it(ortperf):\n    ortperf.validate("m.onnx", ep="trtexec")\n')
    result = project.run(f"--ortperf-trtexec={program}", "--ortperf-env=off", mode=None)
    assert result.counts == {"passed": 1}, result.out
    assert [path.name for path in temporary.iterdir() if path.name.startswith("ortperf")] == []
