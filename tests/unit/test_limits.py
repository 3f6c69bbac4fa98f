"""Token buckets: what is allowed, what is said about it, and what happens without Redis."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.exceptions import ConnectionError as RedisConnectionError
from structlog.testing import capture_logs

from app import limits
from app.limits import Allowance, RateLimiter


class Clock:
    """A clock that only moves when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class FlakyRedis:
    """Stands for a Redis that is away until told otherwise; counts how often it was asked."""

    def __init__(self) -> None:
        self.away = True
        self.asked = 0
        self.made = 0
        self.closed = False
        self.hang: threading.Event | None = None
        self.hanging = threading.Event()

    def __call__(self) -> Any:
        self.made += 1
        return self

    def register_script(self, _script: str) -> Callable[..., Any]:
        return self._run

    def _run(self, *, keys: list[str], args: list[float]) -> list[Any]:
        self.asked += 1
        if self.hang is not None:
            self.hanging.set()
            self.hang.wait(10)
        if self.away:
            raise RedisConnectionError("away")
        return [1, b"4.000000000"]

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def redis() -> FlakyRedis:
    return FlakyRedis()


def limiter_without_redis(rate: str, clock: Clock) -> RateLimiter:
    return RateLimiter(FlakyRedis(), rate, clock=clock)


def test_a_full_bucket_is_used_up_at_once(clock: Clock) -> None:
    limiter = limiter_without_redis("3/minute", clock)

    answers = [limiter.check("a") for _ in range(4)]

    assert answers == [
        Allowance(True, 3, 2, reset_seconds=20, retry_after_seconds=0),
        Allowance(True, 3, 1, reset_seconds=40, retry_after_seconds=0),
        Allowance(True, 3, 0, reset_seconds=60, retry_after_seconds=0),
        Allowance(False, 3, 0, reset_seconds=60, retry_after_seconds=20),
    ]


def test_it_refills_evenly(clock: Clock) -> None:
    limiter = limiter_without_redis("3/minute", clock)
    for _ in range(3):
        limiter.check("a")

    clock.now += 10
    early = limiter.check("a")
    clock.now += early.retry_after_seconds
    due = limiter.check("a")

    assert (early.allowed, early.retry_after_seconds) == (False, 10)
    assert (due.allowed, due.remaining) == (True, 0)


def test_it_never_holds_more_than_the_limit(clock: Clock) -> None:
    limiter = limiter_without_redis("3/minute", clock)
    limiter.check("a")

    clock.now += 1_000_000

    assert [limiter.check("a").allowed for _ in range(4)] == [True, True, True, False]


def test_each_key_has_a_bucket_of_its_own(clock: Clock) -> None:
    limiter = limiter_without_redis("1/minute", clock)

    assert [limiter.check(key).allowed for key in ("a", "b", "a", "b")] == [
        True,
        True,
        False,
        False,
    ]


def test_a_refusal_takes_nothing(clock: Clock) -> None:
    limiter = limiter_without_redis("10/minute", clock)
    limiter.check("a", cost=8)

    refused = limiter.check("a", cost=3)

    assert refused == Allowance(False, 10, 2, reset_seconds=48, retry_after_seconds=6)
    assert limiter.check("a", cost=2).allowed


def test_a_cost_above_the_limit_needs_a_full_bucket_and_leaves_a_debt(clock: Clock) -> None:
    limiter = limiter_without_redis("10/minute", clock)

    big = limiter.check("a", cost=25)
    after = limiter.check("a")

    assert big == Allowance(True, 10, 0, reset_seconds=150, retry_after_seconds=0)
    assert after == Allowance(False, 10, 0, reset_seconds=150, retry_after_seconds=96)
    clock.now += 96
    assert limiter.check("a").allowed
    assert not limiter.check("a", cost=25).allowed


@pytest.mark.parametrize(
    ("rate", "limit", "seconds"),
    [("5/second", 5, 1), ("600/minute", 600, 60), ("7/hour", 7, 3600), ("1/day", 1, 86_400)],
)
def test_the_rate_is_read_as_settings_write_it(
    rate: str, limit: int, seconds: int, clock: Clock
) -> None:
    answer = limiter_without_redis(rate, clock).check("a", cost=limit)

    assert (answer.limit, answer.reset_seconds) == (limit, seconds)


def test_a_rate_nobody_can_read_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="600/minute"):
        RateLimiter(FlakyRedis(), "often")


def test_a_clock_set_back_blocks_nobody(clock: Clock) -> None:
    limiter = limiter_without_redis("2/minute", clock)
    limiter.check("a")

    clock.now -= 10_000
    assert limiter.check("a").allowed
    clock.now += 30

    assert limiter.check("a").allowed


