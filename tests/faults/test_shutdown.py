"""F21, F22: SIGTERM with calls in flight, with enough grace and without."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from models import WorkerHeartbeat
from tests.faults.conftest import MakePlatform
from tests.faults.verdict import assert_all_ended_once, calls_of, statuses
from tests.support.platform import Platform
from tests.support.waiting import eventually

CALLS = 50


def drains(platform: Platform) -> bool | None:
    """Whether the worker has said that it takes no more jobs."""
    with platform.runtime.database.read() as session:
        return session.scalar(select(WorkerHeartbeat.draining))


@pytest.mark.fault("F21", "SIGTERM with calls in flight, and grace enough")
def test_a_terminated_worker_finishes_its_calls(make_platform: MakePlatform) -> None:
    platform = make_platform(worker_concurrency=CALLS)
    with platform.simulator.held():
        jobs = platform.submit_many(CALLS)
        platform.wait_in_flight(CALLS)
        platform.workers[0].terminate()
        eventually(lambda: drains(platform))
    assert platform.workers[0].running.wait(timeout=30) == 0
    assert_all_ended_once(platform, jobs)
    assert statuses(platform, jobs) == {"completed": CALLS}
    assert calls_of(platform, jobs) == CALLS


@pytest.mark.fault("F22", "SIGTERM with calls in flight, and too little grace")
def test_what_the_grace_cuts_is_done_elsewhere(make_platform: MakePlatform) -> None:
    platform = make_platform(workers=1, worker_concurrency=CALLS, shutdown_grace_seconds=1)
    with platform.simulator.held():
        jobs = platform.submit_many(CALLS)
        platform.wait_in_flight(CALLS)
        platform.workers[0].terminate()
        platform.workers[0].running.wait(timeout=30)
    platform.workers[0].start()
    platform.wait_all_ended(timeout=40)
    assert_all_ended_once(platform, jobs)
    assert statuses(platform, jobs) == {"completed": CALLS}
    assert calls_of(platform, jobs) <= 2 * CALLS
