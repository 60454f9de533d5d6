"""The workflows for GitHub Actions: valid, and each shell step does what it is there for."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.ci_service import ROOT, GitHub, Machine, copied
from model_examples import relu

WORKFLOWS = sorted((ROOT / "deploy/github").glob("*.yml"))

# Keeps pull requests, comments and release files in a folder, and answers as GitHub's program does.
GH = """\
#!{python}
import json, pathlib, shutil, sys
state = pathlib.Path({state!r})
data = json.loads((state / "state.json").read_text())
words = sys.argv[1:]
def option(name):
    return words[words.index(name) + 1] if name in words else None
if words[0] == "api":
    path = next(word for word in words[1:] if word.startswith("repos/")).removeprefix("repos/owner/project/")
    body = (option("--raw-field") or "").removeprefix("body=")
    method = option("--method") or "GET"
    if method == "GET" and path.startswith("pulls/"):
        print(json.dumps(data["pulls"][path.split("/")[1]]))
    elif method == "GET":
        print(json.dumps(data["comments"]))
    elif method == "POST":
        user = {{"login": "github-actions[bot]"}}
        data["comments"].append({{"id": len(data["comments"]), "user": user, "body": body, "path": path}})
    else:
        data["comments"][int(path.split("/")[-1])]["body"] = body
elif words[:2] == ["release", "view"]:
    sys.exit(words[2] not in data["releases"])
elif words[:2] == ["release", "create"]:
    data["releases"].append(words[2])
elif words[:2] == ["release", "download"]:
    shutil.copy(state / option("--pattern"), ".")
elif words[:2] == ["release", "upload"]:
    shutil.copy(words[3], state)
else:
    sys.exit("unknown: " + " ".join(words))
