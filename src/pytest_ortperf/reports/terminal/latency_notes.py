"""How far a latency can be trusted, in words."""

from __future__ import annotations

from pytest_ortperf.records.latency import UNSTABLE, Latency, Summary

NOT_PRECISE = "unstable: the 95 % interval of the median stayed wider than asked for; +- is what was reached"
NOT_LASTING = "unstable: sampling ended before the 95 % interval of the median had stayed as narrow as asked for"
NOT_STEADY = "not steady: the warm-up ended before two windows of it agreed; samples may still become faster or slower"
SEVERAL_MODES = "several modes: samples gather around more than one value, and p50 may be any of them"

_LEAST_SHOWN = 0.0005


def latency_notes(latency: Latency, summary: Summary) -> list[str]:
    """Return what a reader of the median must know."""
    half_width, target = summary.half_width, latency.precision_target
    narrow = half_width is not None and target is not None and half_width <= target
    notes = {
        NOT_LASTING if narrow else NOT_PRECISE: latency.status == UNSTABLE,
        NOT_STEADY: latency.steady is False,
        SEVERAL_MODES: (summary.modes or 1) > 1,
    }
    return [note for note, holds in notes.items() if holds]


def half_width_text(summary: Summary) -> str:
    """Return `0.6 %`: half the width of the median's 95 % interval; nothing for none."""
    half_width = summary.half_width
    if half_width is None:
        return ""
    return f"{100 * half_width:.1f} %" if half_width >= _LEAST_SHOWN else "<0.1 %"
