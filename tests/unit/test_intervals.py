"""Intervals for shares of thumbs: their numbers, and that they hold when somebody keeps looking."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.statistics.intervals import Interval, confidence_sequence, difference, wilson

RUNS = 400
LOOKS = 300

counts = st.integers(0, 5000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


def mixture_ratio(yes: int, n: int, p: float) -> float:
    """The martingale by quadrature: the likelihood averaged over Jeffreys' weight, over that at p.

    With p = sin²(t) the weight is even in t, so the average is a plain mean over t.
    """
    steps = 20_000
    likelihoods = (
        math.sin(t) ** (2 * yes) * math.cos(t) ** (2 * (n - yes))
        for t in ((step + 0.5) * math.pi / 2 / steps for step in range(steps))
    )
    return sum(likelihoods) / steps / (p**yes * (1 - p) ** (n - yes))


@pytest.mark.parametrize(("yes", "n"), [(5, 10), (8, 10), (1, 30), (60, 100), (10, 10), (0, 7)])
def test_the_edges_are_where_the_martingale_reaches_twenty(yes: int, n: int) -> None:
    found = confidence_sequence(yes, n)
    if yes:
        assert mixture_ratio(yes, n, found.low) == pytest.approx(20, rel=1e-4)
    if yes < n:
        assert mixture_ratio(yes, n, found.high) == pytest.approx(20, rel=1e-4)


def test_without_a_no_or_a_yes_the_edge_has_a_closed_form() -> None:
    """All yes: the likelihood at p is pⁿ, and its average Γ(n+½) / (√π Γ(n+1))."""
    average = math.exp(math.lgamma(10.5) - math.lgamma(11)) / math.sqrt(math.pi)
    edge = (average / 20) ** (1 / 10)
    assert confidence_sequence(10, 10) == Interval(pytest.approx(edge), 1.0)
    assert confidence_sequence(0, 10) == Interval(0.0, pytest.approx(1 - edge))


@pytest.mark.parametrize(
    ("yes", "n", "low", "high"),
    [(8, 10, 0.490162, 0.943318), (0, 10, 0.0, 0.277533), (50, 100, 0.403832, 0.596168)],
)
def test_wilson_has_the_values_of_the_formula(yes: int, n: int, low: float, high: float) -> None:
    assert wilson(yes, n) == Interval(pytest.approx(low, abs=2e-6), pytest.approx(high, abs=2e-6))


def test_nothing_is_known_of_no_votes() -> None:
    assert confidence_sequence(0, 0) == wilson(0, 0) == Interval(0.0, 1.0)
    assert difference(0, 0, 3, 5) == Interval(
        pytest.approx(-confidence_sequence(3, 5, level=0.975).high),
        pytest.approx(1 - confidence_sequence(3, 5, level=0.975).low),
    )


@pytest.mark.parametrize(("yes", "n"), [(-1, 3), (4, 3), (0, -1)])
def test_impossible_counts_are_refused(yes: int, n: int) -> None:
    for interval in (confidence_sequence, wilson):
        with pytest.raises(ValueError, match="answers"):
            interval(yes, n)


@settings(max_examples=200, deadline=None)
@given(counts)
def test_the_sequence_holds_the_share_and_is_wider_than_one_look_needs(
    counted: tuple[int, int],
) -> None:
    yes, n = counted
    found, once = confidence_sequence(yes, n), wilson(yes, n)
    assert 0 <= found.low <= found.high <= 1
    if n:
        assert found.low <= yes / n <= found.high
        assert found.high - found.low > (once.high - once.low) * 0.9
    mirrored = confidence_sequence(n - yes, n)
    assert mirrored.low == pytest.approx(1 - found.high, abs=1e-9)


@settings(max_examples=100, deadline=None)
@given(counts, st.floats(0.5, 0.9))
def test_a_higher_level_is_wider(counted: tuple[int, int], level: float) -> None:
    narrow = confidence_sequence(*counted, level=level)
    wide = confidence_sequence(*counted, level=0.95)
    assert wide.low <= narrow.low <= narrow.high <= wide.high


def ever_wrong(chance: float, interval: Callable[[int, int], Interval], seed: int) -> float:
    """The share of runs in which somebody who looks after every vote sees the truth outside."""
    luck, wrong, interval = random.Random(seed), 0, cache(interval)
    for _ in range(RUNS):
        yes = 0
        for n in range(1, LOOKS + 1):
            yes += luck.random() < chance
            found = interval(yes, n)
            if not found.low <= chance <= found.high:
                wrong += 1
                break
    return wrong / RUNS


@pytest.mark.parametrize("chance", [0.1, 0.5, 0.9])
def test_who_stops_when_it_looks_good_is_wrong_at_most_one_time_in_twenty(chance: float) -> None:
    """Two standard errors of the simulation are allowed above."""
    allowed = 0.05 + 2 * math.sqrt(0.05 * 0.95 / RUNS)
    assert ever_wrong(chance, confidence_sequence, seed=7) <= allowed


def test_wilson_looked_at_again_and_again_is_wrong_far_more_often() -> None:
    """Why there is a sequence at all; and that the simulation can tell the two apart."""
    assert ever_wrong(0.5, wilson, seed=7) > 0.25


def test_two_groups_without_a_difference_are_rarely_told_apart() -> None:
    luck, wrong, look = random.Random(11), 0, cache(difference)
    for _ in range(RUNS):
        one = other = 0
        for n in range(1, 61):
            one += luck.random() < 0.7
            other += luck.random() < 0.7
            if look(one, n, other, n).excludes_zero:
                wrong += 1
                break
    assert wrong / RUNS <= 0.05


def test_a_real_difference_is_found() -> None:
    found = difference(450, 500, 300, 500)
    assert found.excludes_zero
    assert found.low < 0.3 < found.high
