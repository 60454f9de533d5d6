from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from pytest_ortperf.errors import SettingsError
from pytest_ortperf.records.environment.labels import ci_labels, collect_labels, git_labels

GIT = {
    "PATH": os.environ["PATH"],
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": "A",
    "GIT_AUTHOR_EMAIL": "a@b.c",
    "GIT_COMMITTER_NAME": "A",
    "GIT_COMMITTER_EMAIL": "a@b.c",
    "GIT_COMMITTER_DATE": "2026-01-02T03:04:05+01:00",
}
DATE = "2026-01-02T03:04:05+01:00"


def git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(command, env=GIT, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    git(tmp_path, "init", "-b", "feature/x")
    git(tmp_path, "commit", "--allow-empty", "-m", "first")
    return tmp_path


def test_git_tells_branch_commit_and_its_date(repository: Path) -> None:
    commit = git(repository, "rev-parse", "HEAD")
    below = repository / "models"
    below.mkdir()
    assert git_labels(below, GIT) == {"branch": "feature/x", "commit": commit, "date": DATE}


def test_a_detached_head_has_no_branch(repository: Path) -> None:
    git(repository, "checkout", "--detach")
    assert git_labels(repository, GIT) == {"commit": git(repository, "rev-parse", "HEAD"), "date": DATE}


def test_no_repository_no_commit_and_no_git_give_nothing(tmp_path: Path, repository: Path) -> None:
    outside = {**GIT, "GIT_CEILING_DIRECTORIES": str(tmp_path)}
    empty = tmp_path / "empty"
    empty.mkdir()
    assert git_labels(empty, outside) == {}
    git(empty, "init")
    assert git_labels(empty, GIT) == {}
    assert git_labels(tmp_path / "missing", GIT) == {}
    assert git_labels(repository, {**GIT, "PATH": str(empty)}) == {}


def test_given_labels_win_over_ci_and_ci_over_git(repository: Path) -> None:
    commit = git(repository, "rev-parse", "HEAD")
    environ = {**GIT, "BUILDKITE": "true", "BUILDKITE_BRANCH": "b", "BUILDKITE_COMMIT": "HEAD"}
    assert collect_labels(["branch=main", "gpu=H100=big", "gpu=", "branch=dev"], repository, environ) == {
        "branch": "dev",
        "commit": commit,
        "date": DATE,
        "gpu": "",
    }


@pytest.mark.parametrize("source", ["given", "ci"])
def test_a_commit_does_not_get_the_date_of_another(repository: Path, source: str) -> None:
    environ = {**GIT, "CIRCLECI": "true", "CIRCLE_SHA1": "abc"} if source == "ci" else GIT
    given = ["commit=abc"] if source == "given" else []
    assert collect_labels(given, repository, environ) == {"branch": "feature/x", "commit": "abc"}
    assert collect_labels([*given, "date=today"], repository, environ)["date"] == "today"


@pytest.mark.parametrize("pair", ["branch", "=main", "a b=c", "1=c", ""])
def test_what_is_no_pair_is_refused(tmp_path: Path, pair: str) -> None:
    with pytest.raises(SettingsError) as caught:
        collect_labels([pair], tmp_path, {})
    assert str(caught.value) == (
        f"--ortperf-label: {pair!r} is no NAME=VALUE pair. A name is letters, digits, '_', '.' and '-', "
        f"the first a letter; write for instance --ortperf-label branch=main."
    )


CI = {
    "GitHub, push": (
        {
            "GITHUB_ACTIONS": "true",
            "GITHUB_HEAD_REF": "",
            "GITHUB_REF_NAME": "main",
            "GITHUB_SHA": "c0",
            "GITHUB_SERVER_URL": "https://github.com",
            "GITHUB_REPOSITORY": "a/b",
            "GITHUB_RUN_ID": "7",
        },
        {"branch": "main", "commit": "c0", "url": "https://github.com/a/b/actions/runs/7"},
    ),
    "GitHub, pull request": (
        {
            "GITHUB_ACTIONS": "true",
            "GITHUB_HEAD_REF": "fix",
            "GITHUB_REF_NAME": "5/merge",
            "GITHUB_SHA": "c0",
        },
        {"branch": "fix", "commit": "c0"},
    ),
    "GitLab": (
        {
            "GITLAB_CI": "true",
            "CI_COMMIT_REF_NAME": "main",
            "CI_COMMIT_SHA": "c1",
            "CI_COMMIT_TIMESTAMP": "2026-01-01T00:00:00+00:00",
            "CI_JOB_URL": "https://gitlab.com/j/1",
        },
        {
            "branch": "main",
            "commit": "c1",
            "date": "2026-01-01T00:00:00+00:00",
            "url": "https://gitlab.com/j/1",
        },
    ),
    "Azure Pipelines": (
        {
            "TF_BUILD": "True",
            "BUILD_SOURCEBRANCH": "refs/heads/main",
            "BUILD_SOURCEVERSION": "c2",
            "SYSTEM_COLLECTIONURI": "https://dev.azure.com/o/",
            "SYSTEM_TEAMPROJECT": "p",
            "BUILD_BUILDID": "9",
        },
        {"branch": "main", "commit": "c2", "url": "https://dev.azure.com/o/p/_build/results?buildId=9"},
    ),
    "Jenkins": (
        {
            "JENKINS_URL": "https://j",
            "GIT_BRANCH": "origin/main",
            "GIT_COMMIT": "c3",
            "BUILD_URL": "https://j/1",
        },
        {"branch": "main", "commit": "c3", "url": "https://j/1"},
    ),
    "Buildkite": (
        {
            "BUILDKITE": "true",
            "BUILDKITE_BRANCH": "main",
            "BUILDKITE_COMMIT": "c4",
            "BUILDKITE_BUILD_URL": "https://buildkite.com/1",
        },
        {"branch": "main", "commit": "c4", "url": "https://buildkite.com/1"},
    ),
    "CircleCI": (
        {
            "CIRCLECI": "true",
            "CIRCLE_BRANCH": "main",
            "CIRCLE_SHA1": "c5",
            "CIRCLE_BUILD_URL": "https://circleci.com/1",
        },
        {"branch": "main", "commit": "c5", "url": "https://circleci.com/1"},
    ),
    "none": ({"GITHUB_SHA": "left over"}, {}),
}


@pytest.mark.parametrize("service", CI)
def test_ci_variables_are_labels(service: str) -> None:
    environ, labels = CI[service]
    assert ci_labels(environ) == labels
