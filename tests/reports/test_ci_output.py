"""What GitHub Actions and Azure Pipelines are told of a run."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_ortperf.records.environment.machine_checks import Finding
from pytest_ortperf.records.store import StoredRun
from pytest_ortperf.reports.ci_output import MOST_STEP_SUMMARY, append_step_summary, ci_lines
from pytest_ortperf.reports.markdown import run_markdown
from record_examples import make_failure, make_header, make_latency, make_record, make_run

KIND = "result accuracy issue"
GITHUB = {"GITHUB_ACTIONS": "true"}
AZURE = {"TF_BUILD": "True"}
LOAD = Finding(level="warning", check="load", seen="load 3.1, 50 % busy", why="Other work", advice="end it")


def failed(message: str = "off by 50 %; see [y],\nmore", model: str = "bert") -> StoredRun:
    failure = make_failure(kind=KIND, message=message)
    records = [make_record(model, mode="validate", outcome="failed", failure=failure), make_record("gpt")]
    return make_run(records, header=make_header(machine=(LOAD,)))


def test_nothing_is_said_outside_ci() -> None:
    assert ci_lines(failed(), (), {}) == []


def test_github_gets_annotations() -> None:
    assert ci_lines(failed(), (), GITHUB) == [
        f"::error file=models.json,title=ortperf::1 failed: {KIND}: off by 50 %25; see [y],%0Avalidate[cpu]: bert",
        "::warning title=ortperf::machine: load: load 3.1, 50 %25 busy",
    ]


def test_azure_gets_issues_and_the_summary(tmp_path: Path) -> None:
    page = tmp_path / "report_1.md"
    issue = "##vso[task.logissue sourcepath=models.json;type=error]"
    assert ci_lines(failed("off by 50 %; see [y] %5D"), (tmp_path / "a.csv", page), AZURE) == [
        f"{issue}1 failed: {KIND}: off by 50 %%3B see [y%5D %AZP255D%0Avalidate[cpu%5D: bert",
        "##vso[task.logissue type=warning]machine: load: load 3.1, 50 % busy",
        f"##vso[task.uploadsummary]{page}",
    ]


@pytest.mark.parametrize("environment", [GITHUB, AZURE])
def test_a_name_or_message_is_no_command(environment: dict[str, str]) -> None:
    text = "\x1b[31mx\r::add-mask::y\n##vso[task.complete]\u202e"
    lines = ci_lines(failed(text, model=text), (), environment)
    assert all(line.isprintable() for line in lines)
    assert all(line.startswith(("::", "##vso[task.logissue")) for line in lines)
    assert len(lines) == 2


@pytest.mark.parametrize("environment", [GITHUB, AZURE])
def test_more_causes_than_are_shown_are_counted(environment: dict[str, str]) -> None:
    records = [
        make_record(f"m{number:02}", outcome="failed", failure=make_failure(message=f"cause-{number:c}"))
        for number in range(ord("a"), ord("a") + 12)
    ]
    lines = ci_lines(make_run(records), (), environment)
    assert len(lines) == 10
    assert lines[-1].endswith(
        "ortperf: 12 failed of 12 cases%3B 3 more causes stand in the log".replace(
            "%3B", "%3B" if environment is AZURE else ";"
        )
    )


def test_the_step_summary_grows_within_its_limit(tmp_path: Path) -> None:
    path = tmp_path / "summary.md"
    environment = GITHUB | {"GITHUB_STEP_SUMMARY": str(path)}
    append_step_summary(failed(), environment)
    append_step_summary(failed(), environment)
    assert path.read_text(encoding="utf-8") == f"\n{run_markdown(failed())}" * 2
    path.write_text("x" * (MOST_STEP_SUMMARY - 5000))
    records = [make_record(f"m{number}", latencies=(make_latency(1.0),)) for number in range(500)]
    append_step_summary(make_run(records), environment)
    assert MOST_STEP_SUMMARY - 2000 < path.stat().st_size <= MOST_STEP_SUMMARY
    path.write_text("x" * (MOST_STEP_SUMMARY - 1000))
    append_step_summary(failed(), environment)
    assert path.stat().st_size == MOST_STEP_SUMMARY - 1000


def test_no_step_summary_outside_github(tmp_path: Path) -> None:
    path = tmp_path / "summary.md"
    append_step_summary(failed(), {"GITHUB_STEP_SUMMARY": str(path)})
    append_step_summary(failed(), GITHUB)
    assert not path.exists()
