"""Model files and data of others: a clear error of their own item within its time, whatever they name or are."""

from __future__ import annotations

import json
import os

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from plugin.project import MODEL, Project
from pytest_ortperf.cases.model_list import read_models
from pytest_ortperf.errors import ModelListError

QUICK = ("--ortperf-ep=cpu", "--ortperf-env=off")


def external(location: str, **changes: str) -> bytes:
    """Return `y = x + W`, where W is 4 floats at a location."""
    weight = TensorProto(name="W", data_type=TensorProto.FLOAT, dims=[4], data_location=TensorProto.EXTERNAL)
    for key, value in ({"location": location, "offset": "0", "length": "16"} | changes).items():
        weight.external_data.add(key=key, value=value)
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [4]) for name in "xy")
    graph = helper.make_graph([helper.make_node("Add", ["x", "W"], ["y"])], "g", [x], [y], [weight])
    data: bytes = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8
    ).SerializeToString()
    return data


def store(project: Project) -> dict[str, str]:
    """Write models whose data is somewhere else; return what is said of each that is refused."""
    project.write("zoo/w.bin", np.arange(4, dtype=np.float32).tobytes())
    project.write("outside.bin", np.arange(4, dtype=np.float32).tobytes())
    os.mkfifo(project.path / "zoo/pipe.bin")
    os.mkfifo(project.path / "zoo/pipe_model.onnx")
    (project.path / "zoo/zero_model.onnx").symlink_to("/dev/zero")
    with project.write("zoo/sparse.onnx", MODEL).open("ab") as file:
        file.truncate(20 << 30)
    places = {
        "sound_1": "w.bin",
        "nul": "w.bin\0x",
        "device": "/dev/zero",
        "pipe": "pipe.bin",
        "above": "../outside.bin",
        "hidden_above": "sub/../../outside.bin",
        "windows": "C:\\w.bin",
        "folder": ".",
        "long": "n" * 5_000_000,
        "sound_2": "w.bin",
    }
    for name, place in places.items():
        project.write(f"zoo/{name}.onnx", external(place))
    project.models(
        *({"name": name, "path": f"zoo/{name}.onnx", "timeout": 30} for name in (*places, "sparse")),
        {"name": "pipe_model", "path": "zoo/pipe_model.onnx", "timeout": 30},
        {"name": "zero_model", "path": "zoo/zero_model.onnx", "timeout": 30},
    )
    way = "; external data has to be in files beside the model or in folders below it. Save the model again with "
    refused = {
        "nul": "the external data 'w.bin\\x00x' has a NUL character in its name",
        "device": "the external data '/dev/zero' is an absolute path",
        "pipe": "the external data 'pipe.bin' cannot be read: it is a pipe, not a file",
        "above": "the external data '../outside.bin' leads out of the model's folder",
        "hidden_above": "the external data 'sub/../../outside.bin' leads out of the model's folder",
        "windows": "the external data 'C:\\\\w.bin' is an absolute path",
        "folder": "the external data '.' cannot be read: Is a directory",
        "long": f"the external data '{'n' * 299}... (5,000,002 characters) cannot be opened (File name too long)",
    }
    here = project.path
    messages = {name: f"{here}/zoo/{name}.onnx: {text}{way}onnx.save_model" for name, text in refused.items()}
    size, most = 20 << 30, 2**31 - 1
    large = f"has {size:,} bytes, and no ONNX model has more than {most:,}; larger weights belong into external data"
    kinds = {"pipe_model": ("a pipe", 11), "zero_model": ("a device", 12)}
    return {
        **messages,
        "sparse": f"{here}/zoo/sparse.onnx {large}",
        **{
            name: f"{here}/zoo/{name}.onnx cannot be read: it is {kind}, not a file "
            f"(named by models.json: models[{place}] '{name}')"
            for name, (kind, place) in kinds.items()
        },
    }


