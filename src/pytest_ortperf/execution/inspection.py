"""Files of a case to keep: verbose log, profile, optimised graph; from a session of their own.

Never from the measured one: logging, profiling and writing a graph change what is measured.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from pathlib import Path

import onnxruntime

from pytest_ortperf.cases.matrix import Case
from pytest_ortperf.execution.case_data import case_data
from pytest_ortperf.execution.facts import Journal
from pytest_ortperf.execution.session import SessionHooks, create_session
from pytest_ortperf.execution.settings import ExecutionSettings
from pytest_ortperf.execution.values import Runner

RUNS = 3
"""The first creates what later ones reuse; the profile's last run is a steady one."""

_UNSAFE = re.compile(r"[^A-Za-z0-9._=-]+")


class InspectionHooks:
    """The users' hooks, and what makes ONNX Runtime write files."""

    def __init__(self, hooks: SessionHooks, kinds: frozenset[str], folder: Path) -> None:
        self._hooks = hooks
        self._kinds = kinds
        self._folder = folder

    def configure_session(self, session_options: onnxruntime.SessionOptions) -> None:
        self._hooks.configure_session(session_options)
        if "log" in self._kinds:
            session_options.log_severity_level = 0
        if "profile" in self._kinds:
            session_options.enable_profiling = True
            session_options.profile_file_prefix = str(self._folder / "profile")
        if "graph" in self._kinds:
            session_options.optimized_model_filepath = str(self._folder / "optimized.onnx")

    def before_first_run(self, session: onnxruntime.InferenceSession) -> None:
        self._hooks.before_first_run(session)


def keep_files(source: str | bytes, case: Case, settings: ExecutionSettings, hooks: SessionHooks) -> Mapping[str, str]:
    """Write what `settings.keep` asks for; return the path of each kind that was written.

    A provider that compiles subgraphs can refuse to write the optimised graph; its reason goes to `refused.txt`.

    Raises:
        CaseError: If the session cannot be made even without the graph.
        OSError: If the folder cannot be written.
    """
    folder = case_folder(case, settings)
    folder.mkdir(parents=True, exist_ok=True)
    journal = Journal()
    kinds = settings.keep
    try:
        with journal.capture_output():
            try:
                _inspect(source, case, settings, InspectionHooks(hooks, kinds, folder))
            except Exception as error:
                if "graph" not in kinds:
                    raise
                (folder / "refused.txt").write_text(f"graph: {error}\n", encoding="utf-8")
                _inspect(source, case, settings, InspectionHooks(hooks, kinds - {"graph"}, folder))
        if "log" in kinds:
            journal.save_log(folder / "log.txt")
    finally:
        journal.close()
    return _written(folder)


def case_folder(case: Case, settings: ExecutionSettings) -> Path:
    """Return where the files of one case are kept."""
    name = _UNSAFE.sub("_", f"{case.model.name}_{case.mode}_{case.variant}")
    return Path(settings.keep_folder or "result") / name


def _inspect(source: str | bytes, case: Case, settings: ExecutionSettings, hooks: InspectionHooks) -> None:
    session = create_session(source, case, settings, hooks).session
    data = next(iter(case_data(session, case, settings)))
    runner = Runner(session, list(case.model.outputs) or None, data.inputs)
    for _ in range(RUNS):
        runner.call()
    if "profile" in settings.keep:
        path = Path(session.end_profiling())
        shutil.move(path, path.with_name("profile.json"))


def _written(folder: Path) -> dict[str, str]:
    names = {"log": "log.txt", "profile": "profile.json", "graph": "optimized.onnx", "refused": "refused.txt"}
    return {kind: str(folder / name) for kind, name in names.items() if (folder / name).exists()}
