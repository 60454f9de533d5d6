"""ONNX Runtime 1.24 to 1.26, which leaves nodes that run between added casts out of its placement."""

from __future__ import annotations

import numpy as np
import pytest

from plugin.project import Project
from providers import small_models
from pytest_ortperf.execution.session.placement import FOLDED

pytestmark = pytest.mark.older_runtime


def test_each_node_is_counted_and_only_a_graph_without_nodes_is_folded(project: Project) -> None:
    project.write("single.onnx", small_models.determinant())
    project.write("half.onnx", small_models.determinant(np.float16))
    project.write("constants.onnx", small_models.constants())
    project.models(*({"name": name, "path": f"{name}.onnx"} for name in ("single", "half", "constants")))

    result = project.run("--ortperf-ep=cpu", "--ortperf-fallback=fail", "--ortperf-iterations=3", mode="both")

    four = {"CPUExecutionProvider": {"MatMul": 1, "Det": 1, "Add": 1, "Sigmoid": 1}}
    seen = {
        it["case_id"]: (it["outcome"], it["reason"], it["placement"]["op_types_by_provider"], it["placement"]["source"])
        for it in result.records
    }
    assert seen == {
        "single::validate[cpu]": ("passed", None, four, "assignment info"),
        "single::benchmark[cpu]": ("passed", None, four, "assignment info"),
        "half::validate[cpu]": ("passed", None, four, "assignment info and profile"),
        "half::benchmark[cpu]": ("passed", None, four, "assignment info and profile"),
        "constants::validate[cpu]": ("passed", FOLDED, {}, "assignment info"),
        "constants::benchmark[cpu]": ("skipped", FOLDED, {}, "assignment info"),
    }


@pytest.mark.cpu_wheel
def test_a_provider_without_nodes_is_caught_where_the_runtime_tells_of_none(project: Project) -> None:
    small_models.give_model(project, small_models.determinant(np.float16))

    record = project.run("--ortperf-ep=AzureExecutionProvider").by_model["m"]

    assert record["failure"]["kind"] == "fallback"
    assert record["failure"]["message"] == (
        "asked for AzureExecutionProvider, 0 of 4 nodes ran there; "
        "CPUExecutionProvider got 1 Add, 1 Det, 1 MatMul, 1 Sigmoid"
    )
