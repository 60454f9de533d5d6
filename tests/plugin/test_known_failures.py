"""What failed validation in a stored run is not benchmarked, as long as nothing that it hangs on has changed."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from onnx import numpy_helper

from plugin.project import Project, Result
from pytest_ortperf.cases.matrix import Case
from pytest_ortperf.cases.model import Model
from pytest_ortperf.cases.providers import find_provider
from pytest_ortperf.execution.case_settings import ExecutionSettings
from pytest_ortperf.running import validations

QUICK = (
    "--ortperf-ep=cpu",
    "--ortperf-iterations=2",
    "--ortperf-warmup=0",
    "--ortperf-env=off",
    "--ortperf-operators=off",
    "--ortperf-track-memory=off",
)
WRONG = {"name": "m", "path": "m.onnx", "test_data": "data"}

Run = Callable[..., Result]


def store_wrong_outputs(project: Project) -> Path:
    """Write inputs, and outputs that the model does not give."""
    for kind, name in (("input", "x"), ("output", "y")):
        tensor = numpy_helper.from_array(np.full((1, 3), 7, np.float32), name)
        project.write(f"data/test_data_set_0/{kind}_0.pb", tensor.SerializeToString())
    return project.path / "data" / "test_data_set_0" / "output_0.pb"


@pytest.fixture
def failed(project: Project) -> Run:
    """Return a run of benchmarks, after a validation that failed."""
    store_wrong_outputs(project)
    project.models(WRONG)
    assert project.run(*QUICK).outcomes == {"m::validate[cpu]": "failed"}
    return lambda *options, mode="benchmark": project.run(*QUICK, *options, mode=mode)


def test_a_later_benchmark_is_skipped_with_the_reason(failed: Run) -> None:
    result = failed()

    (record,) = result.records
    assert (record["outcome"], record["latencies"]) == ("skipped", [])
    assert record["reason"].startswith("failed validation on 20")
    assert "outputs differ from the reference: test_data_set_0, output 'y': percent mismatch" in record["reason"]
    assert record["reason"].endswith(
        "(--ortperf-retry-failed benchmarks it all the same; a validation that passes clears it)"
    )


@pytest.mark.slow
def test_told_so_it_runs(failed: Run) -> None:
    assert failed("--ortperf-retry-failed").outcomes == {"m::benchmark[cpu]": "passed"}


@pytest.mark.parametrize(
    "options",
    [
        ("--ortperf-atol=100",),
        pytest.param(("--ortperf-graph-optimization=basic",), marks=pytest.mark.slow),
        pytest.param(("--ortperf-input=random",), marks=pytest.mark.slow),
    ],
)
def test_other_options_are_another_case(failed: Run, options: tuple[str, ...]) -> None:
    assert failed(*options).outcomes == {"m::benchmark[cpu]": "passed"}


@pytest.mark.slow
def test_options_of_the_measurement_are_not(failed: Run) -> None:
    assert failed("--ortperf-timing=host", "--ortperf-samples=drop").outcomes == {"m::benchmark[cpu]": "skipped"}


@pytest.mark.slow
def test_a_changed_model_is_another_one(failed: Run, project: Project) -> None:
    path = project.path / "m.onnx"
    path.write_bytes(path.read_bytes() + b"\x3a\x00")  # an empty field of the model: other bytes, the same graph

    assert failed().outcomes == {"m::benchmark[cpu]": "passed"}


@pytest.mark.slow
def test_changed_outputs_are_another_case(failed: Run, project: Project) -> None:
    store_wrong_outputs(project).touch()

    assert failed().outcomes == {"m::benchmark[cpu]": "passed"}


@pytest.mark.slow
def test_a_changed_entry_is_another_case(failed: Run, project: Project) -> None:
    project.models({**WRONG, "tolerance": {"atol": 100}})

    assert failed().outcomes == {"m::benchmark[cpu]": "passed"}


@pytest.mark.slow
def test_a_validation_that_passes_clears_it(failed: Run) -> None:
    assert failed("--ortperf-atol=100", mode="validate").outcomes == {"m::validate[cpu]": "passed"}

    assert failed().outcomes == {"m::benchmark[cpu]": "passed"}


@pytest.mark.slow
@pytest.mark.usefixtures("failed")
def test_another_results_folder_knows_nothing(project: Project) -> None:
    assert project.run(*QUICK, "--ortperf-results=other", mode="benchmark").counts == {"passed": 1}


def test_both_validates_anew(failed: Run) -> None:
    assert failed(mode="both").outcomes == {"m::validate[cpu]": "failed", "m::benchmark[cpu]": "skipped"}


@pytest.mark.slow
def test_workers_know_it_too(failed: Run) -> None:
    assert failed("-n", "2").outcomes == {"m::benchmark[cpu]": "skipped"}


@pytest.mark.slow
@pytest.mark.parametrize("isolation", ["none", "pool"])
def test_whoever_ran_the_validation_the_failure_is_known(project: Project, isolation: str) -> None:
    store_wrong_outputs(project)
    project.models(WRONG)
    project.run(*QUICK, f"--ortperf-isolation={isolation}")

    result = project.run(*QUICK, mode="benchmark")
    assert result.outcomes == {"m::benchmark[cpu]": "skipped"}


@pytest.mark.slow
def test_where_a_hook_changes_sessions_nothing_is_remembered(project: Project, failed: Run) -> None:
    # it may change what it does, and then the failure stands for nothing
    project.write("conftest.py", "def pytest_ortperf_configure_session(case, session_options):\n    pass\n")
    assert failed(mode="validate").outcomes == {"m::validate[cpu]": "failed"}

    assert failed().outcomes == {"m::benchmark[cpu]": "passed"}


def test_native_libraries_are_known_by_their_files(tmp_path: Path) -> None:
    plugin, operators = tmp_path / "ep.so", tmp_path / "ops.so"
    for path in (plugin, operators):
        path.write_bytes(b"one")
    model = Model(name="m", path=tmp_path / "m.onnx", origin="models.json")
    case = Case(model=model, mode="benchmark", provider=find_provider("cpu"), precision=None)
    settings = ExecutionSettings(plugins={"EP": str(plugin)}, custom_op_libraries=(str(operators),))
    before = validations._libraries(case, settings)  # noqa: SLF001 - one part of a hash, which tells nothing

    operators.write_bytes(b"another")

    after = validations._libraries(case, settings)  # noqa: SLF001
    assert [one == other for one, other in zip(before, after, strict=True)] == [True, False, *[True] * (len(after) - 2)]
    assert any("onnxruntime/capi/" in text for text in after[2:])