(state / "state.json").write_text(json.dumps(data))
"""


def read(name: str) -> Any:
    return yaml.safe_load((ROOT / "deploy/github" / name).read_text())


def test_the_workflows_are_valid() -> None:
    pytest.importorskip("check_jsonschema")
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows", *WORKFLOWS]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "ok -- validation done")


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_may_do_no_more_than_it_has_to(path: Path) -> None:
    workflow = read(path.name)
    steps = [step for job in workflow["jobs"].values() for step in job["steps"]]
    assert all("@v" in step["uses"] and step["uses"].count(".") == 2 for step in steps if "uses" in step)
    assert all(step["with"]["persist-credentials"] is False for step in steps if "checkout" in step.get("uses", ""))
    assert workflow["permissions"] in ({}, {"contents": "read"})
    # PyYAML reads the key `on` as true
    if "workflow_run" in workflow[True]:
        assert not any("checkout" in step.get("uses", "") for step in steps)
        assert workflow[True]["workflow_run"]["workflows"] == [read("ortperf.yml")["name"]]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    machine = Machine(tmp_path / "runner")
    state = tmp_path / "github"
    state.mkdir()
    (state / "state.json").write_text(
        json.dumps({"pulls": {"12": {"head": {"sha": "c0ffee"}}}, "comments": [], "releases": []})
    )
    machine.add_program("gh", GH.format(python=sys.executable, state=str(state)))
    machine.environment = {"ORTPERF_LOCKS": str(tmp_path / "locks")}
    return machine


def stored(machine: Machine) -> Any:
    return json.loads((machine.folder.parent / "github/state.json").read_text())


def write_project(folder: Path, name: str = "relu") -> None:
    relu(folder / "relu.onnx", (2, 3))
    (folder / "requirements.txt").write_text("pytest-ortperf[cpu]\n")
    (folder / "models.json").write_text(json.dumps({"models": [{"name": name, "path": "relu.onnx"}]}))


def service(machine: Machine, event: dict[str, Any], artifacts: Path) -> GitHub:
    def checkout(given: Any) -> None:
        write_project(machine.workspace / given.get("path", "."))

    def upload(given: Any) -> None:
        copied(machine.workspace / given["path"], artifacts / given["name"])

    def download(given: Any) -> None:
        if "name" in given:
            copied(artifacts / given["name"], machine.workspace / given["path"])
            return
        for source in artifacts.glob(given["pattern"]):
            copied(source, machine.workspace / given["path"] / source.name)

    actions = {
        "actions/checkout": checkout,
        "actions/setup-python": lambda _: None,
        "actions/upload-artifact": upload,
        "actions/download-artifact": download,
        "actions/upload-pages-artifact": lambda given: copied(machine.workspace / given["path"], artifacts / "pages"),
        "actions/deploy-pages": lambda _: None,
    }
    return GitHub(machine, {"github": event}, actions)


QUICK = "--ortperf-iterations=5 --ortperf-warmup=1 --ortperf-env=off"


@pytest.mark.slow
def test_a_pull_request_is_run_compared_and_left_for_the_comment(machine: Machine, tmp_path: Path) -> None:
    workflow = read("ortperf.yml")
    workflow["env"] |= {"RUN_OPTIONS": QUICK, "AB_OPTIONS": "--screen-pairs=1 --confirm-pairs=1 --pair-time=0.1"}
    pull = {"number": 12, "base": {"sha": "beef"}}
    github = service(machine, {"event_name": "pull_request", "event": {"pull_request": pull}}, tmp_path / "artifacts")
    assert github.run(workflow, "run") == []
    assert machine.noted("pip") == [
        "base-env/bin install --quiet -r base/requirements.txt",
        "head-env/bin install --quiet -r head/requirements.txt",
    ]
    result = tmp_path / "artifacts/ortperf-result"
    assert {"junit.xml", "comparison.md", "comparison.html"} <= {path.name for path in result.iterdir()}
    assert len(list(result.glob("records_*.jsonl"))) == 1
    comment = tmp_path / "artifacts/ortperf-comment"
    assert (comment / "number").read_text() == "12\n"
    text = (comment / "comment.md").read_text()
    assert "### ortperf: 2 passed of 2 cases" in text
    assert (result / "comparison.md").read_text() in text


@pytest.mark.slow
def test_a_failing_run_still_leaves_results(machine: Machine, tmp_path: Path) -> None:
    workflow = read("ortperf.yml")
    workflow["env"] |= {"RUN_OPTIONS": f"{QUICK} --ortperf-timeout=0.001"}
    github = service(machine, {"event_name": "push", "event": {}}, tmp_path / "artifacts")
    assert github.run(workflow, "run") == ["Run"]
    assert list((tmp_path / "artifacts").iterdir()) == [tmp_path / "artifacts/ortperf-result"]
    assert not (machine.workspace / "base").exists()


def comment(
    machine: Machine, tmp_path: Path, *, number: str = "12", sha: str = "c0ffee", text: str = "found"
) -> list[str]:
    """Run the commenting workflow on an artifact; return the steps that failed."""
    artifact = tmp_path / "artifacts/ortperf-comment"
    artifact.mkdir(parents=True, exist_ok=True)
    (artifact / "number").write_text(f"{number}\n")
    (artifact / "comment.md").write_text(text)
    event = {"workflow_run": {"id": 1, "event": "pull_request", "head_sha": sha}}
    github = service(
        machine, {"repository": "owner/project", "token": "secret", "event": event}, tmp_path / "artifacts"
    )
    return github.run(read("ortperf-comment.yml"), "comment")


needs_jq = pytest.mark.skipif(shutil.which("jq") is None, reason="jq is not installed")


@needs_jq
def test_a_pull_request_gets_one_comment_that_is_renewed(machine: Machine, tmp_path: Path) -> None:
    assert comment(machine, tmp_path, text="first") == []
    assert comment(machine, tmp_path, text="second for @somebody") == []
    (only,) = stored(machine)["comments"]
    assert only["path"] == "issues/12/comments"
    assert only["body"] == "<!-- ortperf -->\nsecond for @\u200bsomebody"


@needs_jq
def test_a_comment_of_somebody_else_is_left_alone(machine: Machine, tmp_path: Path) -> None:
    state = stored(machine)
    state["comments"] = [{"id": 0, "user": {"login": "mallory"}, "body": "<!-- ortperf -->\nmine"}]
    (tmp_path / "github/state.json").write_text(json.dumps(state))
    assert comment(machine, tmp_path) == []
    assert [each["body"] for each in stored(machine)["comments"]] == [
        "<!-- ortperf -->\nmine",
        "<!-- ortperf -->\nfound",
    ]


@needs_jq
@pytest.mark.parametrize(
    ("number", "sha", "failed"),
    [("12; rm -rf .", "c0ffee", ["Comment"]), ("", "c0ffee", ["Comment"]), ("12", "another", [])],
)
def test_what_a_fork_claims_is_not_believed(
    number: str, sha: str, failed: list[str], machine: Machine, tmp_path: Path
) -> None:
    assert comment(machine, tmp_path, number=number, sha=sha) == failed
    assert stored(machine)["comments"] == []


@needs_jq
def test_a_long_comment_fits(machine: Machine, tmp_path: Path) -> None:
    assert comment(machine, tmp_path, text="\u00e4" * 40_000 + "x") == []
    (only,) = stored(machine)["comments"]
    assert only["body"] == "<!-- ortperf -->\n" + "\u00e4" * 32_000


@pytest.mark.slow
def test_a_night_adds_each_group_to_the_history_and_publishes_it(machine: Machine, tmp_path: Path) -> None:
    workflow = read("ortperf-nightly.yml")
    artifacts = tmp_path / "artifacts"
    github = service(machine, {"repository": "owner/project", "token": "secret"}, artifacts)
    matrix = workflow["jobs"]["run"]["strategy"]["matrix"]["group"]
    workflow["jobs"]["run"]["env"] |= {"PROVIDERS": "cpu", "RUN_OPTIONS": QUICK}
    for group in matrix:
        models = machine.workspace / "models"
        write_project(models, group)
        (models / "models.json").rename(models / f"{group}.json")
        assert github.run(workflow, "run", {"group": group}) == []
    assert sorted(path.name for path in artifacts.iterdir()) == [f"ortperf-result-{group}" for group in sorted(matrix)]
    shutil.rmtree(machine.workspace)
    for _ in range(2):
        machine.workspace.mkdir()
        assert github.run(workflow, "publish") == []
        shutil.rmtree(machine.workspace)
    assert stored(machine)["releases"] == ["ortperf-history"]
    assert (tmp_path / "github/history.db").is_file()
    assert (artifacts / "ortperf-history/history.db").is_file()
    assert (artifacts / "pages/index.html").is_file()
