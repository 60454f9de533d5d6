"""What a run of pairs comes to as a whole: the geometric mean over all cases, and one sentence that answers."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pytest_ortperf.records.intervals import critical_value
from pytest_ortperf.records.pairs import BUDGET, DONE, RunEnd
from pytest_ortperf.reports.comparison.evidence import Evidence
from pytest_ortperf.reports.comparison.latency_changes import LatencyPair
from pytest_ortperf.reports.comparison.verdicts import FASTER, SAME, SLOWER, UNSURE, same_limit

OUTSIDE = 0.05
"""Of the interval of the geometric mean: what lies outside of it on both sides together."""

MOST_NAMED = 3
_WHOLE_FROM = 10
"""Percent from which on no decimal is shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Overall:
    """The geometric mean of the ratios, current over base."""

    ratio: float
    low: float
    high: float
    """Ends of its 95 % interval."""

    cases: int
    """Of which something is known of the error."""


def overall_of(evidences: Sequence[Evidence]) -> Overall | None:
    """Return the geometric mean over the cases as measured; `None` for fewer than two.

    It is about these cases, not about others like them: its error is that of their pairs. Degrees of freedom are those
    of Welch and Satterthwaite, rounded down: one noisy case among many quiet ones leaves hardly more than its own.
    """
    known = [each for each in evidences if each.is_known]
    if len(known) < 2:  # noqa: PLR2004 - the mean of one is the case itself
        return None
    parts = [(each.error / len(known)) ** 2 for each in known]
    total = math.fsum(parts)
    below = math.fsum(part * part / each.freedom for part, each in zip(parts, known, strict=True))
    freedom = max(1, math.floor(total * total / below))
    middle = statistics.fmean(each.log_ratio for each in known)
    half = math.sqrt(total) * critical_value(OUTSIDE, freedom)
    return Overall(ratio=math.exp(middle), low=math.exp(middle - half), high=math.exp(middle + half), cases=len(known))


def closing_of(pairs: Sequence[LatencyPair], end: RunEnd | None) -> tuple[str, ...]:
    """Return the sentences that a run of pairs ends with: what changed, and what is missing."""
    return _answer(pairs) if pairs else "No pair was measured.", *_cut_short(end)


def case_name(case_id: str) -> str:
    """Return `bert[cpu]` for `bert::benchmark[cpu]`: pairs are of benchmarks alone."""
    model, mode, variant = case_id.rpartition("::benchmark[")
    return f"{model}[{variant}" if mode else case_id


def _answer(pairs: Sequence[LatencyPair]) -> str:
    overall = overall_of([pair.evidence for pair in pairs])
    parts = [*([_overall(overall, len(pairs))] if overall else []), *_of_cases(pairs)]
    text = "; ".join(parts)
    return f"{text[0].upper() if not overall else text[0]}{text[1:]}."


def _overall(overall: Overall, cases: int) -> str:
    where = "Overall" if overall.cases == cases else f"Over {overall.cases} of {cases} cases"
    if overall.low > 1:
        interval = f"{_number(overall.low - 1)} to {_number(overall.high - 1)} %"
        return f"{where} current takes {_number(overall.ratio - 1)} % longer than base (95 % interval {interval})"
    if overall.high < 1:
        interval = f"{_number(1 - overall.high)} to {_number(1 - overall.low)} %"
        return f"{where} current takes {_number(1 - overall.ratio)} % less time than base (95 % interval {interval})"
    middle = f"{_longer(overall.ratio)} than" if _number(abs(overall.ratio - 1)) != "0.0" else "as long as"
    return (
        f"{where} no difference shows: current takes {middle} base "
        f"(95 % interval {_longer(overall.low)} to {_longer(overall.high)})"
    )


def _of_cases(pairs: Sequence[LatencyPair]) -> Iterator[str]:
    found = {
        verdict: sorted(
            (pair for pair in pairs if pair.decision.verdict == verdict),
            key=lambda pair: abs(pair.evidence.log_ratio),
            reverse=True,
        )
        for verdict in (SLOWER, FASTER, UNSURE, SAME)
    }
    words = {SLOWER: "slower", FASTER: "faster", UNSURE: "unsure"}
    for verdict, word in words.items():
        if found[verdict]:
            yield f"{_count(len(found[verdict]), len(pairs))} {word}: {_names(found[verdict], verdict)}"
    if found[SAME]:
        most = _number(max(same_limit(pair.evidence, pair.base_ns, pair.decision.delta) for pair in found[SAME]))
        who = "no case" if len(found[SAME]) == len(pairs) else "no other case"
        yield f"{who} changed by more than {most.removesuffix('.0')} %"


def _count(some: int, of: int) -> str:
    if some == of:
        return {1: "the only case is", 2: "both cases are"}.get(of, f"all {of} cases are")
    return f"{some} of {of} cases {'is' if some == 1 else 'are'}"


def _names(pairs: Sequence[LatencyPair], verdict: str) -> str:
    names = [case_name(pair.case_id) + _by(pair, verdict) for pair in pairs[:MOST_NAMED]]
    more = len(pairs) - len(names)
    return ", ".join(names) + (f" and {more} more" if more else "")


def _by(pair: LatencyPair, verdict: str) -> str:
    return "" if verdict == UNSURE else f" by {_number(abs(pair.evidence.ratio - 1))} %"


def _cut_short(end: RunEnd | None) -> Iterator[str]:
    if end is None or end.reason == DONE:
        return
    why = f"The budget of {end.budget_s:g} s ran out" if end.reason == BUDGET else "The run was interrupted"
    cases = "its case" if end.cases == 1 else f"{end.left} of {end.cases} cases"
    had = "all its pairs" if end.cases == 1 else "all their pairs"
    yield f"{why} before {cases} had {had}; --resume goes on."


def _longer(ratio: float) -> str:
    return f"{_number(abs(ratio - 1))} % {'longer' if ratio >= 1 else 'less time'}"


def _number(share: float) -> str:
    """Return a share in percent."""
    percent = 100 * share
    return f"{percent:.0f}" if round(percent, 1) >= _WHOLE_FROM else f"{percent:.1f}"
