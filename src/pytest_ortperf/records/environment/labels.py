"""Labels of a run: branch, commit, date, url; given, or from the CI's variables, or from git."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pytest_ortperf.errors import SettingsError

_GIT_TIMEOUT_S = 5
_NAME = re.compile(r"[A-Za-z_][\w.-]*")
_BRANCH_PREFIX = re.compile(r"refs/(?:heads|tags)/|origin/")


@dataclass(frozen=True, slots=True)
class _Ci:
    """A CI service: the variable it always sets, and where it says what; the first of several counts."""

    marker: str
    branch: tuple[str, ...]
    commit: str
    url: str
    """Format string over its variables."""

    date: str = ""


_CI_SERVICES = (
    _Ci(
        "GITHUB_ACTIONS",
        ("GITHUB_HEAD_REF", "GITHUB_REF_NAME"),
        "GITHUB_SHA",
        "{GITHUB_SERVER_URL}/{GITHUB_REPOSITORY}/actions/runs/{GITHUB_RUN_ID}",
    ),
    _Ci(
        "GITLAB_CI",
        ("CI_MERGE_REQUEST_SOURCE_BRANCH_NAME", "CI_COMMIT_REF_NAME"),
        "CI_COMMIT_SHA",
        "{CI_JOB_URL}",
        "CI_COMMIT_TIMESTAMP",
    ),
    _Ci(
        "TF_BUILD",
        ("SYSTEM_PULLREQUEST_SOURCEBRANCH", "BUILD_SOURCEBRANCH"),
        "BUILD_SOURCEVERSION",
        "{SYSTEM_COLLECTIONURI}{SYSTEM_TEAMPROJECT}/_build/results?buildId={BUILD_BUILDID}",
    ),
    _Ci("BUILDKITE", ("BUILDKITE_BRANCH",), "BUILDKITE_COMMIT", "{BUILDKITE_BUILD_URL}"),
    _Ci("CIRCLECI", ("CIRCLE_BRANCH",), "CIRCLE_SHA1", "{CIRCLE_BUILD_URL}"),
    _Ci("JENKINS_URL", ("CHANGE_BRANCH", "BRANCH_NAME", "GIT_BRANCH"), "GIT_COMMIT", "{BUILD_URL}"),
)


def collect_labels(given: Sequence[str], root: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """Return `branch`, `commit`, `date` (of the commit), `url` as far as known, and every label given.

    Args:
        given: `NAME=VALUE` pairs; they win, the last of a name over those before it.
        root: A folder of the repository to ask git about, where no CI service tells.
        environ: The environment variables.

    Raises:
        SettingsError: If a pair has no `=` or no usable name.
    """
    labels: dict[str, str] = {}
    asked = parse_labels(given)
    for source in (git_labels(root, environ), ci_labels(environ), asked):
        if source.get("commit", labels.get("commit")) != labels.get("commit"):
            labels.pop("date", None)  # it is another commit's
        labels.update(source)
    return labels


def parse_labels(given: Sequence[str]) -> dict[str, str]:
    """Return the labels of `NAME=VALUE` pairs.

    Raises:
        SettingsError: If a pair has no `=` or no usable name.
    """
    labels = {}
    for pair in given:
        name, equals, value = pair.partition("=")
        if not equals or not _NAME.fullmatch(name):
            raise SettingsError(
                f"--ortperf-label: {pair!r} is no NAME=VALUE pair. A name is letters, digits, '_', '.' "
                f"and '-', the first a letter; write for instance --ortperf-label branch=main."
            )
        labels[name] = value
    return labels


def ci_labels(environ: Mapping[str, str]) -> dict[str, str]:
    """Return what the variables of the CI service tell; nothing outside of one."""
    for service in _CI_SERVICES:
        if environ.get(service.marker):
            return _of_service(service, environ)
    return {}


def git_labels(root: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """Return what git tells about HEAD; nothing without git, repository or commit; no branch if detached."""
    commit, _, date = _git(root, environ, "log", "-1", "--format=%H%n%cI").partition("\n")
    if not commit:
        return {}
    branch = _git(root, environ, "symbolic-ref", "--quiet", "--short", "HEAD")
    return {"branch": branch, "commit": commit, "date": date} if branch else {"commit": commit, "date": date}


def _of_service(service: _Ci, environ: Mapping[str, str]) -> dict[str, str]:
    branch = next((environ[name] for name in service.branch if environ.get(name)), "")
    labels = {
        "branch": _BRANCH_PREFIX.sub("", branch, count=1),
        "commit": environ.get(service.commit, "").removeprefix("HEAD"),  # Buildkite's word before the checkout
        "date": environ.get(service.date, ""),
        "url": _filled(service.url, environ),
    }
    return {name: value for name, value in labels.items() if value}


def _filled(template: str, environ: Mapping[str, str]) -> str:
    """Return the template with its variables, or nothing where one is missing."""
    names = re.findall(r"\{(\w+)\}", template)
    return template.format_map(environ) if all(environ.get(name) for name in names) else ""


def _git(root: Path, environ: Mapping[str, str], *arguments: str) -> str:
    """Return the output of git, or nothing if it is absent, too slow or says no."""
    command = ["git", "-C", str(root), *arguments]
    try:
        done = subprocess.run(  # noqa: S603 - the arguments are ours
            command,
            env={**environ, "GIT_OPTIONAL_LOCKS": "0"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=True,
            timeout=_GIT_TIMEOUT_S,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.decode("utf-8", "replace").strip()
