from __future__ import annotations

import json
import re
from types import SimpleNamespace
from typing import Any

import onnxruntime
import pytest

from plugin.project import Project
from pytest_ortperf.cases.providers import find_provider
from pytest_ortperf.settings.provider_choice import device_option
from pytest_ortperf.settings.run_settings import device_choices, named_precisions, targets

CPU_WHEEL_ALONE = pytest.mark.skipif(
    set(onnxruntime.get_available_providers()) != {"AzureExecutionProvider", "CPUExecutionProvider"},
    reason="another provider is part of this ONNX Runtime",
)
pytestmark = CPU_WHEEL_ALONE

NOT_PART = (
    f"{{}} is not part of this ONNX Runtime {onnxruntime.__version__}, which has "
    f"{', '.join(onnxruntime.get_available_providers())}; install the distribution or plugin package that has it, or "
    "leave it out of --ortperf-ep"
)
PLUGIN = """
def get_library_path(): return {library!r}
def get_ep_names(): return ["PlugExecutionProvider"]
"""


def header(project: Project) -> dict[str, Any]:
    (path,) = project.path.rglob("records_*.jsonl")
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8").splitlines()[0])
    return found


def test_auto_is_the_default_and_takes_what_is_usable(project: Project) -> None:
    project.models("m")

    result = project.run()

    assert result.outcomes == {"m::validate[cpu]": "passed"}
    assert header(project)["providers"] == ["cpu"]
    assert "left out" not in result.out


def test_auto_and_a_name_are_both_run(project: Project) -> None:
    project.models("m")

    result = project.run("--ortperf-ep=auto,cuda")

    assert result.outcomes == {"m::validate[cpu]": "passed", "m::validate[cuda]": "failed"}
    assert result.records[-1]["provider"] in {"cpu", "cuda"}
    assert header(project)["unusable_providers"] == {}


@pytest.mark.parametrize("workers", [[], pytest.param(["-n", "2"], marks=pytest.mark.slow)])
def test_reason_of_an_unusable_provider_reaches_each_item_wherever_it_runs(
    project: Project, workers: list[str]
) -> None:
    project.models("m", "n")

    result = project.run("--ortperf-ep=cuda,dml", *workers)

    told = {(it["provider"], it["failure"]["message"]) for it in result.records}
    assert told == {
        (row.name, f"{row.full_name} cannot be used here: {NOT_PART.format(row.full_name)}")
        for row in map(find_provider, ("cuda", "dml"))
    }
    assert len(result.records) == 4


def test_plugin_that_cannot_be_registered_is_left_out_by_auto(project: Project) -> None:
    library = project.write("plug.so", "no library")
    project.models("m")

    result = project.run(f"--ortperf-plugin-ep=PlugExecutionProvider={library}")

    assert result.outcomes == {"m::validate[cpu]": "passed"}
    (reason,) = re.findall(r"ortperf: left out: PlugExecutionProvider: (.*)", result.out)
    assert reason.startswith(f"plugin provider PlugExecutionProvider: {library} could not be registered: ")
    assert header(project)["unusable_providers"] == {"PlugExecutionProvider": reason}


def test_plugin_of_a_module_is_found_and_fails_by_name_with_its_reason(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = project.write("plug.so", "no library")
    project.write("plug_module.py", PLUGIN.format(library=str(library)))
    monkeypatch.setenv("PYTHONPATH", str(project.path))
    project.models("m")

    result = project.run("--ortperf-plugin-ep=PlugExecutionProvider=plug_module", "--ortperf-ep=PlugExecutionProvider")

    message = result.by_model["m"]["failure"]["message"]
    assert message.startswith(
        "PlugExecutionProvider cannot be used here: plugin provider PlugExecutionProvider: "
        f"{library} could not be registered: "
    )


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (
            ["--ortperf-plugin-ep=PlugExecutionProvider=no_such_module"],
            (
                "--ortperf-plugin-ep: PlugExecutionProvider=no_such_module: there is no library and no Python module "
                "'no_such_module'"
            ),
        ),
        (["--ortperf-plugin-ep=plug"], "--ortperf-plugin-ep: 'plug' is not of the form NAME=LIBRARY_OR_MODULE"),
    ],
)
def test_plugin_that_is_none_ends_the_run(project: Project, args: list[str], message: str) -> None:
    project.models("m")

    result = project.run(*args)

    assert result.exit_code == pytest.ExitCode.USAGE_ERROR
    assert f"ERROR: {message}" in result.err.splitlines()
    assert result.records == []


def test_plugin_of_an_unknown_provider_ends_the_run(project: Project) -> None:
    project.models("m")

    result = project.run("--ortperf-plugin-ep=plug=a.so")

    assert result.exit_code == pytest.ExitCode.USAGE_ERROR
    assert result.err.startswith("ERROR: --ortperf-plugin-ep: unknown execution provider 'plug'")


@pytest.mark.parametrize(
    ("name", "plugins", "option"),
    [
        ("cuda", {}, {"device_id": "1"}),
        ("openvino", {}, {"device_type": "1"}),
        ("openvino", {"OpenVINOExecutionProvider": "/p.so"}, {}),
        ("qnn", {}, {}),
    ],
)
def test_device_is_an_option_of_built_in_providers_that_have_one(
    name: str, plugins: dict[str, str], option: dict[str, str]
) -> None:
    assert device_option(find_provider(name), {name: "1"}, plugins) == option
    assert device_option(find_provider(name), {}, plugins) == {}