@given(
    st.integers(1, 20),
    st.lists(st.tuples(st.floats(0, 100), st.integers(1, 25)), max_size=40),
)
def test_no_window_lets_through_more_than_its_refill_and_one_bucket(
    limit: int, requests: list[tuple[float, int]]
) -> None:
    clock = Clock()
    limiter = limiter_without_redis(f"{limit}/minute", clock)
    let_through = 0

    for pause, cost in requests:
        clock.now += pause
        answer = limiter.check("a", cost=min(cost, limit))
        let_through += min(cost, limit) * answer.allowed
        assert let_through <= limit + (clock.now - 1000) * limit / 60 + 1e-6
        assert 0 <= answer.remaining <= limit
        assert 0 <= answer.reset_seconds <= 60 + 1e-6
        assert (answer.retry_after_seconds == 0) is answer.allowed


@given(st.integers(1, 20), st.integers(1, 40), st.floats(0, 59))
def test_whoever_waits_as_told_is_allowed(limit: int, cost: int, pause: float) -> None:
    clock = Clock()
    limiter = limiter_without_redis(f"{limit}/minute", clock)
    limiter.check("a", cost=limit)
    clock.now += pause

    answer = limiter.check("a", cost=cost)
    clock.now += answer.retry_after_seconds + 1e-6

    assert answer.allowed or limiter.check("a", cost=cost).allowed


def test_many_threads_get_no_more_than_the_limit(clock: Clock) -> None:
    limiter = limiter_without_redis("50/day", clock)
    start = threading.Barrier(8)

    def hammer(_: int) -> int:
        start.wait()
        return sum(limiter.check("a").allowed for _ in range(20))

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(hammer, range(8))) == 50


def test_memory_is_bounded(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_LOCAL_BUCKETS", 3)
    limiter = limiter_without_redis("1/day", clock)

    for key in ("a", "b", "c", "a", "d"):
        limiter.check(key)

    assert not limiter.check("a").allowed  # used later than b, so b was forgotten
    assert limiter.check("b").allowed


# --- with and without Redis ----------------------------------------------------------------------


def test_redis_decides_while_it_answers(redis: FlakyRedis, clock: Clock) -> None:
    redis.away = False
    limiter = RateLimiter(redis, "5/minute", clock=clock)

    assert limiter.check("a") == Allowance(True, 5, 4, reset_seconds=12, retry_after_seconds=0)
    assert limiter.check("a").remaining == 4
    assert (redis.asked, redis.made) == (2, 1)


def test_without_redis_it_counts_by_itself_and_asks_once_a_second(
    redis: FlakyRedis, clock: Clock
) -> None:
    limiter = RateLimiter(redis, "3/minute", clock=clock)

    assert [limiter.check("a").allowed for _ in range(4)] == [True, True, True, False]
    assert redis.asked == 1
    clock.now += 0.99
    limiter.check("a")
    assert redis.asked == 1
    clock.now += 0.01
    limiter.check("a")
    limiter.check("a")
    assert redis.asked == 2


def test_redis_decides_again_when_it_is_back(redis: FlakyRedis, clock: Clock) -> None:
    limiter = RateLimiter(redis, "3/minute", clock=clock)
    limiter.check("a")

    redis.away = False
    assert limiter.check("a").remaining == 1  # still by itself
    clock.now += 1
    assert [limiter.check("a").remaining for _ in range(3)] == [4, 4, 4]
    assert redis.asked == 4


def test_while_one_thread_finds_out_whether_redis_is_back_the_others_do_not_wait(
    redis: FlakyRedis, clock: Clock
) -> None:
    limiter = RateLimiter(redis, "1000/minute", clock=clock)
    limiter.check("a")
    clock.now += 1
    redis.hang = threading.Event()

    with ThreadPoolExecutor(1) as pool:
        finding_out = pool.submit(limiter.check, "a")
        assert redis.hanging.wait(10)
        assert [limiter.check("a").allowed for _ in range(5)] == [True] * 5
        redis.hang.set()
        finding_out.result(10)

    assert redis.asked == 2


def test_going_and_coming_back_are_logged_once(redis: FlakyRedis, clock: Clock) -> None:
    limiter = RateLimiter(redis, "100/minute", clock=clock)

    with capture_logs() as logs:
        for _ in range(5):
            limiter.check("a")
            clock.now += 1
        redis.away = False
        limiter.check("a")
        limiter.check("a")

    assert [entry["event"] for entry in logs] == [
        "rate limits are counted per process",
        "rate limits are shared again",
    ]


def test_a_closed_limiter_opens_a_new_connection_when_used_again(
    redis: FlakyRedis, clock: Clock
) -> None:
    redis.away = False
    limiter = RateLimiter(redis, "5/minute", clock=clock)
    limiter.close()
    limiter.check("a")
    limiter.close()
    assert redis.closed

    limiter.check("a")

    assert redis.made == 2
