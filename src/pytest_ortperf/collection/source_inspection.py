"""What `ortperf inspect` asks about a model, or a list of models, under the options of a run."""

from __future__ import annotations

import dataclasses
import json
import tempfile
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from pytest_ortperf.cases.issues import shown_path
from pytest_ortperf.cases.matrix import Case
from pytest_ortperf.cases.model import Model
from pytest_ortperf.cases.model_list import read_models
from pytest_ortperf.cases.new_list import data_beside
from pytest_ortperf.cases.providers import find_provider
from pytest_ortperf.collection.one_case import with_cases
from pytest_ortperf.errors import CaseError, OrtPerfError, SettingsError
from pytest_ortperf.execution.case_settings import ExecutionSettings
from pytest_ortperf.records.environment.distributions import onnxruntime_distributions
from pytest_ortperf.records.inspections import ListedModel, ListInspection, ModelInspection, Trial
from pytest_ortperf.records.store import earlier_durations
from pytest_ortperf.running.case_item import CaseItem, UserHooks
from pytest_ortperf.running.item_runner import uses_cuda
from pytest_ortperf.settings.provider_choice import left_out_key

MOST_CONVERTED_BYTE = 2 * 2**30
"""A larger model is not converted to see whether it can be: that takes as much room on disk and minutes."""

VALIDATION_S = 1.5
BENCHMARK_S = 3.0
"""Of a benchmark beside its timed iterations: sessions, warm-up, operators, memory. Seen on models up to 100 MiB."""


def inspect_model(path: Path, options: Sequence[str], deadline_s: float) -> ModelInspection:
    """Return what a model says, and what the providers that can be used here do with it.

    Args:
        path: The model.
        options: Pytest's, such as `--ortperf-ep=cuda`.
        deadline_s: For reading it, and for each session.

    Raises:
        OrtPerfError: If it cannot be read, or the options cannot be used.
    """
    found: list[ModelInspection] = []

    def work(items: Sequence[CaseItem], errors: Sequence[str]) -> int:
        if not items:
            raise SettingsError("\n".join(errors) or f"these options select no case of {path}")
        found.append(_inspected(path, items, deadline_s))
        return 0

    with tempfile.TemporaryDirectory(prefix="ortperf-inspect-") as folder:
        listed = Path(folder) / "models.json"
        listed.write_text(json.dumps([{"name": "model", "path": str(path.absolute())}]), encoding="utf-8")
        with_cases([*_collecting(listed, "validate"), *options, "-n0"], work, "the model")
    return found[0]


def inspect_list(path: Path, options: Sequence[str], deadline_s: float) -> ListInspection:
    """Return what a list or directory of models holds, and which cases the options make of it.

    Args:
        path: The list or directory.
        options: Pytest's; `--ortperf-mode` is `both` unless given.
        deadline_s: For reading each model.

    Raises:
        OrtPerfError: If the options cannot be used.
    """
    found: list[ListInspection] = []

    def work(items: Sequence[CaseItem], errors: Sequence[str]) -> int:
        if errors:
            found.append(ListInspection(path=str(path), issues=tuple(_issues(errors))))
        elif items:
            found.append(_list_of(path, items, deadline_s))
        else:
            raise SettingsError(f"these options select no case of {path}")
        return 0

    with_cases([*_collecting(path, "both"), *options, "-n0"], work, "any case")
    return found[0]


def _collecting(path: Path, mode: str) -> list[str]:
    return [f"--ortperf-mode={mode}", f"--ortperf-models={path}"]


def _issues(errors: Iterable[str]) -> Iterable[str]:
    """Yield each issue of the lists that cannot be read, without the list's name."""
    for error in errors:
        title, *rest = error.split("\n  - ")
        yield from rest or [title]


def _inspected(path: Path, items: Sequence[CaseItem], deadline_s: float) -> ModelInspection:
    from pytest_ortperf.execution.execute import prepare_process
    from pytest_ortperf.execution.model_trial import describe, try_case

    first = items[0]
    settings = first.run.settings.execution
    # those of the conftest.py where the command runs too: the item itself stands in a folder of its own
    hook = first.config.hook
    prepare_process(uses_cuda=uses_cuda(first.run))
    model = dataclasses.replace(first.case.model, origin="the command line")
    description = describe(model, deadline_s)
    found = {item.case.variant: _validation(item.case, model) for item in items}
    rank = [row.name for row in first.run.settings.axes.providers]
    # other plugins may have put the items into another order
    cases = sorted(found.values(), key=lambda case: (rank.index(case.provider.name), case.variant))
    trials = [
        try_case(case, settings, UserHooks(hook, case), deadline_s)
        if case.provider.runner == "onnxruntime"
        else Trial(variant=case.variant, provider=case.provider.full_name, problem="only a run tries it")
        for case in cases
    ]
    fp16, fp16_note = None, None
    on_cpu = next((trial for trial in trials if trial.variant == "cpu"), None)
    if description.missing:
        fp16_note = "not tried, its external data is missing"
    elif on_cpu is not None and on_cpu.problem is not None:
        fp16_note = "not tried, it cannot run on the CPU as it is"
    elif description.total_byte > MOST_CONVERTED_BYTE:
        fp16_note = "not tried, it is larger than 2 GiB; a run with --ortperf-fp16 tries"
    else:
        as_fp16 = dataclasses.replace(cases[0], provider=find_provider("cpu"), precision="fp16")
        fp16 = next((trial for trial in trials if trial.variant == as_fp16.variant), None)
        fp16 = fp16 or try_case(as_fp16, settings, UserHooks(hook, as_fp16), deadline_s)
    beside = data_beside(path)
    sets, passed_over = _sets_beside(beside.test_data)
    assumed = next((trial.assumed for trial in trials if trial.assumed), {})
    left_out: dict[str, str] = first.config.stash.get(left_out_key, {})
    return ModelInspection(
        model=dataclasses.replace(description, path=str(path), free_dims={**description.free_dims, **assumed}),
        trials=tuple(trials),
        left_out=left_out,
        fp16=fp16,
        fp16_note=fp16_note,
        onnxruntime=", ".join(f"{name} {number}" for name, number in onnxruntime_distributions().items()),
        test_data=sets,
        passed_over=passed_over,
    )


