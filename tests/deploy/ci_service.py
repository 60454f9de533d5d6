"""Stand-ins for what a CI service has around the shell steps of its files: expressions, actions, artifacts, programs.

The steps themselves run in bash, as they do there.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]

# `python -m venv` makes an environment whose programs are those of this one: what is installed is noted, not installed.
PYTHON = """\
#!/bin/bash
if [ "$1 $2" = "-m venv" ]; then
  mkdir -p "$3/bin"
  for name in python pip ortperf; do cp "{programs}/$name" "$3/bin/$name"; done
  exit
fi
echo "$*" >>"{log}/python"
exec "{python}" "$@"
"""
PIP = """\
#!/bin/bash
echo "$(dirname "$0") $*" >>"{log}/pip"
"""
ORTPERF = """\
#!/bin/bash
echo "$*" >>"{log}/ortperf"
case " {missing} " in *" $1 "*)
  if [ "$1" = dashboard ]; then mkdir -p "${{@: -1}}"; touch "${{@: -1}}/index.html"; fi
  if [ "$1" = history ]; then touch "${{3#--history=}}"; fi
  exit ;;
esac
exec "{python}" -m pytest_ortperf.cli "$@"
"""


def missing_commands() -> str:
    """Return the commands of `ortperf` that steps use and this version does not have."""
    return " ".join(
        name for name in ("history", "dashboard", "check") if not find_spec(f"pytest_ortperf.commands.{name}")
    )


@dataclass
class Machine:
    """A runner: a workspace, programs before all others, and what they noted."""

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for path in (self.workspace, self.programs, self.log):
            path.mkdir(parents=True)
        values = {
            "python": sys.executable,
            "programs": self.programs,
            "log": self.log,
            "missing": missing_commands(),
        }
        for name, text in (("python", PYTHON), ("python3", PYTHON), ("pip", PIP), ("ortperf", ORTPERF)):
            self.add_program(name, text.format(**values))

    @property
    def workspace(self) -> Path:
        return self.folder / "workspace"

    @property
    def programs(self) -> Path:
        return self.folder / "programs"

    @property
    def log(self) -> Path:
        return self.folder / "log"

    def add_program(self, name: str, text: str) -> None:
        path = self.programs / name
        path.write_text(text)
        path.chmod(0o755)

    def noted(self, name: str) -> list[str]:
        """Return what a program was called with."""
        path = self.log / name
        return path.read_text().splitlines() if path.exists() else []

    def bash(self, script: str, environment: Mapping[str, str], flags: str, folder: str = ".") -> int:
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("GITHUB_", "PYTEST_", "COV_"))}
        path = os.pathsep.join([str(self.programs), os.environ["PATH"]])
        paths = os.pathsep.join([str(ROOT / "src"), *filter(None, [os.environ.get("PYTHONPATH")])])
        given = {**kept, "PATH": path, "PYTHONPATH": paths, **self.environment, **environment}
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", *flags.split(), "-c", script],  # noqa: S607
            cwd=self.workspace / folder,
            env=given,
            stdin=subprocess.DEVNULL,
            check=False,
        )
        return done.returncode


Action = Callable[[Mapping[str, Any]], None]


@dataclass
class GitHub:
    """Runs the jobs of a workflow file."""

    machine: Machine
    context: dict[str, Any]
    actions: dict[str, Action]

    def run(self, workflow: Mapping[str, Any], name: str, matrix: Mapping[str, str] | None = None) -> list[str]:
        """Run a job; return the names of the steps that failed."""
        job = workflow["jobs"][name]
        context = {**self.context, "matrix": matrix or {}, "runner": {}}
        environment = self.filled(workflow.get("env", {}), context)
        environment |= self.filled(job.get("env", {}), context)
        environment |= {"GITHUB_WORKSPACE": str(self.machine.workspace)}
        failed: list[str] = []
        for step in job["steps"]:
            if not self.applies(step.get("if", "success()"), context, failed=bool(failed)):
                continue
            if "uses" in step:
                self.actions[step["uses"].partition("@")[0]](self.filled(step.get("with", {}), context))
                continue
            added = self.filled(step.get("env", {}), context)
            # expressions in a script would be code of whoever wrote their value
            assert "${{" not in step["run"]
            folder = step.get("working-directory", ".")
            if self.machine.bash(step["run"], environment | added, "-eo pipefail", folder):
                failed.append(step["name"])
        return failed

    def filled(self, values: Mapping[str, Any], context: Mapping[str, Any]) -> dict[str, str]:
        return {
            key: re.sub(r"\$\{\{ (.+?) \}\}", lambda match: str(looked_up(match[1], context)), str(value))
            for key, value in values.items()
        }

    def applies(self, condition: str, context: Mapping[str, Any], *, failed: bool) -> bool:
        text = re.sub(r"^\$\{\{ (.*) \}\}$", r"\1", condition)
        checks_status = re.search(r"\b(success|cancelled|always)\(\)", text)
        text = text.replace("!cancelled()", "True").replace("success()", str(not failed)).replace("&&", "and")
        text = re.sub(r"\bgithub[\w.]+", lambda match: repr(looked_up(match[0], context)), text)
        return bool(eval(text, {})) and (bool(checks_status) or not failed)  # noqa: S307 - of our own file


def looked_up(path: str, context: Mapping[str, Any]) -> Any:
    """Return the value of an expression such as `github.event.number`; nothing where there is none."""
    value: Any = context
    for name in path.split("."):
        value = value.get(name, "") if isinstance(value, Mapping) else ""
    return value


def copied(source: Path, target: Path) -> None:
    """Copy a file or a folder, if it is there, as artifacts are."""
    if source.is_dir():
        shutil.copytree(source, target, dirs_exist_ok=True)
    elif source.exists():
        target.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)


@dataclass
class Azure:
    """Runs the steps of a pipeline file."""

    machine: Machine
    parameters: Mapping[str, str]

    def run(self, pipeline: Mapping[str, Any]) -> list[str]:
        """Run its job; return what happened to each step: its name, or its name after a minus if it failed."""
        known = {each["name"] for each in pipeline["parameters"]}
        assert set(self.parameters) <= known
        values = {each["name"]: each.get("default") for each in pipeline["parameters"]} | dict(self.parameters)
        values = {name: value.capitalize() if value in ("true", "false") else value for name, value in values.items()}
        (job,) = pipeline["jobs"]

        def filled(text: str) -> str:
            text = re.sub(r"\$\{\{ parameters\.(\w+) \}\}", lambda match: values[match[1]], text)
            return text.replace("$(Build.BuildId)", "7")

        environment = {name: filled(value) for name, value in job["variables"].items()}
        happened: list[str] = []
        failed = False
        for step in job["steps"]:
            condition = filled(step.get("condition", "succeeded()"))
            if not self.applies(condition, failed=failed):
                continue
            if "publish" in step:
                assert (self.machine.workspace / step["publish"]).is_dir()
            if "bash" not in step:
                continue
            assert "${{" not in step["bash"]
            status = self.machine.bash(step["bash"], environment, "")
            failed = failed or status != 0
            happened.append(f"{'-' * bool(status)}{step['displayName']}")
        return happened

    def applies(self, condition: str, *, failed: bool) -> bool:
        functions = {
            "succeeded": lambda: not failed,
            "succeededOrFailed": lambda: True,
            "and_": lambda *each: all(each),
            "eq": lambda one, other: one.lower() == other.lower(),
            "ne": lambda one, other: one.lower() != other.lower(),
        }
        return bool(eval(condition.replace("and(", "and_("), functions))  # noqa: S307 - of our own file
