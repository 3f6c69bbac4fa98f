"""Failures that may pass, failures that do not, and capacity that is lacking."""

from __future__ import annotations

from itertools import pairwise

import pytest

from app import jobs
from tests.support.platform import Platform
from tests.support.waiting import eventually

BASE, CAP = 0.05, 0.4


@pytest.mark.fault("F12", "every call fails")
@pytest.mark.parametrize("told", ["500", "529", "reset", "object", "malformed"])
def test_a_failure_is_retried_to_the_last_and_then_told(any_platform: Platform, told: str) -> None:
    job = any_platform.submit(model=f"simulator/{told}")
    (row,) = any_platform.wait_ended(job)
    attempts = any_platform.attempts(job)
    assert (row.status, row.tries, row.fence, row.max_tries) == ("failed", 6, 6, 6)
    assert row.raw_response == f"Job failed permanently: {row.error_message}"
    assert row.error_code == attempts[-1].error_code
    assert [a.outcome for a in attempts] == ["retried"] * 5 + ["failed"]
    assert any_platform.calls(job) == 6


@pytest.mark.fault("F12", "every call fails")
def test_each_delay_is_as_the_policy_says_and_is_kept(any_platform: Platform) -> None:
    job = any_platform.submit(model="simulator/503")
    any_platform.wait_ended(job)
    attempts = any_platform.attempts(job)
    for retry, (attempt, following) in enumerate(pairwise(attempts)):
        delay, doubled = attempt.delay_seconds, BASE * 2**retry
        assert delay is not None
        assert 0.5 * min(doubled, CAP) <= delay <= min(1.5 * doubled, CAP)
        assert attempt.finished_at is not None
        waited = (following.started_at - attempt.finished_at).total_seconds()
        assert waited >= delay - 0.01  # SQLite's clock counts milliseconds


def test_a_failure_that_passes_ends_completed(any_platform: Platform) -> None:
    job = any_platform.submit(model="simulator/fail-2")
    (row,) = any_platform.wait_ended(job)
    assert (row.status, row.tries, row.error_code) == ("completed", 3, None)
    assert [a.outcome for a in any_platform.attempts(job)] == ["retried", "retried", "completed"]


@pytest.mark.fault("F11", "a provider says when to come back")
def test_retry_after_is_a_floor(platform: Platform) -> None:
    job = platform.submit(model="simulator/503-1.2-once")
    platform.wait_ended(job)
    first, second = platform.attempts(job)
    assert first.delay_seconds is not None
    assert 1.2 <= first.delay_seconds <= 1.2 * 1.1
    assert first.finished_at is not None
    assert (second.started_at - first.finished_at).total_seconds() >= 1.2


@pytest.mark.parametrize(
    "told", ["400", "401", "402", "403", "404", "413", "422", "quota", "context-length", "redirect"]
)
def test_a_failure_that_will_not_pass_is_not_retried(platform: Platform, told: str) -> None:
    job = platform.submit(model=f"gpt-sim-{told}")
    (row,) = platform.wait_ended(job)
    assert (row.status, row.tries) == ("failed", 1)
    assert platform.calls(job) == 1


@pytest.mark.fault("F11", "a provider answers 429")
def test_a_429_costs_no_try_and_frees_the_slot(any_platform: Platform) -> None:
    job = any_platform.submit(model="simulator/429-1-once")
    waiting = any_platform.wait_status(job, "pending", "completed")
    (row,) = any_platform.wait_ended(job)
    limited, answered = any_platform.attempts(job)
    assert waiting.worker is None
    assert (row.status, row.tries, row.fence) == ("completed", 1, 2)
    assert (limited.outcome, limited.http_status) == ("rate_limited", 429)
    assert limited.finished_at is not None
    assert (answered.started_at - limited.finished_at).total_seconds() >= 1


@pytest.mark.fault("F11", "a provider answers 429")
def test_a_429_pauses_its_model_for_everyone_and_no_other(any_platform: Platform) -> None:
    platform = any_platform
    platform.simulator.set_behaviour("429-2", calls=1)
    first = platform.submit(model="simulator/crowded")
    eventually(lambda: platform.row(first).error_code == "rate_limited")
    paused_until = platform.row(first).run_at
    second = platform.submit(model="simulator/crowded")
    other = platform.submit(model="simulator/elsewhere")
    platform.wait_ended(other, timeout=1.5)
    assert platform.row(second).fence == 0
    assert jobs.why(platform.runtime, platform.caller, second.job_id)
    for row in platform.wait_ended(first, second):
        assert (row.status, row.tries) == ("completed", 1)
    (attempt,) = platform.attempts(second)
    assert (paused_until - attempt.started_at).total_seconds() < 0.3  # the jitter lies above


def test_a_person_need_not_wait_for_the_delay(platform: Platform) -> None:
    job = platform.submit(model="simulator/503-600-once")
    platform.wait_status(job, "pending")
    eventually(lambda: platform.row(job).tries == 1)
    jobs.advance(platform.runtime, platform.caller, job.job_id)
    (row,) = platform.wait_ended(job, timeout=3)
    assert (row.status, row.tries) == ("completed", 2)
