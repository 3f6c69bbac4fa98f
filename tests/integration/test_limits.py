"""Rate limits on a real Redis: shared, exact, bounded in time, and never in anybody's way."""

from __future__ import annotations

import random
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from redis import Redis

from app import limits
from app.dev.ports import LOOPBACK, free_port
from app.dev.redis import EmbeddedRedis, find_redis_server
from app.limits import RateLimiter
from tests.support.processes import RunningProcess, run_process
from tests.support.redis_server import running_redis
from tests.support.waiting import eventually

KEY = "llm-jobs:rate:a"


@pytest.fixture
def redis_url(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """As everywhere; the limiter waits longer, because a busy machine is no Redis that is away."""
    monkeypatch.setattr(limits, "TIMEOUT_SECONDS", 10)
    return redis_url


def limiter_without_redis(rate: str) -> RateLimiter:
    return RateLimiter.from_url(f"redis://{LOOPBACK}:{free_port()}/0", rate)


def test_two_processes_share_a_bucket(redis_url: str) -> None:
    one = RateLimiter.from_url(redis_url, "4/day")
    two = RateLimiter.from_url(redis_url, "4/day")

    answers = [limiter.check("a") for limiter in (one, two, one, two, one, two)]

    assert [answer.allowed for answer in answers] == [True] * 4 + [False] * 2
    assert [answer.remaining for answer in answers] == [3, 2, 1, 0, 0, 0]
    assert answers[-1].retry_after_seconds == pytest.approx(86_400 / 4, abs=60)
    one.close()
    two.close()


def test_redis_and_this_process_count_alike(redis_url: str) -> None:
    shared, local = RateLimiter.from_url(redis_url, "40/day"), limiter_without_redis("40/day")
    costs = [random.Random(7).randint(1, 9) for _ in range(20)] + [60, 1]

    for key in ("a", "b"):
        for cost in costs:
            ours, theirs = local.check(key, cost), shared.check(key, cost)
            assert (ours.allowed, ours.remaining) == (theirs.allowed, theirs.remaining)
            assert ours.reset_seconds == pytest.approx(theirs.reset_seconds, abs=60)
            assert ours.retry_after_seconds == pytest.approx(theirs.retry_after_seconds, abs=60)
    shared.close()


def test_tokens_come_back_with_time(redis_url: str) -> None:
    limiter = RateLimiter.from_url(redis_url, "20/second")
    limiter.check("a", cost=20)

    refused = limiter.check("a", cost=5)

    assert not refused.allowed
    assert 0 < refused.retry_after_seconds <= 0.25
    eventually(lambda: limiter.check("a", cost=5).allowed, timeout=5)
    limiter.close()


def test_many_threads_of_two_processes_get_no_more_than_the_limit(redis_url: str) -> None:
    limiters = [RateLimiter.from_url(redis_url, "50/day") for _ in range(2)]
    for limiter in limiters:
        assert limiter.check("warm").allowed
    start = threading.Barrier(8)

    def hammer(number: int) -> int:
        start.wait()
        return sum(limiters[number % 2].check("a").allowed for _ in range(20))

    with ThreadPoolExecutor(8) as pool:
        allowed = sum(pool.map(hammer, range(8)))

    assert allowed == 50
    for limiter in limiters:
        limiter.close()


def test_a_bucket_is_forgotten_when_it_would_be_full(redis_url: str) -> None:
    limiter = RateLimiter.from_url(redis_url, "60/minute")
    limiter.check("a", cost=30)

    with Redis.from_url(redis_url) as redis:
        milliseconds = redis.pttl(KEY)

    assert isinstance(milliseconds, int)
    assert 30_000 <= milliseconds <= 31_001
    limiter.close()


def test_a_redis_clock_set_back_blocks_nobody(redis_url: str) -> None:
    limiter = RateLimiter.from_url(redis_url, "2/minute")
    limiter.check("a", cost=2)
    with Redis.from_url(redis_url) as redis:
        redis.hset(KEY, mapping={"at": str(time.time() + 3600)})

        assert not limiter.check("a").allowed
        saved = redis.hget(KEY, "at")

    assert saved is not None
    assert float(saved) < time.time() + 60
    limiter.close()


@pytest.mark.parametrize("harm", ["flushall", "script_flush"])
def test_forgetting_everything_harms_nobody(redis_url: str, harm: str) -> None:
    limiter = RateLimiter.from_url(redis_url, "3/day")
    limiter.check("a")

    with Redis.from_url(redis_url) as redis:
        getattr(redis, harm)()
        answer = limiter.check("a")
        assert redis.exists(KEY)

    assert answer.allowed
    limiter.close()


def test_a_key_of_another_kind_does_not_raise(redis_url: str) -> None:
    limiter = RateLimiter.from_url(redis_url, "3/day")
    with Redis.from_url(redis_url) as redis:
        redis.set(KEY, "something else")

    assert limiter.check("a").allowed
    limiter.close()


def test_without_any_redis_the_answer_comes_at_once() -> None:
    limiter = limiter_without_redis("5/day")
    started = time.perf_counter()

    answers = [limiter.check("a").allowed for _ in range(6)]

    assert answers == [True] * 5 + [False]
    assert time.perf_counter() - started < 1


def test_a_redis_that_hangs_costs_some_tenths_of_a_second_once(tmp_path: Path) -> None:
    with running_redis(tmp_path) as (server, process):
        limiter = RateLimiter.from_url(server.url, "5/day")
        assert limiter.check("a").remaining == 4
        process.signal(signal.SIGSTOP)
        started = time.perf_counter()

        answers = [limiter.check("a").remaining for _ in range(50)]
        took = time.perf_counter() - started
        process.signal(signal.SIGCONT)

        assert answers[:5] == [4, 3, 2, 1, 0]
        assert took < 0.9  # 50 time-outs would be five seconds
        eventually(lambda: limiter.check("b").remaining == 4 and _counted(server.url, "b"))
        limiter.close()


def test_a_restarted_redis_is_found_again(tmp_path: Path) -> None:
    server = EmbeddedRedis(program=find_redis_server())
    limiter = RateLimiter.from_url(server.url, "100/day")
    with running(server, tmp_path):
        limiter.check("a")
        limiter.check("a")
    assert limiter.check("a").remaining == 99

    with running(server, tmp_path):
        eventually(lambda: limiter.check("b").allowed and _counted(server.url, "b"))
    limiter.close()


def running(server: EmbeddedRedis, directory: Path) -> AbstractContextManager[RunningProcess]:
    return run_process(
        server.command, cwd=directory, stdin=server.configuration, ready=server.answers, timeout=10
    )


def _counted(url: str, key: str) -> bool:
    with Redis.from_url(url) as redis:
        return bool(redis.exists(f"llm-jobs:rate:{key}"))
