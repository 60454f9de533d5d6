"""A row of the table is all that a provider needs."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from plugin.project import Project
from pytest_ortperf.cases import providers
from pytest_ortperf.cases.matrix import Case
from pytest_ortperf.cases.model import Model
from pytest_ortperf.cases.provider_option_tables import OptionTable, ProviderOption
from pytest_ortperf.cases.providers import Provider, find_provider
from pytest_ortperf.execution.case_settings import ExecutionSettings
from pytest_ortperf.execution.session.resolved_options import lower_precisions, provider_options
from pytest_ortperf.records.environment.run_header import GpuFact
from pytest_ortperf.reports.tables.columns import device_name
from pytest_ortperf.reports.tables.gains import Gain, Gains
from record_examples import make_environment, make_header, make_latency, make_record

ROW = """
from pytest_ortperf.cases import providers
from pytest_ortperf.cases.provider_option_tables import OptionTable, ProviderOption

providers.PROVIDERS += (
    providers.Provider(
        "toy",
        "ToyExecutionProvider",
        "gpu",
        reference="cuda",
        aliases=("play",),
        groups=("toys",),
        options=OptionTable("yes", "no", {"level": ProviderOption("level", "int", "0", low=0, high=3)}),
        device_option="device_id",
    ),
)
"""
"""As if it stood in the file: loaded before the plugin."""


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> Provider:
    row = Provider(
        "toy",
        "ToyExecutionProvider",
        "gpu",
        reference="cuda",
        companions=("CUDAExecutionProvider",),
        options=OptionTable("yes", "no", {"fast": ProviderOption("fast", "bool", "no")}),
        device_option="card",
        nvidia=True,
        lower_precisions=("tf32",),
    )
    monkeypatch.setattr(providers, "PROVIDERS", (*providers.PROVIDERS, row))
    return row


@pytest.mark.parametrize("name", ["toy", "play", "ToyExecutionProvider", "toys"])
def test_it_is_collected_by_each_of_its_names(project: Project, name: str) -> None:
    project.write("row.py", ROW)
    project.models("m")

    result = project.run("-p", "row", "--collect-only", "-q", f"--ortperf-ep={name}", "--ortperf-device=play=1")

    assert [line for line in result.out.splitlines() if "::" in line] == ["models.json::m::validate[toy]"]


def test_its_options_are_checked_by_its_table(project: Project) -> None:
    project.write("row.py", ROW)
    project.models("m")

    result = project.run("-p", "row", "--collect-only", "--ortperf-ep=toy", "--ortperf-ep-option=play.level=4")

    assert result.exit_code == pytest.ExitCode.USAGE_ERROR
    assert (
        "ERROR: --ortperf-ep-option: toy option 'level' is '4'; it must be a whole number from 0 to 3\n" in result.err
    )


def test_its_cases_say_under_its_name_that_this_onnxruntime_lacks_it(project: Project) -> None:
    project.write("row.py", ROW)
    project.models("m")

    result = project.run("-p", "row", "--ortperf-ep=play", "--ortperf-device=1")

    (record,) = result.records
    assert (record["case_id"], record["provider"], record["provider_full_name"]) == (
        "m::validate[toy]",
        "toy",
        "ToyExecutionProvider",
    )
    assert record["failure"]["kind"] == "provider unavailable"


def test_it_gets_its_device_and_its_options_in_its_own_spelling(toy: Provider) -> None:
    model = Model(name="m", path=Path("m.onnx"), origin="here", ep_options={"toy": {"fast": "1"}})
    case = Case(model=model, mode="benchmark", provider=find_provider("toy"), precision=None)

    options = provider_options(case, ExecutionSettings(devices={"toy": "2"}), b"")

    assert options == {"ToyExecutionProvider": {"card": "2", "fast": "yes"}, "CUDAExecutionProvider": {}}
    assert lower_precisions(toy, {}, "fp32") == ("tf32",)
    assert lower_precisions(dataclasses.replace(toy, lower_precisions=()), {}, "fp32") == ()


@pytest.mark.usefixtures("toy")
def test_its_gains_are_against_its_reference_and_its_device_is_named() -> None:
    toy = make_record(provider="toy", latencies=(make_latency(1.0),))
    cuda = make_record(provider="cuda", latencies=(make_latency(4.0),))
    cpu = make_record(provider="cpu", latencies=(make_latency(8.0),))

    assert Gains(make_header(), [cpu, cuda, toy]).of(toy) == Gain(percent=75.0, reference="cuda", timing="host")
    assert device_name(toy, make_environment(gpus=(GpuFact(index=0, name="NVIDIA H100"),))) == "NVIDIA H100"
