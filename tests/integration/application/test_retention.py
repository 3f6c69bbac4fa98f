"""What is forgotten by age and with a person, and what stays."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import func, select, update

from app import accounts, assets, chats, jobs, lifecycle, retrieval, statistics
from app.accounts import Caller
from app.assets import NewAsset
from app.chats import NewChat, Request
from app.errors import Conflict, Forbidden, NotFound
from app.jobs.erase import ERASED
from app.prompts import library
from app.prompts.definition import from_json
from app.retention import Forgotten, Keeping, erase_person, forget, person
from app.retention.ageing import count_old
from app.retrieval import NewDocument
from models import (
    Agent,
    ApiKey,
    Attempt,
    AuditEvent,
    Chat,
    ChatMessage,
    LLMOutput,
    StatisticsMark,
    User,
    job_statistics,
)
from models.statistics import ALL_TIME, EVERYBODY
from models.types import now_plus
from tests.integration.application.conftest import RecordedRuntime, Rows
from tests.integration.lifecycle.world import stopped

DAY = 86_400
BOTH = Keeping(texts_days=10, rows_days=100)


class Past:
    """Makes rows old, and counts what has happened."""

    def __init__(self, runtime: RecordedRuntime) -> None:
        self.database = runtime.database

    def age(self, *output_ids: int, days: float) -> None:
        old = {"finished_at": now_plus(-days * DAY)}
        self._write(update(LLMOutput).where(LLMOutput.id.in_(output_ids)).values(old))

    def age_removed_chats(self, days: float) -> None:
        old = {"deleted_at": now_plus(-days * DAY)}
        self._write(update(Chat).where(Chat.deleted_at.is_not(None)).values(old))

    def count_everything(self) -> None:
        """As if each mark had passed every event long ago, and rows were folded before."""
        with self.database.write() as session:
            statistics.fold(session)
            session.execute(
                update(StatisticsMark).values(upto=now_plus(DAY), upto_id=10**6, seen_id=10**6)
            )

    def forget(self, keeping: Keeping, **bounds: Any) -> Forgotten:
        with self.database.write() as session:
            return forget(session, keeping, **bounds)

    def count_old(self, keeping: Keeping) -> Forgotten:
        with self.database.read() as session:
            return count_old(session, keeping)

    def number(self, model: Any, *where: Any) -> int:
        with self.database.read() as session:
            return session.scalar(select(func.count()).select_from(model).where(*where)) or 0

    def _write(self, statement: Any) -> None:
        with self.database.write() as session:
            session.execute(statement)


@pytest.fixture
def past(recorded: RecordedRuntime) -> Past:
    return Past(recorded)


# By age


def test_old_jobs_lose_their_texts_and_older_ones_their_rows(
    past: Past, rows: Rows, alice: Caller
) -> None:
    young, old, oldest = (rows.completed(alice, text="Secret.") for _ in range(3))
    past.age(old, days=11)
    past.age(oldest, days=101)
    past.count_everything()
    assert past.count_old(BOTH) == Forgotten(texts=1, rows=1)
    assert past.forget(BOTH) == Forgotten(texts=1, rows=1)
    assert past.forget(BOTH) == Forgotten()
    assert rows.read(young).raw_response == "Secret."
    row = rows.read(old)
    assert (row.raw_response, row.context, row.template_name) == (None, None, ERASED)
    assert (row.status, row.prompt_name, row.model_name) == ("completed", None, "simulator/echo")
    assert past.number(LLMOutput, LLMOutput.id == oldest) == 0
    assert past.number(Attempt, Attempt.output_id == oldest) == 0


def test_what_has_not_ended_or_is_kept_for_ever_stays(
    past: Past, rows: Rows, alice: Caller
) -> None:
    waiting = rows.submit(alice).output_id
    done = rows.completed(alice)
    past.age(done, days=10_000)
    past.count_everything()
    assert past.forget(Keeping()) == Forgotten()
    assert past.forget(Keeping(rows_days=1)) == Forgotten(rows=1)
    assert rows.read(waiting).context == {"name": "A"}


def test_a_row_that_is_not_counted_yet_stays(past: Past, rows: Rows, alice: Caller) -> None:
    done = rows.completed(alice)
    past.age(done, days=101)
    assert past.forget(BOTH) == Forgotten(texts=1)
    past.count_everything()
    assert past.forget(BOTH) == Forgotten(rows=1)


def test_totals_outlive_the_rows_they_were_counted_from(
    past: Past, rows: Rows, alice: Caller
) -> None:
    done = rows.completed(alice)
    with past.database.write() as session:
        session.execute(update(LLMOutput).values(created_at=now_plus(-DAY)))
        session.execute(
            update(Attempt).values(started_at=now_plus(-DAY), finished_at=now_plus(-DAY))
        )
    past.age(done, days=101)
    with past.database.write() as session:
        user = session.get_one(User, alice.user_id)
        user.tokens_used = 77
        statistics.fold(session)
    past.count_everything()
    before = totals(past)
    assert before
    assert past.forget(BOTH).rows == 1
    assert totals(past) == before
    with past.database.read() as session:
        assert session.get_one(User, alice.user_id).tokens_used == 77


def totals(past: Past) -> list[Any]:
    t = job_statistics.c
    query = select(t.happened, t.jobs).where(t.user_id == EVERYBODY, t.hour == ALL_TIME)
    with past.database.read() as session:
        return [tuple(row) for row in session.execute(query.order_by(t.happened))]


def test_a_parent_outlives_what_was_derived_from_it(
    past: Past, rows: Rows, alice: Caller, recorded: RecordedRuntime
) -> None:
    parent = rows.completed(alice)
    child = jobs.re_run(recorded.real, alice, parent).output_id
    rows.complete(child)
    past.age(parent, days=101)
    past.count_everything()
    assert past.forget(BOTH) == Forgotten(texts=1)
    past.age(child, days=101)
    assert past.forget(BOTH) == Forgotten(rows=1, texts=0)
    assert past.forget(BOTH) == Forgotten(rows=1)
    assert past.number(LLMOutput) == 0


def test_the_jobs_of_a_chat_are_as_old_as_the_chat(
    past: Past, rows: Rows, alice: Caller, recorded: RecordedRuntime
) -> None:
    wanted = NewChat(model="simulator/echo", first=Request(content="Hello"))
    taken = chats.create(recorded.real, alice, wanted)
    (output_id,) = past_ids(past)
    rows.complete(output_id)
    past.age(output_id, days=101)
    past.count_everything()
    assert past.forget(BOTH) == Forgotten()
    chats.remove(recorded.real, alice, taken.chat_id)
    assert past.forget(BOTH) == Forgotten()
    past.age_removed_chats(days=101)
    assert past.forget(BOTH) == Forgotten(chats=1, rows=1)
    assert past.number(ChatMessage) == 0


def past_ids(past: Past) -> list[int]:
    with past.database.read() as session:
        return list(session.scalars(select(LLMOutput.id).order_by(LLMOutput.id)))


def test_a_step_takes_no_more_than_it_is_told(past: Past, rows: Rows, alice: Caller) -> None:
    done = [rows.completed(alice) for _ in range(5)]
    past.age(*done, days=11)
    steps = [past.forget(BOTH, most=2).texts for _ in range(4)]
    assert steps == [2, 2, 1, 0]


# With a person


def test_a_person_goes_with_every_text_and_the_name(
    past: Past, rows: Rows, alice: Caller, bob: Caller, admin: Caller, recorded: RecordedRuntime
) -> None:
    runtime = recorded.real
    done = rows.completed(alice, text="Mine.")
    others = rows.completed(bob, text="Bob's.")
    waiting = rows.submit(alice).output_id
    chats.create(runtime, alice, NewChat(model="simulator/echo", first=Request(content="Hi")))
    theirs = chats.create(runtime, bob, NewChat(model="simulator/echo"))
    with past.database.write() as session:
        chats.grant(session, bob, theirs.chat_id, user_id=alice.user_id or 0, role="can_edit")
        key = accounts.create_key(session, alice.user_id or 0, name="laptop of Alice")
        accounts.create_agent(session, alice, name="Alice's", system="Be kind.")
        mine = from_json({"name": "mine", "messages": [MESSAGE]})
        library.store(session, alice, [mine])
        kept = NewDocument(key="a", title="Alice's", text="From Alice with love")
        retrieval.keep(session, alice, kept)
        for name, shared in (("Alice's", False), ("Ours", True)):
            asset = NewAsset(type="report_file", name=name, content=name, shared=shared)
            assets.create(session, alice, asset)
    chats.send(runtime, alice, theirs.chat_id, Request(content="From Alice"))

    erased = erase_person(runtime, admin, alice.user_id or 0)

    assert (erased.chats, erased.prompts, erased.running) == (1, 1, 0)
    assert rows.read(done).raw_response is None
    assert rows.read(waiting).status == "cancelled"
    assert rows.read(others).raw_response == "Bob's."
    with past.database.read() as session:
        user = session.get_one(User, alice.user_id)
        assert (user.email, user.name, user.active) == (
            f"erased-{user.id}@erased.invalid",
            "",
            False,
        )
        held = session.get_one(ApiKey, key.key.id)
        assert (held.name, held.revoked_at is None) == ("", False)
        assert session.scalars(select(Agent.name)).all() == [ERASED]
        said = session.scalars(select(ChatMessage.content).where(ChatMessage.role == "user"))
        assert set(said) == {ERASED}
    everything = whole_database(past)
    assert "alice" not in everything.lower()
    assert "Mine." not in everything
    assert "Ours" in everything  # others use what is shared


MESSAGE = {"role": "user", "content": "Alice's {{thing}}"}


def whole_database(past: Past) -> str:
    from models.base import Base

    with past.database.read() as session:
        return "\n".join(
            repr(row)
            for table in Base.metadata.sorted_tables
            for row in session.execute(select(table))
        )


def test_jobs_that_run_are_stopped_before_their_owner_is_gone(
    past: Past, rows: Rows, alice: Caller, admin: Caller, recorded: RecordedRuntime
) -> None:
    running = rows.submit(alice).output_id
    claim = rows.claim(running)
    first = erase_person(recorded.real, admin, alice.user_id or 0)
    assert first.running == 1
    assert recorded.events.cancels_asked == [running]
    with past.database.read() as session:
        user = session.get_one(User, alice.user_id)
        assert (user.email, user.active) == ("alice@example.org", False)
    with past.database.write() as session:
        lifecycle.stop(session, [stopped(claim.key, partial_text="For Alice")])
    assert erase_person(recorded.real, admin, alice.user_id or 0).texts == 1
    assert erase_person(recorded.real, admin, alice.user_id or 0).texts == 0
    assert "alice" not in whole_database(past).lower()


def test_more_running_jobs_than_one_step_takes_are_all_asked_to_stop(
    past: Past,
    rows: Rows,
    alice: Caller,
    admin: Caller,
    recorded: RecordedRuntime,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    running = [rows.submit(alice).output_id for _ in range(5)]
    for output_id in running:
        rows.claim(output_id)
    monkeypatch.setattr(person, "MOST_ROWS", 2)
    assert erase_person(recorded.real, admin, alice.user_id or 0).running == 5
    assert sorted(recorded.events.cancels_asked) == running
    assert erase_person(recorded.real, admin, alice.user_id or 0).running == 5
    assert sorted(recorded.events.cancels_asked) == running


def test_who_may_not_erase_erases_nothing(
    past: Past, rows: Rows, alice: Caller, bob: Caller, admin: Caller, recorded: RecordedRuntime
) -> None:
    done = rows.completed(alice)
    for caller, user_id, problem in (
        (bob, alice.user_id, Forbidden),
        (alice, alice.user_id, Forbidden),
        (admin, 999, NotFound),
        (admin, admin.user_id, Conflict),
    ):
        with pytest.raises(problem):
            erase_person(recorded.real, caller, user_id or 0)
    assert rows.read(done).raw_response == "Done."
    assert past.number(AuditEvent, AuditEvent.action == "user.erased") == 0