NOT_OF_THE_FORM = "--ortperf-device: {!r} is not of the form [EP=]DEVICE, such as cuda=1, or 1"
NO_DEVICE = (
    "--ortperf-device: {0} is no plugin provider, and takes no device that this project knows of. If it has an option "
    "for it, give that: --ortperf-ep-option={0}.KEY=VALUE"
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cpu=1", NO_DEVICE.format("cpu")),
        ("qnn=npu", NO_DEVICE.format("qnn")),
        ("PlugExecutionProvider=1", NO_DEVICE.format("PlugExecutionProvider")),
        ("gpu", NOT_OF_THE_FORM.format("gpu")),
        ("cuda=", NOT_OF_THE_FORM.format("cuda=")),
        ("=1", NOT_OF_THE_FORM.format("=1")),
    ],
)
def test_a_device_that_nothing_would_take_is_refused(text: str, message: str) -> None:
    with pytest.raises(pytest.UsageError) as caught:
        device_choices(config(device=[text]))

    assert str(caught.value) == message


def test_devices_are_chosen_by_provider_or_for_all_that_take_a_number() -> None:
    plugin = "PlugExecutionProvider=/p.so"
    chosen = device_choices(config(device=["1", "cuda=2", "ov=GPU", "PlugExecutionProvider=npu"], plugin_ep=[plugin]))

    assert {name: chosen[name] for name in ("cuda", "tensorrt", "openvino", "PlugExecutionProvider")} == {
        "cuda": "2",
        "tensorrt": "1",
        "openvino": "GPU",
        "PlugExecutionProvider": "npu",
    }
    assert "cpu" not in chosen


def test_a_device_that_nothing_would_take_ends_the_run(project: Project) -> None:
    project.models("m")

    result = project.run("--ortperf-device=cpu=1")

    assert result.exit_code == pytest.ExitCode.USAGE_ERROR
    assert f"ERROR: {NO_DEVICE.format('cpu')}" in result.err.splitlines()


def config(**given: list[str]) -> Any:
    """Return a configuration with these options and no ini file."""
    found = {f"ortperf_{name}": value for name, value in given.items()}
    return SimpleNamespace(option=SimpleNamespace(**found), getini=lambda _: None)


@pytest.mark.slow
def test_workers_take_over_what_the_controller_settled(project: Project) -> None:
    project.models("a", "b")
    project.write(
        "conftest.py",
        "import os\n"
        "import pytest_ortperf.collection.activation\n"
        "def settle(config):\n"
        "    raise AssertionError('a worker must not ask again')\n"
        "if 'PYTEST_XDIST_WORKER' in os.environ:\n"
        "    pytest_ortperf.collection.activation.settle_providers = settle\n",
    )
    result = project.run("-n", "2", "--ortperf-keep=log", "--ortperf-ep=auto")
    assert (result.exit_code, len(result.records)) == (0, 2), result.out
    folders = {record["kept"]["log"].rpartition("/")[0].rpartition("/")[0] for record in result.records}
    assert len(folders) == 1


@pytest.mark.parametrize(
    ("names", "fp16", "precisions"),
    [
        (["cuda"], False, {}),
        (["cuda-fp16"], False, {"cuda": ("fp16",)}),
        (["cuda", "cuda-fp16", "tensorrt-fp16"], False, {"cuda": (None, "fp16"), "tensorrt": ("fp16",)}),
        (["cuda", "cuda-fp16", "tensorrt-fp16"], True, {"cuda": (None, "fp16"), "tensorrt": ("fp16",)}),
        (["cpu", "cuda-as-given"], True, {"cuda": (None,)}),
        (["ORT-CUDAFp32", "ORT-CUDAFp16", "Standalone_TRT"], True, {"cuda": (None, "fp16"), "trtexec": (None,)}),
    ],
)
def test_a_provider_named_with_a_precision_has_that_and_others_have_the_run_s(
    names: list[str], precisions: dict[str, tuple[str | None, ...]], *, fp16: bool
) -> None:
    of_run = (None, "fp16") if fp16 else (None,)
    assert named_precisions(targets(names), of_run) == precisions


def test_names_of_the_original_scripts_run_with_their_precision(project: Project) -> None:
    project.models("m")

    result = project.run("--ortperf-ep=ORT-CPUFp32 CUDAExecutionProvider_fp16", "--ortperf-fp16")

    assert result.outcomes == {"m::validate[cpu]": "passed", "m::validate[cuda-fp16]": "failed"}


@pytest.mark.slow
def test_cuda_trt_has_the_program_too_where_it_is_named(project: Project) -> None:
    project.models("m")

    result = project.run("--ortperf-ep=cuda_trt", "--ortperf-trtexec=no-such-program")

    assert list(result.outcomes) == [f"m::validate[{name}]" for name in ("cpu", "cuda", "tensorrt", "trtexec")]
    assert "no-such-program" in result.records[-1]["failure"]["message"]
