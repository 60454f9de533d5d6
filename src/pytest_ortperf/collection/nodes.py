"""pytest's view of cases: list file or directory -> model -> case item. Collection opens no model."""

from __future__ import annotations

import gc
from collections.abc import Collection, Generator, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_ortperf.cases.matrix import model_cases
from pytest_ortperf.cases.model import Model
from pytest_ortperf.cases.model_list import read_models
from pytest_ortperf.cases.names import group_marker
from pytest_ortperf.collection.selection import chosen_below, named, source_id
from pytest_ortperf.errors import ModelListError
from pytest_ortperf.running.case_item import CaseItem
from pytest_ortperf.settings import options

if TYPE_CHECKING:
    from pytest_ortperf.running.run import Run


def markers_of(model: Model) -> tuple[str, ...]:
    """Return the names of a model's markers: its tags, and that of its group."""
    group = (group_marker(model.group),) if model.group else ()
    return tuple(dict.fromkeys((*model.tags, *group)))


class ModelCollector(pytest.Collector):
    """One model of a list or directory; its items stand together, so that a worker takes them together."""

    def __init__(self, *, model: Model, run: Run, chosen: Collection[str] = (), **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.model = model
        self.run = run
        self._chosen = chosen
        self.extra_keyword_matches.add(model.name)
        for tag in markers_of(model):
            self.add_marker(run.tags[tag])

    def collect(self) -> Iterator[pytest.Item]:
        cases = [(case.label, case) for case in model_cases(self.model, self.run.settings.axes)]
        for label, case in named(cases, self._chosen, self):
            # as text: pytest 9.2 splits it at the bracket, as it does where it looks an id up
            nodeid = f"{self.nodeid}::{label}"
            yield CaseItem.from_parent(self, name=label, nodeid=nodeid, case=case, run=self.run)


class _ModelSource(pytest.Collector):
    """What a list file and a model directory share."""

    run: Run

    def collect(self) -> Iterable[pytest.Item | pytest.Collector]:
        try:
            models = read_models(self.path, workspace=self.run.settings.execution.workspace, tell=self._warn)
        except ModelListError as error:
            raise self.CollectError(str(error)) from error
        self.run.register_tags(tag for model in models for tag in model.tags)
        self.run.register_tags({group_marker(group) for group in {model.group for model in models} if group}, "group")
        chosen = self._chosen()
        return [
            ModelCollector.from_parent(self, name=name, model=model, run=self.run, chosen=chosen.get(name, ()))
            for name, model in named([(model.name, model) for model in models], chosen, self)
        ]

    def _warn(self, text: str) -> None:
        self.warn(pytest.PytestCollectionWarning(text))

    def _chosen(self) -> dict[str, set[str]]:
        """Return the labels of the cases that are chosen, by the name of their model; an empty set is all of them."""
        chosen: dict[str, set[str]] = {}
        whole = set()
        for rest in chosen_below(self.config, self.path):
            name, _, label = rest.partition("::")
            chosen.setdefault(name, set())
            if label:
                chosen[name].add(label)
            else:
                whole.add(name)
        return {name: set() if name in whole else labels for name, labels in chosen.items()}


class ModelListFile(_ModelSource, pytest.File):
    """A model list."""

    def __init__(self, *, run: Run, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.run = run


class ModelDirectory(_ModelSource, pytest.Directory):
    """A directory of models."""

    def __init__(self, *, run: Run, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.run = run


def _beside_packages(parent: pytest.Collector) -> pytest.Collector:
    """Return the innermost collector that is no Python package: pytest imports the package of an item it runs.

    Models often lie inside the package that uses them, whose imports are nobody's business here.
    """
    collectors = (node for node in reversed(parent.listchain()) if isinstance(node, pytest.Collector))
    return next(node for node in collectors if not isinstance(node, pytest.Package))


class Collecting:
    """Collects model lists and directories; registered as a plugin where we are active."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._sources = set(run.settings.models)
        self._sources_given = options.given(run.config, "models") is not None

    @pytest.hookimpl(wrapper=True)
    def pytest_collection(self) -> Generator[None, object, object]:
        # models and nodes live to the end: looking for garbage among ever more of them takes a third of the time
        was_enabled = gc.isenabled()
        gc.disable()
        try:
            return (yield)
        finally:
            if was_enabled:
                gc.enable()

    @pytest.hookimpl(tryfirst=True)
    def pytest_collect_file(self, file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
        by_name = file_path.name == "models.json" and not self._sources_given
        named = file_path.suffix.lower() in {".json", ".onnx"} and parent.session.isinitpath(file_path)
        if by_name or named or file_path in self._sources:
            nodeid = source_id(file_path, self._run.config.rootpath)
            collector = ModelListFile.from_parent(
                _beside_packages(parent), path=file_path, run=self._run, nodeid=nodeid
            )
            self._mark_forked(collector)
            return collector
        return None

    @pytest.hookimpl(tryfirst=True)
    def pytest_collect_directory(self, path: Path, parent: pytest.Collector) -> pytest.Collector | None:
        if path not in self._sources:
            return None
        collector = ModelDirectory.from_parent(
            _beside_packages(parent), path=path, run=self._run, nodeid=source_id(path, self._run.config.rootpath)
        )
        self._mark_forked(collector)
        return collector

    def _mark_forked(self, collector: pytest.Collector) -> None:
        if self._run.runner == "pytest-forked":
            collector.add_marker("forked")
