"""Cancelling: while it waits, while it runs, with and without the channel, and against its end."""

from __future__ import annotations

import random
import threading
import time

import pytest

from app import jobs, lifecycle
from app.errors import Conflict
from app.queue import Wake, celery_app
from models import LLMOutput
from tests.support.platform import Platform
from tests.support.waiting import eventually

SLOW = "simulator/latency-30"
WRITES_SLOWLY = "simulator/tokens-400+rate-25"
SOON = 4
"""Seconds. Two are promised, fifteen are a heartbeat, and the machine is busy testing."""
STREAMED = {"max_tokens": 8000}


def running(platform: Platform, model: str = SLOW, **wanted: object) -> jobs.Submission:
    """A job whose call is under way."""
    job = platform.submit(model=model, **wanted)
    platform.wait_call(job)
    return job


def cancel(platform: Platform, job: jobs.Submission) -> LLMOutput:
    return jobs.cancel(platform.runtime, platform.caller, job.job_id)


def client_is_gone(platform: Platform, job: jobs.Submission) -> None:
    """The simulator saw the connection close."""
    platform.simulator.wait_for(lambda seen: seen.calls(job.job_id)[0].client_gone, timeout=SOON)


def test_a_running_job_stops_long_before_a_heartbeat(any_platform: Platform) -> None:
    job = running(any_platform)
    asked = cancel(any_platform, job)
    assert (asked.status, asked.cancel_requested_at is None) == ("processing", False)
    (row,) = any_platform.wait_ended(job, timeout=SOON)
    assert (row.status, row.error_code, row.tries) == ("cancelled", "cancelled", 0)
    assert any_platform.attempts(job)[0].outcome == "cancelled"
    client_is_gone(any_platform, job)


def test_what_had_been_written_is_kept(any_platform: Platform) -> None:
    job = running(any_platform, WRITES_SLOWLY, options=STREAMED)
    eventually(lambda: any_platform.simulator.calls(job.job_id)[0].bytes_out > 2000)
    cancel(any_platform, job)
    (row,) = any_platform.wait_ended(job, timeout=SOON)
    assert row.status == "cancelled"
    assert row.raw_response
    assert row.parsed_output is None


def test_a_job_cancelled_before_its_claim_is_never_called(any_platform: Platform) -> None:
    job = any_platform.submit_for_later()
    assert cancel(any_platform, job).status == "cancelled"
    late = Wake(job.output_id, job.job_id, queue="default", template="raw-0", model="m")
    any_platform.runtime.wake.send([late])
    any_platform.wait_ended(any_platform.submit())
    assert any_platform.calls(job) == 0
    assert any_platform.attempts(job) == []


def test_a_cancel_that_the_row_does_not_know_closes_nothing(any_platform: Platform) -> None:
    """Whoever can write to Redis can only make a worker look at its rows."""
    job = any_platform.submit(model="simulator/latency-1")
    any_platform.wait_call(job)
    any_platform.runtime.events.ask_cancel([job.output_id])
    (row,) = any_platform.wait_ended(job)
    assert (row.status, row.fence, any_platform.calls(job)) == ("completed", 1, 1)


def test_a_job_between_two_calls_hears_its_cancel(any_platform: Platform) -> None:
    for _ in range(5):
        job = any_platform.submit(model="simulator/repairable+latency-0.2", format="json")
        any_platform.wait_call(job, number=2)
        cancel(any_platform, job)
        (row,) = any_platform.wait_ended(job, timeout=SOON)
        assert row.status == "cancelled"
        assert [a.outcome for a in any_platform.attempts(job)] == ["continued", "cancelled"]


@pytest.mark.fault("F28", "a job is cancelled twice, and after its end")
def test_cancelling_twice_is_harmless_and_after_the_end_a_conflict(platform: Platform) -> None:
    job = running(platform)
    cancel(platform, job)
    try:
        cancel(platform, job)
    except Conflict:
        assert platform.row(job).status == "cancelled"
    platform.wait_ended(job, timeout=SOON)
    with pytest.raises(Conflict):
        cancel(platform, job)


@pytest.mark.fault("F28", "jobs are cancelled while they end")
def test_of_a_cancel_and_an_end_at_once_exactly_one_stands(any_platform: Platform) -> None:
    seen: set[str] = set()
    for latest in (0.5, 2, 8):  # a slow machine's jobs end later: so do the cancels that race them
        seen |= race_of_cancels_and_ends(any_platform, latest=latest)
        if seen == {"completed", "cancelled"}:
            return
    raise AssertionError(f"no race: every job was {seen}")


def race_of_cancels_and_ends(platform: Platform, *, latest: float) -> set[str]:
    """Cancel sixty jobs at chosen moments around their ends; the states they ended in."""
    dice = random.Random(7)
    submitted = platform.submit_many(60, model="simulator/latency-0.3")
    platform.wait_call(submitted[0])
    told: dict[int, str] = {}

    def cancel_sometime(job: jobs.Submission, after: float) -> None:
        time.sleep(after)
        try:
            told[job.output_id] = cancel(platform, job).status
        except Conflict:
            told[job.output_id] = "ended"

    threads = [
        threading.Thread(target=cancel_sometime, args=(job, dice.uniform(0.1, latest)))
        for job in submitted
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    rows = platform.wait_ended(*submitted, timeout=2 * SOON)
    for job, row in zip(submitted, rows, strict=True):
        assert row.status == ("completed" if told[row.id] == "ended" else "cancelled")
        outcomes = [a.outcome for a in platform.attempts(job)]
        assert "running" not in outcomes
        assert len(outcomes) <= 1
        assert (row.raw_response is not None) == (row.status == "completed")
    return {row.status for row in rows}


def test_revoking_a_running_task_cancels_its_job(any_platform: Platform) -> None:
    job = running(any_platform)
    with celery_app(any_platform.runtime.settings) as app:
        app.control.revoke(job.job_id, terminate=True, reply=True, timeout=5, limit=1)
    (row,) = any_platform.wait_ended(job, timeout=SOON)
    assert (row.status, row.fence) == ("cancelled", 1)
    client_is_gone(any_platform, job)


def test_revoking_a_task_that_waits_cancels_its_job(any_platform: Platform) -> None:
    job = any_platform.submit_for_later()
    with celery_app(any_platform.runtime.settings) as app:
        app.control.revoke(job.job_id, reply=True, timeout=5, limit=1)
    any_platform.begin(job)
    (row,) = any_platform.wait_ended(job)
    assert row.status == "cancelled"
    assert any_platform.calls(job) == 0


def test_a_cancelled_job_makes_room(platform: Platform) -> None:
    submitted = platform.submit_many(120, model=SLOW)  # more than there are slots
    platform.wait_in_flight(100)
    with platform.runtime.database.write() as session:
        lifecycle.cancel(session, [job.output_id for job in submitted])
    platform.runtime.events.ask_cancel([job.output_id for job in submitted])
    rows = platform.wait_ended(*submitted, timeout=2 * SOON)
    assert {row.status for row in rows} == {"cancelled"}
    platform.wait_ended(platform.submit(), timeout=SOON)
    eventually(lambda: platform.simulator.counts().in_flight == 0)
