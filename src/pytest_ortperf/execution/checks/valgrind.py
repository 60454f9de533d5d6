"""A few sessions and runs of a case under valgrind, in a program that needs ONNX Runtime and numpy alone."""

from __future__ import annotations

import itertools
import json
import re
import shutil
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pytest_ortperf.errors import CaseError, SettingsError
from pytest_ortperf.execution.bug_report.folder import DATA, SCRIPT, described_session
from pytest_ortperf.execution.checks.checked_case import CheckedCase, Opened
from pytest_ortperf.execution.inputs.case_data import case_data, tensor_facts
from pytest_ortperf.execution.inputs.tensor_values import ValueWriter
from pytest_ortperf.execution.process.external_program import Program
from pytest_ortperf.execution.session.run_errors import wanted_outputs
from pytest_ortperf.records.checks import LostBlocks, ValgrindCheck

CALLS = 3
"""Sessions, and runs in each."""

_CALLERS = 100
_SHOWN = 8
"""Functions of a stack."""

_PROGRAM = f"""\
import json, run
case = json.loads((run.FOLDER / "case.json").read_text())
level = run.LEVELS[case["session"]["graph_optimization"]]
for _ in range({CALLS}):
    session = run.open_session(case, case["providers"], level)
    for _ in range({CALLS}):
        run.compute(session, case)
    del session
"""
_QUIET_THREADS = {"session.intra_op.allow_spinning": "0", "session.inter_op.allow_spinning": "0"}
_LOADING = re.compile(r"PyInit_\w+|PyModule_ExecDef|_dl_init|call_init.*")
"""Functions that load a module or library, and so run once in a process."""


def find_valgrind() -> tuple[str, str]:
    """Return the program and its version.

    Raises:
        SettingsError: If it is not there.
    """
    program = shutil.which("valgrind")
    if program is None:
        raise SettingsError("--valgrind: there is no valgrind on PATH. Install it, as with: apt-get install valgrind")
    done = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)  # noqa: S603 - found
    return program, done.stdout.strip().removeprefix("valgrind-") or "unknown"


def check_with_valgrind(checked: CheckedCase, deadline_s: float) -> ValgrindCheck:
    """Return what is lost when a case has a few sessions with a few runs each.

    Args:
        checked: The case. Hooks of the user do not reach the program.
        deadline_s: Of the preparation of the case, and once more of the program.

    Raises:
        SettingsError: If there is no valgrind.
        CaseError: If the program failed.
        CheckEndedError: If the case cannot be run.
    """
    valgrind, version = find_valgrind()
    with tempfile.TemporaryDirectory(prefix="ortperf-valgrind-") as name:
        folder = Path(name)
        checked.in_child(lambda opened: _write(opened, folder), deadline_s)
        described = json.loads((folder / "case.json").read_text(encoding="utf-8"))
        with checked.facts.entering("leaks"):
            errors = _run(valgrind, folder, checked, deadline_s)
    keywords = _keywords(described)
    found = [_blocks(error, keywords) for error in errors]
    lost = _merged(each for each in found if each)
    elsewhere = sum(_lost_byte(error) for error, blocks in zip(errors, found, strict=True) if blocks is None)
    return ValgrindCheck(
        version=version,
        sessions=CALLS,
        runs=CALLS,
        lost=tuple(sorted(lost, key=lambda each: (not each.again, -each.byte))),
        lost_elsewhere_byte=elsewhere,
    )


def _write(opened: Opened, folder: Path) -> None:
    """Write what the program needs; the model stays where it is."""
    bench = opened.bench
    session = bench.open()
    data = next(iter(case_data(session, opened.case, bench.settings)))
    opened.facts.inputs = tensor_facts(data)
    names = wanted_outputs(session, opened.case) or [meta.name for meta in session.get_outputs()]
    (folder / DATA).mkdir()
    writer = ValueWriter(folder / DATA)
    described = described_session(opened.case, bench.settings, bench.source())
    wanted = described["session"]
    wanted["config"] = {**_QUIET_THREADS, **wanted["config"]}
    wanted["intra_op_threads"] = wanted["intra_op_threads"] or 1  # valgrind runs one thread at a time
    case = {
        "model": str(bench.source()),
        **described,
        "inputs": [[name, writer.write(value)] for name, value in data.inputs.items()],
        "expected": [[name, None] for name in names],
    }
    (folder / "case.json").write_text(json.dumps(case), encoding="utf-8")
    shutil.copyfile(SCRIPT, folder / "run.py")


