"""Is the model that is benchmarked the one that was validated?"""

import hashlib

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from .project import Project

QUICK = ("--ortperf-iterations=3", "--ortperf-warmup=1", "--ortperf-env=off", "--ortperf-operators=off")
SWAP = """
import shutil
def pytest_runtest_logreport(report):
    if "validate[" in report.nodeid and report.when == "call":
        shutil.copy("other", "{}")
"""


def save(project: Project, name: str, weight: float, *, external: bool = False) -> None:
    nodes = [helper.make_node("Mul", ["x", "w"], ["y"])]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [64]) for name in "xy"]
    weights = numpy_helper.from_array(np.full(64, weight, np.float32), "w")
    made = helper.make_model(
        helper.make_graph(nodes, "g", ends[:1], ends[1:], [weights]),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )
    onnx.save(made, project.path / name, save_as_external_data=external, location=f"{name}.data", size_threshold=0)


def sha256(project: Project, name: str) -> str:
    return hashlib.sha256((project.path / name).read_bytes()).hexdigest()


@pytest.mark.parametrize("external", [False, True])
@pytest.mark.parametrize("isolation", ["forked", "pool", "none"])
def test_a_model_that_changes_after_its_validation_is_no_pass(
    project: Project,
    isolation: str,
    external: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    save(project, "m.onnx", 1, external=external)
    save(project, "other.onnx", 2, external=external)
    changed = "m.onnx.data" if external else "m.onnx"
    (project.path / ("other.onnx.data" if external else "other.onnx")).rename(project.path / "other")
    project.models("m")
    project.write("conftest.py", SWAP.format(changed))
    result = project.run(*QUICK, f"--ortperf-isolation={isolation}", mode="both")
    validated, measured = result.records
    hashes = [record["model_fact"]["sha256"] for record in result.records]
    assert len(set(hashes)) == 2
    assert (validated["outcome"], measured["outcome"]) == ("passed", "failed")
    label = f"validated with another model (sha256 {hashes[1][:12]} against {hashes[0][:12]})"
    assert measured["validation"] == label
    assert measured["failure"]["kind"] == "model error"
    assert measured["failure"]["message"] == (
        f"{project.path / 'm.onnx'} has changed since its validation: {label}. Its latency would stand beside the "
        "errors of another model; run again while nothing writes the file"
    )


def test_the_hash_is_that_of_the_file(project: Project) -> None:
    project.models("m")
    result = project.run(*QUICK, mode="both")
    assert [record["model_fact"]["sha256"] for record in result.records] == [sha256(project, "m.onnx")] * 2
    assert [record["validation"] for record in result.records] == [None, "validated"]
    assert "never validated" not in result.out
    assert "validated with another model" not in result.out


@pytest.mark.slow
def test_a_benchmark_alone_says_when_its_model_was_validated(project: Project) -> None:
    save(project, "m.onnx", 1)
    project.models("m")

    def benchmark() -> tuple[str, str]:
        result = project.run(*QUICK, mode="benchmark")
        (record,) = result.records
        assert record["outcome"] == "passed"
        return record["validation"], result.out

    label, out = benchmark()
    assert label == "never validated"
    assert "find out whether the outputs are right: --ortperf-mode=both" in out
    project.run()
    before = sha256(project, "m.onnx")
    label, out = benchmark()
    assert label.startswith("validated in run ")
    assert "never validated" not in out
    assert "validated with another model" not in out
    save(project, "m.onnx", 2)
    label, out = benchmark()
    assert label.startswith(
        f"validated with another model (sha256 {sha256(project, 'm.onnx')[:12]} against {before[:12]}, in run "
    )
    assert f"validated with another model (sha256 {sha256(project, 'm.onnx')[:12]}" in out
