"""F26: a provider is down for a while, and jobs pile up."""

from __future__ import annotations

import pytest

from app import lifecycle
from models import ControlKind
from tests.faults.conftest import MakePlatform
from tests.faults.verdict import assert_all_ended_once, calls_of, statuses, tally

JOBS = 100


@pytest.mark.fault("F26", "a provider fails for as long as the retries last, and recovers")
def test_an_outage_within_the_retries_fails_no_job(make_platform: MakePlatform) -> None:
    platform = make_platform(retry_base_seconds=0.5, retry_max_seconds=2, worker_concurrency=20)
    platform.simulator.set_behaviour("503")
    jobs = platform.submit_many(JOBS)
    platform.simulator.wait_for(lambda seen: seen.calls_seen >= 2 * JOBS, timeout=20)
    platform.simulator.clear_behaviour()
    platform.wait_all_ended()
    assert_all_ended_once(platform, jobs)
    assert statuses(platform, jobs) == {"completed": JOBS}
    assert calls_of(platform, jobs) == sum(row.tries for row in platform.rows(*jobs))
    assert platform.simulator.counts().peak_in_flight <= 20


@pytest.mark.fault("F26", "a provider answers 429 to everything, and recovers")
def test_while_a_provider_asks_to_wait_no_try_is_used(make_platform: MakePlatform) -> None:
    platform = make_platform(worker_concurrency=20)
    platform.simulator.set_behaviour("429-1")
    jobs = platform.submit_many(JOBS)
    platform.simulator.wait_for(lambda seen: seen.calls_seen > 20, timeout=20)
    platform.simulator.clear_behaviour()
    platform.wait_all_ended()
    assert_all_ended_once(platform, jobs)
    assert statuses(platform, jobs) == {"completed": JOBS}
    assert {row.tries for row in platform.rows(*jobs)} == {1}


@pytest.mark.fault("F26", "a model is paused through an outage, and resumed")
def test_jobs_of_a_paused_model_outlast_any_outage(make_platform: MakePlatform) -> None:
    platform = make_platform(worker_concurrency=20)
    with platform.runtime.database.write() as session:
        lifecycle.pause(session, ControlKind.MODEL, "simulator/echo")
    platform.simulator.set_behaviour("503")
    jobs = platform.submit_many(JOBS)
    other = platform.submit(model="simulator/503")
    platform.wait_ended(other)  # it has used up its tries; those that wait have used none
    assert statuses(platform, jobs) == {"pending": JOBS}
    platform.simulator.clear_behaviour()
    with platform.runtime.database.write() as session:
        lifecycle.resume(session, ControlKind.MODEL, "simulator/echo")
    platform.wait_all_ended()
    assert_all_ended_once(platform, jobs)
    assert statuses(platform, jobs) == {"completed": JOBS}
    assert tally(platform, jobs).calls == JOBS