def _run(valgrind: str, folder: Path, checked: CheckedCase, limit_s: float) -> list[ET.Element]:
    """Return what valgrind reports as definitely lost."""
    report = folder / "valgrind.xml"
    options = (
        "--leak-check=full",
        "--show-leak-kinds=definite",
        "--errors-for-leak-kinds=definite",
        "--undef-value-errors=no",  # Python and numpy make many, and nobody asks for them here
        f"--num-callers={_CALLERS}",
        "--keep-debuginfo=yes",  # a custom-op library is unloaded with its last session
        "--child-silent-after-fork=yes",
        "--xml=yes",
        f"--xml-file={report}",
    )
    command = ["timeout", "--signal=KILL", f"{limit_s:g}", valgrind, *options, sys.executable, "-c", _PROGRAM]
    # Python's own allocator would hide which blocks are lost
    with checked.facts.journal.capture_output():
        ended = Program(command, folder, checked.facts.journal, {"PYTHONMALLOC": "malloc"}).wait()
    if ended.exit_code != 0:
        last = "\n".join(ended.output.strip().splitlines()[-5:])
        how = f"signal {ended.signal}" if ended.signal else f"exit status {ended.exit_code}"
        late = f" after {limit_s:g} s; --ortperf-timeout gives it longer" if ended.wall_ns >= limit_s * 1e9 else ""
        raise CaseError(f"valgrind ended with {how}{late}: {last}", stage="leaks", kind="environment")
    found = ET.parse(report).getroot().iter("error")  # noqa: S314 - from a program that we started
    return [error for error in found if error.findtext("kind") == "Leak_DefinitelyLost"]


def _keywords(described: dict[str, Any]) -> list[str]:
    """Return what a stack has to mention, the most telling first."""
    libraries = [*described["session"]["custom_op_libraries"], *described["plugins"].values()]
    provider = described["providers"][0][0].removesuffix("ExecutionProvider").lower()
    return [*(Path(path).name for path in libraries), provider, "nvinfer", "onnxruntime"]


def _blocks(error: ET.Element, keywords: Sequence[str]) -> LostBlocks | None:
    """Return lost blocks whose stack mentions a keyword; `None` for those of others."""
    frames = [frame for frame, _ in itertools.groupby(_frames(error))]
    text = "\n".join(frames).lower()
    keyword = next((word for word in keywords if word.lower() in text), None)
    if keyword is None or any(_LOADING.fullmatch(frame.partition(" ")[0]) for frame in frames):
        return None
    blocks = int(error.findtext("xwhat/leakedblocks") or 0)
    return LostBlocks(
        byte=_lost_byte(error), blocks=blocks, keyword=keyword, where=tuple(frames[:_SHOWN]), again=blocks >= CALLS
    )


def _merged(found: Iterable[LostBlocks]) -> list[LostBlocks]:
    """Return the blocks of one place together: a library that is loaded again stands elsewhere, and counts anew."""
    places: dict[tuple[str, ...], LostBlocks] = {}
    for each in found:
        known = places.get(each.where)
        byte, blocks = (
            (each.byte, each.blocks) if known is None else (known.byte + each.byte, known.blocks + each.blocks)
        )
        places[each.where] = replace(each, byte=byte, blocks=blocks, again=blocks >= CALLS)
    return list(places.values())


def _frames(error: ET.Element) -> Iterator[str]:
    """Yield each function with its library, the innermost first."""
    stack = error.find("stack")
    for frame in stack.iter("frame") if stack is not None else ():
        library = Path(frame.findtext("obj") or "").name
        yield f"{frame.findtext('fn') or '???'}" + (f" ({library})" if library else "")


def _lost_byte(error: ET.Element) -> int:
    return int(error.findtext("xwhat/leakedbytes") or 0)
