"""Provider options of the command line are read and checked before anything runs."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pytest_ortperf.settings import options
from pytest_ortperf.settings import run_settings as settings


def config(*texts: str) -> Any:
    return SimpleNamespace(option=SimpleNamespace(ortperf_ep_option=list(texts)))


def test_options_are_read_by_provider_and_written_as_its_parser_takes_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "installed_onnxruntime", lambda: "1.31.1")

    found = settings.ep_options(config("trt.trt_fp16_enable=1", "cuda.use_tf32=False", "ov.device_type=AUTO:GPU,CPU"))

    assert found == {
        "tensorrt": {"trt_fp16_enable": "True"},
        "cuda": {"use_tf32": "0"},
        "openvino": {"device_type": "AUTO:GPU,CPU"},
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cuda.use_tf=0", "--ortperf-ep-option: unknown cuda option 'use_tf'; did you mean 'use_tf32'?"),
        (
            "cuda.use_tf32=maybe",
            "--ortperf-ep-option: cuda option 'use_tf32' is 'maybe'; it must be true, false, 1 or 0",
        ),
        (
            "cuda=1",
            "--ortperf-ep-option: 'cuda=1' is not of the form EP.KEY=VALUE, such as cuda.use_tf32=0",
        ),
    ],
)
def test_option_that_cannot_be_used_is_a_usage_error(text: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "installed_onnxruntime", lambda: "1.31.1")

    with pytest.raises(pytest.UsageError) as caught:
        settings.ep_options(config(text))

    assert str(caught.value) == message


def cache_config(mode: str | None, **worker: Any) -> Any:
    return SimpleNamespace(
        option=SimpleNamespace(ortperf_trt_cache=mode), getini=lambda _: None, stash=pytest.Stash(), **worker
    )


def test_engines_of_a_run_have_a_folder_that_nobody_else_can_have_made() -> None:
    controller = cache_config(None)
    one, two = settings.run_cache_folder(controller), settings.run_cache_folder(cache_config("run"))

    assert isinstance(one, Path)
    assert one != two
    assert not one.exists()
    assert settings.run_cache_folder(controller) == one
    assert settings.run_cache_folder(cache_config("persistent")) is None
    assert settings.run_cache_folder(cache_config("off")) is None


def test_workers_keep_engines_where_the_controller_removes_them() -> None:
    controller = cache_config("run")
    told: dict[str, Any] = {}
    folder = settings.run_cache_folder(controller)
    options.tell_worker(controller, told)

    assert settings.run_cache_folder(cache_config("run", workerinput=told)) == folder
