"""Flower's states tell the truth about rows, whoever ended them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from app import jobs
from app.lifecycle import control
from app.queue import Wake
from models import ControlKind, LLMOutput
from models.types import now_plus
from tests.support.databases import SQLiteDatabases
from tests.support.platform import CONTEXT, TEMPLATE, Platform, running_platform
from tests.support.plugin import known_here
from tests.support.waiting import eventually


@pytest.fixture(scope="module")
def shown(
    tmp_path_factory: pytest.TempPathFactory, sqlite_databases: SQLiteDatabases
) -> Iterator[Platform]:
    """A platform with Flower."""
    directory: Path = tmp_path_factory.mktemp("shown")
    url = sqlite_databases.migrated(directory / "llm_jobs.db")
    # Cancels are seen soon, and no slow machine loses a job that nobody has killed.
    clocks = {"lease_seconds": 120, "heartbeat_seconds": 0.3}
    with running_platform(directory, database_url=url, flower=True, **clocks) as platform:
        yield platform


def task(platform: Platform, job: jobs.Submission, state: str) -> dict[str, Any]:
    """What Flower shows of a job once it shows that state."""

    def reached() -> dict[str, Any] | None:
        found = platform.in_flower(job.job_id)
        return found if found and found["state"] == state else None

    return dict(
        eventually(reached, timeout=15, message=lambda: platform.in_flower(job.job_id)) or {}
    )


def end_lease(platform: Platform, job: jobs.Submission) -> None:
    """The time that its dead worker had for it is over."""
    mine = LLMOutput.id == job.output_id
    with platform.runtime.database.write() as session:
        session.execute(update(LLMOutput).where(mine).values(lease_expires_at=now_plus(-1)))


def test_a_completed_job_is_a_success_under_its_own_id(shown: Platform) -> None:
    job = shown.submit(model="gpt-4")
    shown.wait_ended(job)
    found = task(shown, job, "SUCCESS")
    assert (found["name"], found["retries"], found["worker"]) == (
        "llm_jobs.run",
        0,
        "worker-0@test",
    )
    assert found["result"] == "'completed'"
    assert found["received"] <= found["started"] <= found["succeeded"]


def test_only_ids_and_names_are_visible(shown: Platform) -> None:
    job = shown.submit(model="gpt-4", system="a system prompt", metadata={"note": "a note"})
    shown.wait_ended(job)
    found = task(shown, job, "SUCCESS")
    assert found["args"] == f"({job.output_id},)"
    assert eval(found["kwargs"]).keys() == {"template", "model", "attempt"}
    for secret in (TEMPLATE, *CONTEXT, *CONTEXT.values(), "system prompt", "a note"):
        assert secret not in str(found)


def test_a_job_that_fails_six_times_is_retried_and_then_failed(shown: Platform) -> None:
    job = shown.submit(model="simulator/500")
    states: list[str] = []

    def failed() -> bool:
        found = shown.in_flower(job.job_id)
        if found and found["state"] not in states[-1:]:
            states.append(found["state"])
        return states[-1:] == ["FAILURE"]

    eventually(failed, timeout=20, message=lambda: states)
    (row,) = shown.wait_ended(job)
    assert (row.status, row.tries) == ("failed", 6)
    found = task(shown, job, "FAILURE")
    assert "RETRY" in states
    assert "SUCCESS" not in states
    assert found["retries"] == 5
    assert found["exception"] == f"JobFailed('provider_failed (job {job.job_id})')"
    assert not found["traceback"]


def test_a_message_after_the_failure_leaves_it_a_failure(shown: Platform) -> None:
    job = shown.submit(model="simulator/400")
    shown.wait_ended(job)
    failure = task(shown, job, "FAILURE")
    wake = Wake(job.output_id, job.job_id, "default", "raw-0", "simulator/400", 1)
    shown.runtime.wake.send([wake] * 3)
    after = shown.submit()
    shown.wait_ended(after)
    task(shown, after, "SUCCESS")  # by now Flower has heard of what came before
    found = task(shown, job, "FAILURE")
    assert found["failed"] == failure["failed"]


def test_a_job_that_waits_for_capacity_is_retried_and_then_a_success(shown: Platform) -> None:
    job = shown.submit(model="simulator/429-1-once")
    assert "rate_limited" in task(shown, job, "RETRY")["exception"]
    shown.wait_ended(job)
    task(shown, job, "SUCCESS")


def test_an_expired_job_is_a_failure(shown: Platform) -> None:
    job = shown.submit(model="simulator/503-600", deadline=datetime.now(UTC) + timedelta(seconds=1))
    (row,) = shown.wait_ended(job)
    assert row.error_code == "expired"
    task(shown, job, "FAILURE")


def test_a_job_that_expires_unseen_is_a_failure(shown: Platform) -> None:
    with shown.runtime.database.write() as session:
        control.pause(session, ControlKind.MODEL, "simulator/never")
    job = shown.submit(model="simulator/never", deadline=datetime.now(UTC) + timedelta(seconds=0.5))
    shown.wait_ended(job)
    task(shown, job, "FAILURE")


def test_a_job_cancelled_while_it_waits_is_revoked(shown: Platform) -> None:
    job = shown.submit(model="simulator/503-600")
    task(shown, job, "RETRY")
    jobs.cancel(shown.runtime, shown.caller, job.job_id)
    task(shown, job, "REVOKED")


def test_a_job_cancelled_while_it_runs_is_revoked(shown: Platform) -> None:
    job = shown.submit(model="simulator/latency-30")
    shown.wait_call(job)
    task(shown, job, "STARTED")
    jobs.cancel(shown.runtime, shown.caller, job.job_id)
    shown.wait_ended(job)
    task(shown, job, "REVOKED")


def test_a_poisoned_job_is_a_failure(shown: Platform) -> None:
    with known_here():
        job = shown.submit(fetchers={"die": {}})
    for _ in range(3):
        shown.workers[0].running.wait()
        shown.workers[0].start()
        end_lease(shown, job)
    (row,) = shown.wait_ended(job)
    assert row.error_code == "poison"
    task(shown, job, "FAILURE")


def test_no_worker_appears_that_is_none(shown: Platform) -> None:
    """Those who tell of ends outside a task are not workers."""
    job = shown.submit(run_at=datetime.now(UTC) + timedelta(hours=1))
    jobs.cancel(shown.runtime, shown.caller, job.job_id)
    task(shown, job, "REVOKED")
    rows = shown.ask_flower("/workers?json=1")["data"]
    assert [row["hostname"] for row in rows] == ["worker-0@test"]
