"""The retry policy as tables: which error, after how many tries, leads to which delay."""

from __future__ import annotations

import random
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app import errors
from app.retry import (
    RETRY_AFTER_CAP_SECONDS,
    Fail,
    RetryLater,
    RetryPolicy,
    Snooze,
    backoff_seconds,
    decide,
)

POLICY = RetryPolicy(base_seconds=5, max_seconds=300)


@dataclass(frozen=True)
class At:
    """A source of jitter that always draws at the same place between its bounds (0…1)."""

    place: float

    def uniform(self, a: float, b: float, /) -> float:
        return a + (b - a) * self.place


LOW, MIDDLE, HIGH = At(0.0), At(0.5), At(1.0)


@pytest.mark.parametrize(
    ("retry", "shortest", "middle", "longest"),
    [
        (0, 2.5, 5, 7.5),
        (1, 5, 10, 15),
        (2, 10, 20, 30),
        (3, 20, 40, 60),
        (4, 40, 80, 120),
    ],
)
def test_delays_double_with_half_to_one_and_a_half_jitter(
    retry: int, shortest: float, middle: float, longest: float
) -> None:
    drawn = [backoff_seconds(retry, POLICY, random=jitter) for jitter in (LOW, MIDDLE, HIGH)]

    assert drawn == [shortest, middle, longest]


@pytest.mark.parametrize(
    ("retry", "jitter", "delay"),
    [
        (5, LOW, 80),
        (5, HIGH, 240),
        (6, LOW, 160),
        (6, At(0.4375), 215.625),  # 320 · 0.9375 = 300, the cap: drawn again, 300 · 0.71875
        (6, HIGH, 300),
        (7, LOW, 150),  # 640 · 0.5 = 320
        (7, MIDDLE, 225),
        (50, LOW, 150),
        (10_000, HIGH, 300),
    ],
)
def test_at_the_cap_jitter_is_drawn_again(retry: int, jitter: At, delay: float) -> None:
    assert backoff_seconds(retry, POLICY, random=jitter) == pytest.approx(delay)


@given(st.integers(0, 200), st.integers(0, 2**32), st.floats(0.01, 1e6), st.floats(0.01, 1e6))
def test_no_delay_is_above_the_cap_or_below_half_of_the_smaller(
    retry: int, seed: int, base: float, cap: float
) -> None:
    policy = RetryPolicy(base_seconds=base, max_seconds=cap)

    delay = backoff_seconds(retry, policy, random=random.Random(seed))

    assert min(base * 2 ** min(retry, 64), cap) * 0.5 <= delay * 1.000001
    assert delay <= cap


def test_jobs_at_the_cap_do_not_march_in_step() -> None:
    source = random.Random(1)
    delays = [backoff_seconds(9, POLICY, random=source) for _ in range(1000)]

    assert len(set(delays)) == 1000
    assert 150 <= min(delays) < 155
    assert 295 < max(delays) <= 300


RETRIED = [
    errors.ConnectionFailed,
    errors.CallTimeout,
    errors.ProviderFailed,
    errors.ProviderOverloaded,
    errors.InvalidResponse,
]
FINAL = [
    errors.QuotaExhausted,
    errors.ProviderRejected,
    errors.ProviderDenied,
    errors.ModelNotFound,
    errors.ContextTooLong,
    errors.Refused,
    errors.OutputTruncated,
    errors.OutputInvalid,
    errors.RedirectRefused,
    errors.CallCancelled,
]


@pytest.mark.parametrize("kind", RETRIED)
@pytest.mark.parametrize(("tries", "delay"), [(1, 5), (2, 10), (3, 20), (4, 40), (5, 80)])
def test_a_temporary_error_is_retried_five_times(
    kind: type[errors.CallError], tries: int, delay: float
) -> None:
    decision = decide(kind(), tries=tries, max_tries=6, policy=POLICY, random=MIDDLE)

    assert decision == RetryLater(delay)


