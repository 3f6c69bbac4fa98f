"""The chat panel in somebody's frame, without a browser: who may frame it, what a pass opens."""

from __future__ import annotations

import re
from typing import Any

import pytest
from itsdangerous import URLSafeTimedSerializer
from sqlalchemy import select
from werkzeug.test import TestResponse

from app import accounts
from app.accounts import passes
from app.settings import Settings
from models import ChatMessage
from tests.api.house import FRAMED, House, Person, open_house
from tests.api.visiting import signed_in

HOST, SECRET = FRAMED.values()
CHATS = "/api/v1/chats"


def chat_of(house: House, person: Person, **said: Any) -> dict[str, Any]:
    made = house.post(CHATS, as_=person, json={"model": "simulator/echo", **said})
    return dict(made.get_json())


def pass_to(house: House, chat_id: int, person: Person) -> str:
    made = house.post(f"{CHATS}/{chat_id}/passes", as_=person)
    assert made.status_code == 201
    return str(made.get_json()["token"])


def go(house: House, method: str, path: str, token: str | None, **kw: Any) -> TestResponse:
    headers = {"HX-Request": "true"}
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    return house.app.test_client().open(f"/embed{path}", method=method, headers=headers, **kw)


def test_only_the_frame_may_be_framed_and_only_by_the_sites_that_may(house: House) -> None:
    frame = house.app.test_client().get("/embed/chat")
    assert frame.status_code == 200
    assert f"frame-ancestors {HOST};" in frame.headers["Content-Security-Policy"] + ";"
    assert "Set-Cookie" not in frame.headers
    chat = chat_of(house, house.alice)
    inside = go(house, "GET", f"/chats/{chat['id']}/panel", pass_to(house, chat["id"], house.alice))
    for other in (inside, signed_in(house, house.alice).get("/chats")):
        assert "frame-ancestors 'none'" in other.headers["Content-Security-Policy"]


def test_without_hosts_there_is_nothing_to_frame(sqlite_url: str, redis_url: str) -> None:
    with open_house(sqlite_url, redis_url, LLM_JOBS_EMBED_HOSTS="") as closed:
        for path in ("/embed/chat", "/embed/chats/1/panel"):
            assert closed.app.test_client().get(path).status_code == 404
        chat = chat_of(closed, closed.alice)
        assert closed.post(f"{CHATS}/{chat['id']}/passes", as_=closed.alice).status_code == 404


@pytest.mark.parametrize(
    "hosts", ["*", "app.example.org", "https://*.example.org", "https://a/b", "null", "https://a;x"]
)
def test_what_is_no_origin_is_refused_at_the_start(hosts: str) -> None:
    with pytest.raises(ValueError, match="is no origin"):
        Settings(LLM_JOBS_EMBED_HOSTS=hosts, LLM_JOBS_SECRET_KEY=SECRET)
    with pytest.raises(ValueError, match="LLM_JOBS_SECRET_KEY"):
        Settings(LLM_JOBS_EMBED_HOSTS=HOST)


def test_with_a_pass_one_reads_and_writes(house: House) -> None:
    chat = chat_of(house, house.alice, context={"expression": "fn()"})
    token, at = pass_to(house, chat["id"], house.alice), f"/chats/{chat['id']}"
    panel = go(house, "GET", f"{at}/panel", token).text
    assert f'data-thread="/embed{at}/thread"' in panel
    assert f'action="/embed{at}/messages"' in panel
    assert 'href="/' not in panel
    page = {"page_type": "job_code", "page_name": "Load <b>"}
    said = go(house, "POST", f"{at}/messages", token, data={"content": "Hi <i>", **page})
    assert said.status_code == 200
    assert "Hi &lt;i&gt;" in said.text
    assert "job_code / Load &lt;b&gt;" in said.text
    with house.database.read() as session:
        answer = session.scalars(select(ChatMessage.id).order_by(ChatMessage.id.desc())).first()
    stopped = go(house, "POST", f"/chat_messages/{answer}/stop", token)
    assert "Stopped." in stopped.text
    assert go(house, "POST", f"/chat_messages/{answer}/retry", token).status_code == 200
    assert go(house, "GET", "/chats/availability", token).status_code == 200


