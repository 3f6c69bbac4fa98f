"""API keys as people make and end them: shown once, one at a time, only one's own."""

from __future__ import annotations

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from threading import Barrier, BrokenBarrierError

import pytest
from sqlalchemy import func, select
from werkzeug.test import TestResponse

from api.web.views import keys
from app import accounts
from models import ApiKey, AuditEvent
from tests.api.house import House, Person
from tests.api.visiting import Visitor, field, signed_in

_KEY = re.compile(r"ljk_(?:live|test)_[0-9A-Za-z]{10}_[\w-]{49}", re.ASCII)


def key_in(answer: TestResponse) -> str:
    found = _KEY.search(answer.text)
    assert found, "no key is shown"
    return found[0]


def create(one: Visitor, where: str = "/account/keys", **data: object) -> TestResponse:
    newest = field(one.get(where), "newest")
    return one.post(where, data={"newest": newest, **data})


def count(house: House) -> int:
    with house.database.read() as session:
        return session.scalar(select(func.count()).select_from(ApiKey)) or 0


def trail(house: House, action: str) -> list[str]:
    query = select(AuditEvent.subject).where(AuditEvent.action == action)
    with house.database.read() as session:
        return list(session.scalars(query))


def works(house: House, key: str) -> bool:
    headers = {"Authorization": f"Bearer {key}"}
    return house.get("/api/v1/me", headers=headers).status_code == 200


def after_both(look: Callable[..., int]) -> Callable[..., int]:
    """Looks, then waits until another has looked too, if another can come so far."""
    both = Barrier(2)

    def wait(*arguments: object) -> int:
        found = look(*arguments)
        with suppress(BrokenBarrierError):
            both.wait(0.5)
        return found

    return wait


def newest_key(house: House) -> ApiKey:
    with house.database.read() as session:
        found = session.scalars(select(ApiKey).order_by(ApiKey.id.desc()).limit(1)).one()
        session.expunge_all()
    return found


@pytest.fixture
def alice(house: House) -> Visitor:
    return signed_in(house, house.alice)


@pytest.fixture
def ada(house: House) -> Visitor:
    return signed_in(house, house.ada)


def test_a_new_key_is_shown_once_and_works_until_it_is_revoked(
    house: House, alice: Visitor
) -> None:
    answer = create(alice, name="nightly", scope="jobs:read", life="30")
    assert answer.status_code == 201
    assert answer.headers["Cache-Control"] == "no-store"
    assert "Location" not in answer.headers
    assert not [c for c in answer.headers.getlist("Set-Cookie") if "ljk_" in c]
    key = key_in(answer)
    stored = newest_key(house)
    assert (stored.name, stored.scopes, stored.user_id) == (
        "nightly",
        ["jobs:read"],
        house.alice.user_id,
    )
    assert stored.expires_at is not None
    assert (stored.expires_at - stored.created_at).days in (29, 30)
    assert works(house, key)
    listed = alice.get("/account/keys").text
    assert key not in listed
    assert f"{stored.prefix}…{stored.last4}" in listed
    revoked = alice.post(f"/account/keys/{stored.id}/revoke")
    assert revoked.status_code == 303
    assert not works(house, key)
    assert trail(house, "key.revoked") == [f"key:{stored.id}"]


def test_the_same_form_makes_one_key_however_often_it_is_sent(house: House, alice: Visitor) -> None:
    newest = field(alice.get("/account/keys"), "newest")
    data = {"newest": newest, "name": "once"}
    assert alice.post("/account/keys", data=data).status_code == 201
    before = count(house)
    again = alice.post("/account/keys", data=data)
    assert again.status_code == 409
    assert not _KEY.search(again.text)
    assert "A key was made since this form was shown" in again.text
    assert field(again, "newest") != newest
    assert field(again, "name") == "once"
    assert count(house) == before


