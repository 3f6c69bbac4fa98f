"""Titles a model finds: jobs beside a chat's first turn, which nothing waits for."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import select

from app import chats
from app.accounts import Caller
from app.chats import NewChat, Request, Taken, give_titles
from app.settings import Settings
from models import Chat, LLMOutput
from tests.integration.application.conftest import RecordedRuntime, Rows

ECHO = "simulator/echo"
ASKED = "How do I clean addresses?"


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"chat_title_model": ECHO})


def start(recorded: RecordedRuntime, caller: Caller, prompt: str | None = ASKED) -> Taken:
    first = Request(content=prompt) if prompt else None
    return chats.create(recorded.real, caller, NewChat(model=ECHO, first=first))


def title_jobs(recorded: RecordedRuntime) -> list[LLMOutput]:
    with recorded.database.read() as session:
        query = select(LLMOutput).where(LLMOutput.template_name == "chat/title")
        return list(session.scalars(query.order_by(LLMOutput.id)))


def title(recorded: RecordedRuntime, taken: Taken) -> str:
    with recorded.database.read() as session:
        return session.get_one(Chat, taken.chat_id).title


def test_the_first_message_of_a_chat_gets_it_a_title(
    recorded: RecordedRuntime, rows: Rows, alice: Caller
) -> None:
    taken = start(recorded, alice)
    (job,) = title_jobs(recorded)
    assert (job.queue, job.user_id, job.format) == ("low", alice.user_id, "text")
    assert job.script
    assert job.script["messages"][-1]["content"] == ASKED
    assert title(recorded, taken) == "How do I clean addresses"
    assert give_titles(recorded.real) == []
    rows.complete(job.id, "“Cleaning Addresses.”\nI hope this helps")
    assert give_titles(recorded.real) == [taken.chat_id]
    assert title(recorded, taken) == "Cleaning Addresses"
    assert give_titles(recorded.real) == []
    rows.complete(rows.read(taken.job.output_id).id, "So.")  # type: ignore[union-attr]
    chats.send(recorded.real, alice, taken.chat_id, Request(content="And in French?"))
    assert len(title_jobs(recorded)) == 1


def test_a_chat_that_began_empty_gets_its_title_with_its_first_message(
    recorded: RecordedRuntime, alice: Caller
) -> None:
    taken = start(recorded, alice, None)
    assert title_jobs(recorded) == []
    chats.send(recorded.real, alice, taken.chat_id, Request(content=ASKED))
    assert len(title_jobs(recorded)) == 1


@pytest.mark.parametrize("answer", ["", "  \n", "**", "``", "Title:"])
def test_an_answer_that_is_no_title_changes_nothing(
    recorded: RecordedRuntime, rows: Rows, alice: Caller, answer: str
) -> None:
    taken = start(recorded, alice)
    rows.complete(title_jobs(recorded)[0].id, answer)
    assert give_titles(recorded.real) == []
    assert title(recorded, taken) == "How do I clean addresses"


def test_a_long_answer_is_cut_between_words(
    recorded: RecordedRuntime, rows: Rows, alice: Caller
) -> None:
    taken = start(recorded, alice)
    rows.complete(title_jobs(recorded)[0].id, "word " * 100)
    give_titles(recorded.real)
    assert title(recorded, taken) == ("word " * 16).strip()


def test_a_failure_changes_nothing_and_is_over(
    recorded: RecordedRuntime, rows: Rows, alice: Caller
) -> None:
    taken = start(recorded, alice)
    rows.fail(title_jobs(recorded)[0].id)
    assert give_titles(recorded.real) == []
    with recorded.database.read() as session:
        assert session.get_one(Chat, taken.chat_id).title_output_id is None
    assert title(recorded, taken) == "How do I clean addresses"


def test_who_renames_a_chat_is_faster(recorded: RecordedRuntime, rows: Rows, alice: Caller) -> None:
    taken = start(recorded, alice)
    chats.change_title(recorded.real, alice, taken.chat_id, "Mine")
    rows.complete(title_jobs(recorded)[0].id, "Theirs")
    assert give_titles(recorded.real) == []
    assert title(recorded, taken) == "Mine"


@pytest.mark.parametrize("model", [None, "nobody/serves-this"])
def test_without_a_model_that_can_be_asked_the_turn_begins_all_the_same(
    recorded: RecordedRuntime, alice: Caller, model: Any
) -> None:
    settings = recorded.settings.model_copy(update={"chat_title_model": model})
    assert start(replace(recorded, settings=settings), alice).job is not None
    assert title_jobs(recorded) == []
