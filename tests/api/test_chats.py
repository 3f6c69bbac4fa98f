"""Chats over HTTP: what is answered, what is refused, and the stream of a chat in strict bytes."""

from __future__ import annotations

import http.client
import json
import re
from collections.abc import Iterator
from contextlib import closing, contextmanager
from importlib import import_module
from typing import Any

import pytest

from api.chat_events import changes
from app import accounts, chats, lifecycle
from app.lifecycle import Completed
from app.recent import Recent
from tests.api.house import OUTPUTS, House, Person
from tests.api.server import Server, serve
from tests.api.test_operations import work
from tests.api.visiting import signed_in
from tests.support.waiting import eventually

CHATS = "/api/v1/chats"
MESSAGES = "/api/v1/chat_messages"
ECHO = {"model": "simulator/echo"}
EVENT = re.compile(rb"id: ([^\n]+)\nevent: ([a-z_]+)\ndata: ([^\n]*)\n\n")


def start(house: House, as_: Person | None = None, **sent: Any) -> dict[str, Any]:
    body = {"prompt": "Hello there", **ECHO, **sent}
    answer = house.post(CHATS, as_=as_ or house.alice, json=body)
    assert answer.status_code in (200, 201), answer.text
    return dict(answer.get_json())


def send(house: House, chat: dict[str, Any], **sent: Any) -> Any:
    body = {"content": "And then?", **sent}
    return house.post(f"{CHATS}/{chat['id']}/messages", as_=house.alice, json=body)


def job_of(taken: dict[str, Any]) -> dict[str, Any]:
    answer = taken["messages"][str(taken["message_ids"][-1])]
    return {"job_id": answer["job_id"], "output_id": answer["output_id"]}


def test_a_chat_begins_with_its_first_turn(house: House) -> None:
    page = {"type": "job_code", "name": "a]b"}
    chat = start(house, page=page, kind="job_code", context={"expression": "fn()"})
    question, answer = (chat["messages"][str(one)] for one in chat["message_ids"])
    assert (chat["title"], chat["kind"], chat["last_page"]) == ("Hello there", "job_code", page)
    assert (question["role"], question["content"], question["page"]) == (
        "user",
        "Hello there",
        page,
    )
    assert (answer["role"], answer["status"], answer["content"]) == ("assistant", "pending", "")
    assert chat["job"] == {"id": answer["job_id"], "status": "pending"}
    house.complete(job_of(chat), "Good day.")
    shown = house.get(f"{CHATS}/{chat['id']}", as_=house.alice).get_json()
    answered = shown["messages"][str(answer["id"])]
    assert (answered["status"], answered["content"]) == ("success", "Good day.")
    row = house.get(f"{OUTPUTS}/{answer['output_id']}", as_=house.alice).get_json()
    assert (row["queue"], row["definition"], row["template"]) == ("high", None, "chat/job_code")


def test_the_same_creation_again_is_200_with_the_same_objects(house: House) -> None:
    first, again = (start(house, client_message_id="c-1") for _ in range(2))
    assert first == again
    answer = house.post(CHATS, as_=house.alice, json={**ECHO, "client_message_id": "c-1"})
    assert answer.status_code == 200


def test_a_chat_without_a_prompt_has_no_job(house: House) -> None:
    body = {**ECHO, "prompt": None}
    chat = house.post(CHATS, as_=house.alice, json=body).get_json()
    assert (chat["job"], chat["message_ids"], chat["title"]) == (None, [], "New chat")


def test_a_second_turn_at_once_is_409_turn_in_progress(house: House) -> None:
    answer = send(house, start(house))
    assert (answer.status_code, answer.get_json()["code"]) == (409, "turn_in_progress")


def test_with_queue_a_second_message_waits_its_turn(house: House) -> None:
    chat = start(house)
    answer = send(house, chat, queue=True)
    turn = answer.get_json()
    waiting = turn["messages"][str(turn["message_ids"][1])]
    assert (answer.status_code, turn["job"], turn["limit"]) == (201, None, None)
    assert (waiting["status"], waiting["job_id"], waiting["failure"]) == ("pending", None, None)
    stopped = house.post(f"{MESSAGES}/{waiting['id']}/cancel", as_=house.alice).get_json()
    assert stopped["status"] == "cancelled"


