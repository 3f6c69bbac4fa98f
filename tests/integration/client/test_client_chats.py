"""`client.chats` against the real API: turns, their answers, and what happens meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from app import accounts, chats
from llm_jobs import ApiError, Client
from tests.integration.client.conftest import Platform

ECHO = "simulator/echo"


@pytest.fixture
def client(platform: Platform) -> Iterator[Client]:
    with Client(platform.url, platform.key, patience_seconds=0.5) as client:
        yield client


def complete(platform: Platform, turn: Any, text: str = "Done.") -> None:
    platform.complete(turn["messages"][str(turn["message_ids"][-1])]["output_id"], text)


def test_a_turn_is_asked_and_its_answer_read(platform: Platform, client: Client) -> None:
    chat = client.chats.create("Hello", model=ECHO)
    complete(platform, chat, "Good day.")
    answer = client.chats.answer(chat)
    assert (answer["status"], answer["content"]) == ("success", "Good day.")
    turn = client.chats.send(chat, "And?")
    client.chats.stop(turn["message_ids"][1])
    assert client.chats.answer(turn)["status"] == "cancelled"
    said = [(m["role"], m["content"]) for m in client.chats.messages(chat, after_seq=1)]
    assert said == [("assistant", "Good day."), ("user", "And?"), ("assistant", "")]


def test_an_answer_is_waited_for_through_its_turn(platform: Platform, client: Client) -> None:
    chat = client.chats.create("One", model=ECHO)
    second = client.chats.send(chat, "Two", queue=True)
    assert second["job"] is None
    with closing(client.chats.events(chat)) as events:
        assert next(events).event == "snapshot"
        complete(platform, chat, "1")
        assert next(e for e in events if e.event == "message_completed").data["content"] == "1"
        (output_id,) = chats.begin_waiting(platform.runtime)
        begun = next(e for e in events if e.event == "turn_started")
        assert begun.data["output_id"] == output_id
    platform.complete(output_id, "2")
    assert client.chats.answer(second)["content"] == "2"


def test_a_removed_answer_is_not_waited_for(client: Client) -> None:
    chat = client.chats.create("One", model=ECHO)
    turn = client.chats.retry(client.chats.stop(chat["message_ids"][1]))
    client.chats.stop(turn["message_ids"][1])
    client.chats.send(chat, "Other", message_id=chat["message_ids"][0])
    with pytest.raises(LookupError):
        client.chats.answer(turn)


def test_the_same_message_sent_again_is_added_once(client: Client) -> None:
    first, again = (client.chats.create("Hi", model=ECHO, client_message_id="a") for _ in "12")
    assert first["id"] == again["id"]
    assert [chat["id"] for chat in client.chats.list(limit=1)] == [first["id"]]


def test_a_chat_is_renamed_shared_judged_and_removed(platform: Platform, client: Client) -> None:
    with platform.runtime.database.write() as session:
        bob = accounts.create_user(session, email="bob@example.org", name="Bob")
        key = accounts.create_key(session, bob.id).text
    chat = client.chats.create("Hello", model=ECHO)
    complete(platform, chat)
    client.chats.feedback(client.chats.answer(chat), "thumbs_down", comment="No")
    client.chats.share(chat, bob.id)
    with Client(platform.url, key) as his:
        (seen,) = his.chats.list()
        assert (seen["id"], seen["role"]) == (chat["id"], "can_view")
        assert [g["user_id"] for g in his.chats.grants(chat)][1:] == [bob.id]
        client.chats.unshare(chat, bob.id)
        with pytest.raises(ApiError, match="Unknown chat"):
            his.chats.get(chat)
    assert client.chats.status()["reason"] == "platform"  # no worker runs here
    assert client.chats.rename(chat, "Greeting")["title"] == "Greeting"
    assert client.chats.get(chat)["messages"][str(chat["message_ids"][1])]["feedback"] == (
        "thumbs_down"
    )
    client.chats.remove(chat)
    assert list(client.chats.list()) == []


@pytest.mark.parametrize("odd", ["1", True, None, {"id": "x"}])
def test_what_is_no_chat_is_said_before_anything_is_sent(client: Client, odd: Any) -> None:
    with pytest.raises(TypeError):
        client.chats.get(odd)


def test_assets_are_stored_changed_listed_and_talked_about(
    platform: Platform, client: Client
) -> None:
    assert "llm_output" in [one["name"] for one in client.assets.types()]
    made = [client.assets.create("metric_file", f"M{n}", {"n": n}) for n in range(3)]
    asset_id = made[0]["id"]
    assert client.assets.change(asset_id, content=[1], name="Mine")["version"] == 2
    assert client.assets.get(asset_id)["content"] == [1]
    assert [one["name"] for one in client.assets.list(limit=2)] == ["M2", "M1", "Mine"]
    chat = client.chats.create(asset_type="metric_file", asset_id=str(asset_id))
    assert (chat["title"], chat["job"], len(chat["message_ids"])) == ("Mine", None, 2)
    older = client.chats.create(metric_id=str(asset_id))
    assert older["asset"] == chat["asset"]
    client.assets.remove(asset_id)
    with pytest.raises(ApiError, match="Unknown asset"):
        client.assets.get(asset_id)