@pytest.mark.slow
@pytest.mark.parametrize("isolation", [("-n", "2"), ("--ortperf-isolation=pool",), ("--ortperf-isolation=forked",)])
def test_models_that_name_what_they_may_not_fail_alone(project: Project, isolation: tuple[str, ...]) -> None:
    refused = store(project)
    for _ in range(2):  # again with what the first run left in the results folder
        result = project.run(*QUICK, *isolation)
        messages = {name: record["failure"]["message"] for name, record in result.by_model.items() if record["failure"]}
        assert messages == refused
        passed = {name for name, record in result.by_model.items() if record["outcome"] == "passed"}
        assert passed == {"sound_1", "sound_2"}
        assert result.end is not None
        assert len(result.out) < 60_000


@pytest.mark.slow
def test_a_benchmark_looks_at_nothing_that_could_hang_it(project: Project) -> None:
    """What failed is known again by the content of its files; these are read in a child, or not at all."""
    refused = store(project)
    project.run(*QUICK)
    quick = ("--ortperf-iterations=2", "--ortperf-warmup=0", "--ortperf-operators=off", "--ortperf-track-memory=off")
    result = project.run(*QUICK, *quick, mode="benchmark")
    failed = {name for name, record in result.by_model.items() if record["outcome"] == "failed"}
    assert failed == set(refused)
    assert result.end is not None


def test_links_to_elsewhere_are_followed_by_a_conversion(project: Project) -> None:
    """The cache of the Hugging Face hub links models and their data to its blobs."""
    project.write("blobs/b1", np.arange(4, dtype=np.float32).tobytes())
    project.write("blobs/b2", external("m.data"))
    (project.path / "snapshot").mkdir()
    (project.path / "snapshot/m.data").symlink_to("../blobs/b1")
    (project.path / "snapshot/m.onnx").symlink_to("../blobs/b2")
    project.models({"name": "m", "path": "snapshot/m.onnx"})
    result = project.run(*QUICK, "--ortperf-fp16", f"--ortperf-cache={project.path}/cache")
    assert result.outcomes == {"m::validate[cpu]": "passed", "m::validate[cpu-fp16]": "passed"}
    assert [record["model_fact"]["fp16_from"] for record in result.records] == [None, "converted"]


HUGE = {
    "threads": {"session": {"intra_op_threads": 2**31}},
    "more_threads": {"session": {"intra_op_threads": 2**63}},
    "seconds": {"timeout": 1e300},
    "batch": {"inputs": {"x": {"shape": [2**40, 3]}}},
}


@pytest.mark.parametrize("what", HUGE)
def test_a_number_that_no_machine_has_is_a_clear_error(project: Project, what: str) -> None:
    project.models({"name": "m", **HUGE[what]})
    result = project.run(*QUICK)
    assert "Traceback" not in result.out + result.err
    assert "INTERNALERROR" not in result.out + result.err
    assert result.exit_code in (1, 2)


@pytest.mark.parametrize("option", ["--ortperf-timeout=1e300", "--ortperf-intra-op-threads=2147483648"])
def test_an_option_that_no_machine_has_is_refused(project: Project, option: str) -> None:
    project.models("m")
    result = project.run(*QUICK, option)
    assert "Traceback" not in result.out + result.err
    assert result.exit_code == 4
    assert option.partition("=")[0] in result.err


def test_a_model_list_is_a_file_and_its_names_are_shown_in_short(project: Project) -> None:
    os.mkfifo(project.path / "models.json")
    piped = project.run()
    (project.path / "models.json").unlink()
    (project.path / "models.json").symlink_to("/dev/zero")
    endless = project.run()
    (project.path / "models.json").unlink()
    project.write("models.json", json.dumps([{"name": "n" * 5_000_000, "path": "gone.onnx", "pth": "p" * 5_000_000}]))
    long = project.collection()
    # pytest itself collects files alone
    assert (piped.exit_code, endless.exit_code) == (4, 4)
    for kind, name in (("a pipe", "pipe"), ("a device", "device")):
        path = project.path / f"{name}.json"
        os.mkfifo(path) if name == "pipe" else path.symlink_to("/dev/zero")
        with pytest.raises(ModelListError, match=rf"cannot be read \(it is {kind}, not a file\); make it readable"):
            read_models(path, workspace=None)
    assert "unknown key 'pth'" in long.out
    assert len(long.out) < 10_000
    assert onnx.load_model_from_string(MODEL).graph.name == "add"