def test_the_same_form_sent_twice_at_once_makes_one_key(
    house: House, alice: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = signed_in(house, house.alice)
    tabs = [(one, one.token()) for one in (alice, other)]
    data = {"newest": field(alice.get("/account/keys"), "newest"), "name": "twice"}
    before = count(house)
    monkeypatch.setattr(keys, "_newest", after_both(keys._newest))
    with ThreadPoolExecutor(2) as pool:
        answers = list(
            pool.map(lambda tab: tab[0].post("/account/keys", token=tab[1], data=data), tabs)
        )
    assert sorted(answer.status_code for answer in answers) == [201, 409]
    assert count(house) == before + 1


def test_rotating_makes_the_same_key_again_and_leaves_the_old_one(
    house: House, alice: Visitor
) -> None:
    old_key = key_in(create(alice, name="ingest", scope="jobs:write", life="90"))
    old = newest_key(house)
    newest = field(alice.get("/account/keys"), "newest")
    answer = alice.post(f"/account/keys/{old.id}/renew", data={"newest": newest})
    assert answer.status_code == 201
    new_key, new = key_in(answer), newest_key(house)
    assert (new.name, new.scopes, new.expires_at) == (old.name, old.scopes, old.expires_at)
    assert works(house, old_key)
    assert works(house, new_key)
    assert f'action="/account/keys/{old.id}/revoke"' in answer.text
    alice.post(f"/account/keys/{old.id}/revoke")
    assert not works(house, old_key)
    assert works(house, new_key)


def test_a_revoked_key_is_not_rotated(house: House, alice: Visitor) -> None:
    create(alice)
    key = newest_key(house)
    alice.post(f"/account/keys/{key.id}/revoke")
    newest = field(alice.get("/account/keys"), "newest")
    answer = alice.post(f"/account/keys/{key.id}/renew", data={"newest": newest})
    assert answer.status_code == 409
    assert "This key is revoked" in answer.text


@pytest.mark.parametrize("act", ["revoke", "renew"])
def test_a_strangers_key_is_not_found(act: str, house: House, alice: Visitor) -> None:
    key = _key_of(house, house.bob)
    assert alice.post(f"/account/keys/{key}/{act}", data={"newest": "0"}).status_code == 404
    assert alice.get(f"/account/keys/{key}/revoke").status_code == 404
    assert works(house, house.bob.key)


def test_an_administrators_own_page_is_about_his_own_keys(house: House, ada: Visitor) -> None:
    key = _key_of(house, house.bob)
    assert ada.post(f"/account/keys/{key}/revoke").status_code == 404
    assert "bob@example.org" not in ada.get("/account/keys").text
    assert "bob@example.org" in ada.get("/admin/keys").text
    assert ada.post(f"/admin/keys/{key}/revoke").status_code == 303
    assert not works(house, house.bob.key)


def test_an_administrator_makes_a_key_for_somebody(house: House, ada: Visitor) -> None:
    answer = create(ada, "/admin/keys", owner="Bob@example.org", name="for bob")
    assert answer.status_code == 201
    assert "The new key of bob@example.org" in answer.text
    assert newest_key(house).user_id == house.bob.user_id
    assert trail(house, "key.created")[-1] == f"key:{newest_key(house).id}"


def test_a_member_cannot_name_another_owner(house: House, alice: Visitor) -> None:
    assert create(alice, owner="bob@example.org").status_code == 201
    assert newest_key(house).user_id == house.alice.user_id


@pytest.mark.parametrize(
    ("where", "data", "status", "sentence"),
    [
        ("/admin/keys", {"owner": "nobody@example.org"}, 400, "Nobody has this address"),
        ("/admin/keys", {"scope": "all:things"}, 400, "Unknown scope: all:things"),
        ("/admin/keys", {"life": "999999999"}, 400, "Choose one of the lengths offered"),
        ("/admin/keys", {"newest": ""}, 409, "A key was made since"),
    ],
)
def test_a_key_that_cannot_be_is_refused_beside_its_field(
    where: str, data: dict[str, str], status: int, sentence: str, house: House, ada: Visitor
) -> None:
    before = count(house)
    answer = create(ada, where, **{"name": "kept", **data})
    assert answer.status_code == status
    assert sentence in answer.text
    assert field(answer, "name") == "kept"
    assert count(house) == before


def test_members_are_offered_only_what_they_may(house: House, alice: Visitor) -> None:
    offered = alice.get("/account/keys").text
    assert 'value="jobs:read"' in offered
    assert 'value="ops:read"' not in offered


def test_expired_keys_are_told_apart(house: House, alice: Visitor) -> None:
    with house.database.write() as session:
        past = datetime.now(UTC) - timedelta(days=1)
        accounts.create_key(session, house.alice.user_id, name="old", expires_at=past)
    shown = alice.get("/account/keys").text
    assert re.search(r"pill-warn.*?expired", shown)


def _key_of(house: House, person: Person) -> int:
    with house.database.read() as session:
        return session.scalars(select(ApiKey.id).where(ApiKey.user_id == person.user_id)).one()
