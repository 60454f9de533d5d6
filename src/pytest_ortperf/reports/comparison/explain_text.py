"""An explanation for a terminal."""

from __future__ import annotations

from collections.abc import Iterator

from pytest_ortperf.records.environment.machine_checks import OFF
from pytest_ortperf.records.record import Record
from pytest_ortperf.reports.comparison.comparison import Comparison, pair_text
from pytest_ortperf.reports.comparison.explain import Explanation, OperatorShift, Overlay

_HALF = 24
"""Characters for the longest bar."""


def explanation_lines(comparison: Comparison, explanation: Explanation) -> list[str]:
    """Return one case in detail."""
    blocks = [
        [explanation.case_id, *_pairs(explanation)],
        *(list(overlay_lines(each)) for each in explanation.overlays),
        [*_machine("base", explanation.base), *_machine("current", explanation.current)],
        list(_environment(comparison)),
        list(_operators(explanation)),
    ]
    lines: list[str] = []
    for block in (block for block in blocks if block):
        lines += ["", *block] if lines else block
    return lines


def _pairs(explanation: Explanation) -> Iterator[str]:
    if not explanation.pairs:
        yield f"  base {explanation.base.outcome}, current {explanation.current.outcome}: no latency on both sides"
    for pair in explanation.pairs:
        yield f"  {pair.decision.verdict}  {pair_text(pair)}"
        yield f"    as measured {pair.raw_ratio:.3f}, adjusted p {pair.adjusted_p:.2g}"
        yield from (f"    {reason}" for reason in pair.decision.reasons)


def overlay_lines(overlay: Overlay) -> Iterator[str]:
    """Yield both distributions, a row a bin: base to the left of the middle, current to the right."""
    sides = f"base ({overlay.base_count}) to the left, current ({overlay.current_count}) to the right"
    yield f"samples, {overlay.timing}, ms: {sides}"
    most = max(*overlay.base, *overlay.current)
    for edge, base, current in zip(overlay.edges_ms, overlay.base, overlay.current, strict=False):
        left, right = ("#" * round(_HALF * share / most) or ("." if share else "") for share in (base, current))
        yield f"{edge:>10.4g} {left:>{_HALF}}|{right}".rstrip()


def _machine(name: str, record: Record) -> Iterator[str]:
    clocks = record.resources.clocks if record.resources else None
    if clocks is not None:
        why = f", held down by {', '.join(clocks.event_reasons)}" if clocks.event_reasons else ""
        spread = f"({clocks.min_sm_mhz} to {clocks.max_sm_mhz}, {clocks.samples} samples)"
        yield f"{name}: SM clock {clocks.mean_sm_mhz:.0f} MHz {spread}{why}"
    for found in record.machine.findings if record.machine else ():
        if found.level in OFF:
            yield f"{name}: {found.level}: {found.seen}"


def _environment(comparison: Comparison) -> Iterator[str]:
    if not comparison.differences:
        yield "environments: no difference is known"
        return
    yield "environments differ:"
    yield from (f"  {each.name}: {each.base} -> {each.current}" for each in comparison.differences)


def _operators(explanation: Explanation) -> Iterator[str]:
    if explanation.operator_note:
        yield explanation.operator_note
        return
    yield "operators, us in one run, those first whose time changed most:"
    yield from (f"  {operator_text(each)}" for each in explanation.operators)


def operator_text(each: OperatorShift) -> str:
    """Return an operator type in one line."""
    name = f"{each.provider.removesuffix('ExecutionProvider')} {each.op_type}"
    return f"{name}: {each.base_ns / 1e3:.1f} -> {each.current_ns / 1e3:.1f} ({each.change_ns / 1e3:+.1f})"
