"""Chats over WebSockets: what happens comes, and what is asked for is done, on one line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from app import accounts
from tests.support.databases import SQLiteDatabases
from tests.support.platform import Platform, running_platform
from tests.support.waiting import eventually

Message = dict[str, Any]


@pytest.fixture(scope="module")
def platform(
    sqlite_databases: SQLiteDatabases, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Platform]:
    directory = tmp_path_factory.mktemp("chat-sockets")
    url = sqlite_databases.migrated(directory / "llm_jobs.db")
    with running_platform(
        directory, database_url=url, web=True, chat_model="simulator/echo"
    ) as found:
        yield found


@contextmanager
def opened(
    platform: Platform, chat: int | None, *, key: str = "", patient: bool = True
) -> Iterator[ClientConnection]:
    """A line; a `patient` caller waits for the place of one that was just hung up."""
    address = platform.web_url.replace("http:", "ws:")
    path = "ws" if chat is None else f"{chat}/ws"
    headers = {"Authorization": f"Bearer {key or platform.key}"}
    with ExitStack() as stack:

        def line() -> ClientConnection | None:
            opening = connect(f"{address}/api/v1/chats/{path}", additional_headers=headers)
            try:
                return stack.enter_context(opening)
            except InvalidStatus as refused:
                if patient and refused.response.status_code == 429:
                    return None
                raise

        yield eventually(line)


def ask(line: ClientConnection, command: Any, data: Any = None, ref: Any = 1) -> None:
    line.send(json.dumps({"command": command, "ref": ref, "data": data or {}}))


def heard(line: ClientConnection, *until: str) -> list[Message]:
    """What is said, up to an event of one of these kinds."""
    said: list[Message] = []
    while not said or said[-1]["event"] not in until:
        said.append(json.loads(line.recv(timeout=20)))
    return said


def last(line: ClientConnection, *until: str) -> Message:
    return heard(line, *until)[-1]


def made(platform: Platform, prompt: str | None = None, **more: Any) -> int:
    sent = {**({"prompt": prompt} if prompt else {}), **more}
    chat: int = platform.ask("POST", "/api/v1/chats", sent).json()["id"]
    return chat


def test_a_chat_is_made_and_answered_on_one_line(platform: Platform) -> None:
    with opened(platform, None) as line:
        ask(line, "create", {"prompt": "Say é and 😀"}, ref="first")
        reply = last(line, "reply")
        assert (reply["ref"], reply["status"]) == ("first", 201)
        (snapshot,) = heard(line, "snapshot")
        assert snapshot["data"]["id"] == reply["data"]["id"]
        answer = snapshot["data"]["messages"][str(reply["data"]["message_ids"][1])]
        if answer["status"] != "success":  # it was not there yet
            answer = last(line, "message_completed")["data"]
        assert answer["content"] == "Say é and 😀"
        ask(line, "send", {"content": "And more"})
        assert last(line, "message_completed")["data"]["content"] == "And more"


def test_an_asset_is_brought_into_a_chat_that_a_line_makes(platform: Platform) -> None:
    """Seed 002's WebSocket entry: no prompt, two messages, no model."""
    asset = {"type": "metric_file", "name": "Revenue", "content": {"sql": "select 1"}}
    number = platform.ask("POST", "/api/v1/assets", asset).json()["id"]
    with opened(platform, None) as line:
        ask(line, "create", {"metric_id": str(number)})
        reply = last(line, "reply")
    assert (reply["status"], reply["data"]["job"]) == (201, None)
    assert len(reply["data"]["message_ids"]) == 2
    assert reply["data"]["title"] == "Revenue"


def test_text_comes_as_it_is_written_and_can_be_stopped(platform: Platform) -> None:
    with opened(platform, made(platform)) as line:
        ask(line, "send", {"content": "Go on", "model": "simulator/tokens-4000+rate-50"})
        first = last(line, "delta")["data"]
        second = last(line, "delta")["data"]
        assert second["offset"] == first["offset"] + len(first["text"])
        ask(line, "cancel", {"message_id": first["message_id"]}, ref=2)
        said = heard(line, "message_cancelled")
        assert [one["ref"] for one in said if one["event"] == "reply"] == [2]
        ask(line, "retry", {"message_id": first["message_id"]}, ref=3)
        assert last(line, "reply")["status"] == 201
        last(line, "message_completed")
        ask(line, "feedback", {"message_id": first["message_id"], "feedback_type": "thumbs_up"})
        assert last(line, "reply")["data"]["feedback"] == "thumbs_up"


