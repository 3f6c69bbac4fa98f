"""One key, one job: however often, however parallel, whatever changed meanwhile."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import select, update

from app import jobs
from app.accounts import OPERATOR, Caller
from app.db import Database
from app.errors import IdempotencyMismatch, InvalidParameter, UnsupportedModel
from app.jobs import IdempotencyRequest, JobRequest, Submission
from app.jobs.idempotency import prune_idempotency_keys
from models import IdempotencyKey, LLMOutput, User
from models.types import now_plus
from tests.integration.application.conftest import RecordedRuntime, Rows

REQUEST = JobRequest(template="Hello", model="simulator/echo")


def post(rows: Rows, caller: Caller, key: str = "k1", fingerprint: str = "f1") -> Submission:
    idempotency = IdempotencyRequest(key, fingerprint)
    return jobs.submit(rows.runtime.real, caller, REQUEST, idempotency=idempotency)


def test_the_same_request_gets_the_first_answer_and_no_second_row(
    rows: Rows, alice: Caller
) -> None:
    first, second = post(rows, alice), post(rows, alice)
    assert first.replayed is None
    assert second.replayed == second.answer == first.answer
    assert (second.output_id, second.job_id) == (first.output_id, first.job_id)
    assert second.estimated_completion == first.estimated_completion
    assert second.location == first.location
    assert rows.count() == 1
    assert len(rows.runtime.wake.sent) == 1


def test_the_answer_is_stored_with_status_and_place(rows: Rows, alice: Caller) -> None:
    done = post(rows, alice)
    with rows.runtime.database.read() as session:
        kept = session.scalars(select(IdempotencyKey)).one()
    assert (kept.user_id, kept.key, kept.status) == (alice.user_id, "k1", 201)
    assert (kept.body, kept.location) == (done.answer, done.location)


def test_another_request_with_the_key_is_refused(rows: Rows, alice: Caller) -> None:
    post(rows, alice)
    with pytest.raises(IdempotencyMismatch):
        post(rows, alice, fingerprint="f2")
    assert rows.count() == 1


def test_equal_keys_of_two_callers_never_meet(rows: Rows, alice: Caller, bob: Caller) -> None:
    assert post(rows, alice).job_id != post(rows, bob, fingerprint="f2").job_id
    assert rows.count() == 2


def test_a_replay_does_not_mind_what_changed_since(rows: Rows, alice: Caller) -> None:
    first = post(rows, alice)
    with rows.runtime.database.write() as session:
        session.execute(update(User).values(token_allowance=0))
    assert post(rows, alice).answer == first.answer


def test_fifty_at_once_make_one_row_and_one_answer(
    database_url: str, recorded: RecordedRuntime, alice: Caller
) -> None:
    workers = 50
    crowd = Database(database_url, pool_size=workers)
    busy = Rows(RecordedRuntime(recorded.settings, crowd, recorded.wake, recorded.events))
    try:
        with ThreadPoolExecutor(workers) as pool:
            answers = list(pool.map(lambda _: post(busy, alice).answer, range(workers)))
    finally:
        crowd.dispose()
    assert len(answers) == workers
    assert all(answer == answers[0] for answer in answers)
    assert Rows(recorded).count() == 1
    assert len(recorded.wake.sent) == 1


def test_a_refused_request_leaves_its_key_unused(rows: Rows, alice: Caller) -> None:
    bad = JobRequest(template="Hello", model="mystery-1")
    with pytest.raises(UnsupportedModel):
        jobs.submit(rows.runtime.real, alice, bad, idempotency=IdempotencyRequest("k1", "f0"))
    assert post(rows, alice).replayed is None


def test_derived_jobs_honour_keys_too(rows: Rows, alice: Caller) -> None:
    parent = rows.completed(alice)
    key = IdempotencyRequest("again", "f1")
    first = jobs.re_run(rows.runtime.real, alice, parent, idempotency=key)
    second = jobs.re_run(rows.runtime.real, alice, parent, idempotency=key)
    assert second.replayed == first.answer
    assert rows.count() == 2


def test_what_cannot_be_a_key_is_refused(rows: Rows, alice: Caller) -> None:
    for key in ("", "  ", "x" * 256, "a\x00b", "a\nb", "\ud800"):
        with pytest.raises(InvalidParameter, match="Idempotency-Key"):
            post(rows, alice, key=key)
    assert rows.count() == 0


def test_a_key_needs_an_owner(rows: Rows) -> None:
    with pytest.raises(InvalidParameter, match="user"):
        post(rows, OPERATOR)


def test_keys_are_kept_a_day_and_then_forgotten(rows: Rows, alice: Caller) -> None:
    for age_hours in (1, 25, 49, 72):
        post(rows, alice, key=f"{age_hours} h")
        with rows.runtime.database.write() as session:
            session.execute(
                update(IdempotencyKey)
                .where(IdempotencyKey.key == f"{age_hours} h")
                .values(created_at=now_plus(-age_hours * 3600))
            )
    with rows.runtime.database.write() as session:
        assert prune_idempotency_keys(session, limit=1) == 1
        assert prune_idempotency_keys(session) == 1
        assert prune_idempotency_keys(session) == 0
        kept = set(session.scalars(select(IdempotencyKey.key)))
        assert kept == {"1 h", "25 h"}
        assert len(session.scalars(select(LLMOutput.id)).all()) == 4
