"""Users as administrators make and change them."""

from __future__ import annotations

import re
from html import unescape

import pytest
from sqlalchemy import select
from werkzeug.test import TestResponse

from models import AuditEvent, User
from tests.api.house import House
from tests.api.visiting import Visitor, field, signed_in, visitor

NEW = {"email": "Dora@example.org", "name": "Dora", "role": "member", "password": "generate"}


@pytest.fixture
def ada(house: House) -> Visitor:
    return signed_in(house, house.ada)


def password_in(answer: TestResponse) -> str:
    found = re.search(r"<pre[^>]*><code>([^<]+)</code>", answer.text)
    assert found
    return unescape(found[1])


def user_of(house: House, email: str) -> User | None:
    with house.database.read() as session:
        found = session.scalar(select(User).where(User.email == email))
        session.expunge_all()
    return found


def actions(house: House, subject: str) -> list[str]:
    query = select(AuditEvent.action).where(AuditEvent.subject == subject)
    with house.database.read() as session:
        return sorted(session.scalars(query))


def change(house: House, ada: Visitor, user_id: int, **data: str) -> TestResponse:
    """The form as it stands on the page, with `data` written over it."""
    page = ada.get(f"/admin/users/{user_id}")
    kept = {"changed_at": field(page, "changed_at"), "name": field(page, "name"), "active": "on"}
    filled = {**kept, "role": "member", **data}
    return ada.post(f"/admin/users/{user_id}", data={n: v for n, v in filled.items() if v != "off"})


def test_a_new_user_signs_in_with_the_password_shown_once(house: House, ada: Visitor) -> None:
    answer = ada.post("/admin/users", data=NEW)
    assert answer.status_code == 201
    password = password_in(answer)
    dora = user_of(house, "dora@example.org")
    assert dora
    assert password not in ada.get(f"/admin/users/{dora.id}").text
    assert password not in ada.get("/admin/audit").text
    assert not [c for c in answer.headers.getlist("Set-Cookie") if password in c]
    signed = visitor(house).post("/sign-in", data={"email": dora.email, "password": password})
    assert signed.status_code == 303
    assert actions(house, f"user:{dora.id}") == ["user.created", "user.password_set"]


def test_the_form_of_a_new_user_sent_again_makes_nobody(house: House, ada: Visitor) -> None:
    ada.post("/admin/users", data=NEW)
    again = ada.post("/admin/users", data=NEW)
    assert again.status_code == 409
    assert "The address dora@example.org is taken" in again.text


def test_a_user_without_password_has_keys_only(house: House, ada: Visitor) -> None:
    assert ada.post("/admin/users", data={**NEW, "password": "none"}).status_code == 303
    dora = user_of(house, "dora@example.org")
    assert dora
    assert dora.password_hash is None


def test_a_user_is_changed_and_the_trail_says_how(house: House, ada: Visitor) -> None:
    bob = house.bob.user_id
    answer = change(house, ada, bob, name="Robert", plan="gold", token_allowance="10,000")
    assert answer.status_code == 303
    found = user_of(house, "bob@example.org")
    assert found
    assert (found.name, found.plan, found.token_allowance) == ("Robert", "gold", 10_000)
    assert actions(house, f"user:{bob}").count("user.changed") == 1
    shown = ada.get("/admin/audit?action=user.changed").text
    assert "Robert" in shown


def test_a_form_that_is_stale_changes_nothing(house: House, ada: Visitor) -> None:
    bob = house.bob.user_id
    stale = field(ada.get(f"/admin/users/{bob}"), "changed_at")
    change(house, ada, bob, name="Robert")
    data = {"changed_at": stale, "name": "Bobby", "role": "member", "active": "on"}
    answer = ada.post(f"/admin/users/{bob}", data=data)
    assert answer.status_code == 409
    assert "was changed since the form was shown" in answer.text
    found = user_of(house, "bob@example.org")
    assert found
    assert found.name == "Robert"


def test_the_last_administrator_stays_one(house: House, ada: Visitor) -> None:
    for data in ({"role": "member"}, {"role": "admin", "active": "off"}):
        answer = change(house, ada, house.ada.user_id, **data)
        assert answer.status_code == 409
        assert "This is the last active administrator" in answer.text
    assert ada.get("/admin/users").status_code == 200


def test_an_inactive_user_is_out_at_once(house: House, ada: Visitor) -> None:
    bob = signed_in(house, house.bob)
    assert bob.get("/account").status_code == 200
    assert change(house, ada, house.bob.user_id, active="off").status_code == 303
    assert bob.get("/account").status_code == 303
    assert house.get("/api/v1/me", as_=house.bob).status_code == 401
    assert "user.deactivated" in actions(house, f"user:{house.bob.user_id}")


def test_a_generated_password_replaces_the_old_one_once(house: House, ada: Visitor) -> None:
    bob = house.bob.user_id
    was_in = signed_in(house, house.bob)
    changed_at = field(ada.get(f"/admin/users/{bob}"), "changed_at")
    answer = ada.post(f"/admin/users/{bob}/password", data={"changed_at": changed_at})
    assert answer.status_code == 201
    password = password_in(answer)
    assert was_in.get("/account").status_code == 303
    again = ada.post(f"/admin/users/{bob}/password", data={"changed_at": changed_at})
    assert again.status_code == 409
    signed = visitor(house).post(
        "/sign-in", data={"email": "bob@example.org", "password": password}
    )
    assert signed.status_code == 303


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ({"email": "not an address"}, "Invalid email"),
        ({"role": "emperor"}, "Invalid role"),
        ({"token_allowance": "-5"}, "Write a number of tokens, or nothing for no limit"),
        ({"token_allowance": "1e9"}, "Write a number of tokens, or nothing for no limit"),
        ({"plan": "x" * 65}, "Invalid plan"),
    ],
)
def test_a_user_that_cannot_be_is_refused_beside_the_field(
    data: dict[str, str], sentence: str, house: House, ada: Visitor
) -> None:
    answer = ada.post("/admin/users", data={**NEW, **data})
    assert answer.status_code == 400
    assert sentence in answer.text
    assert field(answer, "name") == "Dora"
    assert user_of(house, "dora@example.org") is None


def test_a_password_that_is_too_short_is_refused(house: House, ada: Visitor) -> None:
    bob = house.bob.user_id
    changed_at = field(ada.get(f"/admin/users/{bob}"), "changed_at")
    data = {"changed_at": changed_at, "password": "short"}
    answer = ada.post(f"/admin/users/{bob}/password", data=data)
    assert answer.status_code == 400
    assert "Must have 12 to 200 characters" in answer.text
    assert 'value="short"' not in answer.text


def test_an_address_leads_to_its_user(house: House, ada: Visitor) -> None:
    found = ada.get("/admin/users?find=bob@example.org")
    assert found.headers["Location"].endswith(f"/admin/users/{house.bob.user_id}")
    assert "Nobody has the address eve@x" in ada.get("/admin/users?find=eve@x").text
    assert ada.get("/admin/users/999999").status_code == 404
