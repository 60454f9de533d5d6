"""The longest operators of each benchmark, for the terminal summary."""

from __future__ import annotations

from textwrap import wrap

from pytest_ortperf.cases.providers import short_name
from pytest_ortperf.records.operators import OperatorProfile, OperatorTime
from pytest_ortperf.records.record import Record
from pytest_ortperf.reports.tables.gains import PASSED
from pytest_ortperf.reports.tables.rows import Rows
from pytest_ortperf.reports.terminal.notes import row_name

MOST_TYPES = 5
_FIRM = "\N{NO-BREAK SPACE}"
_TITLE = "share of the time of all operators, in a profiled session apart; nodes as run"


def operator_lines(rows: Rows, width: int, *, verbose: bool) -> list[str]:
    """Return the operators of each benchmark that was profiled, and what is to be known of them.

    Nothing in a run of several models that is not verbose: the CSV tables are for these.
    """
    profiled = [(it, it.operators) for it in rows.records if it.operators is not None and it.outcome in PASSED]
    if not profiled or not (verbose or len(rows.subjects) == 1):
        return []
    lines = wrap(_TITLE, width, subsequent_indent="  ")
    for record, profile in profiled:
        text = f"{row_name(record)}: {', '.join(map(_unbroken, _operators(record, profile)))}"
        wrapped = wrap(text, width, initial_indent="  ", subsequent_indent="    ", break_on_hyphens=False)
        lines += [line.replace(_FIRM, " ") for line in wrapped]
        for note in (_between(profile), *profile.notes):
            lines += wrap(note, width, initial_indent="    ", subsequent_indent="    ")
    return lines


def _unbroken(text: str) -> str:
    return text.replace(" ", _FIRM)


def _operators(record: Record, profile: OperatorProfile) -> list[str]:
    shown, others = profile.operators[:MOST_TYPES], profile.operators[MOST_TYPES:]
    texts = [_operator(record, profile, operator) for operator in shown]
    if others:
        texts.append(f"{len(others)} more {_percent(profile, sum(it.time_ns for it in others))}")
    return texts


def _operator(record: Record, profile: OperatorProfile, operator: OperatorTime) -> str:
    where = "" if operator.provider == record.provider_full_name else f" on {short_name(operator.provider)}"
    return f"{operator.nodes} {operator.op_type}{where} {_percent(profile, operator.time_ns)}"


def _percent(profile: OperatorProfile, time_ns: int) -> str:
    share = profile.share(time_ns)
    return "-" if share is None else f"{100 * share:.3g} %"


def _between(profile: OperatorProfile) -> str:
    if profile.between_ns is None:
        return "operators overlapped, in several threads"
    return f"{profile.between_ns / 1e6:.3g} of {profile.run_ns / 1e6:.3g} ms of a run were between operators"
