"""Chats: every turn is a job in one transaction, one at a time; what is said stays as it was."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import func, select

from app import accounts, chats, jobs
from app.accounts import OPERATOR, Caller
from app.chats import NewChat, Request, Taken
from app.chats.input import HISTORY_CHARACTERS, Said, model_input
from app.chats.pages import with_page
from app.chats.titles import title_of
from app.chats.views import Shown
from app.errors import (
    Conflict,
    Forbidden,
    InvalidParameter,
    LLMJobsError,
    MissingParameter,
    NotFound,
    TurnInProgress,
)
from app.settings import Settings
from models import Chat, ChatMessage, GrantRole, LLMOutput
from tests.integration.application.conftest import RecordedRuntime, Rows

ECHO = "simulator/echo"
HOSTILE = "Ignore {{secret}} and {{#if x}} <itemvalue>y</itemvalue> ${z}"


class Talk:
    """Says things on behalf of people."""

    def __init__(self, runtime: RecordedRuntime, rows: Rows) -> None:
        self.runtime = runtime
        self.rows = rows

    def start(self, caller: Caller, prompt: str | None = "Hello there", **facts: Any) -> Taken:
        first = None if prompt is None else Request(content=prompt, **self.said(facts))
        wanted = NewChat(model=ECHO, first=first, **facts)
        return chats.create(self.runtime.real, caller, wanted)

    @staticmethod
    def said(facts: dict[str, Any]) -> dict[str, Any]:
        names = ("page", "context", "read_only", "client_message_id")
        attached = {"attachments": facts.pop("attachments")} if "attachments" in facts else {}
        return {name: facts[name] for name in names if name in facts} | attached

    def send(self, caller: Caller, chat_id: int, content: str = "And?", **facts: Any) -> Taken:
        return chats.send(self.runtime.real, caller, chat_id, Request(content=content, **facts))

    def shown(self, message_id: int) -> Shown:
        with self.runtime.database.read() as session:
            return chats.shown_message(session, message_id)

    def texts(self, chat_id: int) -> list[tuple[str, str, str]]:
        with self.runtime.database.read() as session:
            found = chats.messages_after(session, chat_id)
        return [(one.message.role, one.text, one.status) for one in found]

    def job(self, taken: Taken) -> LLMOutput:
        assert taken.job is not None
        return self.rows.read(taken.job.output_id)

    def answer(self, taken: Taken, text: str = "Certainly.") -> None:
        self.rows.complete(self.job(taken).id, text)

    def count(self, model: Any) -> int:
        with self.runtime.database.read() as session:
            return session.scalars(select(func.count()).select_from(model)).one()


@pytest.fixture
def talk(recorded: RecordedRuntime, rows: Rows) -> Talk:
    return Talk(recorded, rows)


def at_once(number: int, act: Callable[[int], Any]) -> list[Any]:
    """What each of several threads got, or the error it met."""

    def safely(index: int) -> Any:
        try:
            return act(index)
        except LLMJobsError as error:
            return error

    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(safely, range(number)))


def test_a_message_its_answer_and_the_job_are_one_transaction(talk: Talk, alice: Caller) -> None:
    taken = talk.start(alice)
    job = talk.job(taken)
    question, answer = (talk.shown(one) for one in taken.message_ids)
    assert (question.message.seq, answer.message.seq) == (1, 2)
    assert (answer.message.output_id, answer.message.reply_to_id) == (job.id, question.message.id)
    assert (job.queue, job.status, job.user_id) == ("high", "pending", alice.user_id)
    assert [wake.output_id for wake in talk.runtime.wake.sent] == [job.id]


def test_what_fails_to_be_accepted_leaves_nothing(
    talk: Talk, alice: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> None:
        raise Conflict("no")

    monkeypatch.setattr("app.lifecycle.create", broken)
    with pytest.raises(Conflict):
        talk.start(alice)
    assert (talk.count(Chat), talk.count(ChatMessage), talk.count(LLMOutput)) == (0, 0, 0)
    assert talk.runtime.wake.sent == []


def test_a_messages_status_is_its_jobs(talk: Talk, alice: Caller) -> None:
    taken = talk.start(alice)
    output_id, answer = talk.job(taken).id, taken.message_ids[1]
    assert talk.shown(answer).status == "pending"
    talk.rows.claim(output_id)
    assert talk.shown(answer).status == "processing"
    done = talk.start(alice, "Two")
    talk.answer(done, "Yes.")
    assert (talk.shown(done.message_ids[1]).status, talk.shown(done.message_ids[1]).text) == (
        "success",
        "Yes.",
    )
    failed = talk.start(alice, "Three")
    talk.rows.fail(talk.job(failed).id)
    shown = talk.shown(failed.message_ids[1])
    assert (shown.status, shown.text) == ("error", "")
    assert shown.failure is not None
    assert shown.failure["category"] == "upstream_error"
    assert "No." not in shown.failure["message"]
    stopped = talk.start(alice, "Four")
    chats.cancel(talk.runtime.real, alice, stopped.message_ids[1])
    assert talk.shown(stopped.message_ids[1]).status == "cancelled"


def test_what_people_write_is_never_a_template(talk: Talk, alice: Caller) -> None:
    job = talk.job(talk.start(alice, HOSTILE))
    assert job.script is not None
    assert job.script["messages"][-1] == {"role": "user", "content": HOSTILE}
    assert HOSTILE not in job.template_name


def test_the_model_gets_what_was_said_before(talk: Talk, alice: Caller) -> None:
    first = talk.start(alice, "One")
    talk.answer(first, "First answer")
    failed = talk.send(alice, first.chat_id, "Two")
    talk.rows.fail(talk.job(failed).id)
    page = {"type": "job_code", "name": "a]b", "adaptor": "fhir@5.0.0"}
    job = talk.job(talk.send(alice, first.chat_id, "Three", page=page))
    assert job.script is not None
    system, *said = job.script["messages"]
    assert system["role"] == "system"
    assert [(m["role"], m["content"]) for m in said] == [
        ("user", "One"),
        ("assistant", "First answer"),
        ("user", "Two"),
        ("user", "[pg:job_code/a%5Db/fhir@5.0.0] Three"),
    ]
    assert talk.texts(first.chat_id)[-2][:2] == ("user", "Three")


def test_of_its_context_a_message_takes_along_what_its_author_attaches(
    talk: Talk, alice: Caller
) -> None:
    context = {"adaptor": "fhir@5.0.0", "expression": "fn()", "log": "oops", "input": "{}"}
    chat_id = talk.start(alice, None, context=context).chat_id

    def told(attachments: list[str] | None) -> set[str]:
        taken = talk.send(alice, chat_id, attachments=attachments)
        script = talk.job(taken).script
        talk.answer(taken)
        assert talk.shown(taken.message_ids[0]).to_json()["attachments"] == attachments
        system = str(script and script["messages"][0]["content"])
        return {name for name in context if f"<{name}>" in system}

    assert told(None) == set(context)
    assert told([]) == {"adaptor"}
    assert told(["expression", "log"]) == {"adaptor", "expression", "log"}


def test_what_is_tried_again_takes_along_what_it_took_before(talk: Talk, alice: Caller) -> None:
    taken = talk.start(alice, context={"expression": "fn()", "log": "oops"}, attachments=["log"])
    talk.rows.fail(talk.job(taken).id)
    script = talk.job(chats.retry(talk.runtime.real, alice, taken.message_ids[1])).script
    assert "<log>" in str(script)
    assert "<expression>" not in str(script)


def test_a_chats_context_is_replaced_whole(talk: Talk, alice: Caller, bob: Caller) -> None:
    chat_id = talk.start(alice, None, context={"expression": "a", "log": "b"}).chat_id
    chats.set_context(talk.runtime.real, alice, chat_id, {"expression": "c"})
    script = talk.job(talk.send(alice, chat_id)).script
    assert "<expression>\\nc\\n" in str(script)
    assert "<log>" not in str(script)
    with pytest.raises(NotFound):
        chats.set_context(talk.runtime.real, bob, chat_id, {})
    with talk.runtime.database.write() as session:
        chats.grant(session, alice, chat_id, user_id=bob.user_id, role="can_view")
    with pytest.raises(Forbidden):
        chats.set_context(talk.runtime.real, bob, chat_id, {})


def test_a_second_message_while_a_turn_runs_is_refused(talk: Talk, alice: Caller) -> None:
    taken = talk.start(alice)
    with pytest.raises(TurnInProgress):
        talk.send(alice, taken.chat_id)
    talk.rows.claim(talk.job(taken).id)
    with pytest.raises(TurnInProgress):
        talk.send(alice, taken.chat_id)
    assert talk.count(ChatMessage) == 2


def test_of_messages_sent_at_once_one_turn_begins(talk: Talk, alice: Caller) -> None:
    chat_id = talk.start(alice, None).chat_id
    got = at_once(8, lambda n: talk.send(alice, chat_id, f"Message {n}"))
    taken = [one for one in got if isinstance(one, Taken)]
    assert len(taken) == 1
    assert all(isinstance(one, TurnInProgress) for one in got if one not in taken)
    assert (talk.count(LLMOutput), talk.count(ChatMessage)) == (1, 2)


def test_nine_hundred_creations_with_one_id_make_one_chat(talk: Talk, alice: Caller) -> None:
    got = at_once(900, lambda _: talk.start(alice, client_message_id="c-1"))
    assert len({(one.chat_id, one.message_ids) for one in got}) == 1
    assert [one.new for one in got].count(True) == 1
    assert (talk.count(Chat), talk.count(ChatMessage), talk.count(LLMOutput)) == (1, 2, 1)


def test_ids_of_different_people_never_meet(talk: Talk, alice: Caller, bob: Caller) -> None:
    hers, his = (talk.start(one, client_message_id="c-1") for one in (alice, bob))
    assert hers.chat_id != his.chat_id


def test_a_message_sent_again_is_added_once(talk: Talk, alice: Caller) -> None:
    chat_id = talk.start(alice, None).chat_id
    first = talk.send(alice, chat_id, client_message_id="m-1")
    again = talk.send(alice, chat_id, client_message_id="m-1")
    assert (again.message_ids, again.new) == (first.message_ids, False)
    assert talk.count(ChatMessage) == 2


def test_a_step_has_one_live_chat(talk: Talk, alice: Caller, bob: Caller, admin: Caller) -> None:
    got = at_once(8, lambda _: talk.start(alice, None, step_id="s1", project="p"))
    assert len({one.chat_id for one in got}) == 1
    chat_id = got[0].chat_id
    assert talk.start(alice, None, step_id="s1", project="q").chat_id != chat_id
    assert talk.start(bob, None, step_id="s1", project="p").chat_id != chat_id
    said = talk.start(alice, "In it", step_id="s1", project="p")
    assert (said.chat_id, said.new, said.job is None) == (chat_id, False, False)
    with pytest.raises(Conflict):
        chats.remove(talk.runtime.real, alice, chat_id)
    chats.remove(talk.runtime.real, admin, chat_id)
    assert talk.start(alice, None, step_id="s1", project="p").chat_id != chat_id


def test_only_what_failed_or_was_stopped_is_tried_again(talk: Talk, alice: Caller) -> None:
    taken = talk.start(alice, HOSTILE)
    runtime, answer = talk.runtime.real, taken.message_ids[1]
    with pytest.raises(TurnInProgress):
        chats.retry(runtime, alice, answer)
    first = talk.job(taken)
    talk.rows.fail(first.id)
    again = chats.retry(runtime, alice, answer)
    second = talk.job(again)
    assert again.message_ids == taken.message_ids
    assert (second.parent_id, second.derivation) == (first.id, "re_run")
    assert second.script == first.script
    assert talk.shown(answer).status == "pending"
    talk.answer(again)
    with pytest.raises(Conflict):
        chats.retry(runtime, alice, answer)
    with pytest.raises(Conflict):
        chats.retry(runtime, alice, taken.message_ids[0])


def test_a_double_retry_asks_once(talk: Talk, alice: Caller) -> None:
    taken = talk.start(alice)
    talk.rows.fail(talk.job(taken).id)
    got = at_once(6, lambda _: chats.retry(talk.runtime.real, alice, taken.message_ids[1]))
    assert len([one for one in got if isinstance(one, Taken)]) == 1
    assert talk.count(LLMOutput) == 2


def test_redo_takes_back_a_message_and_all_after_it(talk: Talk, alice: Caller) -> None:
    first = talk.start(alice, "One")
    talk.answer(first, "1")
    second = talk.send(alice, first.chat_id, "Two")
    with pytest.raises(TurnInProgress):
        talk.send(alice, first.chat_id, "2b", message_id=second.message_ids[0])
    talk.answer(second, "2")
    talk.send(alice, first.chat_id, "Other", message_id=second.message_ids[0])
    assert [text for _, text, _ in talk.texts(first.chat_id)] == ["One", "1", "Other", ""]
    with pytest.raises(NotFound):
        chats.retry(talk.runtime.real, alice, second.message_ids[1])
    strange = talk.start(alice, "Elsewhere").message_ids[0]
    talk.rows.complete(talk.job(talk.start(alice, "x")).id)
    with pytest.raises((InvalidParameter, TurnInProgress)):
        talk.send(alice, first.chat_id, "?", message_id=strange)


def test_over_the_allowance_the_message_is_kept_and_nothing_asked(
    talk: Talk, alice: Caller, admin: Caller
) -> None:
    with talk.runtime.database.write() as session:
        accounts.update_user(session, admin, alice.user_id or 0, token_allowance=0)
    taken = talk.start(alice, "Dear model")
    assert (taken.job, talk.count(LLMOutput), talk.runtime.wake.sent) == (None, 0, [])
    assert taken.limit == {"token_allowance": 0, "tokens_used": 0, "tokens_left": 0}
    assert [(text, status) for _, text, status in talk.texts(taken.chat_id)] == [
        ("Dear model", "success"),
        ("", "error"),
    ]
    failure = talk.shown(taken.message_ids[1]).failure
    assert failure is not None
    assert failure["category"] == "quota"
    assert chats.retry(talk.runtime.real, alice, taken.message_ids[1]).job is None
    with talk.runtime.database.write() as session:
        accounts.update_user(session, admin, alice.user_id or 0, token_allowance=1000)
    assert chats.retry(talk.runtime.real, alice, taken.message_ids[1]).job is not None


@pytest.mark.parametrize("content", ["", "  \n", "x" * 10_001, "a\x00b", "\ud800"])
def test_a_text_that_cannot_be_is_refused(talk: Talk, alice: Caller, content: str) -> None:
    with pytest.raises(InvalidParameter):
        talk.start(alice, content)
    chat_id = talk.start(alice, "x" * 10_000).chat_id
    with pytest.raises(InvalidParameter):
        talk.send(alice, chat_id, content)


def test_a_stranger_meets_no_chat_and_no_message(
    talk: Talk, alice: Caller, charlie: Caller
) -> None:
    taken, runtime = talk.start(alice), talk.runtime.real
    chat_id, (question, answer) = taken.chat_id, taken.message_ids
    acts: list[Callable[[], Any]] = [
        lambda: talk.send(charlie, chat_id),
        lambda: chats.change_title(runtime, charlie, chat_id, "Mine"),
        lambda: chats.remove(runtime, charlie, chat_id),
        lambda: chats.retry(runtime, charlie, answer),
        lambda: chats.cancel(runtime, charlie, answer),
        lambda: chats.retry(runtime, charlie, question),
    ]
    for act in acts:
        with pytest.raises(NotFound):
            act()
    with talk.runtime.database.write() as session:
        with pytest.raises(NotFound):
            chats.get_chat(session, charlie, chat_id)
        with pytest.raises(NotFound):
            chats.grant(session, charlie, chat_id, user_id=charlie.user_id or 0, role="owner")
        with pytest.raises(NotFound):
            chats.feed_back(session, charlie, answer, feedback_type="thumbs_up")
        assert chats.list_chats(session, charlie).rows == []


def test_each_role_may_what_it_may(talk: Talk, alice: Caller, bob: Caller) -> None:
    taken, runtime = talk.start(alice), talk.runtime.real
    talk.answer(taken)
    chat_id, user_id = taken.chat_id, bob.user_id or 0

    def let_in(role: GrantRole) -> None:
        with talk.runtime.database.write() as session:
            chats.grant(session, alice, chat_id, user_id=user_id, role=role)

    let_in(GrantRole.CAN_VIEW)
    assert len(talk.texts(chat_id)) == 2
    with pytest.raises(Forbidden):
        talk.send(bob, chat_id)
    let_in(GrantRole.CAN_EDIT)
    his = talk.send(bob, chat_id, "From Bob")
    assert talk.job(his).user_id == user_id
    with pytest.raises(Forbidden):
        chats.remove(runtime, bob, chat_id)
    chats.cancel(runtime, alice, his.message_ids[1])  # the job is Bob's, the chat is hers
    with talk.runtime.database.write() as session:
        assert [one.id for one in chats.list_chats(session, bob).rows] == [chat_id]
        chats.feed_back(session, bob, taken.message_ids[1], feedback_type="thumbs_up")
        chats.revoke(session, alice, chat_id, user_id=user_id)
    with pytest.raises(NotFound):
        talk.send(bob, chat_id)
    assert talk.job(taken).feedback_word == "thumbs_up"


def test_a_removed_chat_is_gone_and_its_turn_stopped(talk: Talk, alice: Caller) -> None:
    taken = talk.start(alice)
    chats.remove(talk.runtime.real, alice, taken.chat_id)
    assert talk.job(taken).status == "cancelled"
    with pytest.raises(NotFound):
        talk.send(alice, taken.chat_id)


def test_who_may_chat_is_a_setting(recorded: RecordedRuntime, rows: Rows, alice: Caller) -> None:
    closed: Settings = recorded.settings.model_copy(update={"chat_roles": "admin"})
    talk = Talk(replace(recorded, settings=closed), rows)
    with pytest.raises(Forbidden):
        talk.start(alice)
    with pytest.raises(Forbidden):
        talk.start(OPERATOR)


def test_a_chat_without_a_model_needs_one(talk: Talk, alice: Caller) -> None:
    with pytest.raises(MissingParameter):
        chats.create(talk.runtime.real, alice, NewChat(first=Request(content="Hello")))


def test_a_turn_ends_within_its_time(talk: Talk, alice: Caller) -> None:
    job = talk.job(talk.start(alice))
    assert (job.deadline - job.created_at).total_seconds() == pytest.approx(300, abs=1)


def test_an_answered_turn_leads_to_outputs_of_the_same_conversation(
    talk: Talk, alice: Caller
) -> None:
    taken = talk.start(alice, HOSTILE)
    talk.answer(taken)
    runtime, parent = talk.runtime.real, talk.job(taken)
    again = talk.rows.read(jobs.re_run(runtime, alice, parent.id).output_id)
    other = jobs.regenerate(runtime, alice, parent.id, model="house-model").output_id
    said = [(row.script or {})["messages"] for row in (parent, again, talk.rows.read(other))]
    assert said[0] == said[1] == said[2]
    assert (again.parent_id, again.queue, again.format) == (parent.id, "high", "markdown")
    assert talk.rows.read(other).model_name == "house-model"
    assert talk.job(taken).id == parent.id  # the chat keeps its answer
    plain = jobs.regenerate(runtime, alice, parent.id, template="Hello").output_id
    assert (talk.rows.read(plain).script, talk.rows.read(plain).template_name) == (None, "Hello")


@pytest.mark.parametrize("changes", [{"context": {"a": "b"}}, {"workitem": {"a": "b"}}])
def test_a_turn_has_no_variables_to_change(
    talk: Talk, alice: Caller, changes: dict[str, Any]
) -> None:
    taken = talk.start(alice)
    talk.answer(taken)
    with pytest.raises(InvalidParameter):
        jobs.regenerate(talk.runtime.real, alice, talk.job(taken).id, **changes)


def test_what_was_run_beside_a_chat_is_run_again_when_it_failed(talk: Talk, alice: Caller) -> None:
    taken, runtime = talk.start(alice), talk.runtime.real
    talk.answer(taken)
    beside = jobs.re_run(runtime, alice, talk.job(taken).id).output_id
    talk.rows.fail(beside)
    again = talk.rows.read(jobs.re_run(runtime, alice, beside).output_id)
    assert (again.parent_id, again.root_id) == (beside, talk.job(taken).id)


def test_a_turn_that_failed_is_tried_again_in_its_chat_only(talk: Talk, alice: Caller) -> None:
    taken = talk.start(alice)
    runtime, output_id = talk.runtime.real, talk.job(taken).id
    talk.rows.fail(output_id)
    with pytest.raises(Conflict, match="chat"):
        jobs.re_run(runtime, alice, output_id)
    (skipped,) = jobs.retry_failed(runtime, alice).skipped
    assert (skipped.output_id, skipped.code) == (output_id, "conflict")
    with pytest.raises(Conflict, match="chat"):
        jobs.changed_request(runtime, alice, output_id, {"model": ECHO})


def test_an_erased_answer_leaves_the_chat_and_what_comes_after(talk: Talk, alice: Caller) -> None:
    taken = talk.start(alice)
    talk.answer(taken, "A secret")
    with talk.runtime.database.write() as session:
        jobs.erase(session, alice, talk.job(taken).id)
    assert talk.shown(taken.message_ids[1]).text == ""
    script = talk.job(talk.send(alice, taken.chat_id)).script
    assert script is not None
    assert "A secret" not in str(script)


def test_a_deleted_output_leaves_an_answer_that_can_be_asked_for_again(
    talk: Talk, alice: Caller
) -> None:
    taken = talk.start(alice)
    talk.answer(taken)
    with talk.runtime.database.write() as session:
        session.delete(session.get_one(LLMOutput, talk.job(taken).id))
    shown = talk.shown(taken.message_ids[1])
    assert (shown.status, (shown.failure or {})["category"]) == ("error", "removed")
    assert chats.retry(talk.runtime.real, alice, taken.message_ids[1]).job is not None


# Waiting one's turn


def queue_up(talk: Talk, caller: Caller, *contents: str) -> list[Taken]:
    """A chat whose first turn is in progress, and messages that wait."""
    first = talk.start(caller, contents[0])
    rest = [talk.send(caller, first.chat_id, text, queue=True) for text in contents[1:]]
    return [first, *rest]


def test_a_queued_message_waits_without_a_job(talk: Talk, alice: Caller) -> None:
    first, second = queue_up(talk, alice, "One", "Two")
    assert (second.job, talk.shown(second.message_ids[1]).status) == (None, "pending")
    assert chats.begin_waiting(talk.runtime.real) == []
    assert talk.count(LLMOutput) == 1
    talk.answer(first, "1")
    with pytest.raises(TurnInProgress):  # in the moment before the next has begun
        talk.send(alice, first.chat_id)


def test_waiting_turns_begin_one_by_one_with_what_was_answered(talk: Talk, alice: Caller) -> None:
    taken = queue_up(talk, alice, "One", "Two", "Three")
    runtime = talk.runtime.real
    talk.answer(taken[0], "1")
    (second,) = chats.begin_waiting(runtime)
    assert chats.begin_waiting(runtime) == []
    script = talk.rows.read(second).script
    assert script is not None
    assert [m["content"] for m in script["messages"][1:]] == ["One", "1", "Two"]
    talk.rows.fail(second)
    (third,) = chats.begin_waiting(runtime)
    assert talk.shown(taken[2].message_ids[1]).message.output_id == third
    talk.rows.complete(third, "3")
    assert [(t, s) for _, t, s in talk.texts(taken[0].chat_id)] == [
        ("One", "success"), ("1", "success"), ("Two", "success"), ("", "error"),
        ("Three", "success"), ("3", "success"),
    ]  # fmt: skip


def test_of_two_dispatchers_one_begins_a_turn(talk: Talk, alice: Caller) -> None:
    first, _ = queue_up(talk, alice, "One", "Two")
    talk.answer(first)
    got = at_once(6, lambda _: chats.begin_waiting(talk.runtime.real))
    assert len([one for found in got for one in found]) == 1
    assert talk.count(LLMOutput) == 2


def test_a_waiting_message_is_given_up(talk: Talk, alice: Caller) -> None:
    first, second, third = queue_up(talk, alice, "One", "Two", "Three")
    chats.cancel(talk.runtime.real, alice, second.message_ids[1])
    assert talk.shown(second.message_ids[1]).status == "cancelled"
    with pytest.raises(Conflict):
        chats.cancel(talk.runtime.real, alice, second.message_ids[1])
    talk.answer(first)
    assert len(chats.begin_waiting(talk.runtime.real)) == 1
    assert talk.shown(third.message_ids[1]).message.output_id is not None


def test_nothing_begins_in_a_removed_chat(talk: Talk, alice: Caller) -> None:
    first, _ = queue_up(talk, alice, "One", "Two")
    chats.remove(talk.runtime.real, alice, first.chat_id)
    assert chats.begin_waiting(talk.runtime.real) == []


def test_a_waiting_turn_over_the_allowance_says_so(
    talk: Talk, alice: Caller, admin: Caller
) -> None:
    first, second = queue_up(talk, alice, "One", "Two")
    talk.answer(first)
    with talk.runtime.database.write() as session:
        accounts.update_user(session, admin, alice.user_id or 0, token_allowance=0)
    assert chats.begin_waiting(talk.runtime.real) == []
    failure = talk.shown(second.message_ids[1]).failure
    assert (failure or {})["category"] == "quota"


def test_a_waiting_turn_that_cannot_begin_does_not_hold_up_the_next(
    recorded: RecordedRuntime, rows: Rows, alice: Caller
) -> None:
    talk = Talk(recorded, rows)
    first, second = queue_up(talk, alice, "One")[0], None
    second = talk.send(alice, first.chat_id, "Two", queue=True, model="house-model")
    third = talk.send(alice, first.chat_id, "Three", queue=True)
    talk.answer(first)
    without = recorded.settings.model_copy(update={"model_aliases": {}})
    runtime = replace(recorded, settings=without).real
    assert chats.begin_waiting(runtime) == []
    assert talk.shown(second.message_ids[1]).status == "error"
    assert len(chats.begin_waiting(runtime)) == 1
    assert talk.shown(third.message_ids[1]).status == "pending"


def test_so_many_messages_wait_and_no_more(
    talk: Talk, alice: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.chats.turns.MOST_WAITING", 2)
    first, *_ = queue_up(talk, alice, "One", "Two", "Three")
    with pytest.raises(TurnInProgress):
        talk.send(alice, first.chat_id, "Four", queue=True)


@pytest.mark.parametrize(
    ("content", "title"),
    [
        ("Hello", "Hello"),
        ("How do I clean addresses, please? Thanks", "How do I clean addresses, please? Thanks"),
        ("How do I clean the addresses: of patients", "How do I clean the addresses: of"),
        ("Please clean all of the old addresses: of", "Please clean all of the old addresses"),
        ("Really?!", "Really?"),
        ("a" * 50, "a" * 40),
        ("a" * 50 + " b", "a" * 40),
        ("  two\nlines.  ", "two lines"),
        ("?", "New chat"),
        (" ", "New chat"),
    ],
)  # fmt: skip
def test_a_title_is_the_first_words(content: str, title: str) -> None:
    assert title_of(content, longest=40) == title


def test_the_first_message_of_an_empty_chat_names_it(talk: Talk, alice: Caller) -> None:
    chat_id = talk.start(alice, None).chat_id
    talk.send(alice, chat_id, "Clean addresses.")
    with talk.runtime.database.read() as session:
        assert chats.get_chat(session, alice, chat_id).title == "Clean addresses"


@pytest.mark.parametrize(
    ("page", "told"),
    [
        (None, "x"),
        ({}, "x"),
        ({"type": "workflow"}, "[pg:workflow] x"),
        ({"type": "job_code", "name": "A"}, "[pg:job_code/A] x"),
        ({"type": "j", "name": "a] [b\nc", "resource": "r"}, "[pg:j/a%5D %5Bb c/r] x"),
    ],
)
def test_a_page_is_told_before_the_words(page: dict[str, Any] | None, told: str) -> None:
    assert with_page("x", page) == told


def test_the_oldest_is_dropped_first() -> None:
    long = "x" * (HISTORY_CHARACTERS // 3)
    history = [Said("user" if n % 2 == 0 else "assistant", long) for n in range(4)]
    _, *said = model_input("general", None, history, Said("user", "now"))
    assert [m.role for m in said] == ["user", "assistant", "user"]
    assert said[-1].content == "now"


def test_the_step_is_told_in_the_system_prompt_and_reading_only_too() -> None:
    context = {"expression": "fn(x)", "adaptor": "http@7"}
    system, _ = model_input("job_code", context, [], Said("user", "?"), read_only=True)
    assert "<expression>\nfn(x)\n</expression>" in system.content
    assert "<log>" not in system.content
    assert "may only read" in system.content
