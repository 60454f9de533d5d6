from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from typing import NoReturn

import onnxruntime
import pytest
from ort_models import AZURE, CPU

from pytest_ortperf.errors import SettingsError
from pytest_ortperf.execution.session import probe as probing
from pytest_ortperf.execution.session.probe import ProbeVerdict, Question, compiled_in, probe, try_provider

NOTHING_TAKEN = "a session can be made, but a small model's nodes went to other providers"


def question(full_name: str, **options: str) -> Question:
    return Question(full_name=full_name, options=options, plugins={}, device=None)


def test_provider_that_takes_the_node_is_usable() -> None:
    verdict = try_provider(question(CPU))

    assert verdict == ProbeVerdict(problem=None, takes_nodes=True)
    assert verdict.usable


def test_provider_that_takes_no_node_is_not_usable_though_a_session_is_made() -> None:
    verdict = try_provider(question(AZURE))

    assert verdict == ProbeVerdict(problem=None, takes_nodes=False)
    assert (verdict.usable, verdict.reason) == (False, NOTHING_TAKEN)


def test_error_that_was_printed_is_part_of_the_reason() -> None:
    assert ProbeVerdict(problem=None, takes_nodes=False, logged="no backend").reason == f"{NOTHING_TAKEN}: no backend"


def test_each_is_tried_in_a_process_of_its_own_and_told_by_name() -> None:
    missing = "NoneExecutionProvider"

    found = probe([question(CPU), question(missing)])

    assert found == {
        CPU: ProbeVerdict(problem=None, takes_nodes=True),
        missing: ProbeVerdict(
            problem=(
                f"{missing} is not part of this ONNX Runtime {onnxruntime.__version__}, which has "
                f"{', '.join(onnxruntime.get_available_providers())}; install the distribution or plugin package that "
                "has it, or leave it out of --ortperf-ep"
            ),
            takes_nodes=False,
        ),
    }


def test_crash_of_a_provider_is_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(_: Question) -> NoReturn:
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError

    monkeypatch.setattr(probing, "try_provider", crash)

    assert probe([question(CPU)])[CPU].reason == "making a session ended its process (signal 9)"


def test_exit_of_a_provider_is_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probing, "try_provider", lambda _: os._exit(3))

    assert probe([question(CPU)])[CPU].reason == "making a session ended its process (exit status 3)"


def test_hang_of_a_provider_is_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probing, "try_provider", lambda _: time.sleep(60))
    monkeypatch.setattr(probing, "TIMEOUT_S", 0.2)

    assert probe([question(CPU)])[CPU].reason == "no session within 0.2 s"


def test_providers_that_never_take_nodes_are_not_listed() -> None:
    assert compiled_in() == [name for name in onnxruntime.get_available_providers() if name != AZURE]


BROKEN = "libmissing.so.1: cannot open shared object file"
CANNOT_IMPORT = (
    f"ONNX Runtime cannot be imported: ImportError: {BROKEN}; see it with python -c 'import onnx, onnxruntime'"
)


@pytest.fixture
def broken_onnxruntime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the package `onnxruntime` be one that cannot be imported."""
    (tmp_path / "onnxruntime.py").write_text(f"raise ImportError({BROKEN!r})\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "onnxruntime")


@pytest.mark.usefixtures("broken_onnxruntime")
def test_an_onnx_runtime_that_cannot_be_imported_is_told_with_its_reason() -> None:
    with pytest.raises(SettingsError) as caught:
        compiled_in()
    verdict = probe([question(CPU)])[CPU]

    assert str(caught.value).startswith(CANNOT_IMPORT)
    assert not verdict.usable
    assert verdict.reason.startswith(CANNOT_IMPORT)


def test_an_onnx_runtime_that_ends_the_process_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probing, "_list_providers", lambda: os._exit(3))

    with pytest.raises(SettingsError, match=r"cannot be asked for its providers: exit status 3; see it with python -c"):
        compiled_in()
