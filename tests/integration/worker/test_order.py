"""What goes first, and what waits: classes, pauses, deadlines."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from app import jobs, lifecycle
from app.lifecycle import control
from models import ControlKind, QueueControl
from tests.support.databases import SQLiteDatabases
from tests.support.platform import Platform, running_platform
from tests.support.waiting import eventually


@pytest.fixture(scope="module")
def narrow_platform(
    tmp_path_factory: pytest.TempPathFactory, sqlite_databases: SQLiteDatabases
) -> Iterator[Platform]:
    """One worker that carries out one job at a time."""
    directory: Path = tmp_path_factory.mktemp("narrow")
    url = sqlite_databases.migrated(directory / "llm_jobs.db")
    narrow = {"worker_concurrency": 1, "queue_window": 20}
    with running_platform(directory, database_url=url, **narrow) as platform:
        yield platform


def started(platform: Platform, submitted: list[jobs.Submission]) -> list[str]:
    """Their job ids in the order in which they were called."""
    rows = platform.wait_ended(*submitted)
    return [row.job_id for row in sorted(rows, key=lambda row: row.started_at or row.created_at)]


def test_a_higher_class_goes_first(narrow_platform: Platform) -> None:
    busy = narrow_platform.submit(model="simulator/latency-1.5")
    narrow_platform.wait_call(busy)
    submitted = [
        narrow_platform.submit(queue=queue)
        for queue in ("low", "default", "high", "low", "default", "high")
    ]
    low1, default1, high1, low2, default2, high2 = submitted
    expected = [high1, high2, default1, default2, low1, low2]
    assert started(narrow_platform, submitted) == [job.job_id for job in expected]


def test_jobs_of_one_class_go_in_the_order_they_came(narrow_platform: Platform) -> None:
    busy = narrow_platform.submit(model="simulator/latency-1")
    narrow_platform.wait_call(busy)
    submitted = [narrow_platform.submit() for _ in range(10)]
    assert started(narrow_platform, submitted) == [job.job_id for job in submitted]


@pytest.mark.parametrize(
    ("kind", "name", "held", "free"),
    [
        (ControlKind.QUEUE, "low", {"queue": "low"}, {"queue": "default"}),
        (
            ControlKind.MODEL,
            "simulator/held",
            {"model": "simulator/held"},
            {"model": "simulator/a"},
        ),
    ],
)
def test_what_is_paused_waits_without_an_attempt(
    any_platform: Platform, kind: ControlKind, name: str, held: dict[str, str], free: dict[str, str]
) -> None:
    database = any_platform.runtime.database
    with database.write() as session:
        control.pause(session, kind, name)
    try:
        waiting = any_platform.submit(**held)
        any_platform.wait_ended(any_platform.submit(**free))
        assert any_platform.row(waiting).fence == 0
    finally:
        with database.write() as session:
            lifecycle.resume(session, kind, name)
    (row,) = any_platform.wait_ended(waiting)
    assert (row.status, row.fence) == ("completed", 1)


def test_a_message_sent_before_the_pause_is_refused_and_sent_again(any_platform: Platform) -> None:
    database = any_platform.runtime.database
    model = "simulator/held-late"
    waiting = [any_platform.insert(model=model, wake_now=True) for _ in range(5)]
    with database.write() as session:
        control.pause(session, ControlKind.MODEL, model)
    any_platform.wait_ended(any_platform.submit())
    assert {row.fence for row in any_platform.rows(*waiting)} == {0}
    with database.write() as session:
        lifecycle.resume(session, ControlKind.MODEL, model)
    assert {row.status for row in any_platform.wait_ended(*waiting)} == {"completed"}


def test_a_pause_for_a_time_ends_by_itself(any_platform: Platform) -> None:
    with any_platform.runtime.database.write() as session:
        control.pause(session, ControlKind.MODEL, "simulator/held-briefly", seconds=1)
        until = session.scalar(
            select(QueueControl.paused_until).where(QueueControl.name == "simulator/held-briefly")
        )
    job = any_platform.submit(model="simulator/held-briefly")
    (row,) = any_platform.wait_ended(job)
    assert row.started_at
    assert until
    assert row.started_at >= until


def test_a_job_whose_deadline_passes_while_it_waits_fails(any_platform: Platform) -> None:
    with any_platform.runtime.database.write() as session:
        control.pause(session, ControlKind.MODEL, "simulator/never")
    soon = datetime.now(UTC) + timedelta(seconds=1)
    job = any_platform.submit(model="simulator/never", deadline=soon)
    (row,) = any_platform.wait_ended(job)
    assert (row.status, row.error_code, row.fence) == ("failed", "expired", 0)
    assert any_platform.calls(job) == 0
    eventually(lambda: any_platform.lines("job expired", job_id=job.job_id))


def test_nothing_begins_before_its_time(any_platform: Platform) -> None:
    run_at = datetime.now(UTC) + timedelta(seconds=1)
    job = any_platform.submit(run_at=run_at)
    any_platform.wait_ended(job)
    (attempt,) = any_platform.attempts(job)
    assert attempt.started_at >= run_at - timedelta(milliseconds=1)


def test_a_flood_of_one_caller_does_not_bury_anothers_job(narrow_platform: Platform) -> None:
    other = Platform(
        **{
            name: getattr(narrow_platform, name)
            for name in (
                "directory",
                "env",
                "runtime",
                "simulator",
                "redis",
                "redis_url",
                "workers",
            )
        }
    )
    flood = narrow_platform.submit_many(200, model="simulator/latency-0.02")
    narrow_platform.wait_call(flood[0])
    single = other.submit(model="simulator/single")
    narrow_platform.wait_ended(single, timeout=30)
    left = sum(row.status == "pending" for row in narrow_platform.rows(*flood))
    assert left > 100
    with narrow_platform.runtime.database.write() as session:
        lifecycle.cancel(session, [job.output_id for job in flood])
    narrow_platform.wait_all_ended()
