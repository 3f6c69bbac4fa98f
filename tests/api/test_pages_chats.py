"""The pages of chats without a browser: what is said is shown, whatever it is, and to whom."""

from __future__ import annotations

import pytest

from tests.api.house import House
from tests.api.visiting import Visitor, signed_in

HOSTILE = '<img src=x onerror=alert(1)> <script>alert(1)</script> "> {{7*7}} ![x](https://evil/?q)'


@pytest.fixture
def alice(house: House) -> Visitor:
    return signed_in(house, house.alice)


def start(house: House, content: str = "Hello") -> tuple[str, list[int]]:
    """A chat of alice's: its page, and its messages."""
    said = {"prompt": content, "model": "simulator/echo"}
    made = house.post("/api/v1/chats", as_=house.alice, json=said).get_json()
    return f"/chats/{made['id']}", made["message_ids"]


def test_a_chat_is_started_by_a_form_and_listed(house: House, alice: Visitor) -> None:
    sent = {"content": "How are\r\nyou?", "model": "simulator/echo", "client_message_id": "one"}
    made = alice.post("/chats", data=sent)
    again = alice.post("/chats", data=sent)
    assert (made.status_code, made.location) == (303, again.location)
    assert "How are" in alice.get(made.location).text
    listed = alice.get("/chats").text
    assert listed.count(f'href="{made.location}"') == 1
    assert made.location in alice.get("/chats?q=how&kind=general").text
    assert "No chat matches" in alice.get("/chats?q=nothing").text
    assert made.location not in signed_in(house, house.bob).get("/chats").text


@pytest.mark.parametrize("content", ["", "   ", "x" * 10_001])
def test_a_refused_message_says_why_and_keeps_the_text(
    house: House, alice: Visitor, content: str
) -> None:
    page, _ = start(house)
    for answer in (
        alice.post("/chats", data={"content": content, "model": "simulator/echo"}),
        alice.post(f"{page}/messages", data={"content": content}),
    ):
        assert answer.status_code == 400
        assert 'role="alert"' in answer.text
        assert f">{content}</textarea>" in answer.text


def test_a_second_message_while_one_is_answered_is_refused(house: House, alice: Visitor) -> None:
    page, _ = start(house)
    answer = alice.post(f"{page}/messages", data={"content": "And?"})
    assert answer.status_code == 409
    assert "Wait for the answer, or stop it" in answer.text
    part = alice.post(f"{page}/messages", data={"content": "?"}, headers={"HX-Request": "true"})
    assert (part.status_code, part.headers["HX-Retarget"]) == (409, "#notices")


def test_nothing_that_is_said_becomes_markup(house: House, alice: Visitor) -> None:
    page, _ = start(house, HOSTILE)
    for shown in (alice.get(page).text, alice.get(f"{page}/thread").text, alice.get("/chats").text):
        assert "<script>alert" not in shown
        assert "<img" not in shown
        assert "evil/?q" not in shown or "![x](https://evil/?q)" in shown


def test_strangers_find_nothing_and_readers_cannot_write(house: House, alice: Visitor) -> None:
    page, (question, answer) = start(house)
    bob = signed_in(house, house.bob)
    acts = {
        f"{page}/messages": {"content": "x"},
        f"{page}/title": {"title": "x"},
        f"{page}/share": {"email": "bob@example.org", "role": "owner"},
        f"{page}/unshare": {"user_id": "1"},
        f"{page}/remove": {},
        f"/chat_messages/{answer}/stop": {},
        f"/chat_messages/{answer}/retry": {},
        f"/chat_messages/{answer}/feedback": {"feedback_type": "thumbs_up"},
    }
    for address in (page, f"{page}/thread", f"{page}/live"):
        assert bob.get(address).status_code == 404
    for address, data in acts.items():
        assert bob.post(address, data=data).status_code == 404, address
    given = alice.post(f"{page}/share", data={"email": "bob@example.org", "role": "can_view"})
    assert given.status_code == 303
    assert "You may read this chat" in bob.get(page).text
    for address, data in acts.items():
        assert bob.post(address, data=data).status_code == 403, address
    assert alice.get(f"{page}?edit={question}").status_code == 200
    assert alice.get(f"{page}?edit={answer}").status_code == 404
    assert bob.get(f"{page}?edit=9999").status_code == 404


def test_an_answer_is_stopped_once_and_a_chat_renamed_and_removed(
    house: House, alice: Visitor
) -> None:
    page, (_, answer) = start(house)
    assert alice.post(f"/chat_messages/{answer}/stop").status_code == 303
    assert "Stopped." in alice.get(page).text
    assert "Ask again" in alice.get(page).text
    late = alice.post(f"/chat_messages/{answer}/stop")
    assert late.status_code == 303
    assert alice.post(f"{page}/title", data={"title": " "}).status_code == 400
    alice.post(f"{page}/title", data={"title": "Mine & only <mine>"})
    assert "Mine &amp; only &lt;mine&gt;" in alice.get(page).text
    unknown = alice.post(f"{page}/share", data={"email": "no@example.org", "role": "owner"})
    assert unknown.status_code == 400
    assert "Nobody here has this address" in unknown.text
    assert alice.post(f"{page}/remove").location == "/chats"
    assert alice.get(page).status_code == 404


def test_of_what_a_chat_knows_one_attaches_what_one_wants(house: House, alice: Visitor) -> None:
    said = {
        "model": "simulator/echo",
        "context": {"adaptor": "a", "expression": "fn()", "log": "x"},
    }
    made = house.post("/api/v1/chats", as_=house.alice, json=said).get_json()
    page = f"/chats/{made['id']}"
    form = alice.get(page).text
    assert 'name="attach" value="expression" data-attach checked' in form
    assert 'name="attach" value="log" data-attach>' in form
    assert 'name="attach" value="input"' not in form
    odd = {"content": "x", "attaching": "yes", "attach": "secrets"}
    assert alice.post(f"{page}/messages", data=odd).status_code == 400
    sent = {"content": "Why?", "attaching": "yes", "attach": ["log"]}
    assert alice.post(f"{page}/messages", data=sent).status_code == 303
    shown = alice.get(page).text
    assert "with logs" in shown
    assert "with code" not in shown
    (question, _) = house.get(f"/api/v1{page}", as_=house.alice).get_json()["message_ids"]
    again = alice.get(f"{page}?edit={question}").text
    assert 'name="attach" value="log"  checked' in again
    assert 'name="attach" value="expression" >' in again


def test_without_anything_to_attach_there_is_no_choice(house: House, alice: Visitor) -> None:
    page, _ = start(house)
    assert "attaching" not in alice.get(page).text


def test_who_may_not_share_learns_of_no_address(house: House, alice: Visitor) -> None:
    page, _ = start(house)
    grant = {"user_id": house.bob.user_id, "role": "can_edit"}
    house.post(f"/api/v1{page}/grants", as_=house.alice, json=grant)
    bob = signed_in(house, house.bob)
    known, unknown = (
        bob.post(f"{page}/share", data={"email": email, "role": "can_view"})
        for email in ("charlie@example.org", "nobody@example.org")
    )
    assert (known.status_code, unknown.status_code) == (403, 403)
