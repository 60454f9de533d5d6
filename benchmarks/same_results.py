"""Check that a refactoring changes no result, by comparing with results stored before it.

The script runs the plugin on this repository's models and on small models that fail in many ways, and it runs every
`ortperf` command. It collects record keys, CSV columns, JUnit names, messages and help texts with their values into
one document. `VOLATILE` and `TEXTS` list what may differ between two runs of the same code, and why. The package under
test is the one that this Python imports.

    python benchmarks/same_results.py            compare with the baseline; the exit status is 1 if anything differs
    python benchmarks/same_results.py --write    write the baseline

The baseline holds for the versions in constraints.txt: with others, messages and node counts can differ. To see
every changed value, write a full baseline with the old code: `--write --full --baseline=old.json`.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

from same_results_compare import counts, differences
from same_results_document import Document, Replacement, Values, Volatile
from same_results_runs import SOURCE, add_all

BASELINE = Path(__file__).parent / "data" / "same_results.json"
SHOWN, LONGEST = 40, 400
"""Limits of what is printed: lines, and characters per line."""

VERSIONS_OF = ("onnxruntime", "onnx", "numpy", "pandas", "pytest")

ACCURACY = (
    "message",
    "percent_mismatch",
    "max_abs_error",
    "max_rel_error",
    "cosine",
    "snr_db",
    "peak_percent",
    "worst_index",
    "worst_output",
    "worst_reference",
    "needed_atol",
    "needed_rtol",
    "own_error",
)
"""Keys of a record and columns of a table."""

ROUNDING = "errors of real models depend on the instructions that the CPU has; those of the other models are exact"

VOLATILE = (
    # when and where it ran
    Volatile("started", "date"),
    Volatile("ended", "date"),
    Volatile("junit/testsuite@timestamp", "date"),
    Volatile("junit/*@time", "time"),
    Volatile("junit/testsuite@hostname", "name of the machine"),
    Volatile("header/environment/packages*", "installed packages and their versions", "tree"),
    Volatile("header/environment/environment_variables*", "depends on the machine", "tree"),
    Volatile("header/environment/gpus*", "depends on the machine", "tree"),
    Volatile("header/environment/*", "depends on the machine", "any"),
    Volatile("header/machine/#/*", "findings about the machine", "any"),
    Volatile("end/machine*", "findings about the machine; may be empty", "tree"),
    Volatile("csv/system_info/rows in order", "one row per fact about the machine", "tree"),
    Volatile("csv/system_info/spec", "facts about the machine", "tree"),
    Volatile("csv/system_info/value", "facts about the machine", "tree"),
    Volatile("csv/success/version", "version of ONNX Runtime"),
    Volatile("csv/*/device", "name of the CPU", "any"),
    Volatile("csv/*/host", "name of the machine", "any"),
    Volatile("junit/suite property/ortperf.*", "depends on the machine and the versions", "any"),
    Volatile("*canary*", "speed of the machine", "tree"),
    # the machine during a benchmark
    Volatile("record/machine/findings/#/*", "findings about the machine", "any"),
    Volatile("record/machine/spans/#/*/gpu*", "readings of the GPU; null without one", "tree"),
    Volatile("record/machine/spans/#/before/*", "readings of the machine", "any"),
    Volatile("record/machine/spans/#/after/*", "readings of the machine", "any"),
    Volatile("record/machine/spans/#/discarded", "iterations disturbed by other load"),
    Volatile("record/resources/energy*", "depends on the machine's energy counters", "tree"),
    Volatile("record/resources/absent*", "what this machine cannot read, and why", "tree"),
    Volatile("record/resources/*_byte", "memory of the process"),
    Volatile("csv/success/machine*", "findings about the machine", "any"),
    Volatile("csv/success/energy*", "depends on the machine's energy counters", "any"),
    Volatile("csv/success/power_w", "depends on the machine's energy counters", "any"),
    Volatile("csv/session/not_known", "what this machine cannot read, and why", "any"),
    # times, and what is computed from them
    Volatile("*_ns", "time"),
    Volatile("*_ns/*", "time"),
    Volatile("record/*/summary/modes*", "shape of a distribution of times", "tree"),
    Volatile("record/*/summary/lag1_correlation", "statistic of times; null if they are all equal", "any"),
    Volatile("record/*/summary/[!c]*", "statistic of times"),
    Volatile("record/*/steady", "label derived from times", "any"),
    Volatile("record/concurrent/*", "rates within a fixed time"),
    Volatile("record/operators/operators/#/*", "operators are sorted by their time", "order"),
    Volatile("record/operators/arenas/#/*", "memory"),
    Volatile("record/operators/runs", "as many runs as fit into a fixed time"),
    Volatile("csv/metrics/profiled_runs", "as many runs as fit into a fixed time"),
    Volatile("record/operators/overlapping", "label derived from times", "any"),
    Volatile("record/operators/notes*", "notes on times; may be empty", "tree"),
    Volatile("record/limits/#/value", "time"),
    Volatile("csv/*_ms", "time"),
    Volatile("csv/*_s", "time or rate"),
    Volatile("csv/*_mib", "memory"),
    Volatile("csv/success/latency_*", "statistic of times"),
    Volatile("csv/success/lag1_correlation", "statistic of times; empty if they are all equal", "any"),
    Volatile("csv/success/*_outliers", "statistic of times"),
    Volatile("csv/success/modes", "shape of a distribution of times", "any"),
    Volatile("csv/success/steady", "label derived from times", "any"),
    Volatile("csv/success/gain_*percent", "ratio of times"),
    Volatile("csv/metrics/ratio_of_execution_time_on_provider", "ratio of times"),
    Volatile("csv/metrics/profile_note", "notes on times; may be empty", "any"),
    Volatile("csv/op_metrics/time_percent", "ratio of times"),
    Volatile("junit/property/ortperf.*_ms", "time"),
    Volatile("junit/property/ortperf.*_s", "time"),
    Volatile("junit/property/ortperf.*_mib", "memory"),
    Volatile("junit/property/ortperf.time_on_ep", "ratio of times"),
    Volatile("junit/property/ortperf.modes", "shape of a distribution of times", "tree"),
    # accuracy of real models
    *(Volatile(f"record/accuracy/#/outputs/#/{name}", ROUNDING, "any", items="models*") for name in ACCURACY),
    *(Volatile(f"csv/accuracy/{name}", ROUNDING, "any", items="models*") for name in ACCURACY),
    Volatile("record/accuracy/#/outputs/#/relative/*", ROUNDING, "any", items="models*"),
    Volatile("csv/accuracy/*rmse*", ROUNDING, "any", items="models*"),
    Volatile("record/reason", ROUNDING, items="models*"),
    Volatile("junit/property/ortperf.max_abs_error", ROUNDING, items="models*"),
    Volatile("junit/property/ortperf.percent_mismatch", ROUNDING, items="models*"),
    Volatile("junit/property/ortperf.reason", ROUNDING, items="models*"),
    # comparison of two runs made here; that of stored runs is compared in full
    Volatile("compare models/json/rows/#/*", "depends on times and memory", "any"),
    Volatile("compare models/json/verdicts*", "counts of verdicts on times", "tree"),
    Volatile("compare models/json/fleets*", "depends on times", "tree"),
    Volatile("compare models/json/failing*", "verdicts on times", "tree"),
    Volatile("compare models/json/unsure*", "verdicts on times", "tree"),
    Volatile("compare models/json/notes*", "notes on times; may be empty", "tree"),
    Volatile("compare [mo]*/json/*/fingerprint", "depends on the machine"),
    Volatile("compare [mo]*/json/machine", "depends on the machine"),
)

TEXTS = (
    Replacement(r"\x1b\[[0-9;]*m", "", "colours in the log of ONNX Runtime"),
    Replacement(r"(?<!\d)\d{8}-\d{6}(-\d+)?(?!\d)", "<run>", "run id"),
    Replacement(r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?([+-]\d\d:\d\d|Z)?", "<date>", "date"),
    Replacement(
        r'File "[^"]+", line \d+,? in \S+', "<frame>", "frame of a stack: a refactoring changes lines and functions"
    ),
    Replacement(r"\b0x[0-9a-f]{4,}\b", "<address>", "address"),
    Replacement(r"\b[0-9a-f]{32,64}\b", "<hash>", "hash that depends on versions"),
    Replacement(r"\b\d+\.\d+\.\d+(\.?[a-z0-9]+)*\b", "<version>", "version"),
    Replacement(r"\bin \d+\.\d+ ?s\b", "in <time>", "time"),
    Replacement(
        r"(p50_ms|throughput|, median latency:|, inferences per second:) \d[\d.e+-]*",
        r"\1 <measured>",
        "measured value in the message about a limit",
    ),
    Replacement(r"(?m)^plugins: .*", "plugins: <plugins>", "installed plugins"),
    Replacement(r"(?m)^- operating system: .*", "- operating system: <name>", "depends on the machine"),
    Replacement(r"([=_!-])\1{9,}", r"\1\1\1", "lines as wide as the terminal"),
    Replacement(r" {40,}", " ", "padding to the width of the terminal"),
)


def fresh_document() -> Document:
    """Run everything and return the results."""
    document = Document(VOLATILE, TEXTS)
    with tempfile.TemporaryDirectory(prefix="ortperf-same-") as temporary:
        add_all(document, Path(temporary).resolve())
    return document


def versions() -> dict[str, str]:
    """Return the versions that results depend on."""
    return {"python": sys.version.split()[0], **{name: version(name) for name in VERSIONS_OF}}


def report(base: Values, current: Values, ignored: list[str]) -> int:
    """Print the differences, or how much is equal; return the exit status."""
    found = differences(base, current, ignored)
    for line in found[:SHOWN]:
        print(line if len(line) <= LONGEST else f"{line[:LONGEST]}...")
    if len(found) > SHOWN:
        print(f"and {len(found) - SHOWN} more")
    print(f"{len(found)} differences" if found else f"equal: {counts(current)}")
    return int(bool(found))


def main() -> int:
    """Run everything, write or compare the results, and return the exit status."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--write", action="store_true", help="write the baseline instead")
    made.add_argument(
        "--baseline",
        type=Path,
        default=BASELINE,
        metavar="FILE",
        help="the file; default: benchmarks/data/same_results.json",
    )
    made.add_argument(
        "--full", action="store_true", help="with --write: store all values instead of digests, about 1 MB"
    )
    made.add_argument(
        "--ignore",
        action="append",
        default=[],
        metavar="PATTERN",
        help="do not compare matching paths, such as 'help/*' or 'junit/property/*'; repeatable",
    )
    given = made.parse_args()
    start = time.monotonic()
    document = fresh_document()
    print(f"results of {SOURCE} in {time.monotonic() - start:.0f} s")
    if given.write:
        values = document.values(full=given.full)
        stored = {"versions": versions(), "full": given.full, "values": values}
        given.baseline.write_text(json.dumps(stored, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        print(f"wrote {given.baseline}: {counts(values)}")
        return 0
    stored = json.loads(given.baseline.read_text(encoding="utf-8"))
    status = report(stored["values"], document.values(full=stored["full"]), given.ignore)
    if status and stored["versions"] != versions():
        print(f"the baseline was made with other versions: {stored['versions']}, not {versions()}")
    return status


if __name__ == "__main__":
    sys.exit(main())
