"""What needs no Redis, and what finds it again when it is back."""

from __future__ import annotations

import threading

import pytest

from app import jobs
from app.streaming import StreamEvent
from tests.faults.conftest import MakePlatform
from tests.support.platform import Platform
from tests.support.waiting import eventually


def cancel(platform: Platform, job: jobs.Submission) -> None:
    jobs.cancel(platform.runtime, platform.caller, job.job_id)


@pytest.mark.fault("F5", "Redis is killed amid the calls; one is cancelled")
def test_running_jobs_end_and_can_be_cancelled_without_redis(make_platform: MakePlatform) -> None:
    platform = make_platform()
    finishing, unwanted = (platform.submit(model=f"simulator/latency-{n}") for n in (1, 30))
    platform.wait_in_flight(2)
    platform.redis.kill()
    cancel(platform, unwanted)
    (row,) = platform.wait_ended(finishing)
    assert (row.status, row.fence) == ("completed", 1)
    (row,) = platform.wait_ended(unwanted, timeout=5)  # a heartbeat is a second
    assert (row.status, row.error_code) == ("cancelled", "cancelled")
    platform.simulator.wait_for(lambda seen: seen.calls(unwanted.job_id)[0].client_gone, timeout=3)


def test_a_waiter_hears_of_an_end_without_redis(make_platform_on_sqlite: MakePlatform) -> None:
    platform = make_platform_on_sqlite()
    job = platform.submit(model="simulator/latency-1")
    platform.wait_call(job)
    platform.redis.kill()
    platform.runtime.events.wait_ended([job.job_id], 20)
    assert platform.row(job).status == "completed"


def test_live_events_and_cancels_work_again_when_redis_is_back(
    make_platform_on_sqlite: MakePlatform,
) -> None:
    platform = make_platform_on_sqlite(lease_seconds=60, heartbeat_seconds=15)
    platform.runtime.events.wait_ended(["nobody"], 0)  # the test's own listener hears
    assert platform.runtime.events.hearing()
    platform.redis.kill()
    eventually(lambda: not platform.runtime.events.hearing())
    eventually(lambda: platform.lines("live events not heard"))
    platform.redis.start()
    eventually(platform.runtime.events.hearing)
    unwanted = platform.submit(model="simulator/latency-30")
    platform.wait_call(unwanted)
    cancel(platform, unwanted)
    (row,) = platform.wait_ended(unwanted, timeout=8)  # long before the heartbeat
    assert row.status == "cancelled"
    assert _followed(platform)


def _followed(platform: Platform) -> list[StreamEvent]:
    """The deltas a follower sees of a new job, which begins when it listens."""
    job = platform.submit_for_later(model="simulator/tokens-40+rate-100")
    deltas: list[StreamEvent] = []

    def follow() -> None:
        begun = False
        for event in platform.runtime.events.follow(job.job_id, keepalive_seconds=0.2):
            if not begun:
                platform.begin(job)
                begun = True
            if event.event == "delta":
                deltas.append(event)
            if event.data.get("status") == "completed":
                return

    thread = threading.Thread(target=follow, daemon=True)
    thread.start()
    thread.join(15)
    return deltas