def test_two_lines_are_in_step(platform: Platform) -> None:
    chat = made(platform)
    with opened(platform, chat) as one, opened(platform, chat) as other:
        last(one, "snapshot")
        last(other, "snapshot")
        ask(one, "send", {"content": "Hello"})
        assert last(other, "user_message")["data"]["content"] == "Hello"
        assert last(other, "message_completed")["data"]["content"] == "Hello"


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        ("", "invalid_request"),
        ("[1]", "invalid_request"),
        ("{", "invalid_request"),
        ({"command": "erase"}, "invalid_parameter"),
        ({"command": "create"}, "invalid_parameter"),
        ({"command": ["send"]}, "invalid_parameter"),
        ({"command": "send"}, "missing_parameter"),
        ({"command": "send", "data": []}, "invalid_parameter"),
        ({"command": "send", "data": {"content": " "}}, "invalid_parameter"),
        ({"command": "send", "data": {"content": "x", "odd": 1}}, "unknown_parameter"),
        ({"command": "cancel", "data": {"message_id": "1"}}, "invalid_parameter"),
        ({"command": "cancel", "data": {"message_id": True}}, "invalid_parameter"),
        ({"command": "retry", "data": {"message_id": 10**30}}, "not_found"),
        ({"command": "cancel", "data": {"message_id": -1}}, "not_found"),
    ],
)
def test_what_cannot_be_done_is_said_and_the_line_stays_open(
    platform: Platform, sent: Any, code: str
) -> None:
    with opened(platform, made(platform)) as line:
        line.send(sent if isinstance(sent, str) else json.dumps(sent))
        assert last(line, "error")["data"]["code"] == code
        ask(line, "send", {"content": "Hello"})
        assert last(line, "reply")["status"] == 201


def test_nobody_follows_the_chat_of_somebody_else(platform: Platform) -> None:
    with platform.runtime.database.write() as session:
        user = accounts.create_user(session, email="stranger@example.org")
        key = accounts.create_key(session, user.id).text
    for chat, whose, status in ((made(platform), key, 404), (10**18, "", 404), (1, "x", 401)):
        with pytest.raises(InvalidStatus) as refused, opened(platform, chat, key=whose):
            pass
        assert refused.value.response.status_code == status
        assert json.loads(refused.value.response.body or b"")["status"] == status


def test_who_is_shut_out_hears_no_more_and_a_revoked_key_does_nothing(platform: Platform) -> None:
    chat = made(platform)
    with platform.runtime.database.write() as session:
        guest = accounts.create_user(session, email="guest@example.org")
        key = accounts.create_key(session, guest.id)
    grants = f"/api/v1/chats/{chat}/grants"
    platform.ask("POST", grants, {"user_id": guest.id, "role": "can_view"})
    with opened(platform, chat, key=key.text) as line:
        last(line, "snapshot")
        ask(line, "send", {"content": "May I?"})
        assert last(line, "error")["data"]["code"] == "forbidden"
        with platform.runtime.database.write() as session:
            accounts.revoke_key(session, accounts.OPERATOR, key.key.id)
        ask(line, "send", {"content": "May I?"})
        assert last(line, "error")["data"]["code"] == "unauthenticated"
        platform.ask("DELETE", f"{grants}/{guest.id}")
        with pytest.raises(ConnectionClosed):
            heard(line, "never")


def test_a_removed_chat_ends_its_lines_and_gives_their_places_back(platform: Platform) -> None:
    for _ in range(5):  # more than one person may hold
        chat = made(platform)
        with opened(platform, chat) as line:
            last(line, "snapshot")
            platform.ask("DELETE", f"/api/v1/chats/{chat}")
            with pytest.raises(ConnectionClosed):
                heard(line, "never")


def test_a_person_holds_as_many_lines_as_streams(platform: Platform) -> None:
    chat = made(platform)
    with opened(platform, chat), opened(platform, chat), opened(platform, chat):
        with pytest.raises(InvalidStatus) as refused, opened(platform, chat, patient=False):
            pass
        assert refused.value.response.status_code == 429
    with opened(platform, chat) as line:
        assert last(line, "snapshot")["data"]["id"] == chat


def test_lines_end_when_the_web_process_is_told_to_stop(
    sqlite_databases: SQLiteDatabases, tmp_path_factory: pytest.TempPathFactory
) -> None:
    directory = tmp_path_factory.mktemp("stopping")
    url = sqlite_databases.migrated(directory / "llm_jobs.db")
    with running_platform(directory, database_url=url, web=True) as found:
        with opened(found, made(found)) as line, opened(found, None):
            last(line, "snapshot")
            assert found.web is not None
            found.web.stop()
            with pytest.raises(ConnectionClosed):
                heard(line, "never")
        assert "Traceback" not in found.web.output