def _validation(case: Case, model: Model) -> Case:
    return dataclasses.replace(case, model=model, mode="validate")


def _sets_beside(folder: Path | None) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the data sets in a folder, and the names of what looks like test data and is not read."""
    from pytest_ortperf.execution.inputs.stored_data import find_data_sets

    if folder is None:
        return (), ()
    try:
        found = find_data_sets(folder)
    except CaseError:
        return (), ()
    return tuple(data_set.name for data_set in found), found[0].passed_over


def _list_of(path: Path, items: Sequence[CaseItem], deadline_s: float) -> ListInspection:
    from pytest_ortperf.execution.execute import prepare_process

    prepare_process(uses_cuda=False)
    settings = items[0].run.settings
    cases = Counter(item.case.model.name for item in items)
    # other plugins may have put the items into another order
    left_out: list[str] = []
    listed = read_models(path, workspace=settings.execution.workspace, tell=left_out.append)
    models = [model for model in listed if cases[model.name]]
    labels = sorted(dataclasses.replace(item.case, dims=()).label for item in items)
    known = earlier_durations(settings.results, {item.nodeid for item in items})
    guessed = [item for item in items if item.nodeid not in known]
    return ListInspection(
        path=str(path),
        models=tuple(_listed(model, cases[model.name], deadline_s) for model in models),
        cases=dict(Counter(reversed(labels))),
        seconds=sum(known.values()) + sum(_expected_s(item, settings.execution) for item in guessed),
        measured_cases=len(known),
        estimate=_basis(guessed, settings.execution),
        results=shown_path(settings.results) if known else None,
        passed_over=tuple(left_out),
    )


def _listed(model: Model, cases: int, deadline_s: float) -> ListedModel:
    from pytest_ortperf.execution.inputs.stored_data import find_data_sets
    from pytest_ortperf.execution.model_trial import describe

    named: dict[str, list[Path | None]] = {
        "path": [model.path],
        "fp16_path": [model.fp16_path],
        "test_data": [model.test_data],
        "test_data_fp16": [model.test_data_fp16],
        "reference output": list(model.stored_outputs),
        "custom_op_libraries": [Path(library) for rule in model.session for library in rule.custom_op_libraries],
    }
    missing = [f"{key} {file}" for key, files in named.items() for file in files if file and not file.exists()]
    description, problem = None, None
    if model.path.exists():
        try:
            description = describe(model, deadline_s)
        except OrtPerfError as error:
            problem = str(error)
    sets: tuple[str, ...] | None = None
    if model.test_data is not None and model.test_data.exists():
        try:
            sets = tuple(data_set.name for data_set in find_data_sets(model.test_data))
        except CaseError as error:
            missing.append(f"test_data {error}")
    return ListedModel(
        name=model.name,
        path=str(model.path),
        cases=cases,
        model=description,
        problem=problem,
        missing=tuple(missing),
        data_sets=sets,
    )


def _expected_s(item: CaseItem, settings: ExecutionSettings) -> float:
    from pytest_ortperf.execution.timing.timing_modes import modes_of

    if item.case.mode == "validate":
        return VALIDATION_S
    modes = len(modes_of(item.case.provider, settings.timing)) + bool(settings.concurrency)
    return BENCHMARK_S + modes * min(settings.min_time_s, settings.max_time_s)


def _basis(guessed: Sequence[CaseItem], settings: ExecutionSettings) -> str | None:
    if not guessed:
        return None
    timed = min(settings.min_time_s, settings.max_time_s)
    each = {
        "validate": f"{VALIDATION_S:g} s a validation",
        "benchmark": f"{BENCHMARK_S:g} s a benchmark and {timed:g} s of iterations a timing mode",
    }
    modes = {item.case.mode for item in guessed}
    return ", ".join(text for mode, text in each.items() if mode in modes)
