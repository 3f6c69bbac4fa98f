"""Quantiles from bucket counts: interpolated within a bucket, and honest above the last bound."""

from __future__ import annotations

import bisect
import random

import pytest

from app.statistics.buckets import Quantile, quantile
from models.statistics import BOUNDS

EMPTY = [0] * (len(BOUNDS) + 1)


def counted(*durations: float) -> list[int]:
    counts = list(EMPTY)
    for seconds in durations:
        counts[bisect.bisect_left(BOUNDS, seconds)] += 1
    return counts


def test_nothing_has_no_quantile() -> None:
    assert quantile(EMPTY, 0.5) is None


def test_within_a_bucket_durations_are_taken_to_be_spread_evenly() -> None:
    counts = counted(*[1.5] * 10)
    assert quantile(counts, 0.5) == Quantile(pytest.approx(1.5))
    assert quantile(counts, 1.0) == Quantile(2.0)
    assert quantile(counted(*[0.05] * 4), 0.5) == Quantile(pytest.approx(0.05))


def test_empty_buckets_between_are_passed_over() -> None:
    assert quantile(counted(0.05, 100), 0.95) == Quantile(pytest.approx(60 + 60 * 0.9))


def test_beyond_the_last_bound_only_that_is_said() -> None:
    counts = counted(1.0, 400.0, 500.0)
    assert quantile(counts, 0.95) == Quantile(BOUNDS[-1], beyond=True)
    assert quantile(counts, 0.2) == Quantile(pytest.approx(0.5 + 0.5 * 0.6))


@pytest.mark.parametrize("share", [0.5, 0.95, 0.99])
def test_a_quantile_is_wrong_by_less_than_its_bucket_is_wide(share: float) -> None:
    luck = random.Random(3)
    durations = sorted(luck.lognormvariate(1, 1) for _ in range(1000))
    found = quantile(counted(*durations), share)
    truth = durations[int(share * 1000) - 1]
    number = bisect.bisect_left(BOUNDS, truth)
    assert found is not None
    assert BOUNDS[number - 1] <= found.seconds <= BOUNDS[number]
