import pytest

from pytest_ortperf.records.codec import as_dict, from_dict
from pytest_ortperf.records.environment.host import collect_environment, recorded_environment
from pytest_ortperf.records.environment.run_header import Environment


def test_variables_that_change_measurements_are_recorded_by_name() -> None:
    recorded = {
        "CUDA_VISIBLE_DEVICES": "1",
        "NVIDIA_TF32_OVERRIDE": "0",
        "OMP_NUM_THREADS": "4",
        "ORT_TENSORRT_FP16_ENABLE": "1",
    }

    found = recorded_environment({"PATH": "/bin", "SECRET_TOKEN": "x", **dict(reversed(recorded.items()))})

    assert found == recorded
    assert list(found) == sorted(recorded)


def test_environment_holds_them_and_survives_a_results_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORT_TENSORRT_MAX_WORKSPACE_SIZE", "1073741824")

    environment = collect_environment()

    assert environment.environment_variables["ORT_TENSORRT_MAX_WORKSPACE_SIZE"] == "1073741824"
    assert from_dict(Environment, as_dict(environment)) == environment


def test_environment_of_an_older_results_file_has_none() -> None:
    old = {"cpu": None, "logical_cores": 1, "usable_cores": None, "memory_byte": None, "python": "3.11.7"}

    assert from_dict(Environment, old).environment_variables == {}
