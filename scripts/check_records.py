"""Check what the records of a results folder say about where their cases ran.

    python scripts/check_records.py RESULTS [--on PROVIDER]... [--refused PROVIDER=TEXT]...

`--on cuda`: every case of CUDA that measured or compared anything had nodes there, and there is at least one.
`--refused tensorrt=libnvinfer`: every case of TensorRT failed, gives TEXT as the reason, and has no latency.
Exit status 1 with a line for each case that is otherwise.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from pytest_ortperf.cases.providers import find_provider
from pytest_ortperf.records.reading import find_run, read_run
from pytest_ortperf.records.record import Record


def issues_of_used(records: Sequence[Record], provider: str) -> Iterator[str]:
    """Yield what speaks against cases of a provider having run there."""
    own = [record for record in records if record.provider == provider]
    if not own:
        yield f"no case of {provider}"
    full_name = find_provider(provider).full_name
    for record in own:
        nodes = record.placement.nodes_by_provider if record.placement else {}
        if record.outcome != "passed":
            yield f"{record.case_id}: {record.outcome}: {first_line(record)}"
        elif not nodes.get(full_name):
            yield f"{record.case_id}: passed, but its nodes are on {dict(nodes)}"


def issues_of_refused(records: Sequence[Record], provider: str, text: str) -> Iterator[str]:
    """Yield what speaks against each case of a provider having failed for the reason that holds the text."""
    own = [record for record in records if record.provider == provider]
    if not own:
        yield f"no case of {provider}"
    for record in own:
        if record.outcome != "failed" or record.failure is None:
            yield f"{record.case_id}: {record.outcome}, it should have failed"
        elif text not in reason(record):
            yield f"{record.case_id}: failed, but {text!r} is not in its reason: {reason(record)}"
        if record.latencies:
            yield f"{record.case_id}: has a latency"


def reason(record: Record) -> str:
    """Return everything that a record says about its failure."""
    failure = record.failure
    return "" if failure is None else "\n".join([failure.message, *failure.log_tail])


def first_line(record: Record) -> str:
    """Return the first line of a record's failure."""
    return reason(record).partition("\n")[0]


def main(arguments: Sequence[str] | None = None) -> int:
    """Check the newest run of a folder; return the exit status."""
    parser = argparse.ArgumentParser(description="Check where the cases of a run ran.")
    parser.add_argument("results", type=Path, metavar="RESULTS")
    parser.add_argument("--on", action="append", default=[], metavar="PROVIDER")
    parser.add_argument("--refused", action="append", default=[], metavar="PROVIDER=TEXT")
    given = parser.parse_args(arguments)
    records = read_run(find_run(given.results)).records
    issues = [issue for provider in given.on for issue in issues_of_used(records, provider)]
    for pair in given.refused:
        provider, _, text = pair.partition("=")
        issues += issues_of_refused(records, provider, text)
    for issue in issues:
        print(f"check: {issue}")
    print(f"check: {len(records)} records of {given.results}, {len(issues)} issues")
    return 1 if issues else 0


if __name__ == "__main__":
    sys.exit(main())
