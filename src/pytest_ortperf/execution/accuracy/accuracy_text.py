"""What is wrong with an output, in words; nothing if it is within its tolerance."""

from __future__ import annotations

import math
from collections.abc import Iterator

from pytest_ortperf.execution.accuracy.array_difference import Difference
from pytest_ortperf.records.record import OutputAccuracy

_FREE = 1e-3
"""Of `atol`: errors up to there count as none."""


def failure_text(found: OutputAccuracy, difference: Difference, *, nan_exact: bool) -> str | None:
    """Return everything that breaks the policy, then every measure of the error; `None` if nothing does.

    Args:
        found: The output, with its limits and measures.
        difference: Where those are from.
        nan_exact: Whether NaN and infinities must stand where the reference has them.
    """
    if difference.structure is not None:
        return difference.structure
    broken = list(_broken(found, nan_exact=nan_exact))
    if not broken:
        return None
    where = f", worst {difference.worst}" if difference.worst else ""
    limits = f"{'; '.join(broken)}{where}, rtol={found.rtol:g}, atol={found.atol:g}"
    return "; ".join(text for text in (limits, measures_text(found)) if text)


def measures_text(found: OutputAccuracy) -> str:
    """Return the measures of an error: largest, overall, and the tolerance that would pass."""
    parts = [
        _measure("max abs error", found.max_abs_error),
        _measure("max rel error", found.max_rel_error),
        None if found.cosine is None else f"cosine {cosine_text(found.cosine)}",
        None if found.snr_db is None else f"SNR {snr_text(found.snr_db)}",
        _needed(found),
    ]
    return ", ".join(part for part in parts if part)


def snr_text(value: float) -> str:
    """Return decibels as text."""
    return "infinite" if math.isinf(value) else f"{value:.1f} dB"


def cosine_text(value: float) -> str:
    """Return a cosine with as many digits as tell it from 1."""
    digits = 4 if 1 - value <= 0 else min(12, max(4, 2 - math.floor(math.log10(1 - value))))
    return f"{value:.{digits}f}"


def _broken(found: OutputAccuracy, *, nan_exact: bool) -> Iterator[str]:
    percent, allowed = found.percent_mismatch or 0.0, found.percent_mismatch_allowed
    if percent > allowed:
        what = f"rows whose {found.top_k} largest differ" if found.top_k else "percent mismatch"
        yield f"{what} {percent:.4g} % (allowed {allowed:g} %)"
    if nan_exact and found.nonfinite_mismatches:
        yield f"NaN or infinity differs in {found.nonfinite_mismatches} elements"
    if found.cosine_least is not None and found.cosine is not None and found.cosine < found.cosine_least:
        yield f"cosine {cosine_text(found.cosine)} (at least {found.cosine_least:g})"
    if found.snr_db_least is not None and found.snr_db is not None and found.snr_db < found.snr_db_least:
        yield f"SNR {snr_text(found.snr_db)} (at least {found.snr_db_least:g} dB)"
    peak, most = found.peak_percent, found.peak_percent_allowed
    if peak is not None and most is not None and peak > most and (found.max_abs_error or 0.0) > _FREE * found.atol:
        yield f"largest error {peak:.3g} % of the largest reference (allowed {most:g} %)"
    if _beyond_zero(found):
        yield "the reference or the output is all zeros"


def _beyond_zero(found: OutputAccuracy) -> bool:
    """Whether there is no cosine to hold an output to, and an error beyond `atol` that nothing else bounds."""
    asked = found.cosine_least is not None or found.snr_db_least is not None
    unbounded = asked and found.percent_mismatch_allowed >= 100.0 and found.cosine is None  # noqa: PLR2004 - percent
    return unbounded and (found.max_abs_error or 0.0) > found.atol


def _measure(name: str, value: float | None) -> str | None:
    return None if value is None else f"{name} {value:.4g}"


def _needed(found: OutputAccuracy) -> str | None:
    if found.top_k is not None or found.max_abs_error is None:
        return None
    needed = [
        f"{name}={_up(value)}"
        for name, value in (("atol", found.needed_atol), ("rtol", found.needed_rtol))
        if value is not None
    ]
    return f"all within with {' or '.join(needed)}" if needed else "no tolerance would pass"


def _up(value: float) -> str:
    """Return a number of three digits that is no less, but for the last bits of a float64."""
    if not value or not math.isfinite(value):
        return f"{value:g}"
    exponent = math.floor(math.log10(value)) - 2
    return f"{float(f'{math.ceil(value / 10.0**exponent * (1 - 1e-9))}e{exponent}'):g}"
