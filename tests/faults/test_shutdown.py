"""F21, F22: SIGTERM with calls in flight, with enough grace and without."""

from __future__ import annotations

from tests.faults.conftest import MakePlatform
from tests.faults.verdict import assert_all_ended_once, calls_of, statuses

CALLS = 50


def test_a_terminated_worker_finishes_its_calls(make_platform: MakePlatform) -> None:
    platform = make_platform(worker_concurrency=CALLS)
    jobs = platform.submit_many(CALLS, model="simulator/latency-2")
    platform.wait_in_flight(CALLS)
    platform.workers[0].terminate()
    assert platform.workers[0].running.wait(timeout=12) == 0
    assert_all_ended_once(platform, jobs)
    assert statuses(platform, jobs) == {"completed": CALLS}
    assert calls_of(platform, jobs) == CALLS


def test_what_the_grace_cuts_is_done_elsewhere(make_platform: MakePlatform) -> None:
    platform = make_platform(workers=1, worker_concurrency=CALLS, shutdown_grace_seconds=1)
    jobs = platform.submit_many(CALLS, model="simulator/latency-3")
    platform.wait_in_flight(CALLS)
    platform.workers[0].terminate()
    platform.workers[0].running.wait(timeout=5)
    platform.workers[0].start()
    platform.wait_all_ended(timeout=40)
    assert_all_ended_once(platform, jobs)
    assert statuses(platform, jobs) == {"completed": CALLS}
    assert calls_of(platform, jobs) <= 2 * CALLS
