"""Durations as counts in buckets, and the quantiles read off them. Pure.

The bounds are those of the metrics: one list, from a tenth of a second to five minutes. What took
longer is counted above the last bound.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from models.statistics import BOUNDS


@dataclass(frozen=True, slots=True)
class Quantile:
    """A duration that a share of all did not exceed. `beyond`: it is longer than `seconds`, the
    last bound, by nobody knows how much."""

    seconds: float
    beyond: bool = False


def quantile(counts: Sequence[int], share: float) -> Quantile | None:
    """The `share` quantile of durations counted by `BOUNDS`; None when there are none.

    Within a bucket durations are taken to be spread evenly, so the answer is interpolated linearly
    between the bucket's bounds (as PromQL's `histogram_quantile` does); its error is less than the
    bucket is wide.
    """
    total = sum(counts)
    if not total:
        return None
    rank, below = share * total, 0
    for number, count in enumerate(counts[:-1]):
        if count and below + count >= rank:
            low = BOUNDS[number - 1] if number else 0.0
            return Quantile(low + (BOUNDS[number] - low) * max(0.0, rank - below) / count)
        below += count
    return Quantile(BOUNDS[-1], beyond=True)
