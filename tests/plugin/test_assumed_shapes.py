"""Models with dimensions that nobody gave a size: they run at plausible ones, which all that shows a number names."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from plugin.project import Project

pytestmark = pytest.mark.slow

QUICK = ("--ortperf-iterations=3", "--ortperf-warmup=1", "--ortperf-env=off", "--ortperf-operators=off")
WEIGHTS = np.random.default_rng(0).normal(size=(3, 3, 3, 3)).astype(np.float32)


def save(
    project: Project, name: str, nodes: list, source: str, shape: list[str | int | None], **constants: object
) -> None:
    ends = [helper.make_tensor_value_info(end, TensorProto.FLOAT, it) for end, it in ((source, shape), ("y", None))]
    values = [numpy_helper.from_array(np.asarray(value), key) for key, value in constants.items()]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], values)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    project.write(f"zoo/{name}/model.onnx", bytes(model.SerializeToString()))


def detector(project: Project, name: str, shape: list[str | int | None]) -> None:
    """Save a model that joins a feature map and a smaller one made larger: both have to be even."""
    strided = {"strides": [2, 2], "pads": [1, 1, 1, 1]}
    nodes = [
        helper.make_node("Conv", ["images", "w"], ["a"], **strided),
        helper.make_node("Conv", ["a", "w"], ["b"], **strided),
        helper.make_node("Resize", ["b", "", "s"], ["c"], mode="nearest"),
        helper.make_node("Concat", ["a", "c"], ["y"], axis=1),
    ]
    save(project, name, nodes, "images", shape, w=WEIGHTS, s=np.array([1, 1, 2, 2], np.float32))


def reshaped(project: Project, name: str, shape: list[str | int | None], parts: int) -> None:
    node = helper.make_node("Reshape", ["x", "parts"], ["y"])
    save(project, name, [node], "x", shape, parts=np.array([0, parts, -1]))


def test_models_run_at_sizes_that_record_csv_and_terminal_name(project: Project) -> None:
    detector(project, "named", ["batch", 3, "height", "width"])
    detector(project, "unnamed", [None, 3, None, None])
    reshaped(project, "heads", ["batch", "hidden"], 4)
    node = helper.make_node("Conv", ["images", "w"], ["y"], pads=[1, 1, 1, 1])
    save(project, "plain_conv", [node], "images", ["batch", 3, "height", "width"], w=WEIGHTS)

    result = project.run("--ortperf-models=zoo", "--ortperf-ep=cpu", *QUICK, mode="both")

    image = {"batch": 1, "height": 224, "width": 224}
    expected = {
        "heads": ({"batch": 1, "hidden": 32}, [1, 32]),
        "named": (image, [1, 3, 224, 224]),
        "plain_conv": (image, [1, 3, 224, 224]),
        "unnamed": ({"images.0": 1, "images.2": 224, "images.3": 224}, [1, 3, 224, 224]),
    }
    for mode in ("validate", "benchmark"):
        records = {it["model"]: it for it in result.records if it["mode"] == mode}
        assert {it["outcome"] for it in records.values()} == {"passed"}
        found = {name: (it["assumed_dims"], it["inputs"][0]["shape"]) for name, it in records.items()}
        assert found == expected
    (path,) = (project.path / "result").glob("benchmark_success_*.csv")
    with path.open(encoding="utf-8", newline="") as file:
        rows = {row["model"]: row["assumed_dims"] for row in csv.DictReader(file)}
    assert rows == {
        name: ",".join(f"{key}={size}" for key, size in sizes.items()) for name, (sizes, _) in expected.items()
    }
    told = result.out.partition("sizes assumed")[2].partition("\n\n")[0]
    assert told.splitlines() == [
        ", because nothing gives them (--ortperf-dim=hidden=N does):",
        "  batch=1, hidden=32: heads",
        "  batch=1, height=224, width=224: named, plain_conv",
        "  images.0=1, images.2=224, images.3=224: unnamed",
    ]


def test_an_error_at_assumed_sizes_names_the_lines_that_mend_it_and_they_do(project: Project) -> None:
    reshaped(project, "named", [1, "width"], 11)
    reshaped(project, "unnamed", [1, None], 11)

    records = project.run("--ortperf-models=zoo", "--ortperf-ep=cpu").by_model

    for name, key, size in (("named", "width", 224), ("unnamed", "x.1", 128)):
        assert (
            f"\nThese sizes were assumed, because nothing gives them: {key}={size}. If the model needs others, give "
            f'them: --ortperf-dim={key}=N, or in the model list "dims": {{"{key}": N}} or the "shape" of an input in '
            '"inputs"\n'
        ) in records[name]["failure"]["message"]
    project.models(
        {"name": "named", "path": "zoo/named/model.onnx", "dims": {"width": 22}},
        {"name": "unnamed", "path": "zoo/unnamed/model.onnx", "dims": {"x.1": 22}},
        {"name": "shaped", "path": "zoo/unnamed/model.onnx", "inputs": {"x": {"shape": [1, 33]}}},
    )
    records = project.run("models.json").by_model
    found = {name: (it["outcome"], it["inputs"][0]["shape"], it["assumed_dims"]) for name, it in records.items()}
    assert found == {
        "named": ("passed", [1, 22], {}),
        "unnamed": ("passed", [1, 22], {}),
        "shaped": ("passed", [1, 33], {}),
    }
