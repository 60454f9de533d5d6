"""Validations from the command line: seeds, checks, and options that cannot be used."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from plugin.project import Project

CPU = ("--ortperf-ep=cpu", "--ortperf-checks=repeat,batch")


def test_each_seed_is_a_data_set(project: Project) -> None:
    project.models("m")

    (record,) = project.run(*CPU, "--ortperf-seed=3", "--ortperf-seeds=3").records

    assert [it["data_set"] for it in record["accuracy"]] == [f"generated (seed {seed})" for seed in (3, 4, 5)]
    assert len({it["outputs"][0]["snr_db"] for it in record["accuracy"]}) == 1


def test_inputs_that_no_seed_changes_are_validated_once(project: Project) -> None:
    project.models({"name": "m", "path": "m.onnx", "inputs": {"*": {"fill": "ones"}}})

    (record,) = project.run(*CPU, "--ortperf-seeds=3").records

    assert [it["data_set"] for it in record["accuracy"]] == ["generated (seed 0)"]


def test_a_model_that_draws_random_numbers_does_not_repeat_itself(project: Project) -> None:
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [4]) for name in "xy")
    noise = helper.make_node("RandomNormalLike", ["x"], ["n"])
    graph = helper.make_graph([noise, helper.make_node("Add", ["x", "n"], ["y"])], "g", [x], [y])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    project.write("random.onnx", onnx.ModelProto.SerializeToString(model))
    project.models({"name": "random", "path": "random.onnx", "tolerance": {"atol": 1e6, "repeat": "exact"}})

    (record,) = project.run(*CPU).records

    assert (record["outcome"], record["failure"]["kind"]) == ("failed", "result accuracy issue")
    assert record["failure"]["message"].startswith(
        "outputs differ from each other: repeat: a second run with the same inputs differs: output 'y' by up to "
    )
    assert [(it["name"], it["outcome"], it["fails"]) for it in record["checks"]] == [("repeat", "broken", True)]


def test_rows_of_a_batch_are_checked_where_the_entry_names_the_dimension(project: Project) -> None:
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["rows", 3]) for name in "xy")
    nodes = [
        helper.make_node("ReduceMean", ["x"], ["mean"], axes=[0]),
        helper.make_node("Sub", ["x", "mean"], ["y"]),
    ]
    graph = helper.make_graph(nodes, "g", [x], [y])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    project.write("mixes.onnx", onnx.ModelProto.SerializeToString(model))
    project.models(
        {"name": "named", "path": "mixes.onnx", "batch_dim": "rows"}, {"name": "unnamed", "path": "mixes.onnx"}
    )

    result = project.run(*CPU)

    assert {name: it["outcome"] for name, it in result.by_model.items()} == {"named": "failed", "unnamed": "passed"}
    message = result.by_model["named"]["failure"]["message"]
    assert "batch: 3 rows of dimension 'rows', together and one by one: row 0 of output 'y': percent mism" in message


def test_without_checks_there_are_none(project: Project) -> None:
    project.models("m")

    (record,) = project.run("--ortperf-ep=cpu", "--ortperf-checks=none").records

    assert (record["outcome"], record["checks"]) == ("passed", [])


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("--ortperf-checks=rows", "--ortperf-checks: unknown rows; choose from repeat, batch, or none"),
        ("--ortperf-seeds=0", "--ortperf-seeds: '0' is not a whole number of at least 1"),
        ("--ortperf-top-k=x", "--ortperf-top-k: 'x' is not a whole number of at least 1"),
        ("--ortperf-cache=", "--ortperf-cache is empty; give it DIR, or leave it out"),
        ("--ortperf-models=", "--ortperf-models is empty; give it PATH, or leave it out"),
        ("--ortperf-timeout=nan", "--ortperf-timeout: 'nan' is not a number from 0.001 to 1000000000"),
        ("--ortperf-cache-size=inf", "--ortperf-cache-size: 'inf' is not a number of at least 0"),
        ("--ortperf-percent-mismatch=101", "--ortperf-percent-mismatch: '101' is not a number from 0 to 100"),
        ("--ortperf-cosine=1.5", "--ortperf-cosine: '1.5' is not a number from -1 to 1"),
    ],
)
def test_an_option_that_cannot_be_used_is_named(project: Project, option: str, message: str) -> None:
    project.models("m")

    result = project.run(option)

    assert (result.exit_code, message in result.err) == (4, True)


def test_options_bound_the_output_beside_the_list(project: Project) -> None:
    project.models("m")

    (record,) = project.run(*CPU, "--ortperf-cosine=0.5", "--ortperf-snr-db=10", "--ortperf-top-k=1").records

    (output,) = record["accuracy"][0]["outputs"]
    assert (output["cosine_least"], output["snr_db_least"], output["top_k"]) == (0.5, 10.0, 1)
    assert np.isclose(output["cosine"], 1.0)
