"""F8, F9: the database goes away while calls are in flight. What they bring is kept and written."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from tests.faults.conftest import MakePlatform
from tests.faults.verdict import assert_all_ended_once, calls_of, statuses
from tests.support.platform import Platform
from tests.support.postgres_server import StoppablePostgres
from tests.support.waiting import eventually

CALLS = 30


def answers_in_hand(platform: Platform) -> None:
    """Every call has been answered, and nobody could write it down."""
    eventually(lambda: platform.simulator.counts().by_outcome.get("answered", 0) >= CALLS)


@pytest.mark.fault("F8", "PostgreSQL goes down amid the calls")
def test_answers_are_kept_while_postgresql_is_down(
    postgres: StoppablePostgres, make_platform_on: MakePlatform
) -> None:
    platform = make_platform_on(database_url=postgres.server.url())
    with platform.simulator.held():
        jobs = platform.submit_many(CALLS)
        platform.wait_in_flight(CALLS)
        postgres.stop()
    answers_in_hand(platform)
    eventually(lambda: platform.lines("database away"))
    postgres.start()
    platform.wait_all_ended()
    assert_all_ended_once(platform, jobs)
    assert statuses(platform, jobs) == {"completed": CALLS}
    assert calls_of(platform, jobs) == CALLS


@pytest.mark.fault("F8", "PostgreSQL stays down longer than the leases")
def test_answers_outlive_their_leases_when_the_database_is_down_for_long(
    postgres: StoppablePostgres, make_platform_on: MakePlatform
) -> None:
    """All leases are over when it comes back: their holders get a moment to write first."""
    platform = make_platform_on(
        database_url=postgres.server.url(), lease_seconds=4, heartbeat_seconds=0.3
    )
    with platform.simulator.held():
        jobs = platform.submit_many(CALLS)
        platform.wait_in_flight(CALLS)
        postgres.stop()
    answers_in_hand(platform)
    missed = len(platform.lines("dispatcher waits")) + 45  # ticks of 0.1 s: longer than the lease
    eventually(lambda: len(platform.lines("dispatcher waits")) >= missed, timeout=40)
    postgres.start()
    platform.wait_all_ended()
    assert_all_ended_once(platform, jobs)
    assert statuses(platform, jobs) == {"completed": CALLS}
    assert calls_of(platform, jobs) == CALLS


@pytest.mark.fault("F8", "PostgreSQL is restarted three times")
def test_jobs_run_on_after_postgresql_was_restarted_again_and_again(
    postgres: StoppablePostgres, make_platform_on: MakePlatform
) -> None:
    platform = make_platform_on(database_url=postgres.server.url(), worker_concurrency=10)
    jobs = platform.submit_many(100, model="simulator/latency-0.2")
    for _ in range(3):
        platform.wait_in_flight(1)
        postgres.stop()
        postgres.start()
    platform.wait_all_ended()
    assert_all_ended_once(platform, jobs)
    assert statuses(platform, jobs) == {"completed": 100}
    assert calls_of(platform, jobs) <= 100 + 3 * 10


@pytest.mark.fault("F10", "somebody else holds SQLite's lock")
def test_answers_are_kept_while_somebody_else_holds_sqlite(
    make_platform_on: MakePlatform, sqlite_url: str
) -> None:
    platform = make_platform_on(database_url=sqlite_url)
    with closing(sqlite3.connect(sqlite_url.removeprefix("sqlite:///"))) as other:
        with platform.simulator.held():
            jobs = platform.submit_many(CALLS)
            platform.wait_in_flight(CALLS)
            other.execute("BEGIN IMMEDIATE")
        answers_in_hand(platform)
    platform.wait_all_ended()
    assert_all_ended_once(platform, jobs)
    assert statuses(platform, jobs) == {"completed": CALLS}
    assert calls_of(platform, jobs) == CALLS