def test_a_pass_opens_its_chat_and_nothing_else(house: House) -> None:
    mine, other = (chat_of(house, house.alice, prompt="Hello") for _ in range(2))
    token = pass_to(house, mine["id"], house.alice)
    answer = other["message_ids"][1]
    for method, path in (
        ("GET", f"/chats/{other['id']}/panel"),
        ("GET", f"/chats/{other['id']}/thread"),
        ("GET", f"/chats/{other['id']}/live"),
        ("POST", f"/chats/{other['id']}/messages"),
        ("POST", f"/chat_messages/{answer}/stop"),
        ("POST", f"/chat_messages/{answer}/retry"),
        ("POST", f"/chat_messages/{answer}/feedback"),
        ("GET", "/chats"),
        ("POST", f"/chats/{mine['id']}/remove"),
        ("POST", f"/chats/{mine['id']}/share"),
        ("GET", "/chats/99999999/panel"),
    ):
        assert go(house, method, path, token, data={"content": "x"}).status_code == 404, path
    bearer = {"Authorization": f"Bearer {token}"}
    assert house.get(f"{CHATS}/{mine['id']}", headers=bearer).status_code == 401


def test_who_holds_a_pass_may_what_its_maker_may(house: House) -> None:
    chat = chat_of(house, house.alice)
    grant = {"user_id": house.bob.user_id, "role": "can_view"}
    house.post(f"{CHATS}/{chat['id']}/grants", as_=house.alice, json=grant)
    reads = pass_to(house, chat["id"], house.bob)
    at = f"/chats/{chat['id']}"
    assert "You may read this chat" in go(house, "GET", f"{at}/panel", reads).text
    assert go(house, "POST", f"{at}/messages", reads, data={"content": "x"}).status_code == 403
    house.call("DELETE", f"{CHATS}/{chat['id']}/grants/{house.bob.user_id}", as_=house.alice)
    assert go(house, "GET", f"{at}/panel", reads).status_code == 404
    assert house.post(f"{CHATS}/{chat['id']}/passes", as_=house.charlie).status_code == 404


def forged(*facts: Any, secret: str = SECRET, salt: str = "llm-jobs-pass") -> str:
    return str(URLSafeTimedSerializer(secret, salt=salt).dumps(facts))


def test_what_is_no_pass_opens_nothing(house: House) -> None:
    chat = chat_of(house, house.alice)
    token, who = pass_to(house, chat["id"], house.alice), house.alice.user_id
    facts = (who, None, chat["id"], ["chat:read"])
    wrong = (None, "", "x", house.alice.key, token[:-1], token[1:], token + "A", "é", "a" * 5_000)
    wrong += (forged(*facts, secret="x"), forged(*facts, salt="x"), forged(99_999, *facts[1:]))
    for text in wrong:
        sent = text if text is None or text.isascii() else "x y"
        assert go(house, "GET", f"/chats/{chat['id']}/panel", sent).status_code == 401, text
    assert go(house, "GET", f"/chats/{chat['id']}/panel", forged(*facts)).status_code == 200


def test_a_sign_in_means_nothing_in_a_frame(house: House) -> None:
    chat = chat_of(house, house.alice)
    alice = signed_in(house, house.alice)
    assert alice.get(f"/embed/chats/{chat['id']}/panel").status_code == 401
    sent = alice.post(f"/embed/chats/{chat['id']}/messages", data={"content": "x"})
    assert sent.status_code == 401


def test_a_pass_ends_by_itself_and_with_its_key_and_its_user(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    chat = chat_of(house, house.alice)
    panel = f"/chats/{chat['id']}/panel"
    with house.database.write() as session:
        key = accounts.create_key(session, house.alice.user_id)
        number = key.key.id
    brief = pass_to(house, chat["id"], Person("alice", house.alice.user_id, key.text))
    lasting = pass_to(house, chat["id"], house.alice)
    assert go(house, "GET", panel, brief).status_code == 200
    with house.database.write() as session:
        accounts.revoke_key(session, accounts.OPERATOR, number)
    assert go(house, "GET", panel, brief).status_code == 401
    assert go(house, "GET", panel, lasting).status_code == 200
    monkeypatch.setattr(passes, "PASS_SECONDS", -1)
    assert go(house, "GET", panel, lasting).status_code == 401
    monkeypatch.undo()
    with house.database.write() as session:
        accounts.update_user(session, accounts.OPERATOR, house.alice.user_id, active=False)
    assert go(house, "GET", panel, lasting).status_code == 401


def test_a_pass_is_in_no_page_and_no_log(house: House, capfd: pytest.CaptureFixture[str]) -> None:
    chat = chat_of(house, house.alice)
    token = pass_to(house, chat["id"], house.alice)
    panel = go(house, "GET", f"/chats/{chat['id']}/panel", token).text
    assert token not in panel
    assert token not in "".join(capfd.readouterr())
    assert not re.search(r'name="_csrf" value="[0-9a-f]', panel)
