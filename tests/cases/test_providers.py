import pytest

from pytest_ortperf.cases.providers import PROVIDERS, Provider, find_provider, find_targets, short_name
from pytest_ortperf.errors import SettingsError


@pytest.mark.parametrize("row", PROVIDERS, ids=lambda row: row.name)
def test_provider_is_found_by_both_its_names(row: Provider) -> None:
    assert find_provider(row.name) is row
    assert find_provider(row.name.upper()) is row
    assert find_provider(row.full_name) is row
    assert short_name(row.full_name) == row.name


@pytest.mark.parametrize(
    ("alias", "name"),
    [("trt", "tensorrt"), ("TRT-RTX", "nvtensorrtrtx"), ("DirectML", "dml"), ("ov", "openvino")],
)
def test_alias_finds_its_provider(alias: str, name: str) -> None:
    assert find_provider(alias).name == name


@pytest.mark.parametrize(
    ("name", "targets"),
    [
        ("cuda_trt", ["cpu", "cuda", "tensorrt"]),
        ("acl", ["cpu", "acl"]),
        ("ACL", ["acl"]),
        ("trt", ["tensorrt"]),
        ("trtexec", ["trtexec"]),
        ("TRTexec-fp16", ["trtexec-fp16"]),
        ("cuda-fp16", ["cuda-fp16"]),
        ("CUDAExecutionProvider-fp16", ["cuda-fp16"]),
        ("trt-as-given", ["tensorrt-as-given"]),
        ("trt-rtx-fp16", ["nvtensorrtrtx-fp16"]),
        ("MyExecutionProvider-fp16", ["MyExecutionProvider-fp16"]),
    ],
)
def test_name_asks_for_a_provider_a_group_or_a_provider_in_a_precision(name: str, targets: list[str]) -> None:
    assert [target.name for target in find_targets(name)] == targets


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("ORT-CPUFp32", "cpu-as-given"),
        ("ORT-CUDAFp32", "cuda-as-given"),
        ("ort-cudafp16", "cuda-fp16"),
        ("ORT-TRTFp32", "tensorrt-as-given"),
        ("ORT-TRTFp16", "tensorrt-fp16"),
        ("ORT-ACLFp32", "acl-as-given"),
        ("TRTFp32", "trtexec-as-given"),
        ("TRTFp16", "trtexec-fp16"),
        ("CPUExecutionProvider", "cpu"),
        ("TensorrtExecutionProvider", "tensorrt"),
        ("CUDAExecutionProvider_fp16", "cuda-fp16"),
        ("TensorrtExecutionProvider_fp16", "tensorrt-fp16"),
        ("Standalone_TRT", "trtexec-as-given"),
        ("Standalone_TRT_fp16", "trtexec-fp16"),
    ],
)
def test_each_name_of_the_original_scripts_finds_its_target(name: str, target: str) -> None:
    assert [each.name for each in find_targets(name)] == [target]
    assert find_targets(target) == find_targets(name)


@pytest.mark.parametrize(("text", "precision"), [("cuda-fp32", "fp32"), ("trt-bf16", "bf16"), ("cpu-int8", "int8")])
def test_a_precision_that_no_case_can_have_says_which_there_are(text: str, precision: str) -> None:
    name = text.partition("-")[0]
    with pytest.raises(SettingsError) as caught:
        find_targets(text)
    assert str(caught.value) == (
        f"--ortperf-ep: {text!r}: a case runs the model as given, or an fp16 variant of it; write '{name}-as-given' or "
        f"'{name}-fp16'. A model that is stored in {precision} has it as given"
    )


def test_tables_only_point_at_rows_that_exist() -> None:
    names = {row.name for row in PROVIDERS}
    full_names = {row.full_name for row in PROVIDERS}
    aliases = [alias for row in PROVIDERS for alias in row.aliases]

    assert len(names) == len(full_names) == len(PROVIDERS)
    assert {name for row in PROVIDERS for name in (row.reference, *row.also_against)} <= names
    assert {name for row in PROVIDERS for name in row.companions} <= full_names
    assert len(set(aliases) - names) == len(aliases)
    assert all(alias == alias.lower() for alias in aliases)


def test_tensorrt_is_measured_against_cuda_which_takes_what_it_leaves() -> None:
    row = find_provider("tensorrt")

    assert (row.reference, row.companions) == ("cuda", ("CUDAExecutionProvider",))


def test_full_name_that_is_not_known_is_a_provider_of_its_own() -> None:
    row = find_provider("MyPluginExecutionProvider")

    assert row == Provider("MyPluginExecutionProvider", "MyPluginExecutionProvider", "any", "cpu", ())
    assert short_name("MyPluginExecutionProvider") == "MyPluginExecutionProvider"


@pytest.mark.parametrize(
    ("text", "near"),
    [
        ("cudda", "; did you mean 'cuda'?"),
        ("", "."),
        ("my-ExecutionProvider", "."),
        ("cuda ", "; did you mean 'cuda'?"),
    ],
)
def test_unknown_name_lists_the_known(text: str, near: str) -> None:
    with pytest.raises(SettingsError) as caught:
        find_provider(text)

    assert str(caught.value) == (
        f"--ortperf-ep: unknown execution provider {text!r}{near} Known names: auto, acl, armnn, cann, coreml, "
        "cpu, cuda, cuda_trt, dml, dnnl, migraphx, nvtensorrtrtx, openvino, qnn, rocm, tensorrt, trtexec, vitisai, "
        "webgpu, xnnpack; or give a full name that ends in ExecutionProvider. '-fp16' or '-as-given' behind a name "
        "asks for that precision alone."
    )