def test_the_pages_of_a_turns_output_open(house: House) -> None:
    chat = start(house, prompt="Say {{secret}}")
    job, alice = job_of(chat), signed_in(house, house.alice)
    house.complete(job, "**Certainly**")
    for tab in ("", "?tab=raw", "?tab=prompt", "?tab=context", "?tab=attempts", "?tab=lineage"):
        assert alice.get(f"/llm_outputs/{job['output_id']}{tab}").status_code == 200, tab
    assert alice.get(f"/llm_outputs/{job['output_id']}/regenerate").status_code == 200
    assert alice.get("/llm_outputs").status_code == 200
    again = house.post(f"{OUTPUTS}/{job['output_id']}/re_run", as_=house.alice, json={})
    assert again.status_code == 201


def test_messages_are_listed_from_one_on(house: House) -> None:
    chat = start(house)
    house.complete(job_of(chat))
    assert send(house, chat).status_code == 201
    path = f"{CHATS}/{chat['id']}/messages"
    listed = house.get(f"{path}?after_seq=2", as_=house.alice).get_json()
    assert [(m["seq"], m["content"]) for m in listed["data"]] == [(3, "And then?"), (4, "")]
    some = house.get(f"{path}?limit=3", as_=house.alice).get_json()
    assert (len(some["data"]), some["has_more"]) == (3, True)


def test_an_answer_is_stopped_tried_again_and_judged(house: House) -> None:
    chat = start(house)
    answer = chat["message_ids"][1]
    stopped = house.post(f"{MESSAGES}/{answer}/cancel", as_=house.alice).get_json()
    assert stopped["status"] == "cancelled"
    again = house.post(f"{MESSAGES}/{answer}/retry", as_=house.alice).get_json()
    assert again["job"]["id"] != chat["job"]["id"]
    house.complete(job_of(again), "At last.")
    liked = {"feedback_type": "thumbs_up"}
    assert (
        house.post(f"{MESSAGES}/{answer}/feedback", as_=house.alice, json=liked).status_code == 200
    )
    shown = house.get(f"{CHATS}/{chat['id']}", as_=house.alice).get_json()["messages"][str(answer)]
    assert (shown["content"], shown["feedback"]) == ("At last.", "thumbs_up")


def test_over_the_allowance_it_is_201_with_the_limit(house: House) -> None:
    with house.database.write() as session:
        ada = accounts.caller_of(accounts.find_user(session, "ada@example.org"))  # type: ignore[arg-type]
        accounts.update_user(session, ada, house.alice.user_id, token_allowance=0)
    answer = house.post(CHATS, as_=house.alice, json={"prompt": "Dear model", **ECHO})
    chat = answer.get_json()
    assert (answer.status_code, chat["job"]) == (201, None)
    assert chat["limit"] == {"token_allowance": 0, "tokens_used": 0, "tokens_left": 0}
    failed = chat["messages"][str(chat["message_ids"][1])]
    assert (failed["status"], failed["failure"]["category"]) == ("error", "quota")


@pytest.fixture
def health_is_read_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(import_module("app.operations.health"), "_notices", Recent(-1))


@pytest.mark.usefixtures("health_is_read_anew")
def test_the_status_says_what_stands_in_the_way_and_what_is_left(house: House) -> None:
    def status() -> Any:
        return house.get("/api/v1/chat/status", as_=house.alice).get_json()

    work(house, "w1")
    with house.database.write() as session:
        ada = accounts.caller_of(accounts.find_user(session, "ada@example.org"))  # type: ignore[arg-type]
        accounts.update_user(session, ada, house.alice.user_id, token_allowance=9)
    open_ = status()
    assert (open_["available"], open_["reason"], open_["tokens_left"]) == (True, None, 9)
    with house.database.write() as session:
        accounts.update_user(session, ada, house.alice.user_id, token_allowance=0)
    assert (status()["available"], status()["reason"]) == (False, "quota")


