"""The verdict on one pair: SAME, FASTER, SLOWER or UNSURE, with the reasons of the last.

Many tests at once: p values adjusted for it, and how small they can get at all.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from pytest_ortperf.reports.comparison.evidence import PAIRS, RUNS, SINGLE, Evidence

FALSE_DISCOVERIES = 0.05
"""Share of false ones among what is called SLOWER or FASTER that is put up with."""


def adjusted(values: Sequence[float]) -> list[float]:
    """Return p values adjusted by Benjamini and Hochberg's procedure, in the order given.

    Source: Benjamini and Hochberg, Controlling the False Discovery Rate, 1995.
    """
    order = sorted(range(len(values)), key=values.__getitem__, reverse=True)
    found = [1.0] * len(values)
    least = 1.0
    for rank, index in zip(range(len(values), 0, -1), order, strict=True):
        least = min(least, values[index] * len(values) / rank)
        found[index] = least
    return found


def needed_by_a_lone_change(tests: int) -> float:
    """Return the p value that the only change among that many tests has to reach."""
    return FALSE_DISCOVERIES / max(tests, 1)


def rank_floor(base: int, current: int) -> float:
    """Return the smallest two-sided p value that ranks of two groups can give, with no assumption on their shape."""
    return min(1.0, 2 / math.comb(base + current, base))


def sign_floor(pairs: int) -> float:
    """Return the smallest two-sided p value that the signs of pairs can give."""
    return min(1.0, 2 * 0.5**pairs)


SAME, FASTER, SLOWER, UNSURE = "SAME", "FASTER", "SLOWER", "UNSURE"
VERDICTS = (SLOWER, FASTER, UNSURE, SAME)

LEAST_DELTA = 0.03
"""Relative change below which nobody is to be woken up."""

LEAST_FEW_RUNS_DELTA, FEW_RUNS = 0.05, 6
"""The same of fewer runs on a side than that: they follow each other, and are more alike than those of another hour."""

LEAST_DELTA_NS = 2_000
"""The same as a time: calls, timers and allocators move by as much from run to run."""

LEAST_PAIRED_DELTA_NS = 500
"""The same of pairs measured in turns: the same against the same is within a fraction of it, also where an iteration
takes 20 us."""

MOST_SAME = 0.10
"""Relative change that noise may hide at most where a pair is called SAME."""

_OF_95_PERCENT = 1.96
_MOST_LOG = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What was decided."""

    verdict: str
    delta: float
    """Relative change from which on this pair counts as changed."""

    reasons: tuple[str, ...] = ()
    """Of UNSURE: what stands against an answer."""

    by: str | None = None
    """The evidence class that decided, such as `threshold` or `gross`; `None` is that of the evidence."""


def delta_of(
    base_ns: float,
    evidence: Evidence,
    *,
    floor: float | None = None,
    least_ns: float | None = None,
    single: float = LEAST_DELTA,
) -> float:
    """Return the relative change that counts: 3 %, 2 us, or twice the noise floor, whichever is most.

    Of fewer than 6 runs on a side 5 % instead of 3 %, of pairs 0.5 us instead of 2 us.

    Args:
        base_ns: Latency of the base.
        evidence: Its error gives the noise floor, unless that was measured.
        floor: Measured by comparing the same with the same: 95th percentile of the size of the log ratio.
        least_ns: Smallest change that counts, as a time; `None` is the default.
        single: Instead of the 3 %, of one run against another one.
    """
    least = LEAST_DELTA
    if evidence.kind == SINGLE:
        least = single
    elif evidence.kind == RUNS and min(evidence.base_count, evidence.current_count) < FEW_RUNS:
        least = LEAST_FEW_RUNS_DELTA
    noise = _OF_95_PERCENT * evidence.error if floor is None else floor
    return max(least, _least_ns(evidence, least_ns) / base_ns, math.expm1(min(2 * noise, _MOST_LOG)))


def same_limit(evidence: Evidence, base_ns: float, delta: float, least_ns: float | None = None) -> float:
    """Return the relative change that SAME rules out: delta, but never one that noise has blown up."""
    return min(delta, max(MOST_SAME, _least_ns(evidence, least_ns) / base_ns))


def _least_ns(evidence: Evidence, chosen: float | None) -> float:
    if chosen is not None:
        return chosen
    return LEAST_PAIRED_DELTA_NS if evidence.kind == PAIRS else LEAST_DELTA_NS


def decide(
    evidence: Evidence,
    *,
    base_ns: float,
    delta: float,
    adjusted_p: float,
    doubts: Sequence[str] = (),
    least_ns: float | None = None,
) -> Decision:
    """Return the verdict.

    Args:
        evidence: What is known of the ratio.
        base_ns: Latency of the base.
        delta: What counts as a change.
        adjusted_p: p value after adjustment for the number of tests.
        doubts: What stands against SLOWER and FASTER whatever the numbers say.
        least_ns: As of `delta_of`.
    """
    if abs(evidence.log_ratio) <= math.log1p(delta):
        return _no_change(evidence, delta, same_limit(evidence, base_ns, delta, least_ns))
    reasons = [*doubts]
    if adjusted_p > FALSE_DISCOVERIES:
        reasons.append(f"chance is not ruled out (adjusted p {adjusted_p:.2g})")
    if reasons:
        return Decision(verdict=UNSURE, delta=delta, reasons=tuple(reasons))
    return Decision(verdict=SLOWER if evidence.log_ratio > 0 else FASTER, delta=delta)


def _no_change(evidence: Evidence, delta: float, limit: float) -> Decision:
    """Return SAME where the interval lies inside of delta, but never inside of one that noise has blown up."""
    half = evidence.half_width
    if abs(evidence.log_ratio) + half <= math.log1p(limit):
        return Decision(verdict=SAME, delta=delta)
    if half > math.log1p(limit):
        reason = f"the noise hides changes of up to {100 * math.expm1(min(half, _MOST_LOG)):.3g} %"
    elif evidence.kind == SINGLE and abs(evidence.log_ratio) > math.log1p(limit):
        reason = f"single runs of such a case differ by up to {100 * delta:.3g} % without any change"
    else:
        reason = f"the interval reaches beyond {100 * limit:.3g} %"
    return Decision(verdict=UNSURE, delta=delta, reasons=(reason,))
