"""How often somebody may do something: a token bucket each, shared between processes over Redis.

A bucket holds up to the limit and refills evenly, so "600/minute" allows 600 at once and then ten a
second. Redis decides in one script, by its own clock. When Redis does not answer in time this
process counts by itself, with the same arithmetic, and asks again after a second: a caller may then
get his rate once per process, and nobody is refused because Redis is away.

Not here: what a caller is told (`api`), and what a provider allows us (the gate before a claim).
"""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock
from typing import Any

import structlog
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from app.settings import parse_rate

log = structlog.get_logger(__name__)

TIMEOUT_SECONDS = 0.1
"""For connecting and for each reply."""

ASK_AGAIN_SECONDS = 1.0
MAX_LOCAL_BUCKETS = 10_000

_KEY_PREFIX = "llm-jobs:rate:"

# KEYS: bucket; ARGV: limit, refill per second, cost. A clock that was set back loses no tokens and
# blocks nobody. Numbers are returned as text, because Redis would cut them to whole ones.
_TAKE = """
local limit, per_second, cost = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000
local saved = redis.call('HMGET', KEYS[1], 'tokens', 'at')
local tokens = tonumber(saved[1]) or limit
local elapsed = math.max(0, now - (tonumber(saved[2]) or now))
tokens = math.min(limit, tokens + elapsed * per_second)
local allowed = tokens >= math.min(cost, limit)
if allowed then tokens = tokens - cost end
redis.call('HSET', KEYS[1],
  'tokens', string.format('%.9f', tokens), 'at', string.format('%.6f', now))
redis.call('PEXPIRE', KEYS[1], math.ceil((limit - tokens) / per_second * 1000) + 1000)
return {allowed and 1 or 0, string.format('%.9f', tokens)}
"""


@dataclass(frozen=True, slots=True)
class Allowance:
    """The answer to one request, and what is left after it.

    `reset_seconds` is the time until the bucket is full again; `retry_after_seconds` the time until
    what was refused would be allowed, 0 if it was.
    """

    allowed: bool
    limit: int
    remaining: int
    reset_seconds: float
    retry_after_seconds: float


class RateLimiter:
    """One rate, a bucket for each key. May be used from many threads."""

    def __init__(
        self,
        redis_factory: Callable[[], Redis],
        rate: str,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`redis_factory` is called once, on first use; its client should fail fast and not retry.
        `rate` is such as `600/minute` (`app.settings.parse_rate`, whose ValueError it raises).
        """
        self.limit, period_seconds = parse_rate(rate)
        self._per_second = self.limit / period_seconds
        self._factory = redis_factory
        self._clock = clock
        self._local = _LocalBuckets(self.limit, self._per_second)
        self._lock = Lock()
        self._redis: Redis | None = None
        self._script: Callable[..., Any] | None = None
        self._away_until: float | None = None

    @classmethod
    def from_url(cls, url: str, rate: str) -> RateLimiter:
        """A limiter on the Redis at `url`. Connects on first use."""
        return cls(lambda: _fast_failing_client(url), rate)

    def check(self, key: str, cost: int = 1) -> Allowance:
        """Take `cost` from the bucket of `key`, if it is there.

        A cost above the limit needs a full bucket and leaves a debt, which refills like the rest.
        Never raises and takes at most some tenths of a second.
        """
        taken = self._take_shared(key, cost) if self._may_ask() else None
        if taken is None:
            taken = self._local.take(key, cost, now=self._clock())
        return self._allowance(*taken, cost=cost)

    def close(self) -> None:
        """Close the connections to Redis; the next `check` opens new ones."""
        with self._lock:
            redis, self._redis, self._script = self._redis, None, None
        if redis is not None:
            redis.close()

    def _allowance(self, allowed: bool, tokens: float, *, cost: int) -> Allowance:
        lacking = 0.0 if allowed else min(cost, self.limit) - tokens
        return Allowance(
            allowed=allowed,
            limit=self.limit,
            remaining=max(0, math.floor(tokens)),
            reset_seconds=(self.limit - tokens) / self._per_second,
            retry_after_seconds=lacking / self._per_second,
        )

    def _may_ask(self) -> bool:
        """Whether Redis is thought to be there; while it is away, one thread a second finds out."""
        with self._lock:
            if self._away_until is None:
                return True
            if self._clock() < self._away_until:
                return False
            self._away_until = self._clock() + ASK_AGAIN_SECONDS
            return True

    def _take_shared(self, key: str, cost: int) -> tuple[bool, float] | None:
        try:
            allowed, tokens = self._shared_script()(
                keys=[_KEY_PREFIX + key], args=[self.limit, self._per_second, cost]
            )
        except (RedisError, OSError) as error:
            self._note_away(error)
            return None
        self._note_back()
        return bool(allowed), float(tokens)

    def _shared_script(self) -> Callable[..., Any]:
        with self._lock:
            if self._script is None:
                self._redis = self._factory()
                self._script = self._redis.register_script(_TAKE)
            return self._script

    def _note_away(self, error: Exception) -> None:
        with self._lock:
            first = self._away_until is None
            self._away_until = self._clock() + ASK_AGAIN_SECONDS
        if first:
            log.warning("rate limits are counted per process", error=type(error).__name__)

    def _note_back(self) -> None:
        with self._lock:
            returned = self._away_until is not None
            self._away_until = None
        if returned:
            log.info("rate limits are shared again")


class _LocalBuckets:
    """The same buckets in this process. The longest unused ones are forgotten first."""

    def __init__(self, limit: int, per_second: float) -> None:
        self._limit = limit
        self._per_second = per_second
        self._lock = Lock()
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, key: str, cost: int, *, now: float) -> tuple[bool, float]:
        """Whether it was allowed, and the tokens left."""
        with self._lock:
            tokens, at = self._buckets.pop(key, (float(self._limit), now))
            tokens = min(self._limit, tokens + max(0.0, now - at) * self._per_second)
            allowed = tokens >= min(cost, self._limit)
            if allowed:
                tokens -= cost
            self._buckets[key] = tokens, now
            if len(self._buckets) > MAX_LOCAL_BUCKETS:
                self._buckets.popitem(last=False)
            return allowed, tokens


def _fast_failing_client(url: str) -> Redis:
    return Redis.from_url(
        url,
        socket_timeout=TIMEOUT_SECONDS,
        socket_connect_timeout=TIMEOUT_SECONDS,
        retry=Retry(NoBackoff(), 0),
    )