@pytest.mark.parametrize("kind", RETRIED)
@pytest.mark.parametrize(("tries", "max_tries"), [(6, 6), (7, 6), (1, 1), (100, 6)])
def test_a_temporary_error_on_the_last_try_fails(
    kind: type[errors.CallError], tries: int, max_tries: int
) -> None:
    error = kind(retry_after_seconds=1)

    assert decide(error, tries=tries, max_tries=max_tries, policy=POLICY) == Fail()


@pytest.mark.parametrize("kind", FINAL)
def test_a_final_error_is_never_retried(kind: type[errors.CallError]) -> None:
    error = kind(retry_after_seconds=1)

    assert decide(error, tries=1, max_tries=6, policy=POLICY) == Fail()


@pytest.mark.parametrize("tries", [1, 6, 99])
def test_a_rate_limit_waits_without_using_a_try(tries: int) -> None:
    error = errors.ProviderRateLimited(retry_after_seconds=7)

    assert decide(error, tries=tries, max_tries=6, policy=POLICY, random=LOW) == Snooze(7)


@pytest.mark.parametrize(
    ("retry_after", "soonest", "latest"),
    [
        (7, 7, 7.7),
        (0.5, 0.5, 0.55),
        (300, 300, 305),
        (900, 900, 905),
        (901, 900, 905),
        (1e9, 900, 905),
        (None, 5, 5.5),
        (0, 5, 5.5),
        (-1, 5, 5.5),
        (float("nan"), 5, 5.5),
        (float("inf"), 5, 5.5),
    ],
)
def test_a_snooze_lasts_what_the_provider_said_and_little_more(
    retry_after: float | None, soonest: float, latest: float
) -> None:
    error = errors.ProviderRateLimited(retry_after_seconds=retry_after)
    first, last = (
        decide(error, tries=1, max_tries=6, policy=POLICY, random=jitter) for jitter in (LOW, HIGH)
    )

    assert first == Snooze(soonest)
    assert isinstance(last, Snooze)
    assert last.delay_seconds == pytest.approx(latest)


@pytest.mark.parametrize(
    ("retry_after", "jitter", "delay"),
    [
        (None, HIGH, 7.5),
        (0, HIGH, 7.5),
        (-30, HIGH, 7.5),
        (float("nan"), HIGH, 7.5),
        (1, LOW, 2.5),
        (7.5, HIGH, 7.5),
        (60, LOW, 60),
        (60, HIGH, 65),
        (1e9, LOW, 900),
        (1e9, HIGH, 905),
    ],
)
def test_retry_after_is_a_floor(retry_after: float | None, jitter: At, delay: float) -> None:
    error = errors.ProviderOverloaded(retry_after_seconds=retry_after)

    decision = decide(error, tries=1, max_tries=6, policy=POLICY, random=jitter)

    assert decision == RetryLater(delay)


@given(
    st.floats(allow_nan=True, allow_infinity=True) | st.none(),
    st.integers(1, 5),
    st.integers(0, 2**32),
)
def test_a_retry_never_comes_before_a_sensible_retry_after(
    retry_after: float | None, tries: int, seed: int
) -> None:
    error = errors.ProviderFailed(retry_after_seconds=retry_after)

    decision = decide(error, tries=tries, max_tries=6, policy=POLICY, random=random.Random(seed))

    assert isinstance(decision, RetryLater)
    if retry_after is not None and 0 <= retry_after <= RETRY_AFTER_CAP_SECONDS:
        assert decision.delay_seconds >= retry_after
    assert 2.5 <= decision.delay_seconds <= RETRY_AFTER_CAP_SECONDS + 5


def test_two_jobs_told_the_same_do_not_return_together() -> None:
    error = errors.ProviderRateLimited(retry_after_seconds=60)
    decisions = [decide(error, tries=1, max_tries=6, policy=POLICY) for _ in range(20)]

    assert len(set(decisions)) == 20


def test_every_call_error_has_a_decision() -> None:
    known = {*RETRIED, *FINAL, errors.ProviderRateLimited}

    unlisted = {kind for kind in errors.CallError.__subclasses__() if kind not in known}

    for kind in unlisted:
        decision = decide(kind(), tries=1, max_tries=6, policy=POLICY)
        assert isinstance(decision, RetryLater if kind.retryable else Fail), kind
