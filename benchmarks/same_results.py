"""Show that a refactoring left all results alone: the same runs before and after it, compared with a stored baseline.

Runs the plugin on the models of this repository and on small ones that fail in every way, the `ortperf` commands and
their help. What comes out becomes one document: each key of the records, column of the CSV files, name in the JUnit
file and line of text, with its values. `VOLATILE` and `TEXTS` list what differs from run to run. The package is the one
that this Python imports.

    python benchmarks/same_results.py            compare with the baseline; exit status 1 if anything differs
    python benchmarks/same_results.py --write    write the baseline

The baseline holds for the pinned versions of Python's packages: others have other messages and node counts.
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
"""Lines that are printed, and characters of a line."""

VERSIONS_OF = ("onnxruntime", "onnx", "numpy", "pandas", "pytest")

VOLATILE = (
    # when and where
    Volatile("started", "date"),
    Volatile("ended", "date"),
    Volatile("junit/testsuite@timestamp", "date"),
    Volatile("junit/*@time", "time"),
    Volatile("junit/testsuite@hostname", "the machine's name"),
    Volatile("header/environment/packages*", "which packages are installed, and their versions", "tree"),
    Volatile("header/environment/environment_variables*", "the machine's own", "tree"),
    Volatile("header/environment/gpus*", "the machine's GPUs", "tree"),
    Volatile("header/environment/*", "the machine and its versions"),
    Volatile("header/machine/#/*", "what was found out about the machine"),
    Volatile("end/machine*", "changes of the machine over the run, if there are any", "tree"),
    Volatile("end/canary_*", "time"),
    Volatile("csv/system_info/rows in order", "one row for each fact about the machine", "tree"),
    Volatile("csv/system_info/spec", "facts about the machine", "tree"),
    Volatile("csv/system_info/value", "facts about the machine", "tree"),
    Volatile("csv/success/version", "version of ONNX Runtime"),
    Volatile("csv/success/device", "the machine's CPU"),
    # the machine around a benchmark
    Volatile("record/machine/findings/#/*", "load and heat of the machine"),
    Volatile("record/machine/spans/#/*/gpu*", "readings of a GPU, if there is one", "tree"),
    Volatile("record/machine/spans/#/before/*", "readings of the machine"),
    Volatile("record/machine/spans/#/after/*", "readings of the machine"),
    Volatile("record/machine/spans/#/discarded", "iterations that the machine spoiled"),
    Volatile("record/resources/energy*", "not every machine has a counter of energy", "tree"),
    Volatile("record/resources/absent*", "what the machine cannot read, and why", "tree"),
    Volatile("record/resources/*_byte", "memory of the process"),
    Volatile("csv/success/machine*", "the worst finding about the machine"),
    Volatile("csv/success/energy*", "not every machine has a counter of energy"),
    Volatile("csv/success/power_w", "not every machine has a counter of energy"),
    Volatile("csv/session/not_known", "what the machine cannot read, and why"),
    # times and what follows from them
    Volatile("*_ns", "time"),
    Volatile("*_ns/*", "time"),
    Volatile("record/*/summary/modes*", "shape of the distribution of times", "tree"),
    Volatile("record/*/summary/[!c]*", "statistic of times"),
    Volatile("record/*/steady", "label of times"),
    Volatile("record/concurrent/*", "rates of threads in a fixed time"),
    Volatile("record/operators/operators/#/*", "operators are sorted by their time", "order"),
    Volatile("record/operators/arenas/#/*", "memory"),
    Volatile("record/operators/runs", "profiled runs, as many as fit into a time"),
    Volatile("csv/metrics/profiled_runs", "profiled runs, as many as fit into a time"),
    Volatile("record/operators/overlapping", "label of times"),
    Volatile("record/operators/notes*", "remarks on times, if there are any", "tree"),
    Volatile("record/limits/#/value", "time"),
    Volatile("csv/*_ms", "time"),
    Volatile("csv/*_s", "time or rate"),
    Volatile("csv/*_mib", "memory"),
    Volatile("csv/success/latency_*", "statistic of times"),
    Volatile("csv/success/lag1_correlation", "statistic of times"),
    Volatile("csv/success/*_outliers", "statistic of times"),
    Volatile("csv/success/modes", "shape of the distribution of times"),
    Volatile("csv/success/steady", "label of times"),
    Volatile("csv/success/gain_*percent", "ratio of times"),
    Volatile("csv/metrics/ratio_of_execution_time_on_provider", "ratio of times"),
    Volatile("csv/metrics/profile_note", "remarks on times"),
    Volatile("csv/op_metrics/time_percent", "ratio of times"),
    Volatile("junit/property/ortperf.*_ms", "time"),
    Volatile("junit/property/ortperf.*_s", "time"),
    Volatile("junit/property/ortperf.*_mib", "memory"),
    Volatile("junit/property/ortperf.time_on_ep", "ratio of times"),
    Volatile("junit/property/ortperf.modes", "shape of the distribution of times", "tree"),
    # errors of real models, which depend on the instructions that the CPU has; those of `odd` are exact everywhere
    *(
        Volatile(where, "error of kernels that depend on the CPU's instructions", items="models*")
        for where in (
            "record/reason",
            "record/accuracy/#/outputs/#/relative/*",
            *(
                f"{table}/{name}"
                for table in ("record/accuracy/#/outputs/#", "csv/accuracy")
                for name in (
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
            ),
            "csv/accuracy/*rmse*",
            "junit/property/ortperf.max_abs_error",
            "junit/property/ortperf.percent_mismatch",
            "junit/property/ortperf.reason",
        )
    ),
    # the comparison of two of these runs: what is slower is up to chance
    Volatile("compare models/json/rows/#/*", "comparison of times and memory"),
    Volatile("compare models/json/verdicts*", "counts of verdicts on times", "tree"),
    Volatile("compare models/json/fleets*", "what the times have in common", "tree"),
    Volatile("compare models/json/failing*", "verdicts on times", "tree"),
    Volatile("compare models/json/notes*", "remarks on times", "tree"),
    Volatile("compare*/json/*/fingerprint", "the machine"),
    Volatile("compare*/json/machine", "the machine"),
)


TEXTS = (
    Replacement(r"\x1b\[[0-9;]*m", "", "colours of ONNX Runtime's log"),
    Replacement(r"(?<!\d)\d{8}-\d{6}(-\d+)?(?!\d)", "<run>", "run id"),
    Replacement(r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?([+-]\d\d:\d\d|Z)?", "<date>", "date"),
    Replacement(
        r'File "[^"]+", line \d+,? in \S+', "<frame>", "a stack: paths, lines and functions change in a refactoring"
    ),
    Replacement(r"\b0x[0-9a-f]{4,}\b", "<address>", "address"),
    Replacement(r"\b[0-9a-f]{32,64}\b", "<hash>", "hash of versions"),
    Replacement(r"\b\d+\.\d+\.\d+(\.?[a-z0-9]+)*\b", "<version>", "version"),
    Replacement(r"\bin \d+\.\d+ ?s\b", "in <time>", "time"),
    Replacement(
        r"(p50_ms|throughput|, median latency:|, inferences per second:) \d[\d.e+-]*",
        r"\1 <measured>",
        "time or rate beside its limit",
    ),
    Replacement(r"(?m)^plugins: .*", "plugins: <plugins>", "which plugins are installed"),
    Replacement(r"(?m)^- operating system: .*", "- operating system: <name>", "the machine"),
    Replacement(r"([=_!-])\1{9,}", r"\1\1\1", "rules as wide as the terminal"),
    Replacement(r" {40,}", " ", "space as wide as the terminal"),
)


def fresh_document() -> Document:
    """Run everything and return what came out."""
    document = Document(VOLATILE, TEXTS)
    with tempfile.TemporaryDirectory(prefix="ortperf-same-") as temporary:
        add_all(document, Path(temporary).resolve())
    return document


def versions() -> dict[str, str]:
    """Return the versions that messages and node counts depend on."""
    return {"python": sys.version.split()[0], **{name: version(name) for name in VERSIONS_OF}}


def report(base: Values, current: Values, ignored: list[str]) -> int:
    """Print the differences, or what is equal; return the exit status."""
    found = differences(base, current, ignored)
    for line in found[:SHOWN]:
        print(line if len(line) <= LONGEST else f"{line[:LONGEST]}...")
    if len(found) > SHOWN:
        print(f"and {len(found) - SHOWN} more")
    print(f"{len(found)} differences" if found else f"equal: {counts(current)}")
    return int(bool(found))


def main() -> int:
    """Make the document, write or compare it, return the exit status."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--write", action="store_true", help="write the baseline instead of comparing with it")
    made.add_argument(
        "--baseline", type=Path, default=BASELINE, metavar="FILE", help="another file than the one in benchmarks/data"
    )
    made.add_argument(
        "--full", action="store_true", help="write every value, so that every difference can be shown; takes about 1 MB"
    )
    made.add_argument(
        "--ignore",
        action="append",
        default=[],
        metavar="PATTERN",
        help="leave out paths that match, such as 'help/*' or 'junit/property/*'; repeatable",
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
        print(f"the baseline is from other versions: {stored['versions']}, here {versions()}")
    return status


if __name__ == "__main__":
    sys.exit(main())