@pytest.mark.usefixtures("health_is_read_anew")
def test_without_a_worker_the_status_says_so(house: House) -> None:
    closed = house.get("/api/v1/chat/status", as_=house.alice).get_json()
    assert (closed["available"], closed["reason"]) == (False, "platform")
    assert "No worker" in closed["message"]


def test_those_in_a_chat_are_listed(house: House) -> None:
    chat = start(house)
    grants = f"{CHATS}/{chat['id']}/grants"
    house.post(grants, as_=house.alice, json={"user_id": house.bob.user_id, "role": "can_edit"})
    listed = house.get(grants, as_=house.bob).get_json()["data"]
    assert [(one["user_id"], one["role"]) for one in listed] == [
        (house.alice.user_id, "owner"),
        (house.bob.user_id, "can_edit"),
    ]


@pytest.mark.parametrize(
    "sent",
    [
        {"prompt": ""},
        {"prompt": "x" * 10_001},
        {"prompt": "a\x00b"},
        {"kind": "nothing"},
        {"page": {"name": "no type"}},
        {"client_message_id": ""},
        {"model": "no-such-model"},
    ],
)
def test_what_cannot_be_is_400(house: House, sent: dict[str, Any]) -> None:
    answer = house.post(CHATS, as_=house.alice, json={"prompt": "Hello", **ECHO, **sent})
    assert answer.status_code == 400
    assert house.get(CHATS, as_=house.alice).get_json()["data"] == []


def test_nobody_elses_chat_is_listed_and_a_shared_one_is(house: House) -> None:
    hers = start(house)
    assert house.get(CHATS, as_=house.bob).get_json()["data"] == []
    grants = f"{CHATS}/{hers['id']}/grants"
    house.post(grants, as_=house.alice, json={"user_id": house.bob.user_id})
    (listed,) = house.get(CHATS, as_=house.bob).get_json()["data"]
    assert (listed["id"], listed["role"]) == (hers["id"], "can_view")
    said = house.post(f"{CHATS}/{hers['id']}/messages", as_=house.bob, json={"content": "I?"})
    assert said.status_code == 403
    house.call("DELETE", f"{grants}/{house.bob.user_id}", as_=house.alice)
    assert house.get(f"{CHATS}/{hers['id']}", as_=house.bob).status_code == 404
    assert house.get(f"{CHATS}/{hers['id']}", as_=house.charlie).status_code == 404


def test_titles_are_changed_and_looked_for(house: House) -> None:
    chat = start(house)
    start(house, prompt="Something else")
    path = f"{CHATS}/{chat['id']}"
    renamed = house.call("PATCH", path, as_=house.alice, json={"title": "50% done"})
    assert renamed.get_json()["title"] == "50% done"
    found = house.get(f"{CHATS}?q=0%25", as_=house.alice).get_json()["data"]
    assert [one["id"] for one in found] == [chat["id"]]
    assert house.call("DELETE", path, as_=house.alice).status_code == 204
    assert house.get(path, as_=house.alice).status_code == 404


# The stream


@pytest.fixture(scope="module")
def server(shared: House) -> Iterator[Server]:
    with serve(shared) as server:
        yield server


@contextmanager
def stream(
    server: Server, chat: dict[str, Any], *, as_: Person | None = None, last: str = ""
) -> Iterator[http.client.HTTPResponse]:
    headers = {**(as_ or server.house.alice).headers, **({"Last-Event-ID": last} if last else {})}
    connection = server.connect()

    def opened() -> http.client.HTTPResponse | None:
        """Once the server has noticed that earlier readers are gone, there is a place."""
        connection.close()
        connection.request("GET", f"{CHATS}/{chat['id']}/events", headers=headers)
        response = connection.getresponse()
        return None if response.status == 429 else response

    with closing(connection):
        response = eventually(opened, timeout=15)
        assert response is not None
        yield response


def until(response: http.client.HTTPResponse, name: str) -> list[tuple[str, str, dict[str, Any]]]:
    """Events (id, name, data) up to the first of that name; fails on any odd byte."""
    raw = b""
    while not re.search(rb"event: " + name.encode() + rb"\ndata: [^\n]*\n\n\Z", raw):
        line = response.readline()
        assert line, raw
        raw += line
    raw = raw.replace(b": keepalive\n\n", b"")
    assert b"".join(match[0] for match in EVENT.finditer(raw)) == raw
    return [(m[1].decode(), m[2].decode(), json.loads(m[3])) for m in EVENT.finditer(raw)]


