"""OpenVINO on this repository's models and the onnx project's conformance cases, beside the CPU provider.

Needs an environment with onnxruntime-openvino instead of onnxruntime. Each case that does not pass gets a class by the
kind of its failure and what its message says; beside it stands how the CPU provider does on the same cases.

Exit status: 1 if a failure belongs to no class.
"""

from __future__ import annotations

import argparse
import re
import shutil
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from conformance_data import write_cases
from measuring import Report, parser, run_command, table

from pytest_ortperf.records.record import Record
from pytest_ortperf.records.store import read_run

ROOT = Path(__file__).parents[1]
PYTEST = (sys.executable, "-m", "pytest", "-q", "--tb=no", "-p", "no:cacheprovider", "--ortperf-mode=validate")
POOL = ("--ortperf-isolation=pool", "-n", "2")
OFFICIAL_TOLERANCE = ("--ortperf-rtol=1e-3", "--ortperf-atol=1e-7", "--ortperf-second-chance=off")
PROVIDERS = ("openvino", "cpu")

PASSED, FAILED, NOT_PLACED, UNAVAILABLE = "passed", "failed", "not placed", "unavailable"
"""`not placed`: the provider got no node that is known of; `unavailable`: no session, whatever the provider."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A class of outcomes."""

    outcome: str
    name: str
    kinds: tuple[str, ...]
    """Of a record's failure."""

    pattern: str
    """Somewhere in the message."""


KINDS = (
    Kind(NOT_PLACED, "OpenVINO takes none of the nodes", ("fallback",), r"0 of \d+ nodes ran there"),
    Kind(
        NOT_PLACED,
        "unknown: the run that would show the placement fails",
        ("fallback",),
        r"whether any node ran there is unknown",
    ),
    Kind(UNAVAILABLE, "IR version newer than this ONNX Runtime", ("session error",), r"Unsupported model IR version"),
    Kind(UNAVAILABLE, "operator set newer than this ONNX Runtime", ("session error",), r"only \*guarantees\* support"),
    Kind(UNAVAILABLE, "attribute newer than this ONNX Runtime", ("session error",), r"Unrecognized attribute"),
    Kind(UNAVAILABLE, "no such operator in this ONNX Runtime", ("session error",), r"is not a registered function/op"),
    Kind(
        UNAVAILABLE,
        "no kernel in this ONNX Runtime for a node that OpenVINO leaves",
        ("session error",),
        r"Could not find an implementation|Failed to find kernel",
    ),
    Kind(
        UNAVAILABLE,
        "a kernel of the CPU provider refuses attributes, or misses a locale",
        ("session error",),
        r"core/providers/cpu/",
    ),
    Kind(
        UNAVAILABLE,
        "ONNX Runtime refuses the graph",
        ("session error",),
        r"invalid model|Type Error|ShapeInferenceError",
    ),
    Kind(
        FAILED,
        "OpenVINO takes nodes of an operator that it then refuses: Attention",
        ("session error",),
        r"does not support the following ONNX operations: Attention",
    ),
    Kind(
        FAILED,
        "OpenVINO takes nodes that it then cannot compile",
        ("session error", "runtime error"),
        r"providers/openvino|OpenVINO-EP-subgraph",
    ),
    Kind(FAILED, "outputs differ: of another shape", ("result accuracy issue",), r"is \w+ \([\d, ]*\) instead of"),
    Kind(FAILED, "outputs differ: nan instead of a number", ("result accuracy issue",), r"nan instead of"),
    Kind(FAILED, "outputs differ: values", ("result accuracy issue",), r"percent mismatch"),
    Kind(FAILED, "outputs differ: from run to run", ("result accuracy issue",), r"a second run with the same inputs"),
    Kind(FAILED, "crash or time-out", ("crash", "timeout"), r""),
)


def classified(record: Record) -> Kind | None:
    """Return the class of a case; `None` for a failure without one."""
    failure = record.failure
    if failure is None:
        return _passed(record)
    return next((it for it in KINDS if failure.kind in it.kinds and re.search(it.pattern, failure.message)), None)


def _passed(record: Record) -> Kind:
    placement = record.placement
    if placement is None or placement.total_nodes == 0:
        return Kind(PASSED, "the graph folded to constants: no node is left", (), "")
    if set(placement.nodes_by_provider) == {record.provider_full_name}:
        return Kind(PASSED, "every node on OpenVINO", (), "")
    return Kind(PASSED, "part of the nodes on the CPU provider", (), "")


