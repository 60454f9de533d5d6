"""A run is killed at random moments and resumed: does it end with the records of an undisturbed run, each once?

python benchmarks/resume_after_kill.py --kills 20
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import onnx
from onnx import TensorProto, helper

CONFTEST = """
import os, signal

def pytest_ortperf_before_first_run(case, session):
    number = int(case.model.name.removeprefix("m"))
    if number % 50 == 7:
        raise RuntimeError("as planned")
    if number % 50 == 13:
        os.kill(os.getpid(), signal.SIGSEGV)
"""
"""Of a model in fifty the run fails, of another it crashes."""

COMMAND = (
    *(sys.executable, "-m", "pytest", "-p", "no:randomly", "-p", "no:cacheprovider", "-q"),
    *("--ortperf-mode=validate", "--ortperf-ep=cpu", "--ortperf-isolation=pool", "--ortperf-checks=none"),
)


@dataclass(frozen=True)
class Part:
    """What stands in a records file."""

    outcomes: Mapping[str, str]
    """The last one of each case."""

    records: Counter[str]
    """How many each case has."""

    ended: bool
    """Whether the last line is the end of the run."""


def project(folder: Path, cases: int) -> Path:
    """Write a project with tiny models."""
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 4]) for name in "xy"]
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "relu", values[:1], values[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    folder.mkdir(parents=True, exist_ok=True)
    onnx.save(model, folder / "m.onnx")
    entries = [{"name": f"m{number:03}", "path": "m.onnx"} for number in range(cases)]
    (folder / "models.json").write_text(json.dumps(entries), encoding="utf-8")
    (folder / "conftest.py").write_text(CONFTEST, encoding="utf-8")
    return folder


def started(folder: Path, *args: str) -> subprocess.Popen[bytes]:
    """Start a run in a project; its output goes to a file there."""
    with (folder / "out").open("wb") as out:
        return subprocess.Popen(
            [*COMMAND, *args],
            cwd=folder,
            env={**os.environ, "ORTPERF_LOCKS": str(folder / "locks"), "XDG_CACHE_HOME": str(folder / "cache")},
            stdout=out,
            stderr=subprocess.STDOUT,
        )


def read(path: Path) -> Part:
    """Return what stands in a records file, lines that were cut off left out."""
    lines = list(_whole(path))
    records = [line for line in lines if line["type"] == "record"]
    return Part(
        outcomes={str(line["case_id"]): str(line["outcome"]) for line in records},
        records=Counter(str(line["case_id"]) for line in records),
        ended=bool(lines) and lines[-1]["type"] == "end",
    )


def _whole(path: Path) -> Iterator[Mapping[str, object]]:
    for line in path.read_bytes().split(b"\n"):
        try:
            yield json.loads(line)
        except ValueError:
            continue


def only_file(folder: Path) -> Path:
    """Return the one records file that holds anything: a run that is resumed has no second one."""
    files = [path for path in (folder / "result").glob("records_*.jsonl") if path.stat().st_size]
    if len(files) != 1:
        raise AssertionError(f"{folder}: {len(files)} runs with records")
    return files[0]


def killed_and_resumed(folder: Path, cases: int, after_s: float) -> tuple[int, Part]:
    """Kill a run, resume it, and return how many records it had when it was killed, and what is there at the end."""
    project(folder, cases)
    run = started(folder)
    time.sleep(after_s)
    run.send_signal(signal.SIGKILL)
    run.wait()
    files = [path for path in (folder / "result").glob("records_*.jsonl") if path.stat().st_size]
    had = read(files[0]).records.total() if files else 0
    started(folder, "--ortperf-resume").wait()
    return had, read(only_file(folder))


def problems(undisturbed: Part, resumed: Part) -> list[str]:
    """Return how a resumed run differs from one that nobody disturbed; only a crash may have been tried twice."""
    found = [] if resumed.ended else ["no end"]
    if resumed.outcomes != undisturbed.outcomes:
        found.append(f"{len(resumed.outcomes)} cases, or other outcomes, against {len(undisturbed.outcomes)}")
    doubles = [name for name, count in resumed.records.items() if count > 1 + (resumed.outcomes[name] == "crashed")]
    return [*found, *([f"doubles of {', '.join(doubles)}"] if doubles else [])]


def main(arguments: Sequence[str] | None = None) -> int:
    """Print a line a kill; the exit status is that of the promise."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20, help="runs to kill (default: 20)")
    parser.add_argument("--cases", type=int, default=200, help="cases of a run (default: 200)")
    parser.add_argument("--seed", type=int, default=0, help="of the moments (default: 0)")
    given = parser.parse_args(arguments)
    moments = random.Random(given.seed)  # noqa: S311 - moments, no secrets
    bad = 0
    with tempfile.TemporaryDirectory() as name:
        begin = time.monotonic()
        started(project(Path(name, "undisturbed"), given.cases)).wait()
        whole_s = time.monotonic() - begin
        undisturbed = read(only_file(Path(name, "undisturbed")))
        print(f"undisturbed: {Counter(undisturbed.outcomes.values())} in {whole_s:.1f} s")
        for number in range(given.kills):
            after_s = moments.uniform(0, whole_s)
            had, resumed = killed_and_resumed(Path(name, str(number)), given.cases, after_s)
            wrong = problems(undisturbed, resumed)
            bad += bool(wrong)
            what = "; ".join(wrong) or "equal"
            print(f"killed after {after_s:5.2f} s with {had:3} records, resumed: {what}", flush=True)
    print(f"{given.kills - bad} of {given.kills} resumed runs equal the undisturbed one")
    return min(bad, 1)


if __name__ == "__main__":
    sys.exit(main())
