"""Assistants and conditions: who speaks first, what is kept of it, and what is never asked."""

from __future__ import annotations

from typing import Any

import pytest

from app import accounts
from app.accounts import Caller
from app.errors import Forbidden, NotFound
from app.prompts import library
from app.prompts.definition import from_json
from app.prompts.script import CONDITION_SYSTEM
from app.testing import TestBed
from tests.integration.application.defined import Desk, ask, defined

TASK = {
    "name": "clerk",
    "messages": [{"role": "system", "content": "You are <itemvalue>who</itemvalue>."}],
}
ASSISTANT = {
    "name": "assist",
    "mode": "ASSISTANT",
    "model": "gpt-4",
    "task": "clerk",
    "messages": [{"role": "user", "content": "{{question}}"}],
    "result_item": "talk",
}


@pytest.fixture
def desk(llm_jobs_bed: TestBed) -> Desk:
    return Desk(llm_jobs_bed)


def asked(desk: Desk, question: str, **workitem: Any) -> dict[str, Any]:
    """The items after an assistant was asked."""
    row = desk.done(
        definition=from_json(ASSISTANT), context={"question": question}, workitem=workitem
    )
    assert row.status == "completed", row.error_message
    return dict(row.result_items or {})


def spoken(items: dict[str, Any], name: str = "talk") -> list[tuple[str, str]]:
    return [(turn["chat.role"], turn["chat.message"]) for turn in items[name]]


def test_the_task_comes_first_and_then_the_event(desk: Desk) -> None:
    desk.store(from_json(TASK))
    model = desk.says("Good.")
    items = asked(desk, "How?", who="a clerk")
    assert model.asked == [[("system", "You are a clerk."), ("user", "How?")]]
    assert spoken(items) == [
        ("system", "You are a clerk."),
        ("user", "How?"),
        ("assistant", "Good."),
    ]


def test_a_conversation_sent_back_goes_on_and_the_task_is_not_told_twice(desk: Desk) -> None:
    desk.store(from_json(TASK))
    model = desk.says("Good.", "Better.")
    first = asked(desk, "How?", who="a clerk")
    second = asked(desk, "And now?", who="a clerk", talk=first["talk"])
    assert model.asked[1] == [
        ("system", "You are a clerk."),
        ("user", "How?"),
        ("assistant", "Good."),
        ("user", "And now?"),
    ]
    assert spoken(second)[-2:] == [("user", "And now?"), ("assistant", "Better.")]
    assert len(spoken(second)) == 5
    assert second["talk"][1]["chat.userid"] == "1"


def test_a_system_message_of_the_event_clears_what_was_said(desk: Desk) -> None:
    desk.store(from_json(TASK))
    model = desk.says("Good.")
    talk = asked(desk, "How?", who="a clerk")["talk"]
    event = {
        **ASSISTANT,
        "messages": [{"role": "system", "content": "Begin anew."}, {"content": "Who?"}],
    }
    row = desk.done(definition=from_json(event), workitem={"talk": talk})
    assert model.asked[1] == [("system", "Begin anew."), ("user", "Who?")]
    assert spoken(row.result_items or {})[0] == ("system", "Begin anew.")


@pytest.mark.parametrize(
    ("words", "item"),
    [
        ({"result_item": None}, "ai.assistant.context"),
        ({"result_item": None, "context_item": "history"}, "history"),
        ({"context_item": "history"}, "talk"),
    ],
)
def test_a_conversation_is_kept_in_the_item_that_is_named(
    desk: Desk, words: dict[str, Any], item: str
) -> None:
    desk.says("Yes.")
    assistant = from_json({**ASSISTANT, "task": None, **words})
    row = desk.done(definition=assistant, context={"question": "Here?"})
    assert spoken(row.result_items or {}, item) == [("user", "Here?"), ("assistant", "Yes.")]


def test_an_assistants_answer_is_read_by_its_result_event_too(desk: Desk) -> None:
    desk.says('{"total": 7}')
    assistant = from_json({**ASSISTANT, "task": None, "result_event": "JSON"})
    items = desk.done(definition=assistant, context={"question": "Total?"}).result_items or {}
    assert items["total"] == [7]
    assert spoken(items)[-1] == ("assistant", '{"total": 7}')


