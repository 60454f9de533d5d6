"""One case of a comparison in detail: samples of both sides, clocks, environments, operators.

An explanation for a terminal.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pytest_ortperf.errors import ResultsFileError
from pytest_ortperf.records.environment.machine_checks import OFF
from pytest_ortperf.records.record import Record
from pytest_ortperf.reports.comparison.compared_side import Side
from pytest_ortperf.reports.comparison.latency_changes import LatencyPair
from pytest_ortperf.reports.comparison.run_comparison import Comparison, pair_text

_HALF = 24
"""Characters for the longest bar."""


def explanation_lines(comparison: Comparison, explanation: Explanation) -> list[str]:
    """Return one case in detail."""
    blocks = [
        [explanation.case_id, *_pairs(explanation)],
        *(list(overlay_lines(each)) for each in explanation.overlays),
        [*_machine("base", explanation.base), *_machine("current", explanation.current)],
        list(_environment(comparison)),
        list(_operators_text(explanation)),
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


def _operators_text(explanation: Explanation) -> Iterator[str]:
    if explanation.operator_note:
        yield explanation.operator_note
        return
    yield "operators, us in one run, those first whose time changed most:"
    yield from (f"  {operator_text(each)}" for each in explanation.operators)


def operator_text(each: OperatorShift) -> str:
    """Return an operator type in one line."""
    name = f"{each.provider.removesuffix('ExecutionProvider')} {each.op_type}"
    return f"{name}: {each.base_ns / 1e3:.1f} -> {each.current_ns / 1e3:.1f} ({each.change_ns / 1e3:+.1f})"


BINS = 24
MOST_OPERATORS = 8
_TAIL = 0.05
"""Share of samples at each end that only the outermost bins show."""

_NAMES_SHOWN = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Overlay:
    """Samples of both sides in common bins."""

    timing: str
    edges_ms: tuple[float, ...]
    """One more than there are bins; the first and last bin also hold what lies outside."""

    base: tuple[float, ...]
    """Share of the samples in each bin."""

    current: tuple[float, ...]
    base_count: int
    current_count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorShift:
    """Operators of one type on one provider, in one run of the model."""

    provider: str
    op_type: str
    base_ns: int
    current_ns: int

    @property
    def change_ns(self) -> int:
        """Positive is slower."""
        return self.current_ns - self.base_ns


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """All of that."""

    case_id: str
    base: Record
    current: Record
    pairs: tuple[LatencyPair, ...]
    overlays: tuple[Overlay, ...]
    operators: tuple[OperatorShift, ...]
    """Those whose time changed most, first."""

    operator_note: str | None
    """Why there are none."""


def explain(comparison: Comparison, name: str) -> Explanation:
    """Return one case in detail.

    Args:
        comparison: What it is of.
        name: Its case id, or a part of it that no other case has.

    Raises:
        ResultsFileError: If both sides have no such case, or several.
    """
    key = _find(comparison, name)
    base, current = comparison.base.last[key].record, comparison.current.last[key].record
    operators, note = _operators(base, current)
    return Explanation(
        case_id=key,
        base=base,
        current=current,
        pairs=tuple(pair for pair in comparison.pairs if pair.case_id == key),
        overlays=tuple(_overlays(comparison, key)),
        operators=operators,
        operator_note=note,
    )


def _find(comparison: Comparison, name: str) -> str:
    keys = [key for key in comparison.current.last if key in comparison.base.last]
    if name in keys:
        return name
    found = [key for key in keys if name in key]
    if len(found) == 1:
        return found[0]
    benchmarks = [key for key in found if "::benchmark[" in key]
    if len(benchmarks) == 1:
        return benchmarks[0]
    listed = found or keys
    more = f" and {len(listed) - _NAMES_SHOWN} more" if len(listed) > _NAMES_SHOWN else ""
    shown = ", ".join(listed[:_NAMES_SHOWN]) + more
    what = f"is part of {len(found)} cases" if found else "is no case of both sides"
    raise ResultsFileError(f"--explain {name}: {what}. Give one of: {shown or 'none'}.")


def _overlays(comparison: Comparison, key: str) -> Iterator[Overlay]:
    for latency in comparison.current.last[key].record.latencies:
        sides = [_samples(side, key, latency.label) for side in (comparison.base, comparison.current)]
        if all(sides):
            yield overlay(latency.label, *sides)


def _samples(side: Side, key: str, timing: str) -> list[int]:
    return [
        sample
        for record in side.all_of(key)
        for latency in record.latencies
        if latency.label == timing
        for sample in latency.samples_ns
    ]


def overlay(timing: str, base: Sequence[int], current: Sequence[int]) -> Overlay:
    """Return samples in ns of both sides, at least one each, in bins of equal ratio."""
    ends = [end for side in (base, current) for end in _ends(side)]
    low, high = math.log(max(min(ends), 1)), math.log(max(*ends, 2))
    step = max((high - low) / BINS, 1e-6)
    edges = tuple(math.exp(low + step * number) / 1e6 for number in range(BINS + 1))
    shares = [_shares(side, low, step) for side in (base, current)]
    return Overlay(
        timing=timing,
        edges_ms=edges,
        base=shares[0],
        current=shares[1],
        base_count=len(base),
        current_count=len(current),
    )


def _ends(samples: Sequence[int]) -> tuple[int, int]:
    ordered = sorted(samples)
    cut = int(len(ordered) * _TAIL)
    return ordered[cut], ordered[-1 - cut]


def _shares(samples: Sequence[int], low: float, step: float) -> tuple[float, ...]:
    counts = [0] * BINS
    for sample in samples:
        counts[min(BINS - 1, max(0, int((math.log(max(sample, 1)) - low) / step)))] += 1
    return tuple(count / len(samples) for count in counts)


def _operators(base: Record, current: Record) -> tuple[tuple[OperatorShift, ...], str | None]:
    if base.operators is None or current.operators is None:
        return (), "operators were not timed on both sides (--ortperf-operators=on times them)"
    times = [
        {(each.provider, each.op_type): each.time_ns for each in profile.operators}
        for profile in (base.operators, current.operators)
    ]
    found = [
        OperatorShift(provider=key[0], op_type=key[1], base_ns=times[0].get(key, 0), current_ns=times[1].get(key, 0))
        for key in dict.fromkeys([*times[0], *times[1]])
    ]
    return tuple(sorted(found, key=lambda each: -abs(each.change_ns))[:MOST_OPERATORS]), None
