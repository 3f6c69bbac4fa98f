"""The services over a WebSocket, as the `openfn` command line asks them."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import httpx2
import pytest
from sqlalchemy import select
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from app import accounts
from models import LLMOutput
from tests.support.databases import SQLiteDatabases
from tests.support.platform import Platform, running_platform
from tests.support.waiting import eventually

Message = dict[str, Any]


@pytest.fixture(scope="module")
def platform(
    sqlite_databases: SQLiteDatabases, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Platform]:
    directory = tmp_path_factory.mktemp("sockets")
    url = sqlite_databases.migrated(directory / "llm_jobs.db")
    with running_platform(
        directory, database_url=url, web=True, chat_model="simulator/echo"
    ) as found:
        yield found


def opened(platform: Platform, service: str, *, key: str | None = "", **more: Any) -> Any:
    query = "" if key is None else f"?api_key={key or platform.key}"
    address = platform.web_url.replace("http:", "ws:")
    return connect(f"{address}/services/{service}{query}", **more)


def start(line: ClientConnection, **payload: Any) -> None:
    line.send(json.dumps({"event": "start", "data": payload}))


def heard(line: ClientConnection) -> list[Message]:
    """All that is said until the other side hangs up."""
    return [json.loads(one) for one in line]


def jobs(platform: Platform) -> list[LLMOutput]:
    with platform.runtime.database.read() as session:
        return list(session.scalars(select(LLMOutput).order_by(LLMOutput.id.desc())))


def test_a_service_answers_with_events_and_then_completely(platform: Platform) -> None:
    with opened(platform, "job_chat") as line:
        start(line, content="Say é and 😀")
        *events, last = heard(line)
    assert {one["event"] for one in events} == {"event"}
    assert [one["type"] for one in events][:2] == ["message_start", "content_block_start"]
    said = [one["data"]["delta"].get("text", "") for one in events if "delta" in one["data"]]
    assert last["event"] == "complete"
    assert "".join(said) == last["data"]["response"] == "Say é and 😀"
    assert line.close_code == 1000
    assert jobs(platform)[0].template_name == "service/job_chat"


@pytest.mark.parametrize(
    ("service", "payload", "data"),
    [
        ("test_errors", {"trigger": "SUCCESS"}, {"success": True}),
        ("echo", {"a": 1, "api_key": "x"}, {"a": 1}),
        ("job_chat", {}, {"code": 400, "type": "BAD_REQUEST", "message": "'content' is required"}),
    ],
)
def test_every_outcome_is_complete(
    platform: Platform, service: str, payload: Message, data: Message
) -> None:
    with opened(platform, service) as line:
        start(line, **payload)
        assert heard(line) == [{"event": "complete", "data": data}]


@pytest.mark.parametrize(
    "sent",
    [
        "",
        "{",
        "[]",
        "null",
        '{"event": "stop"}',
        '{"event": "start"}',
        '{"event": "start", "data": []}',
        '{"event": "start", "data": {"content": "\\u0000"}}',
        '{"event": "start", "event": "start"}',
        b'{"event": "start", "data": {}}',
        "[" * 5_000,
    ],
)
def test_what_no_start_is_is_said_to_be_none(platform: Platform, sent: str | bytes) -> None:
    with opened(platform, "echo") as line:
        line.send(sent)
        (last,) = heard(line)
    assert last["event"] == "complete"
    assert (last["data"]["code"], last["data"]["type"]) == (400, "BAD_REQUEST")


def test_a_message_that_is_too_long_ends_the_line(platform: Platform) -> None:
    with opened(platform, "echo") as line:
        line.send("x" * 1_100_000)
        with pytest.raises(ConnectionClosed):
            line.recv()
    assert line.close_code == 1009


@pytest.mark.parametrize("key", [None, "nonsense", "ljk_live_x"])
def test_who_has_no_key_gets_no_line(platform: Platform, key: str | None) -> None:
    with pytest.raises(InvalidStatus) as refused, opened(platform, "echo", key=key):
        pass
    assert refused.value.response.status_code == 401
    assert json.loads(refused.value.response.body or b"")["type"] == "UNAUTHORIZED"


def test_a_key_may_come_in_a_header_and_there_must_be_such_a_service(platform: Platform) -> None:
    bearer = {"Authorization": f"Bearer {platform.key}"}
    with opened(platform, "echo", key=None, additional_headers=bearer) as line:
        start(line, a=1)
        assert heard(line)[-1]["data"] == {"a": 1}
    with pytest.raises(InvalidStatus) as refused, opened(platform, "none"):
        pass
    assert refused.value.response.status_code == 404


def test_no_key_of_an_address_is_logged(platform: Platform) -> None:
    with opened(platform, "echo") as line:
        start(line)
        heard(line)
    assert platform.web is not None
    assert platform.key[-20:] not in platform.web.output


def test_who_hangs_up_is_answered_no_more(platform: Platform) -> None:
    with platform.simulator.held():
        with opened(platform, "job_chat") as line:
            start(line, content="Hello")
            line.recv()
            job = jobs(platform)[0]
            eventually(lambda: platform.simulator.calls(job.job_id))
        assert platform.wait_status(job.id, "cancelled", "completed").status == "cancelled"


def test_who_is_gone_without_a_word_gives_their_place_back(platform: Platform) -> None:
    """More of them than there are places; each had taken one."""
    for _ in range(60):
        with opened(platform, "echo") as line:
            line.socket.shutdown(socket.SHUT_RDWR)
    with eventually_opened(platform) as line:
        start(line, a=1)
        assert heard(line)[-1]["data"] == {"a": 1}


def eventually_opened(platform: Platform) -> Any:
    found: list[Any] = []

    def free() -> bool:
        with suppress(InvalidStatus):
            found.append(opened(platform, "echo"))
        return bool(found)

    eventually(free)
    return found[0]


def test_a_handshake_that_is_none_is_refused(platform: Platform) -> None:
    address = f"{platform.web_url}/services/echo?api_key={platform.key}"
    half = {"Connection": "Upgrade", "Upgrade": "websocket"}
    for headers in (half, half | {"Sec-WebSocket-Version": "8", "Sec-WebSocket-Key": "x"}):
        answer = httpx2.get(address, headers=headers)
        assert answer.status_code == 400
        assert answer.json()["type"] == "BAD_REQUEST"
    elsewhere = httpx2.get(f"{platform.web_url}/api/v1/llm_outputs", headers=half)
    assert elsewhere.status_code == 400
    plain = httpx2.get(f"{platform.web_url}/services/echo")
    assert (plain.status_code, plain.json()["code"]) == (405, 405)


def test_only_pages_of_our_own_need_no_key_where_one_user_stands_for_all(
    sqlite_databases: SQLiteDatabases, tmp_path_factory: pytest.TempPathFactory
) -> None:
    directory = tmp_path_factory.mktemp("keyless")
    url = sqlite_databases.migrated(directory / "llm_jobs.db")
    with running_platform(
        directory, database_url=url, web=True, compat_user="everybody@example.org"
    ) as open_to_all:
        with open_to_all.runtime.database.write() as session:
            accounts.create_user(session, email="everybody@example.org")
        with opened(open_to_all, "echo", key=None) as line:
            start(line, a=1)
            assert heard(line)[-1]["data"] == {"a": 1}
        own = open_to_all.web_url
        with opened(open_to_all, "echo", key=None, origin=own) as line:
            start(line)
            assert heard(line)[-1]["event"] == "complete"
        foreign = opened_from("https://elsewhere.example", open_to_all)
        assert foreign == 401


def opened_from(origin: str, platform: Platform) -> int:
    with pytest.raises(InvalidStatus) as refused, opened(platform, "echo", key=None, origin=origin):
        pass
    return refused.value.response.status_code
