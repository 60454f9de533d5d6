"""Files that a session writes: verbose log, profile, optimised graph; of a session of their own.

Never of the measured one: logging, profiling and writing a graph change what is measured.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

import onnxruntime

from pytest_ortperf.cases.matrix import Case
from pytest_ortperf.execution.case_settings import ExecutionSettings
from pytest_ortperf.execution.inputs.case_data import case_data
from pytest_ortperf.execution.inputs.tensor_values import ModelRunner
from pytest_ortperf.execution.record_builder import Journal
from pytest_ortperf.execution.session.creation import SessionHooks, create_session

RUNS = 3
"""The first creates what later ones reuse; the profile's last run is a steady one."""

_UNSAFE = re.compile(r"[^A-Za-z0-9._=-]+")


class InspectionHooks:
    """The users' hooks, and what makes ONNX Runtime write files."""

    def __init__(self, hooks: SessionHooks, kinds: frozenset[str], folder: Path) -> None:
        self._hooks = hooks
        self._kinds = kinds
        self._folder = folder
        self.profile = folder / "profile.json"
        """Where the profile is, once `inspect` has returned."""

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

    def end(self, session: onnxruntime.InferenceSession) -> None:
        """Have the session write what it keeps until its end, under the name it is looked for."""
        if "profile" in self._kinds:
            shutil.move(session.end_profiling(), self.profile)


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
    runs = range(RUNS)
    try:
        with journal.capture_output():
            try:
                inspect(source, case, settings, InspectionHooks(hooks, kinds, folder), runs)
            except Exception as error:
                if "graph" not in kinds:
                    raise
                (folder / "refused.txt").write_text(f"graph: {error}\n", encoding="utf-8")
                inspect(source, case, settings, InspectionHooks(hooks, kinds - {"graph"}, folder), runs)
        if "log" in kinds:
            journal.save_log(folder / "log.txt")
    finally:
        journal.close()
    return _written(folder)


def case_folder(case: Case, settings: ExecutionSettings) -> Path:
    """Return where the files of one case are kept."""
    name = _UNSAFE.sub("_", f"{case.model.name}_{case.mode}_{case.variant}")
    return Path(settings.keep_folder or "result") / name


def inspect(
    source: str | bytes, case: Case, settings: ExecutionSettings, hooks: InspectionHooks, runs: Iterable[object]
) -> int:
    """Run a case on its first data set in a session that writes files.

    Args:
        source: Path or serialised model.
        case: What to run.
        settings: Options for every case.
        hooks: The users', and which files.
        runs: One run an item.

    Returns:
        How many runs were made.

    Raises:
        CaseError: No session, no inputs, or a run that failed.
    """
    session = create_session(source, case, settings, hooks).session
    data = next(iter(case_data(session, case, settings)))
    runner = ModelRunner(session, list(case.model.outputs) or None, data.inputs)
    done = 0
    for _ in runs:
        runner.call()
        done += 1
    hooks.end(session)
    return done


def _written(folder: Path) -> dict[str, str]:
    names = {"log": "log.txt", "profile": "profile.json", "graph": "optimized.onnx", "refused": "refused.txt"}
    return {kind: str(folder / name) for kind, name in names.items() if (folder / name).exists()}