def write(house: House, job: dict[str, Any], offset: int, text: str) -> None:
    data = {"attempt": 1, "offset": offset, "text": text}
    house.runtime.events.tell(job["job_id"], "delta", data)


def test_a_stream_shows_a_turn_from_its_question_to_its_end(server: Server) -> None:
    house = server.house
    chat = start(house, prompt=None)
    with stream(server, chat) as response:
        assert response.headers["Content-Type"] == "text/event-stream"
        until(response, "snapshot")
        job = job_of(send(house, chat).get_json())
        (_, name, _), (_, _, said), (_, _, begun) = until(response, "turn_started")
        assert name == "title"  # its first message names a chat
        assert (said["content"], begun["status"]) == ("And then?", "pending")
        claim = house.claim(job)
        write(house, job, 0, "It\u2028")
        *_, (_, _, working), (_, _, delta) = until(response, "delta")
        assert working["status"] == "processing"
        assert delta == {"message_id": begun["id"], "offset": 0, "text": "It\u2028"}
        end = Completed(output_id=claim.output_id, fence=claim.fence, raw_response="It is.")
        with house.database.write() as session:
            ended = lifecycle.complete(session, [end])
        house.runtime.events.announce(list(ended.values()))
        *_, (_, _, done) = until(response, "message_completed")
        assert (done["id"], done["content"]) == (begun["id"], "It is.")
        path = f"{CHATS}/{chat['id']}"
        house.call("PATCH", path, as_=house.alice, json={"title": "Renamed"})
        assert until(response, "title")[-1][2]["title"] == "Renamed"
        running = job_of(send(house, chat).get_json())
        assert [name for _, name, _ in until(response, "turn_started")] == [
            "user_message",
            "turn_started",
        ]
        send(house, chat, queue=True)
        *_, (_, _, waiting) = until(response, "turn_waiting")
        house.complete(running)
        until(response, "message_completed")
        assert len(chats.begin_waiting(house.runtime)) == 1
        *_, (_, _, begun) = until(response, "turn_started")
        assert (begun["id"], begun["job_id"] is None) == (waiting["id"], False)


def test_a_reader_that_comes_back_gets_only_what_it_did_not_see(server: Server) -> None:
    house = server.house
    chat = start(house)
    job = job_of(chat)
    house.claim(job)
    write(house, job, 0, "a")
    write(house, job, 1, "b")
    with stream(server, chat) as response:
        *_, (seen, _, _) = until(response, "delta")
    with stream(server, chat, last=seen) as response:
        (_, _, _), (_, _, delta) = until(response, "delta")
    assert (delta["offset"], delta["text"]) == (1, "b")


@pytest.mark.parametrize("odd", ["x", "1.2", "9" * 90, "77.1-1"])
def test_an_odd_place_to_go_on_at_is_none(server: Server, odd: str) -> None:
    house = server.house
    with house.database.write() as session:  # each user has three streams
        user = accounts.create_user(session, email=f"{odd[:3]}@example.org", name="eve")
        person = Person("eve", user.id, accounts.create_key(session, user.id).text)
    chat = start(house, person)
    job = job_of(chat)
    house.claim(job)
    write(house, job, 0, "a")
    with stream(server, chat, as_=person, last=odd) as response:
        *_, (_, _, delta) = until(response, "delta")
    assert delta["offset"] == 0


def test_a_removed_message_comes_as_a_fresh_snapshot() -> None:
    message = {"seq": 1, "role": "user", "status": "success", "output_id": None}
    before = {"id": 1, "title": "t", "message_ids": [1, 2], "messages": {}}
    before["messages"] = {"1": message, "2": {**message, "seq": 2}}
    after = {**before, "message_ids": [1], "messages": {"1": message}}
    assert [name for name, _ in changes(before, after)] == ["snapshot"]
    assert list(changes(before, before)) == []
