"""One run: its settings, how items are isolated, and what is collected. Registered as a plugin where we are active."""

from __future__ import annotations

import marshal
import shlex
from collections.abc import Iterable
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_ortperf import options
from pytest_ortperf.activation import is_worker
from pytest_ortperf.dimension_check import DimensionCheck
from pytest_ortperf.nodes import CaseItem, ModelDirectory, ModelListFile, source_id
from pytest_ortperf.provider_choice import left_out_key
from pytest_ortperf.records.host import onnxruntime_distributions
from pytest_ortperf.settings import RunSettings, read_settings

if TYPE_CHECKING:
    from pytest_ortperf.execution.facts import Journal


NOTES_FOLDER = "notes_folder"
"""Name under which workers find the folder that they write their notes to."""

_NOT_AGAIN = frozenset(
    {"mode", "models", "ep", "fp16", "dim", "reference-ep", "results", "label", "baseline", "fail-on", "paired"}
)
"""Options that the command of one case names itself, or that do not change it."""

_NOT_OF_A_CASE = frozenset(
    {
        *("iterations", "warmup", "precision-target", "min-time", "max-time", "samples", "timing", "concurrency"),
        *("rotate-inputs", "operators", "track-memory", "env", "retry-failed"),
        *("isolation", "keep", "progress", "paired"),
    }
)
"""Options that change nothing about what a case computes."""


def start(config: pytest.Config) -> None:
    """Register what an active run consists of."""
    run = Run(config)
    config.pluginmanager.register(run, "ortperf-run")
    if config.option.collectonly:
        return
    from pytest_ortperf.isolation import runner_for

    # the recorder first: hooks run in the reverse order, and it has to see a crash as the runner has amended it
    if not is_worker(config):
        from pytest_ortperf.machine_gate import MachineGate
        from pytest_ortperf.progress import NAME, ProgressLine
        from pytest_ortperf.recorder import Recorder

        config.pluginmanager.register(ProgressLine(config), NAME)
        config.pluginmanager.register(MachineGate(run), "ortperf-machine")
        config.pluginmanager.register(Recorder(run), "ortperf-recorder")
        config.pluginmanager.register(DimensionCheck(run.settings.axes.dims), "ortperf-dimension-check")
    config.pluginmanager.register(runner_for(run), "ortperf-isolation")


