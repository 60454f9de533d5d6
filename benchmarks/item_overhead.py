"""What one item costs beyond the work in it: wall time less the recorded stages, per kind of isolation.

Tiny validations, so that the work is small beside the rest; all sides in turns. Beside them an empty test function
under pytest-forked, and a Python process of its own for each case.
"""

from __future__ import annotations

import functools
import json
import shutil
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import onnx
from measuring import Report, Target, in_turns, parser, percentile, run_command, table
from onnx import TensorProto, helper, numpy_helper

from pytest_ortperf.records.store import read_run

HERE = Path(__file__).parent
PYTEST = (sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "item_clock")
PLUGIN: Mapping[str, tuple[str, ...]] = {
    "forked": ("--ortperf-isolation=forked",),
    "--forked (pytest-forked)": ("--forked",),
    "pool": ("--ortperf-isolation=pool",),
    "none": ("--ortperf-isolation=none",),
}
EMPTY = "pytest-forked, empty functions"
PROCESS = "a Python process per case"
TEXT = (
    "{items} validations of a model with one node, {rounds} rounds in turns. Overhead is wall time less the recorded "
    "stages. It is made of: `start`, from the end of the item before until the setup in the item's own process; "
    "`inside`, what that process does beside the stages; `end`, until the parent has shown the reports."
)
EMPTY_FILE = """import pytest


@pytest.mark.parametrize("number", range({items}))
def test_nothing(number):
    pass
"""


@dataclass(frozen=True, slots=True)
class ItemTime:
    """Where the time of one item went, in ms."""

    wall: float
    """From the end of the item before to its own."""

    stages: float
    """As recorded: model, session, inputs, run, comparison."""

    start: float
    """From the end of the item before to the setup in the item's process: that item's record, the fork."""

    inside: float
    """In the item's process from setup to its last report, less the stages: the session's end, hooks, reports."""

    end: float
    """From there until the parent has shown the reports: their way, and the child's end where it is waited for."""

    @property
    def overhead(self) -> float:
        """All that is not work."""
        return self.wall - self.stages


def write_models(folder: Path, items: int) -> Path:
    """Write a model that doubles its input, with data, and a list that has it many times; return the list."""
    model = folder / "tiny"
    data = model / "test_data_set_0"
    data.mkdir(parents=True)
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "x"], ["y"])],
        "tiny",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [8])],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), model / "model.onnx")
    values = np.arange(8, dtype=np.float32)
    (data / "input_0.pb").write_bytes(numpy_helper.from_array(values, "x").SerializeToString())
    (data / "output_0.pb").write_bytes(numpy_helper.from_array(2 * values, "y").SerializeToString())
    entries = [{"name": f"tiny{number}", "path": "tiny/model.onnx", "test_data": "tiny"} for number in range(items)]
    path = folder / "models.json"
    path.write_text(json.dumps({"models": entries}), encoding="utf-8")
    return path


def run_plugin(folder: Path, models: Path, options: Sequence[str]) -> list[ItemTime]:
    """Run the tiny cases once."""
    results = folder / "result"
    shutil.rmtree(results, ignore_errors=True)
    times = _run_clocked(
        folder,
        "--ortperf-mode=validate",
        "--ortperf-ep=cpu",
        f"--ortperf-models={models}",
        f"--ortperf-results={results}",
        *options,
    )
    run = read_run(next(results.glob("records_*.jsonl")))
    stages = {record.nodeid: sum(record.stage_ns.values()) for record in run.records}
    return list(item_times(times, stages))


def run_empty(folder: Path, items: int) -> list[ItemTime]:
    """Run empty functions under pytest-forked once."""
    (folder / "test_empty.py").write_text(EMPTY_FILE.format(items=items), encoding="utf-8")
    return list(item_times(_run_clocked(folder, "--forked", "test_empty.py"), {}))


