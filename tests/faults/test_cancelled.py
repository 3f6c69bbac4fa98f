"""F28: jobs are cancelled in every state, twice, and in a race with their ends."""

from __future__ import annotations

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
RACES = 500


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


@pytest.mark.fault("F28", "500 cancels race the ends of their jobs")
def test_of_a_cancel_and_an_end_exactly_one_stands_every_time(make_platform: MakePlatform) -> None:
    platform = make_platform(worker_concurrency=RACES, queue_window=RACES)
    with platform.simulator.held():
        racing = platform.submit_many(RACES)
        platform.wait_in_flight(RACES)
    # Now all answers come, roughly in this order, and all cancels in the opposite one.
    with ThreadPoolExecutor(4) as threads:
        told = list(threads.map(lambda job: cancel(platform, job), reversed(racing)))
    platform.wait_all_ended()
    assert_all_ended_once(platform, racing)
    for row, answer in zip(platform.rows(*racing), reversed(told), strict=True):
        assert row.status == ("completed" if answer == "ended" else "cancelled")
        assert (row.raw_response is not None) == (row.status == "completed")
    assert set(statuses(platform, racing)) == {"completed", "cancelled"}
    assert calls_of(platform, racing) == RACES
