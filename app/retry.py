"""When a failed attempt is tried again: a pure decision from an error and a count.

Nothing here waits or writes: the answer becomes `run_at` in the row (`app.lifecycle`). Which errors
can be retried stands on their classes (`app.errors`); reading a provider's `Retry-After` is its
adapter's work. Numbers: `docs/explanation/design.md`, "Retries".
"""

from __future__ import annotations

import math
import random as global_random
from dataclasses import dataclass
from typing import Protocol

from app.errors import ProviderRateLimited

RETRY_AFTER_CAP_SECONDS = 15 * 60
"""The longest a provider's own `Retry-After` can hold a job back."""

_SPREAD = (0.5, 1.5)
_SPREAD_AT_CAP = (0.5, 1.0)
_SPREAD_ABOVE_FLOOR = 0.1
_SPREAD_ABOVE_FLOOR_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """The backoff's shape: the first delay before jitter, and the longest one, in seconds."""

    base_seconds: float = 5
    max_seconds: float = 300


@dataclass(frozen=True, slots=True)
class RetryLater:
    """Try again after this long; the failed attempt has used up a try."""

    delay_seconds: float


@dataclass(frozen=True, slots=True)
class Snooze:
    """Wait this long for capacity; no try is used up."""

    delay_seconds: float


@dataclass(frozen=True, slots=True)
class Fail:
    """Do not try again."""


Decision = RetryLater | Snooze | Fail


class FailedAttempt(Protocol):
    """What is read of an error; every `app.errors.CallError` has it."""

    @property
    def retryable(self) -> bool: ...

    @property
    def retry_after_seconds(self) -> float | None: ...


class Uniform(Protocol):
    """A source of jitter: the module `random`, or one `random.Random`."""

    def uniform(self, a: float, b: float, /) -> float: ...


def decide(
    error: FailedAttempt,
    *,
    tries: int,
    max_tries: int,
    policy: RetryPolicy,
    random: Uniform = global_random,
) -> Decision:
    """What becomes of a job whose attempt failed with `error`.

    `tries` counts the tries used up, the one that just failed included; `max_tries` is how many the
    job has. A provider that is out of capacity (429) costs no try, so the count does not matter.
    """
    if isinstance(error, ProviderRateLimited):
        return Snooze(_at_least(error.retry_after_seconds, policy.base_seconds, random))
    if not error.retryable or tries >= max_tries:
        return Fail()
    delay = backoff_seconds(tries - 1, policy, random=random)
    floor = _floor(error.retry_after_seconds)
    return RetryLater(delay if floor <= delay else _above(floor, random))


def backoff_seconds(retry: int, policy: RetryPolicy, *, random: Uniform = global_random) -> float:
    """The delay before retry number `retry` (0 is the first), between half and one and a half of
    base·2ⁿ. Where the cap bites, half to all of the cap: jobs that all reached it would otherwise
    march in step.
    """
    doubled = math.ldexp(policy.base_seconds, min(max(retry, 0), 64))
    delay = doubled * random.uniform(*_SPREAD)
    if delay < policy.max_seconds:
        return delay
    return policy.max_seconds * random.uniform(*_SPREAD_AT_CAP)


def _at_least(retry_after: float | None, default: float, random: Uniform) -> float:
    return _above(_floor(retry_after) or default, random)


def _floor(retry_after: float | None) -> float:
    """What the provider asked for, within reason; 0 if it asked for nothing we can use."""
    if retry_after is None or not math.isfinite(retry_after):
        return 0.0
    return min(max(retry_after, 0.0), RETRY_AFTER_CAP_SECONDS)


def _above(floor: float, random: Uniform) -> float:
    """The floor and a little more, so that those who were told the same do not return together."""
    spread = min(floor * _SPREAD_ABOVE_FLOOR, _SPREAD_ABOVE_FLOOR_SECONDS)
    return floor + random.uniform(0.0, spread)
