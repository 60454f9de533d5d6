"""Lost blocks: from a report of valgrind, and with the real program."""

from __future__ import annotations

import shutil
import xml.etree.ElementTree as ET
from contextlib import closing
from pathlib import Path

import pytest
from ort_models import NoHooks
from planted_ops import LEAK_RUN, needs_compiler, planted_case

from pytest_ortperf.errors import SettingsError
from pytest_ortperf.execution.case_settings import ExecutionSettings
from pytest_ortperf.execution.checks.checked_case import CheckedCase
from pytest_ortperf.execution.checks.valgrind import CALLS, _blocks, check_with_valgrind
from pytest_ortperf.execution.record_builder import Journal, RecordBuilder
from pytest_ortperf.records.checks import LEAK


def error(*frames: tuple[str, str], blocks: int = 9) -> ET.Element:
    stack = "".join(f"<frame><obj>/lib/{library}</obj><fn>{function}</fn></frame>" for function, library in frames)
    what = f"<leakedbytes>{blocks * 8}</leakedbytes><leakedblocks>{blocks}</leakedblocks>"
    return ET.fromstring(f"<error><xwhat>{what}</xwhat><stack>{stack}</stack></error>")  # noqa: S314


def test_a_block_counts_by_what_its_stack_mentions() -> None:
    keywords = ["libtriple.so", "tensorrt", "onnxruntime"]
    found = _blocks(error(("malloc", "vgpreload.so"), ("compute", "libtriple.so"), ("run", "onnxruntime.so")), keywords)
    assert found is not None
    assert (found.byte, found.blocks, found.keyword, found.again) == (72, 9, "libtriple.so", True)
    assert found.where == ("malloc (vgpreload.so)", "compute (libtriple.so)", "run (onnxruntime.so)")
    assert _blocks(error(("malloc", "vgpreload.so"), ("PyObject_New", "python3.11")), keywords) is None


def test_what_is_lost_once_or_while_a_library_loads_is_told_apart() -> None:
    once = _blocks(error(("malloc", "v.so"), ("Make", "onnxruntime.so"), blocks=CALLS - 1), ["onnxruntime"])
    assert once is not None
    assert not once.again
    loading = error(("malloc", "v.so"), ("Make", "onnxruntime.so"), ("PyInit_state", "onnxruntime.so"))
    assert _blocks(loading, ["onnxruntime"]) is None


def test_without_valgrind_the_error_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pytest_ortperf.execution.checks.valgrind import find_valgrind

    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SettingsError, match=r"there is no valgrind on PATH.*apt-get install valgrind"):
        find_valgrind()


@pytest.mark.slow
@needs_compiler
@pytest.mark.skipif(shutil.which("valgrind") is None, reason="there is no valgrind here")
def test_valgrind_names_the_function_that_loses_memory(tmp_path: Path) -> None:
    with closing(Journal()) as journal:
        work = CheckedCase(
            case=planted_case(tmp_path, LEAK_RUN),
            settings=ExecutionSettings(),
            hooks=NoHooks(),
            facts=RecordBuilder(journal=journal),
        )
        check = check_with_valgrind(work, 300)
    assert check.verdict == LEAK
    first = check.lost[0]
    assert (first.byte, first.blocks, first.keyword) == (1024 * CALLS**2, CALLS**2, "libtriple.so")
    assert any(frame.startswith("compute ") for frame in first.where)