class Run:
    """Settings and collection of one pytest invocation."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.settings: RunSettings = read_settings(config)
        self.forked_problem = pytest_forked_problem(config)
        self._sources = set(self.settings.models)
        self._sources_given = options.given(config, "models") is not None
        self._tags: set[str] = set()

    @cached_property
    def journal(self) -> Journal:
        """Of the item that runs in this process or its child."""
        from pytest_ortperf.execution.facts import Journal

        return Journal(captures=self.runner != "none", notes=self.notes_path)

    @property
    def notes_path(self) -> Path | None:
        """Where the controller reads what the cases of this worker note, if it shows progress."""
        folder = options.handed_on(self.config, NOTES_FOLDER, "")
        return Path(folder, self.worker) if folder and self.worker else None

    @cached_property
    def runner(self) -> str:
        """What keeps items apart: `pytest-forked`, `own runner`, `pool` or `none`; see `runner_of`."""
        if self.settings.isolation != "forked":
            return self.settings.isolation
        return "own runner" if self.forked_problem else "pytest-forked"

    def runner_of(self, item: CaseItem) -> str:
        """What keeps this item apart.

        Validations are many and small, and nothing is timed: our own runner forks for the next one while the last
        still runs. pytest-forked takes what is measured, and all items where `--forked` or a marker asks for it.
        """
        asked = item.case.mode != "validate" or any(mark.name == "forked" for mark in item.own_markers)
        if self.runner == "pytest-forked" and not asked and not self.config.getoption("forked"):
            return "own runner"
        return self.runner

    @property
    def worker(self) -> str | None:
        """Name of this pytest-xdist worker."""
        return self.config.workerinput["workerid"] if is_worker(self.config) else None  # type: ignore[attr-defined]

    def register_tags(self, tags: Iterable[str]) -> None:
        """Make tags known markers, so that `-m` and `--strict-markers` take them."""
        for tag in set(tags) - self._tags:
            self.config.addinivalue_line("markers", f"{tag}: tag of the model list")
            self._tags.add(tag)

    def rerun_command(self, item: CaseItem) -> str:
        """Return a command that runs one item again, from where pytest was started."""
        source = item.parent.parent.path  # type: ignore[union-attr]
        here = self.config.invocation_params.dir
        path = source.relative_to(here) if source.is_relative_to(here) else source
        models = [] if path.suffix == ".json" else [f"--ortperf-models={path}"]
        mode = f"--ortperf-mode={item.case.mode}"
        fp16 = ["--ortperf-fp16"] if item.case.precision else []
        dims = [f"--ortperf-dim={name}={value}" for name, value in item.case.dims]
        provider = f"--ortperf-ep={item.case.provider.name}"
        others = options.flags(self.config, without=_NOT_AGAIN)
        return shlex.join(["pytest", mode, *models, provider, *fp16, *dims, *others, f"{path}::{item.case.case_id}"])

    def case_command(self, item: CaseItem, name: str) -> str:
        """Return the `ortperf` command about one item, such as `bisect`, from where pytest was started."""
        source = item.parent.parent.path  # type: ignore[union-attr]
        here = self.config.invocation_params.dir
        path = source.relative_to(here) if source.is_relative_to(here) else source
        others = options.flags(self.config, without=_NOT_AGAIN | _NOT_OF_A_CASE)
        return shlex.join(["ortperf", name, f"{path}::{item.case.case_id}", *others])

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        options.tell_worker(self.config, node.workerinput)

    @pytest.hookimpl(tryfirst=True)
    def pytest_collect_file(self, file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
        by_name = file_path.name == "models.json" and not self._sources_given
        # a model is no list: reading it says so
        named = file_path.suffix in {".json", ".onnx"} and parent.session.isinitpath(file_path)
        if by_name or named or file_path in self._sources:
            nodeid = source_id(file_path, self.config.rootpath)
            collector = ModelListFile.from_parent(parent, path=file_path, run=self, nodeid=nodeid)
            self._mark_forked(collector)
            return collector
        return None

    @pytest.hookimpl(tryfirst=True)
    def pytest_collect_directory(self, path: Path, parent: pytest.Collector) -> pytest.Collector | None:
        if path not in self._sources:
            return None
        collector = ModelDirectory.from_parent(
            parent, path=path, run=self, nodeid=source_id(path, self.config.rootpath)
        )
        self._mark_forked(collector)
        return collector

    def _mark_forked(self, collector: pytest.Collector) -> None:
        if self.runner == "pytest-forked":
            collector.add_marker("forked")

    def pytest_report_header(self) -> list[str]:
        settings = self.settings
        names = ", ".join(row.name for row in settings.axes.providers) or "none"
        runtime = ", ".join(f"{name} {number}" for name, number in onnxruntime_distributions().items())
        lines = [
            f"ortperf: {settings.mode}, providers: {names}, {runtime}, isolation: {self.isolation_text}",
            f"ortperf: results in {settings.results}",
        ]
        unusable = self.config.stash.get(left_out_key, {})
        lines += [f"ortperf: left out: {name}: {reason}" for name, reason in unusable.items()]
        return lines

    @property
    def isolation_text(self) -> str:
        """How items are kept apart, for people."""
        if self.settings.isolation != "forked":
            return self.settings.isolation
        if self.forked_problem:
            return f"forked (own runner, because {self.forked_problem})"
        theirs = f"pytest-forked {version('pytest-forked')}"
        if self.config.getoption("forked"):
            return f"forked ({theirs})"
        return {"validate": "forked (own runner)", "benchmark": f"forked ({theirs})"}.get(
            self.settings.mode or "both", f"forked (own runner, {theirs})"
        )


def pytest_forked_problem(config: pytest.Config) -> str | None:
    """Return why pytest-forked cannot run our items; `None` if it can.

    It carries reports by `marshal`, which not every pytest version's report survives: tried here on a real report.
    """
    if not config.pluginmanager.hasplugin("pytest_forked"):
        return "pytest-forked is switched off"
    from pytest_forked import serialize_report

    report = plain_report(
        pytest.TestReport("a::b", ("a", None, "b"), {}, "passed", None, "call", user_properties=[("a", "b")])
    )
    try:
        again = pytest.TestReport(**marshal.loads(marshal.dumps(serialize_report(report))))  # noqa: S302 - our own
    except (TypeError, ValueError) as error:
        return (
            f"pytest-forked {version('pytest-forked')} cannot carry the reports of pytest {version('pytest')}: {error}"
        )
    return None if again.nodeid == "a::b" else "pytest-forked loses node ids"


def plain_report(report: pytest.TestReport) -> pytest.TestReport:
    """Return the report with a plain string for its node id, which pytest 9.2 keeps as an object."""
    if "nodeid" not in vars(report):
        nodeid = report.nodeid
        vars(report).pop("_id", None)
        vars(report)["nodeid"] = nodeid
    return report