def test_two_assistant_steps_share_one_conversation(desk: Desk) -> None:
    desk.store(from_json(TASK))
    model = desk.says("One.", "Two.")
    step = {"mode": "ASSISTANT", "result_item": "talk"}
    steps = defined(ask("First", **step), ask("Second", **step), task="clerk")
    row = desk.done(definition=steps, workitem={"who": "a clerk"})
    assert [len(messages) for messages in model.asked] == [2, 4]
    assert spoken(row.result_items or {})[0] == ("system", "You are a clerk.")
    assert len(spoken(row.result_items or {})) == 5


def stranger(desk: Desk, name: str) -> Caller:
    with desk.bed.runtime.database.write() as session:
        user = accounts.create_user(session, email=f"{name}@example.org")
        return accounts.caller_of(user)


def test_a_shared_prompts_private_task_works_for_others(desk: Desk) -> None:
    author, desk.caller = desk.caller, stranger(desk, "bob")
    desk.store(from_json(TASK), from_json(ASSISTANT), caller=author)
    with desk.bed.runtime.database.write() as session:
        library.share(session, author, "assist", shared=True)
    model = desk.says("Good.")
    fields: dict[str, Any] = {"context": {"question": "How?"}, "workitem": {"who": "a clerk"}}
    assert desk.done(prompt="assist", **fields).status == "completed"
    assert model.asked[0][0] == ("system", "You are a clerk.")
    with pytest.raises(NotFound):
        desk.submit(prompt="clerk", **fields)


def test_a_strangers_private_prompt_is_not_there(desk: Desk) -> None:
    desk.store(from_json(TASK))
    desk.caller = stranger(desk, "bob")
    for reference in ("clerk", "clerk@1", "clerk@production", "nothing"):
        with pytest.raises(NotFound) as refusal:
            desk.submit(prompt=reference)
        assert reference.partition("@")[0] in refusal.value.message
    with pytest.raises(NotFound):
        desk.submit(definition=from_json(ASSISTANT), context={"question": "?"})
    assert desk.bed.newest_id() == 0
    assert not isinstance(refusal.value, Forbidden)


# Conditions


def condition(*contents: str, **step: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": content} for content in contents]
    return {"mode": "CONDITION", "messages": messages, **step}


def test_a_condition_is_asked_in_fixed_words_with_few_tokens(desk: Desk) -> None:
    model = desk.says("FALSE")
    row = desk.done(condition("Is it paid?", result_item="paid"))
    assert model.asked == [[("system", CONDITION_SYSTEM), ("user", "Is it paid?")]]
    assert dict(model.calls[0].options) == {"n_predict": 16, "temperature": 0}
    assert (row.result_items, row.raw_response) == ({"paid": [False]}, "FALSE")


def test_a_conditions_own_options_and_then_the_jobs_go_over_the_fixed_ones(desk: Desk) -> None:
    model = desk.says("true")
    desk.done(condition("Paid?", options={"n_predict": 4, "seed": 1}), options={"seed": 2})
    assert dict(model.calls[0].options) == {"n_predict": 4, "temperature": 0, "seed": 2}


def test_an_empty_condition_is_false_and_nobody_is_asked(desk: Desk) -> None:
    row = desk.done(condition(result_item="paid"))
    assert (row.status, row.result_items) == ("completed", {"paid": [False]})
    assert (row.raw_response, desk.bed.model.calls) == ("false", [])


def test_a_condition_that_is_answered_otherwise_twice_fails(desk: Desk) -> None:
    model = desk.says("Yes.", "Certainly.")
    row = desk.done(condition("Paid?"))
    assert (row.status, row.error_code) == ("failed", "ERROR_LLM_PROMPT_INFERENCE")
    assert len(model.calls) == 2


def test_an_empty_condition_between_other_steps_costs_no_call(desk: Desk) -> None:
    model = desk.says("x")
    row = desk.done(ask("One"), condition(result_item="paid"), ask("<itemvalue>paid</itemvalue>"))
    assert [messages[0][1] for messages in model.asked] == ["One", "false"]
    assert row.status == "completed"
