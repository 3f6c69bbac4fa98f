"""Many rows at once: what takes part, what is left out and why, and that twice is not double."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from sqlalchemy import select, update

from app import jobs
from app.accounts import Caller
from app.errors import Forbidden, InvalidParameter
from app.jobs import Filters, ReRuns, Submission
from app.runtime import Runtime
from models import AuditEvent, LLMOutput, User
from tests.integration.application.conftest import RecordedRuntime, Rows

EVERYBODY = Filters(all_users=True)


def failed(rows: Rows, caller: Caller, *, code: str = "refused", **fields: Any) -> int:
    output_id = rows.submit(caller, **fields).output_id
    rows.fail(output_id)
    if code != "refused":
        change(rows, output_id, error_code=code)
    return output_id


def change(rows: Rows, output_id: int, **values: Any) -> None:
    with rows.runtime.database.write() as session:
        session.execute(update(LLMOutput).where(LLMOutput.id == output_id).values(**values))


def parents(rows: Rows, submissions: Sequence[Submission]) -> list[int | None]:
    return [rows.read(one.output_id).parent_id for one in submissions]


def skipped(outcome: Any) -> dict[int, str]:
    return {one.output_id: one.code for one in outcome.skipped}


def trail(rows: Rows) -> list[tuple[str, str, Any]]:
    with rows.runtime.database.read() as session:
        events = session.scalars(select(AuditEvent).order_by(AuditEvent.id))
        return [
            (event.actor, event.action, event.details)
            for event in events
            if event.action.startswith("outputs.")
        ]


# retry_failed


def test_what_failed_runs_again_as_it_was(runtime: Runtime, rows: Rows, alice: Caller) -> None:
    first = failed(rows, alice, context={"name": "Ada"}, queue="low")
    second = failed(rows, alice)
    done = rows.completed(alice)
    outcome = jobs.retry_failed(runtime, alice)
    assert parents(rows, outcome.accepted) == [first, second]
    child = rows.read(outcome.accepted[0].output_id)
    assert (child.context, child.queue, child.derivation) == ({"name": "Ada"}, "low", "re_run")
    assert (child.status, child.user_id) == ("pending", alice.user_id)
    assert done not in parents(rows, outcome.accepted)


def test_pressing_twice_doubles_nothing(runtime: Runtime, rows: Rows, alice: Caller) -> None:
    failed(rows, alice)
    assert len(jobs.retry_failed(runtime, alice).accepted) == 1
    assert jobs.retry_failed(runtime, alice) == ReRuns()
    assert rows.count() == 2


def test_two_who_press_at_once_double_nothing(
    runtime: Runtime, rows: Rows, alice: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(3):
        failed(rows, alice)
    meeting = threading.Barrier(2, timeout=20)
    from app.jobs import bulk

    found = bulk._run_again

    def meet_first(*args: Any, **facts: Any) -> ReRuns:
        meeting.wait()
        return found(*args, **facts)

    monkeypatch.setattr(bulk, "_run_again", meet_first)
    outcomes: list[ReRuns] = []
    threads = [
        threading.Thread(target=lambda: outcomes.append(jobs.retry_failed(runtime, alice)))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert sorted(len(outcome.accepted) for outcome in outcomes) == [0, 3]
    assert rows.count() == 6


def test_a_retry_that_failed_again_is_retried_and_its_parent_is_not(
    runtime: Runtime, rows: Rows, alice: Caller
) -> None:
    failed(rows, alice)
    (child,) = jobs.retry_failed(runtime, alice).accepted
    rows.fail(child.output_id)
    assert parents(rows, jobs.retry_failed(runtime, alice).accepted) == [child.output_id]


@pytest.mark.parametrize("named", [
    {"error_code": "timeout"},
    {"queue": "high"},
    {"model": "house-model"},
    {"filters": Filters(error_code="timeout")},
    {"filters": Filters(queue="high"), "error_code": "timeout"},
])  # fmt: skip
def test_only_the_failures_asked_for_run_again(
    runtime: Runtime, rows: Rows, alice: Caller, named: dict[str, Any]
) -> None:
    failed(rows, alice)
    wanted = failed(rows, alice, code="timeout", queue="high", model="house-model")
    failed(rows, alice)
    assert parents(rows, jobs.retry_failed(runtime, alice, **named).accepted) == [wanted]


def test_the_newest_run_again_when_there_are_too_many(
    runtime: Runtime, rows: Rows, alice: Caller
) -> None:
    ids = [failed(rows, alice) for _ in range(3)]
    outcome = jobs.retry_failed(runtime, alice, limit=2)
    assert (parents(rows, outcome.accepted), outcome.more) == (ids[1:], True)
    outcome = jobs.retry_failed(runtime, alice, limit=2)
    assert (parents(rows, outcome.accepted), outcome.more) == (ids[:1], False)


def test_a_member_retries_his_own_and_an_administrator_everybodys(
    runtime: Runtime, rows: Rows, alice: Caller, bob: Caller, admin: Caller
) -> None:
    mine, theirs = failed(rows, alice), failed(rows, bob)
    with pytest.raises(Forbidden):
        jobs.retry_failed(runtime, bob, filters=EVERYBODY)
    assert parents(rows, jobs.retry_failed(runtime, bob).accepted) == [theirs]
    (child,) = jobs.retry_failed(runtime, admin, filters=EVERYBODY).accepted
    assert rows.read(child.output_id).parent_id == mine
    assert rows.read(child.output_id).user_id == alice.user_id


def test_a_row_that_cannot_take_part_is_named_and_holds_nobody_up(
    runtime: Runtime, rows: Rows, alice: Caller, bob: Caller, admin: Caller
) -> None:
    gone = failed(rows, alice)
    change(rows, gone, model_name="mystery-1")
    erased = failed(rows, alice)
    with rows.runtime.database.write() as session:
        jobs.erase(session, alice, erased)
    poor = failed(rows, bob)
    with rows.runtime.database.write() as session:
        session.execute(
            update(User).where(User.id == bob.user_id).values(token_allowance=1, tokens_used=1)
        )
    fine = failed(rows, alice)
    outcome = jobs.retry_failed(runtime, admin, filters=EVERYBODY)
    assert parents(rows, outcome.accepted) == [fine]
    assert skipped(outcome) == {gone: "unsupported_model", poor: "allowance_used_up"}


def test_the_trail_says_who_retried_how_many(
    runtime: Runtime, rows: Rows, alice: Caller, admin: Caller
) -> None:
    failed(rows, alice)
    failed(rows, alice)
    jobs.retry_failed(runtime, admin, error_code="refused", filters=EVERYBODY)
    jobs.retry_failed(runtime, admin, filters=EVERYBODY)
    assert trail(rows) == [
        (
            "ada@example.org",
            "outputs.re_run",
            {"count": 2, "retry": "failed", "filters": "status:failed error:refused"},
        )
    ]


# re_run_many


def test_named_rows_run_again_as_often_as_asked(
    runtime: Runtime, rows: Rows, alice: Caller
) -> None:
    done, broken = rows.completed(alice), failed(rows, alice)
    for _ in range(2):
        outcome = jobs.re_run_many(runtime, alice, ids=[broken, done, done])
        assert parents(rows, outcome.accepted) == [done, broken]


def test_rows_that_are_not_ones_own_or_have_not_ended_are_left_out(
    runtime: Runtime, rows: Rows, alice: Caller, bob: Caller
) -> None:
    theirs, waiting = rows.completed(bob), rows.submit(alice).output_id
    mine = rows.completed(alice)
    outcome = jobs.re_run_many(runtime, alice, ids=[theirs, waiting, mine, 10**9, 0, 2**70])
    assert parents(rows, outcome.accepted) == [mine]
    unknown = dict.fromkeys([theirs, 10**9, 0, 2**70], "not_found")
    assert skipped(outcome) == unknown | {waiting: "conflict"}


def test_all_that_match_run_again(runtime: Runtime, rows: Rows, alice: Caller) -> None:
    ids = [rows.completed(alice, format="markdown") for _ in range(3)]
    rows.completed(alice)
    rows.submit(alice, format="markdown")
    outcome = jobs.re_run_many(runtime, alice, filters=Filters(format="markdown"), limit=2)
    assert (parents(rows, outcome.accepted), outcome.more) == (ids[1:], True)


# cancel_many


def test_waiting_rows_end_and_running_ones_are_asked(
    runtime: Runtime, rows: Rows, recorded: RecordedRuntime, alice: Caller
) -> None:
    waiting, running = rows.submit(alice).output_id, rows.submit(alice).output_id
    rows.claim(running)
    done = rows.completed(alice)
    outcome = jobs.cancel_many(runtime, alice, ids=[waiting, running, done])
    assert (outcome.cancelled, outcome.asked) == ((waiting,), (running,))
    assert skipped(outcome) == {done: "conflict"}
    assert rows.read(waiting).status == "cancelled"
    assert rows.read(running).cancel_requested_at is not None
    assert [one.output_id for one in recorded.events.announced] == [waiting]
    assert [one.output_id for one in recorded.wake.told] == [waiting]
    assert recorded.events.cancels_asked == [running]


def test_all_that_match_and_have_not_ended_are_cancelled(
    runtime: Runtime, rows: Rows, alice: Caller, bob: Caller, admin: Caller
) -> None:
    low = [rows.submit(alice, queue="low").output_id for _ in range(3)]
    other, done = rows.submit(alice).output_id, rows.completed(alice, queue="low")
    theirs = rows.submit(bob, queue="low").output_id
    outcome = jobs.cancel_many(runtime, alice, filters=Filters(queue="low"), limit=2)
    assert (set(outcome.cancelled), outcome.more) == (set(low[1:]), True)
    everybodys = Filters(queue="low", all_users=True)
    assert set(jobs.cancel_many(runtime, admin, filters=everybodys).cancelled) == {low[0], theirs}
    assert (rows.read(other).status, rows.read(done).status) == ("pending", "completed")
    assert [event[1:] for event in trail(rows)] == [
        ("outputs.cancelled", {"count": 2, "filters": "queue:low"}),
        ("outputs.cancelled", {"count": 2, "filters": "queue:low"}),
    ]


def test_strangers_rows_are_not_cancelled(
    runtime: Runtime, rows: Rows, alice: Caller, charlie: Caller
) -> None:
    waiting = rows.submit(alice).output_id
    assert skipped(jobs.cancel_many(runtime, charlie, ids=[waiting])) == {waiting: "not_found"}
    assert jobs.cancel_many(runtime, charlie, filters=Filters()).cancelled == ()
    assert rows.read(waiting).status == "pending"


BULK: list[Callable[..., Any]] = [jobs.re_run_many, jobs.cancel_many]


@pytest.mark.parametrize("act", BULK)
@pytest.mark.parametrize("facts", [
    {}, {"ids": [1], "filters": Filters()}, {"ids": list(range(1001))},
    {"ids": [1], "limit": 0}, {"ids": [1], "limit": 1001}, {"filters": Filters(status="done")},
])  # fmt: skip
def test_odd_requests_are_refused(
    runtime: Runtime, alice: Caller, act: Callable[..., Any], facts: dict[str, Any]
) -> None:
    with pytest.raises(InvalidParameter):
        act(runtime, alice, **facts)


@pytest.mark.parametrize("act", BULK)
def test_only_administrators_name_everybody(
    runtime: Runtime, alice: Caller, act: Callable[..., Any]
) -> None:
    with pytest.raises(Forbidden):
        act(runtime, alice, filters=EVERYBODY)


# counting


def test_what_a_list_would_show_is_counted_up_to_a_cap(
    runtime: Runtime, rows: Rows, alice: Caller, bob: Caller
) -> None:
    for _ in range(3):
        rows.submit(alice)
    rows.submit(bob)
    with runtime.database.read() as session:
        assert jobs.count_matching(session, alice) == jobs.Counted(3)
        assert jobs.count_matching(session, alice, cap=3) == jobs.Counted(3)
        assert jobs.count_matching(session, alice, cap=2) == jobs.Counted(2, capped=True)
        assert jobs.count_matching(session, alice, Filters(status="failed")) == jobs.Counted(0)
        with pytest.raises(Forbidden):
            jobs.count_matching(session, alice, EVERYBODY)


def test_a_bulk_act_goes_through_the_table_of_texts_once(
    runtime: Runtime, rows: Rows, alice: Caller
) -> None:
    """A thousand answers of any length need not be read to run their jobs again."""
    done = rows.completed(alice, text="x" * 1000)
    heard: list[str] = []
    from sqlalchemy import event

    def hear(*facts: Any) -> None:
        heard.append(facts[2])

    event.listen(runtime.database.engine, "before_cursor_execute", hear)
    jobs.re_run_many(runtime, alice, ids=[done])
    event.remove(runtime.database.engine, "before_cursor_execute", hear)
    assert any("llm_outputs" in statement for statement in heard)
    assert not [s for s in heard if s.startswith("SELECT") and "raw_response" in s]
