"""One run: its settings, how items are isolated, and what is collected. Registered as a plugin where we are active."""

from __future__ import annotations

import marshal
from collections.abc import Iterable
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_ortperf.records.environment.distributions import onnxruntime_distributions
from pytest_ortperf.running.other_plugins import without_effect
from pytest_ortperf.running.resume import HANDED_ON, EarlierRecords
from pytest_ortperf.settings import options
from pytest_ortperf.settings.options import is_worker
from pytest_ortperf.settings.provider_choice import left_out_key
from pytest_ortperf.settings.run_settings import RunSettings, read_settings

if TYPE_CHECKING:
    from pytest_ortperf.execution.record_builder import Journal


NOTES_FOLDER = "notes_folder"
"""Name under which workers find the folder that they write their notes to."""


without_workers_key = pytest.StashKey[str]()
"""Why pytest-xdist, which was asked for, is not used."""


class Run:
    """Settings and collection of one pytest invocation."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.settings: RunSettings = read_settings(config)
        self.forked_problem = pytest_forked_problem(config)
        self.tags: dict[str, pytest.MarkDecorator] = {}
        """The marker of each tag that is registered, for all models that have it."""

    @cached_property
    def journal(self) -> Journal:
        """Of the item that runs in this process or its child."""
        from pytest_ortperf.execution.record_builder import Journal

        return Journal(captures=self.runner != "none", notes=self.notes_path)

    @property
    def notes_path(self) -> Path | None:
        """Where the controller reads what the cases of this worker note, if it shows progress."""
        folder = options.handed_on(self.config, NOTES_FOLDER, "")
        return Path(folder, self.worker) if folder and self.worker else None

    @cached_property
    def earlier(self) -> EarlierRecords | None:
        """What the run that is resumed has settled."""
        told: list[Any] | None = options.handed_on(self.config, HANDED_ON, None)
        return EarlierRecords(Path(told[0]), told[1]) if told else None

    @cached_property
    def runner(self) -> str:
        """What keeps items apart: `pytest-forked`, `own runner`, `pool` or `none`; see `CaseItem.isolation`."""
        if self.settings.isolation != "forked":
            return self.settings.isolation
        return "own runner" if self.forked_problem else "pytest-forked"

    @property
    def worker(self) -> str | None:
        """Name of this pytest-xdist worker."""
        return self.config.workerinput["workerid"] if is_worker(self.config) else None  # type: ignore[attr-defined]

    def register_tags(self, tags: Iterable[str], what: str = "tag") -> None:
        """Make tags, or markers of groups, known markers, so that `-m` and `--strict-markers` take them."""
        for tag in set(tags) - self.tags.keys():
            self.config.addinivalue_line("markers", f"{tag}: {what} of the model list")
            self.tags[tag] = getattr(pytest.mark, tag)

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        options.tell_worker(self.config, node.workerinput)

    def pytest_report_header(self) -> list[str]:
        settings = self.settings
        names = ", ".join(row.name for row in settings.axes.providers) or "none"
        runtime = ", ".join(f"{name} {number}" for name, number in onnxruntime_distributions().items())
        lines = [
            f"ortperf: {settings.mode}, providers: {names}, {runtime}, isolation: {self.isolation_text}",
            f"ortperf: results in {settings.results}",
        ]
        lines += [f"ortperf: without effect: {text}" for text in [without_effect(self.config)] if text]
        workers = self.config.stash.get(without_workers_key, None)
        lines += [f"ortperf: {workers}"] if workers else []
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