def validate(models: Path, options: Sequence[str]) -> dict[str, dict[str, Record]]:
    """Run each provider on the models; return the records by provider and model. Results lie beside the models."""
    folder = models.parent
    (folder / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    found = {}
    for provider in PROVIDERS:
        results = folder / f"result-{provider}"
        shutil.rmtree(results, ignore_errors=True)
        command = [*PYTEST, *POOL, *options, f"--ortperf-ep={provider}", f"--ortperf-models={models}"]
        ended = run_command([*command, f"--ortperf-results={results}"], folder=folder)
        files = sorted(results.glob("records_*.jsonl"))
        if not files:
            raise SystemExit(f"the plugin wrote no records:\n{ended.output}")
        found[provider] = {record.model: record for record in read_run(files[-1]).records}
    return found


def copy_of_models(folder: Path) -> Path:
    """Copy this repository's models, away from its own pytest settings; return their list."""
    shutil.copytree(ROOT / "models", folder / "models", dirs_exist_ok=True)
    return Path(shutil.copy(ROOT / "models.json", folder / "models.json"))


def classes_table(records: Mapping[str, Mapping[str, Record]]) -> str:
    """Return how many cases each class has, and how the CPU provider does on them."""
    members: dict[tuple[str, str], list[str]] = defaultdict(list)
    for model, record in records["openvino"].items():
        kind = classified(record)
        members[(kind.outcome, kind.name) if kind else ("", "NOT EXPLAINED")].append(model)
    order = (PASSED, NOT_PLACED, FAILED, UNAVAILABLE, "")
    rows = [
        [f"{outcome}: {name}", str(len(models)), *_on_cpu(models, records["cpu"])]
        for (outcome, name), models in sorted(
            members.items(), key=lambda item: (order.index(item[0][0]), -len(item[1]))
        )
    ]
    total = ["all", str(len(records["openvino"])), *_on_cpu(records["openvino"], records["cpu"])]
    return table(["on OpenVINO", "cases", "of these pass on the CPU", "fail on the CPU"], [*rows, total])


def _on_cpu(models: Iterable[str], cpu: Mapping[str, Record]) -> list[str]:
    counts = Counter(cpu[model].outcome == "passed" for model in models if model in cpu)
    return [str(counts[True]), str(counts[False])]


def operators_left(records: Mapping[str, Record], most: int = 20) -> str:
    """Return the operator types of cases that OpenVINO took no node of, most frequent first."""
    counts: Counter[str] = Counter()
    for record in records.values():
        kind = classified(record)
        if kind is not None and kind.outcome == NOT_PLACED and record.placement is not None:
            counts.update({name for types in record.placement.op_types_by_provider.values() for name in types})
    shown = ", ".join(f"{name} ({count})" for name, count in counts.most_common(most))
    return f"{shown} and {len(counts) - most} more" if len(counts) > most else shown


def mismatches(records: Mapping[str, Mapping[str, Record]]) -> str:
    """Return each case with wrong outputs, with what the CPU provider does on it."""
    lines = []
    for model, record in sorted(records["openvino"].items()):
        failure = record.failure
        if failure is not None and failure.kind == "result accuracy issue":
            types = sorted(
                {
                    name
                    for it in (record.placement.op_types_by_provider if record.placement else {}).values()
                    for name in it
                }
            )
            what = failure.message.splitlines()[-1].strip()
            shown = ", ".join(types[:4]) + (" ..." if len(types) > 4 else "")  # noqa: PLR2004 - enough to know it
            lines.append(f"- `{model}` ({shown}; CPU: {records['cpu'][model].outcome}): {what}")
    return "\n".join(lines)


def unexplained(records: Mapping[str, Record]) -> list[str]:
    """Return the failures without a class."""
    return [
        f"- {model}: {record.failure.kind}: {record.failure.message[:300]}"
        for model, record in sorted(records.items())
        if record.failure is not None and classified(record) is None
    ]


def arguments() -> argparse.Namespace:
    """Return the options."""
    made = parser(__doc__, rounds=1)
    made.formatter_class = argparse.RawDescriptionHelpFormatter
    made.add_argument("--every", type=int, default=1, metavar="N", help="each N-th case of a kind only")
    made.add_argument("--workspace", type=Path, metavar="DIR", help="keep cases and results there; default: temporary")
    return made.parse_args()


def main() -> int:
    """Run all, print the report, return the exit status."""
    given = arguments()
    report = Report(f"OpenVINO on conformance cases: onnxruntime-openvino {version('onnxruntime-openvino')}")
    with tempfile.TemporaryDirectory(prefix="ortperf-openvino-") as temporary:
        folder = (given.workspace or Path(temporary)).absolute()
        names = write_cases(folder / "cases", given.every)
        bundled = validate(copy_of_models(folder / "bundled"), ())
        cases = validate(folder / "cases", OFFICIAL_TOLERANCE)
    missing = [*unexplained(cases["openvino"]), *unexplained(bundled["openvino"])]
    report.sections = [
        f"## The {len(bundled['openvino'])} models of this repository",
        classes_table(bundled),
        mismatches(bundled) or "No output differs.",
        f"## {len(names)} conformance cases",
        classes_table(cases),
        f"Operator types of the cases that OpenVINO takes no node of: {operators_left(cases['openvino'])}.",
        "### Outputs that differ",
        mismatches(cases),
        *(["### NOT EXPLAINED", "\n".join(missing)] if missing else []),
    ]
    report.data = {
        name: {provider: {model: _verdict(it) for model, it in found.items()} for provider, found in part.items()}
        for name, part in (("models", bundled), ("cases", cases))
    }
    report.finish(given.output)
    return int(bool(missing))


def _verdict(record: Record) -> list[str]:
    kind = classified(record)
    return [record.outcome, kind.name if kind else "", record.failure.message if record.failure else ""]


if __name__ == "__main__":
    sys.exit(main())
