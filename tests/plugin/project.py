"""A project of a user, made for one test: its model list, its runs, and what they left behind."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import xml.etree.ElementTree as ET
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import pytest_ortperf.running.run  # noqa: F401 - a run in this process drops what it imports first, and the next pays again

PLAIN = ("-p", "no:randomly", "-p", "no:cacheprovider", "-p", "no:hypothesispytest")
TIMEOUT_S = 120


@dataclass
class Result:
    """One finished pytest run."""

    exit_code: int
    out: str
    err: str
    records: list[dict[str, Any]] = field(default_factory=list)
    end: dict[str, Any] | None = None

    @property
    def by_model(self) -> dict[str, dict[str, Any]]:
        """Records by model; only where each model has one."""
        assert len({record["model"] for record in self.records}) == len(self.records)
        return {record["model"]: record for record in self.records}

    @property
    def outcomes(self) -> dict[str, str]:
        """Case id -> outcome."""
        return {record["case_id"]: record["outcome"] for record in self.records}

    @property
    def counts(self) -> dict[str, int]:
        """What pytest's last line says, such as `{"passed": 2}`."""
        lines = [line for line in self.out.splitlines() if re.search(r" in \d+\.\d\ds", line)]
        return {word: int(number) for number, word in re.findall(r"(\d+) (\w+)", lines[-1].partition(" in ")[0])}


class Project:
    """A folder with a model and a model list."""

    def __init__(self, pytester: pytest.Pytester) -> None:
        self._pytester = pytester
        self.path = pytester.path
        (self.path / "m.onnx").write_bytes(MODEL)

    def models(self, *entries: str | dict[str, Any], name: str = "models.json") -> Path:
        """Write a model list; an entry is a name or a dictionary, its path `m.onnx` where it names none."""
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps([_entry(entry) for entry in entries]), encoding="utf-8")
        return path

    def write(self, name: str, text: str | bytes) -> Path:
        """Write a file."""
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return path

    def run(self, *args: str | os.PathLike[str], mode: str | None = "validate", plain: bool = True) -> Result:
        """Run pytest in a process of its own and read the records it wrote last."""
        before = set(self._records_files())
        done = self._pytester.runpytest_subprocess(
            *(PLAIN if plain else ()), *([f"--ortperf-mode={mode}"] if mode else []), *args, timeout=TIMEOUT_S
        )
        return self._result(done, before)

    def run_without_override(self, *args: str, mode: str = "validate") -> Result:
        """Run pytest in a process that file permissions hold for, also where the tests are run by root."""
        before = set(self._records_files())
        command = [sys.executable, "-mpytest", *PLAIN, f"--ortperf-mode={mode}", *args]
        if os.geteuid() == 0:
            if shutil.which("setpriv") is None:
                pytest.skip("root may read everything, and there is no setpriv to give that up")
            command = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", "--", *command]
        return self._result(self._pytester.run(*command, timeout=TIMEOUT_S), before)

    def _result(self, done: pytest.RunResult, before: Collection[Path]) -> Result:
        result = Result(int(done.ret), done.stdout.str(), done.stderr.str())
        new = sorted(set(self._records_files()) - set(before))
        if new:
            result.records, result.end = read_records(new[-1])
        return result

    def collect(self, *args: str | os.PathLike[str], mode: str | None = "validate") -> list[str]:
        """Return the node ids that a run would take, collected in this process."""
        result = self.collection(*args, mode=mode)
        assert result.exit_code == 0, result.out + result.err
        return [line for line in result.out.splitlines() if "::" in line]

    def collection(
        self, *args: str | os.PathLike[str], mode: str | None = "validate", plugins: Sequence[object] = ()
    ) -> Result:
        """Collect in this process; no model is opened and no case run."""
        done = self._pytester.runpytest_inprocess(
            *PLAIN, "--collect-only", "-q", *([f"--ortperf-mode={mode}"] if mode else []), *args, plugins=plugins
        )
        return Result(int(done.ret), done.stdout.str(), done.stderr.str())

    def junit(self, name: str = "j.xml") -> ET.Element:
        """Return the one test suite of a JUnit file."""
        return ET.fromstring((self.path / name).read_text(encoding="utf-8"))[0]  # noqa: S314 - our own file

    def _records_files(self) -> list[Path]:
        return sorted(self.path.rglob("records_*.jsonl"))


def junit_values(*cases: ET.Element) -> dict[str, str]:
    """Return what JUnit XML says of cases by name: the lines `ortperf.NAME=VALUE` of their output."""
    lines = [line for case in cases for each in case.iter("system-out") for line in (each.text or "").splitlines()]
    return dict(line.split("=", maxsplit=1) for line in lines if line.startswith("ortperf."))


def read_records(path: Path) -> tuple[list[dict[str, Any]], dict[str, Any] | None]:
    """Return the records and the end of a records file; every line must be whole JSON."""
    text = path.read_text(encoding="ascii")
    assert text.endswith("\n")
    lines = [json.loads(line) for line in text.splitlines()]
    assert lines[0]["type"] == "header"
    ends = [line for line in lines if line["type"] == "end"]
    return [line for line in lines if line["type"] == "record"], ends[0] if ends else None


def _entry(entry: str | dict[str, Any]) -> dict[str, Any]:
    given = {"name": entry} if isinstance(entry, str) else entry
    return given if "source" in given else {"path": "m.onnx", **given}


def _model() -> bytes:
    """Return `y = x + [1, 2, 3]` for x of shape (batch, 3)."""
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 3]) for name in "xy")
    weight = numpy_helper.from_array(np.array([1, 2, 3], np.float32), "w")
    graph = helper.make_graph([helper.make_node("Add", ["x", "w"], ["y"])], "add", [x], [y], [weight])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    data: bytes = model.SerializeToString()
    assert onnx.load_model_from_string(data).graph.name == "add"
    return data


MODEL = _model()


def tensor(values: object, name: str, dtype: type[np.generic] = np.float32) -> bytes:
    """Return a serialised TensorProto."""
    data: bytes = numpy_helper.from_array(np.asarray(values, dtype), name).SerializeToString()
    return data
