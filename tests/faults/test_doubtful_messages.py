"""F19: messages that are doubled, forged or garbage, among those of honest jobs."""

from __future__ import annotations

import uuid

import pytest

from app.queue import Wake
from tests.faults.conftest import MakePlatform
from tests.faults.verdict import assert_all_ended_once, calls_of, statuses

JOBS = 40
GARBAGE = ("", "garbage", b"\x80\x04\x95", "null", "[]", "{}", '{"body": "%%%"}')


def wake(output_id: int, job_id: str) -> Wake:
    return Wake(output_id, job_id, queue="default", template="raw-0", model="simulator/echo")


@pytest.mark.fault("F19", "messages are doubled, reordered, forged, and garbage between them")
def test_a_queue_full_of_doubtful_messages_doubles_and_loses_nothing(
    make_platform: MakePlatform,
) -> None:
    platform = make_platform(workers=2, worker_concurrency=10)
    processes = [worker.running.pid for worker in platform.workers]
    jobs = platform.submit_many(JOBS, model="simulator/latency-0.2")
    with platform.broker() as broker:
        for _ in range(10):
            platform.runtime.wake.send([wake(j.output_id, j.job_id) for j in reversed(jobs)])
            platform.runtime.wake.send([wake(10**9 + n, str(uuid.uuid4())) for n in range(20)])
            platform.runtime.wake.send([wake(j.output_id, str(uuid.uuid4())) for j in jobs])
            broker.lpush("default", *GARBAGE)
    platform.wait_all_ended()
    platform.wait_ended(platform.submit())
    assert [worker.running.pid for worker in platform.workers] == processes
    assert all(worker.running.running for worker in platform.workers)
    assert_all_ended_once(platform, platform.accepted)
    assert statuses(platform, jobs) == {"completed": JOBS}
    assert calls_of(platform, jobs) == JOBS
