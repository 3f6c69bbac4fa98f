"""Cancel, advance, erase, feedback: what people may do to rows, and what strangers may not."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select
from structlog.testing import capture_logs

from app import feedback, jobs, lifecycle
from app.accounts import Caller
from app.errors import Conflict, InvalidParameter, NotFound
from app.lifecycle import Ended, RetryLater
from models import Attempt, LLMOutput
from tests.integration.application.conftest import Rows


def give(rows: Rows, caller: Caller, output_id: int, word: Any, comment: Any = None) -> LLMOutput:
    with rows.runtime.database.write() as session:
        return feedback.give(session, caller, output_id, feedback_type=word, comment=comment)


# Cancel


def test_a_cancelled_pending_job_has_ended_and_everybody_is_told(rows: Rows, alice: Caller) -> None:
    done = rows.submit(alice)
    row = jobs.cancel(rows.runtime.real, alice, done.job_id)
    ended = Ended(done.output_id, done.job_id, "cancelled")
    assert (row.status, row.error_code) == ("cancelled", "cancelled")
    assert row.finished_at is not None
    assert rows.runtime.events.announced == [ended]
    assert rows.runtime.wake.told == [ended]
    with pytest.raises(Conflict, match="ended already: cancelled"):
        jobs.cancel(rows.runtime.real, alice, done.job_id)


def test_the_worker_of_a_running_job_is_asked_to_stop(rows: Rows, alice: Caller) -> None:
    done = rows.submit(alice)
    rows.claim(done.output_id)
    for _ in range(2):
        row = jobs.cancel(rows.runtime.real, alice, done.job_id)
        assert row.status == "processing"
        assert row.cancel_requested_at is not None
    assert rows.runtime.events.cancels_asked == [done.output_id] * 2
    assert rows.runtime.wake.told == []


@pytest.mark.parametrize("how", ["completed", "failed"])
def test_an_ended_job_cannot_be_cancelled(rows: Rows, alice: Caller, how: str) -> None:
    done = rows.submit(alice)
    (rows.complete if how == "completed" else rows.fail)(done.output_id)
    with pytest.raises(Conflict, match=how):
        jobs.cancel(rows.runtime.real, alice, done.job_id)
    assert rows.read(done.output_id).status == how
    assert rows.runtime.events.cancels_asked == []


# Advance


def retried(rows: Rows, caller: Caller) -> tuple[int, str]:
    done = rows.submit(caller)
    claim = rows.claim(done.output_id)
    with rows.runtime.database.write() as session:
        assert lifecycle.retry_later(
            session,
            [
                RetryLater(
                    output_id=done.output_id,
                    fence=claim.fence,
                    delay_seconds=300,
                    error_code="overloaded",
                    error_message="Busy.",
                )
            ],
        )
    rows.runtime.wake.sent.clear()
    return done.output_id, done.job_id


def test_advancing_makes_a_retry_due_and_wakes_it(rows: Rows, alice: Caller) -> None:
    output_id, job_id = retried(rows, alice)
    row = jobs.advance(rows.runtime.real, alice, job_id)
    assert row.run_at <= datetime.now(UTC) + timedelta(seconds=1)
    assert (row.status, row.tries) == ("pending", 1)
    (wake,) = rows.runtime.wake.sent
    assert (wake.output_id, wake.tries) == (output_id, 1)
    assert rows.claim(output_id).tries == 1


def test_advancing_with_a_dead_broker_leaves_it_to_the_dispatcher(
    rows: Rows, alice: Caller
) -> None:
    output_id, job_id = retried(rows, alice)
    rows.runtime.wake.depth_now = None
    row = jobs.advance(rows.runtime.real, alice, job_id)
    assert row.woken_at is None
    with rows.runtime.database.write() as session:
        due = lifecycle.due_rows(session, "default", room=5, rewake_seconds=60)
    assert [d.output_id for d in due] == [output_id]


def test_only_a_pending_job_can_be_advanced(rows: Rows, alice: Caller) -> None:
    done = rows.submit(alice)
    rows.complete(done.output_id)
    with pytest.raises(Conflict, match="completed"):
        jobs.advance(rows.runtime.real, alice, done.job_id)


# Erase


def test_erasing_removes_every_text_and_keeps_the_ledger(rows: Rows, alice: Caller) -> None:
    done = rows.submit(
        alice,
        template="CANARY {{name}}",
        context={"name": "CANARY"},
        system="CANARY",
        metadata={"a": "CANARY"},
        options={"user": "CANARY"},
        strict=True,
    )
    claim = rows.claim(done.output_id)
    busy = RetryLater(
        output_id=done.output_id,
        fence=claim.fence,
        delay_seconds=0,
        error_code="overloaded",
        error_message="CANARY",
    )
    with rows.runtime.database.write() as session:
        assert lifecycle.retry_later(session, [busy])
    rows.complete(done.output_id, "CANARY", input_tokens=7, output_tokens=3)
    give(rows, alice, done.output_id, "thumbs_up", "CANARY")
    with rows.runtime.database.write() as session:
        jobs.erase(session, alice, done.output_id)
    with rows.runtime.database.read() as session:
        row = session.get(LLMOutput, done.output_id)
        assert row is not None
        shown = jobs.describe(session, row)
        attempts = session.scalars(select(Attempt).order_by(Attempt.number)).all()
    assert "CANARY" not in str(shown)
    assert (row.status, row.input_tokens, row.output_tokens, row.feedback) == (
        "completed",
        7,
        3,
        1,
    )
    assert row.erased_at is not None
    assert [a.input_tokens for a in attempts] == [None, 7]
    assert [a.error_code for a in attempts] == ["overloaded", None]
    with rows.runtime.database.write() as session:
        assert jobs.erase(session, alice, done.output_id).erased_at == row.erased_at


def test_a_job_that_has_not_ended_cannot_be_erased(rows: Rows, alice: Caller) -> None:
    done = rows.submit(alice)
    with rows.runtime.database.write() as session, pytest.raises(Conflict, match="cancel it first"):
        jobs.erase(session, alice, done.output_id)


# Feedback


@pytest.mark.parametrize(("word", "number"), [("thumbs_up", 1), ("thumbs_down", 2), ("none", 0)])
@pytest.mark.parametrize("how", ["pending", "completed", "failed"])
def test_feedback_is_stored_on_every_status(
    rows: Rows, alice: Caller, word: str, number: int, how: str
) -> None:
    output_id = rows.submit(alice).output_id
    if how != "pending":
        (rows.complete if how == "completed" else rows.fail)(output_id)
    row = give(rows, alice, output_id, word, "  well done  ")
    assert (row.feedback, row.feedback_word, row.feedback_comment) == (number, word, "well done")
    assert row.feedback_at is not None
    assert row.status == how


def test_feedback_can_be_taken_back_and_a_blank_comment_is_none(rows: Rows, alice: Caller) -> None:
    output_id = rows.completed(alice)
    give(rows, alice, output_id, "thumbs_up", "good")
    row = give(rows, alice, output_id, "none", " \n ")
    assert (row.feedback_word, row.feedback_comment) == ("none", None)


def test_another_word_is_no_feedback(rows: Rows, alice: Caller) -> None:
    output_id = rows.completed(alice)
    words: list[Any] = ["", "up", "THUMBS_UP", None, 1, ["thumbs_up"], {}]
    for word in words:
        with pytest.raises(InvalidParameter, match=r"^Invalid feedback type$"):
            give(rows, alice, output_id, word)
    assert rows.read(output_id).feedback_at is None


def test_a_comment_that_cannot_be_stored_is_refused(rows: Rows, alice: Caller) -> None:
    output_id = rows.completed(alice)
    comments: list[Any] = [5, "x" * 10_001, "a\x00", "\ud800"]
    for comment in comments:
        with pytest.raises(InvalidParameter):
            give(rows, alice, output_id, "thumbs_up", comment)
    assert rows.read(output_id).feedback == 0


def test_feedback_is_logged_in_the_seeds_words_once_it_is_stored(rows: Rows, alice: Caller) -> None:
    output_id = rows.completed(alice)
    with capture_logs() as lines:
        give(rows, alice, output_id, "thumbs_down", "CANARY")
    (line,) = [line for line in lines if line["event"] == "LLM output feedback received"]
    assert line == {
        "event": "LLM output feedback received",
        "log_level": "info",
        "output_id": output_id,
        "feedback": "thumbs_down",
        "user_id": alice.user_id,
        "template_name": "Hello {{name}}",
        "model_name": "simulator/echo",
        "has_comment": True,
    }


def test_feedback_that_was_rolled_back_is_not_logged(rows: Rows, alice: Caller) -> None:
    output_id = rows.completed(alice)

    def give_and_fail() -> None:
        with rows.runtime.database.write() as session:
            feedback.give(session, alice, output_id, feedback_type="thumbs_up")
            raise ZeroDivisionError

    with capture_logs() as lines, pytest.raises(ZeroDivisionError):
        give_and_fail()
    assert lines == []
    assert rows.read(output_id).feedback == 0


# Strangers


def _without_ids(error: NotFound, row: LLMOutput) -> str:
    return error.message.replace(row.job_id, "…").replace(str(row.id), "…")


def _acts() -> list[tuple[str, Callable[[Rows, Caller, LLMOutput], object]]]:
    def in_session(act: Callable[[Any, Caller, LLMOutput], object]) -> Any:
        def run(rows: Rows, caller: Caller, row: LLMOutput) -> object:
            with rows.runtime.database.write() as session:
                return act(session, caller, row)

        return run

    return [
        ("get", in_session(lambda s, c, r: jobs.get(s, c, output_id=r.id))),
        ("get by job", in_session(lambda s, c, r: jobs.get(s, c, job_id=r.job_id))),
        ("erase", in_session(lambda s, c, r: jobs.erase(s, c, r.id))),
        (
            "feedback",
            in_session(lambda s, c, r: feedback.give(s, c, r.id, feedback_type="thumbs_up")),
        ),
        ("cancel", lambda rows, c, r: jobs.cancel(rows.runtime.real, c, r.job_id)),
        ("advance", lambda rows, c, r: jobs.advance(rows.runtime.real, c, r.job_id)),
        ("why", lambda rows, c, r: jobs.why(rows.runtime.real, c, r.job_id)),
        ("re_run", lambda rows, c, r: jobs.re_run(rows.runtime.real, c, r.id)),
        (
            "regenerate",
            lambda rows, c, r: jobs.regenerate(rows.runtime.real, c, r.id, context={}),
        ),
    ]


@pytest.mark.parametrize(("name", "act"), _acts(), ids=[name for name, _ in _acts()])
def test_a_strangers_row_does_not_exist(
    rows: Rows,
    alice: Caller,
    charlie: Caller,
    name: str,
    act: Callable[[Rows, Caller, LLMOutput], object],
) -> None:
    row = rows.read(rows.submit(alice).output_id)
    before = {c.key: getattr(row, c.key) for c in LLMOutput.__mapper__.column_attrs}
    with pytest.raises(NotFound) as stranger:
        act(rows, charlie, row)
    nobody = LLMOutput(id=row.id + 1, job_id="00000000-0000-0000-0000-000000000000")
    with pytest.raises(NotFound) as unknown:
        act(rows, charlie, nobody)
    assert _without_ids(stranger.value, row) == _without_ids(unknown.value, nobody)
    after = rows.read(row.id)
    assert {c.key: getattr(after, c.key) for c in LLMOutput.__mapper__.column_attrs} == before


def test_what_cannot_be_a_job_id_is_unknown(rows: Rows, alice: Caller) -> None:
    for job_id in ("", "x", "a\x00b", "\ud800", "x" * 10_000, "A" * 36):
        with rows.runtime.database.read() as session, pytest.raises(NotFound):
            jobs.get(session, alice, job_id=job_id)


def test_administrators_and_nobody_else_see_rows_of_nobody(
    rows: Rows, alice: Caller, admin: Caller
) -> None:
    from app.accounts import OPERATOR

    output_id = rows.submit(OPERATOR).output_id
    with rows.runtime.database.read() as session:
        assert jobs.get(session, admin, output_id=output_id).id == output_id
        with pytest.raises(NotFound):
            jobs.get(session, alice, output_id=output_id)
