"""How many values samples gather around: peaks of a histogram with a valley between that chance does not explain."""

from __future__ import annotations

import bisect
import itertools
import math
from collections.abc import Sequence

MIN_SAMPLES = 50
"""Below, nothing is said."""

_BINS = 24
_TRIM = 0.025
_NARROWEST = 0.01
"""A bin is at least this share of the median wide: modes that are closer, or the steps of a clock, do not count."""

_DEEPEST_VALLEY = 0.5
_SIGMAS = 3.25
_LEAST_SHARE = 0.05


def count_modes(ordered: Sequence[int]) -> int | None:
    """Return how many modes sorted samples have; `None` if they are too few to tell.

    The histogram leaves out the outermost 2.5 % on each side. Two peaks count apart if the valley between them is at
    most half as high as the lower of them and 3.25 standard deviations of counting below it, and if each holds 5 % of
    the samples at least. Samples of one mode (normal, lognormal, exponential, uniform, with spikes, in steps of a
    clock, correlated by 0.6) are taken for several in fewer than 1 of 100 cases.
    """
    if len(ordered) < MIN_SAMPLES:
        return None
    counts = histogram(ordered)
    return max(1, _peaks(counts, _LEAST_SHARE * sum(counts)))


def histogram(ordered: Sequence[int]) -> list[int]:
    """Return the counts of equally wide bins over the inner 95 % of sorted samples."""
    cut = int(len(ordered) * _TRIM)
    inner = ordered[cut : len(ordered) - cut]
    low, high = inner[0], inner[-1]
    width = max((high - low) / _bins(len(inner)), ordered[len(ordered) // 2] * _NARROWEST, 1.0)
    number = int((high - low) / width) + 1
    edges = [bisect.bisect_left(inner, low + place * width) for place in range(1, number)]
    return [end - begin for begin, end in itertools.pairwise([0, *edges, len(inner)])]


def _bins(count: int) -> int:
    return min(_BINS, max(4, round(math.sqrt(count))))


def _peaks(counts: Sequence[int], least: float) -> int:
    """Count peaks: bins join from the highest down; where two peaks meet, the lower one counts if it stands out."""
    group: dict[int, int] = {}  # bin -> the peak it belongs to
    mass: dict[int, int] = {}
    found = 0
    for place in sorted(range(len(counts)), key=lambda place: -counts[place]):
        peaks = sorted({group[side] for side in (place - 1, place + 1) if side in group}, key=lambda it: -counts[it])
        if len(peaks) == 2 and _stands_out(counts[peaks[1]], counts[place]) and min(mass[it] for it in peaks) >= least:  # noqa: PLR2004
            found += 1
        own = peaks[0] if peaks else place
        for peak in peaks[1:]:
            group.update({bin_: own for bin_, of in group.items() if of == peak})
        group[place] = own
        mass[own] = sum(mass.pop(peak) for peak in peaks) + counts[place] if peaks else counts[place]
    return found + 1


def _stands_out(peak: int, valley: int) -> bool:
    return valley <= _DEEPEST_VALLEY * peak and peak - valley >= _SIGMAS * math.sqrt(peak + valley)
