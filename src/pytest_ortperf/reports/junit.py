"""A record as JUnit properties: name and text pairs that CI systems show beside a test."""

from __future__ import annotations

from pytest_ortperf.quantities import QUANTITIES, Quantity, read
from pytest_ortperf.records.record import Record
from pytest_ortperf.reports.tables.columns import value_of
from pytest_ortperf.reports.tables.limit_text import limits_state


def properties(record: Record) -> list[tuple[str, object]]:
    """Return the properties of one record; what is absent has none."""
    headline = record.latencies[0] if record.latencies else None
    values: dict[str, object] = {
        "model": record.model,
        "mode": record.mode,
        "ep": record.provider_full_name,
        "precision": record.precision or (record.model_fact.precision if record.model_fact else None),
        "status": record.outcome,
        "reason": record.reason,
        "error_type": read(record, "failure.kind"),
        **{name: read(record, f"failure.{name}") for name in ("stage", "signal", "exit_code")},
        **{name: read(headline, path) for name, path in _HEADLINE.items()},
        "accuracy_verdict": _verdict(record),
        "limits": limits_state(record),
        **{each.junit: _value(each, record) for each in QUANTITIES if each.junit},
    }
    return [(f"ortperf.{name}", _text(value)) for name, value in values.items() if value is not None]


_HEADLINE = {"timing": "timing", "latency_status": "status", "steady": "steady"}


def _value(quantity: Quantity, record: Record) -> object:
    value, scale = value_of(quantity, record), quantity.scale
    return round(value, scale.decimals) if value is not None and scale.is_coarse else value


def _text(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _verdict(record: Record) -> str | None:
    verdicts = {output.verdict for data_set in record.accuracy for output in data_set.outputs}
    return next((verdict for verdict in ("fail", "pass-relative", "pass") if verdict in verdicts), None)
