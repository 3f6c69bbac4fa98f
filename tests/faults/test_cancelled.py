"""F28: jobs are cancelled in every state, twice, and in a race with their ends."""

from __future__ import annotations

import random
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from app import jobs, lifecycle
from app.errors import Conflict
from app.jobs import Submission
from models import ControlKind
from tests.faults.conftest import MakePlatform
from tests.faults.verdict import assert_all_ended_once, calls_of, statuses
from tests.support.platform import Platform
from tests.support.waiting import eventually

SLOW = "simulator/latency-30"


def cancel(platform: Platform, job: Submission) -> str:
    """The status that was answered, or "ended" where it was too late."""
    try:
        return jobs.cancel(platform.runtime, platform.caller, job.job_id).status
    except Conflict:
        return "ended"


@pytest.mark.fault("F28", "jobs are cancelled in every state, twice at once")
def test_a_job_is_cancelled_whatever_its_state(make_platform: MakePlatform) -> None:
    platform = make_platform(
        worker_concurrency=2, retry_base_seconds=600, retry_max_seconds=600, queue_window=5
    )
    with platform.runtime.database.write() as session:
        lifecycle.pause(session, ControlKind.MODEL, "simulator/paused")
    retried = platform.submit(model="simulator/503")
    limited = platform.submit(model="simulator/429-600")
    ended = platform.submit()
    eventually(lambda: (platform.row(retried).tries, platform.row(limited).fence) == (1, 1))
    eventually(lambda: statuses(platform, [retried, limited]) == {"pending": 2})
    platform.wait_ended(ended)
    later = platform.submit_for_later()
    paused = platform.submit(model="simulator/paused")
    running = platform.submit_many(2, model=SLOW)
    platform.wait_in_flight(2)
    queued = platform.submit_many(10, model=SLOW)  # beyond the slots, and beyond the window
    unwanted = [retried, limited, later, paused, *running, *queued]
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda job: cancel(platform, job), [*unwanted, *unwanted]))
    assert set(answers) <= {"processing", "cancelled", "ended"}
    assert cancel(platform, ended) == "ended"
    platform.wait_all_ended()
    assert_all_ended_once(platform, platform.accepted)
    assert statuses(platform, unwanted) == {"cancelled": len(unwanted)}
    assert statuses(platform, [ended]) == {"completed": 1}
    assert calls_of(platform, [later, paused, *queued]) <= 2  # one for each slot that came free
    assert calls_of(platform, [retried, limited, *running]) == 4


@pytest.mark.fault("F28", "cancels race the ends of their jobs, 500 times")
def test_of_a_cancel_and_an_end_exactly_one_stands_every_time(make_platform: MakePlatform) -> None:
    platform = make_platform(worker_concurrency=50)
    dice = random.Random(7)
    wanted = platform.submit_many(500, model="simulator/latency-0.2")
    told: dict[int, str] = {}
    begun = threading.Event()

    def cancel_sometime(job: Submission) -> None:
        begun.wait()
        told[job.output_id] = cancel(platform, job)

    order = sorted(wanted, key=lambda job: job.output_id + dice.uniform(0, 100))
    with ThreadPoolExecutor(4) as threads:
        waiting = threads.map(cancel_sometime, order)
        platform.wait_in_flight(10)
        begun.set()
        list(waiting)
    platform.wait_all_ended()
    assert_all_ended_once(platform, wanted)
    for row in platform.rows(*wanted):
        assert row.status == ("completed" if told[row.id] == "ended" else "cancelled")
        assert (row.raw_response is not None) == (row.status == "completed")
    assert {a.outcome for job in wanted for a in platform.attempts(job)} <= {
        "completed",
        "cancelled",
    }
    assert calls_of(platform, wanted) <= 500