def run_processes(folder: Path, items: int) -> list[ItemTime]:
    """Run one process a case, of as many cases as asked for."""
    found = []
    for _ in range(items):
        ended = run_command([sys.executable, HERE / "one_case.py", "tiny"], folder=folder)
        if ended.status:
            raise SystemExit(f"one_case.py failed:\n{ended.output}")
        wall, stages = ended.seconds * 1e3, int(ended.output) / 1e6
        found.append(ItemTime(wall=wall, stages=stages, start=0, inside=0, end=wall - stages))
    return found


def _run_clocked(folder: Path, *options: str) -> dict[str, dict[str, int]]:
    clock = folder / "clock.json"
    clock.unlink(missing_ok=True)
    # `python -m pytest` finds the plugin in the folder that it is started in
    shutil.copy(HERE / "item_clock.py", folder)
    ended = run_command([*PYTEST, *options], folder=folder, environment={"ITEM_CLOCK": str(clock)})
    if ended.status or not clock.exists():
        raise SystemExit(f"pytest ended with {ended.status}:\n{ended.output}")
    times: dict[str, dict[str, int]] = json.loads(clock.read_text(encoding="utf-8"))
    return times


def item_times(times: Mapping[str, Mapping[str, int]], stages_ns: Mapping[str, int]) -> Iterator[ItemTime]:
    """Yield each item's time; the first begins with its own start, the others with the end of the one before."""
    before = None
    for nodeid, at in times.items():
        begun = at["begun"] if before is None else before
        before = at["ended"]
        stages = stages_ns.get(nodeid, 0)
        yield ItemTime(
            wall=(at["ended"] - begun) / 1e6,
            stages=stages / 1e6,
            start=(at["setup"] - begun) / 1e6,
            inside=(at["made"] - at["setup"] - stages) / 1e6,
            end=(at["ended"] - at["made"]) / 1e6,
        )


def times_table(items: Mapping[str, list[ItemTime]]) -> str:
    """Return medians in ms; of the overhead the 10th and 90th percentile too."""
    rows = []
    for name, found in items.items():
        overheads = [item.overhead for item in found]
        parts = [statistics.median(getattr(item, part) for item in found) for part in ("wall", "stages")]
        cells = [*parts, statistics.median(overheads), percentile(overheads, 10), percentile(overheads, 90)]
        cells += [statistics.median(getattr(item, part) for item in found) for part in ("start", "inside", "end")]
        rows.append([name, str(len(found)), *(f"{cell:.2f}" for cell in cells)])
    heads = ["median, ms", "items", "wall", "stages", "overhead", "p10", "p90", "start", "inside", "end"]
    return table(heads, rows)


def targets(items: Mapping[str, list[ItemTime]]) -> list[Target]:
    """Return the two promises."""
    found = []
    for name, limit in (("forked", 20.0), ("pool", 3.0)):
        value = statistics.median(item.overhead for item in items[name])
        text = f"overhead of an item under {name} is below {limit:g} ms"
        found.append(Target(text, f"median {value:.2f} ms", value < limit))
    return found


def main() -> int:
    """Run all, print the report, return the exit status."""
    made = parser(__doc__, rounds=3)
    made.add_argument("--items", type=int, default=200, help="items a round; default %(default)s")
    made.add_argument("--processes", type=int, default=20, help="Python processes a round; default %(default)s")
    given = made.parse_args()
    report = Report("Overhead of one item")
    with tempfile.TemporaryDirectory(prefix="ortperf-overhead-") as temporary:
        folder = Path(temporary)
        (folder / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
        models = write_models(folder, given.items)
        sides: dict[str, Callable[[], list[ItemTime]]] = {
            name: functools.partial(run_plugin, folder, models, options) for name, options in PLUGIN.items()
        }
        sides[EMPTY] = functools.partial(run_empty, folder, given.items)
        sides[PROCESS] = functools.partial(run_processes, folder, given.processes)
        rounds = in_turns(sides, given.repeat)
    items = {name: [item for found in done for item in found] for name, done in rounds.items()}
    report.sections = [
        TEXT.format(items=given.items, rounds=given.repeat),
        times_table(items),
    ]
    report.targets = targets(items)
    report.data = {"items": {name: [asdict(item) for item in found] for name, found in items.items()}}
    report.finish(given.output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
