"""One case in one line, as soon as it has ended."""

from __future__ import annotations

from pytest_ortperf.plain_text import plain_line
from pytest_ortperf.records.record import Record
from pytest_ortperf.records.statistics import summarize
from pytest_ortperf.reports.causes import outcome_word
from pytest_ortperf.reports.tables.rows import FAILED
from pytest_ortperf.reports.terminal.latency_text import TimeFormat, half_width_text
from pytest_ortperf.reports.terminal.notes import latency_notes, row_name


def measured_text(record: Record) -> str:
    """Return the headline of a benchmark: `4.25 ms +-0.6 % uw`; nothing for none."""
    if not record.latencies:
        return ""
    latency = record.latencies[0]
    summary = summarize(latency)
    time = TimeFormat.of([summary.p50_ns])
    width = half_width_text(summary)
    letters = "".join(latency_notes(latency, summary))
    parts = (f"{time.text(summary.p50_ns)} {time.unit}", f"+-{width}" if width else "", letters)
    return " ".join(part for part in parts if part)


def result_row(record: Record) -> str:
    """Return a case that was measured or failed as one line; nothing for others, which need none."""
    name = plain_line(row_name(record))
    if record.outcome in FAILED:
        message = record.failure.message.strip().partition("\n")[0] if record.failure else ""
        outcome = outcome_word(record.outcome)
        return plain_line(f"{name}  {record.mode} {outcome}{f': {message}' if message else ''}")
    measured = measured_text(record)
    return f"{name}  {measured}" if measured else ""
