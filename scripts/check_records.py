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
from pytest_ortperf.records.record import DataSetAccuracy, OutputAccuracy, Record
from pytest_ortperf.records.store import find_run, read_run


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


def accuracy_lines(records: Sequence[Record]) -> Iterator[str]:
    """Yield what each compared output was held to and how it did, so that a pass or failure is explained in the log."""
    for record in records:
        for data_set in record.accuracy:
            for output in data_set.outputs:
                yield f"{record.case_id}: {output_text(record, data_set, output)}"
        for check in record.checks:
            yield f"{record.case_id}: {check.name}: {check.outcome}{' (fails)' if check.fails else ''}: {check.note}"


def output_text(record: Record, data_set: DataSetAccuracy, output: OutputAccuracy) -> str:
    """Return the policy and the measures of one output, and the errors that a relative verdict rests on."""
    fact = record.model_fact
    precision = record.precision or (fact.precision if fact else None)
    computed = f", computed in {fact.compute_precision}" if fact and fact.compute_precision else ""
    worst = f"{output.worst_output} instead of {output.worst_reference} at {output.worst_index}"
    measures = (
        f"{shown(output.percent_mismatch)} % outside rtol={output.rtol:g} atol={output.atol:g}",
        f"max abs error {shown(output.max_abs_error)}, max rel error {shown(output.max_rel_error)}",
        f"cosine {shown(output.cosine, 9)} (at least {shown(output.cosine_least)})",
        f"SNR {shown(output.snr_db)} dB (at least {shown(output.snr_db_least)})",
        f"largest error {shown(output.peak_percent)} % of the largest reference",
        f"would pass with atol={shown(output.needed_atol)} or rtol={shown(output.needed_rtol)}",
        f"worst {worst if output.worst_index is not None else 'none'}",
        *([output.relative.note] if output.relative else []),
    )
    head = f"{output.verdict}: {precision}{computed}, '{output.name}' of {data_set.data_set} to {data_set.reference}"
    return f"{head}: {'; '.join(measures)}"


def shown(value: float | None, digits: int = 4) -> str:
    """Return a number, or a dash where there is none."""
    return "-" if value is None else f"{value:.{digits}g}"


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
    for line in accuracy_lines(records):
        print(f"accuracy: {line}")
    for issue in issues:
        print(f"check: {issue}")
    print(f"check: {len(records)} records of {given.results}, {len(issues)} issues")
    return 1 if issues else 0


if __name__ == "__main__":
    sys.exit(main())
