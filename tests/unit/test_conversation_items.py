"""A conversation: what a turn adds, what a system message clears, how it travels as items."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import PromptParameterInvalid
from app.prompts.conversation_items import MOST_TURNS, Conversation, Turn
from app.prompts.definition import PromptMessage
from app.providers.contract import Message

NOON = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
TALK = (
    Conversation()
    .with_system("You help")
    .with_question("What is it?", "ann", NOON)
    .with_answer("A job", NOON + timedelta(seconds=2))
)


def test_turns_stand_in_the_order_they_were_said() -> None:
    assert TALK.turns == (
        Turn(role="system", text="You help"),
        Turn(role="user", text="What is it?", user_id="ann", at=NOON),
        Turn(role="assistant", text="A job", at=NOON + timedelta(seconds=2)),
    )


def test_a_conversation_never_changes() -> None:
    TALK.with_question("More", "ann", NOON)
    TALK.with_system("New")

    assert len(TALK.turns) == 3


def test_a_system_message_clears_everything_before_it() -> None:
    assert TALK.with_system("Begin").turns == (Turn(role="system", text="Begin"),)


@pytest.mark.parametrize(("given_id", "kept"), [("ann", "ann"), (7, "7"), ("", None), (None, None)])
def test_a_person_is_kept_as_text(given_id: Any, kept: str | None) -> None:
    assert Conversation().with_question("x", given_id, NOON).turns[0].user_id == kept


def test_text_becomes_storable() -> None:
    assert Conversation().with_answer("x\x00\ud800", NOON).turns[0].text == "x\ufffd\ufffd"


def test_the_last_turn_is_found_by_role() -> None:
    talk = TALK.with_question("And that?", "bob", NOON)

    assert talk.last("user") == Turn(role="user", text="And that?", user_id="bob", at=NOON)
    assert talk.last() == TALK.turns[2]
    assert talk.last("tool") is None
    assert Conversation().last("user") is None


def test_whether_it_was_said_who_the_model_is() -> None:
    assert TALK.has_system
    assert not Conversation().with_question("x", "ann", NOON).has_system


def test_the_messages_of_a_definition_are_added_by_their_roles() -> None:
    written = [
        PromptMessage("user", "Example"),
        PromptMessage("assistant", "Like this"),
        PromptMessage("user", "Now"),
    ]

    talk = TALK.with_definition(written, user_id=7, at=NOON)

    assert talk.turns == (
        *TALK.turns,
        Turn(role="user", text="Example", user_id="7", at=NOON),
        Turn(role="assistant", text="Like this", at=NOON),
        Turn(role="user", text="Now", user_id="7", at=NOON),
    )


def test_a_definition_with_a_system_message_begins_anew() -> None:
    written = [Message("user", "lost"), Message("system", "S"), Message("user", "U")]

    assert TALK.with_definition(written).to_messages() == (
        Message("system", "S"),
        Message("user", "U"),
    )


def test_it_becomes_the_messages_a_model_is_sent() -> None:
    tool = Turn(role="tool", text="{}", tool_call_id="call_1")

    assert Conversation((*TALK.turns, tool)).to_messages() == (
        Message("system", "You help"),
        Message("user", "What is it?"),
        Message("assistant", "A job"),
    )


def test_items_have_imixs_names_and_only_what_was_said() -> None:
    tool = Turn(role="tool", text="{}", tool_call_id="call_1")

    assert Conversation((*TALK.turns, tool)).to_items() == [
        {"chat.role": "system", "chat.message": "You help"},
        {
            "chat.role": "user",
            "chat.message": "What is it?",
            "chat.date": "2026-01-31T12:00:00+00:00",
            "chat.userid": "ann",
        },
        {
            "chat.role": "assistant",
            "chat.message": "A job",
            "chat.date": "2026-01-31T12:00:02+00:00",
        },
        {"chat.role": "tool", "chat.message": "{}", "chat.tool_call_id": "call_1"},
    ]


moments = st.datetimes(
    timezones=st.integers(-1439, 1439).map(lambda m: timezone(timedelta(minutes=m)))
)
people = st.none() | st.text(min_size=1, max_size=20)
turns = st.one_of(
    st.builds(
        Turn,
        role=st.sampled_from(["user", "assistant"]),
        text=st.text(),
        at=st.none() | moments,
        user_id=people,
    ),
    st.builds(Turn, role=st.just("tool"), text=st.text(), tool_call_id=st.text(min_size=1)),
)


@given(st.booleans(), st.lists(turns, max_size=6))
def test_what_was_exported_is_imported_as_it_was(system: bool, said: list[Turn]) -> None:
    first = [Turn(role="system", text="S")] if system else []
    talk = Conversation((*first, *said))

    assert Conversation.from_items(json.loads(json.dumps(talk.to_items()))) == talk


def test_what_imixs_wrote_is_read() -> None:
    items = [
        {"chat.role": ["system"], "chat.message": ["Old"]},
        {"Chat.Role": ["system"], "chat.message": ["S"], "chat.userid": []},
        {"chat.role": ["user"], "chat.message": ["U"], "chat.userid": [7], "chat.date": None},
    ]

    assert Conversation.from_items(items).turns == (
        Turn(role="system", text="S"),
        Turn(role="user", text="U", user_id="7"),
    )


@pytest.mark.parametrize(
    ("items", "pointer", "problem"),
    [
        ("x", "/chat", "must be a list of at most 10,000"),
        ({}, "/chat", "must be a list"),
        ([{}] * (MOST_TURNS + 1), "/chat", "must be a list"),
        (["x"], "/chat/0", "must be an object"),
        ([{"chat.message": "x"}], "/chat/0/chat.role", "Invalid chat.role 'None'"),
        ([{"chat.role": "bot", "chat.message": "x"}], "/chat/0/chat.role", "'bot'. Must be one of"),
        ([{"chat.role": ["user"]}], "/chat/0/chat.message", "must be a text"),
        ([{"chat.role": "user", "chat.message": 7}], "/chat/0/chat.message", "must be a text"),
        ([{"chat.role": ["user", "x"]}], "/chat/0/chat.role", "must have one value"),
        ([{"chat.role": "user", "x": 1}], "/chat/0/x", "Unknown item, or one given twice: x"),
        (
            [{"chat.role": "user", "CHAT.ROLE": "user"}],
            "/chat/0/CHAT.ROLE",
            "given twice: CHAT.ROLE",
        ),
        (
            [{"chat.role": "user", "chat.message": "x", "chat.userid": True}],
            "/chat/0/chat.userid",
            "must be a text of at most 255 characters",
        ),
        (
            [{"chat.role": "user", "chat.message": "x", "chat.date": "2026-01-31T12:00:00"}],
            "/chat/0/chat.date",
            "must be a moment with its offset",
        ),
        (
            [{"chat.role": "user", "chat.message": "x", "chat.date": 1769860800000}],
            "/chat/0/chat.date",
            "must be a moment with its offset",
        ),
        (
            [{"chat.role": "tool", "chat.message": "x"}],
            "/chat/0/chat.tool_call_id",
            "belongs to messages of the role tool",
        ),
        (
            [{"chat.role": "user", "chat.message": "x", "chat.tool_call_id": "c"}],
            "/chat/0/chat.tool_call_id",
            "and to no others",
        ),
    ],
)
def test_what_is_no_conversation_is_refused_with_its_place(
    items: Any, pointer: str, problem: str
) -> None:
    with pytest.raises(PromptParameterInvalid) as caught:
        Conversation.from_items(items, pointer="/chat")

    assert caught.value.pointer == pointer
    assert problem in caught.value.message
