"""Users, keys, agents and oneself over HTTP; what they mean is tested with `app.accounts`."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.house import House, Person

USERS, KEYS, AGENTS = "/api/v1/users", "/api/v1/keys", "/api/v1/agents"


def test_me_shows_user_key_scopes_and_what_is_left(house: House) -> None:
    limited = house.key_for(house.alice, ["jobs:read"])
    told = house.get("/api/v1/me", as_=limited).get_json()
    assert told["user"]["email"] == "alice@example.org"
    assert told["user"]["tokens_left"] is None
    assert told["scopes"] == told["key"]["scopes"] == ["jobs:read"]
    assert limited.key not in str(told)
    assert told["key"]["prefix"] == limited.key[:19]


def test_an_administrator_adds_lists_and_changes_users(house: House) -> None:
    sent = {"email": "Dora@Example.org", "name": "Dora", "role": "member", "token_allowance": 5}
    made = house.post(USERS, as_=house.ada, json=sent)
    assert (made.status_code, made.get_json()["email"]) == (201, "dora@example.org")
    assert house.post(USERS, as_=house.ada, json=sent).status_code == 409
    page = house.get(f"{USERS}?limit=1", as_=house.ada).get_json()
    assert (page["data"][0]["name"], page["has_more"]) == ("Dora", True)
    path = f"{USERS}/{made.get_json()['id']}"
    changed = house.call("PATCH", path, as_=house.ada, json={"token_allowance": None}).get_json()
    assert (changed["token_allowance"], changed["name"]) == (None, "Dora")
    gone = house.call("PATCH", f"{USERS}/9999", as_=house.ada, json={"name": "x"})
    assert gone.status_code == 404
    last = house.call(
        "PATCH", f"{USERS}/{house.ada.user_id}", as_=house.ada, json={"role": "member"}
    )
    assert last.status_code == 409


@pytest.mark.parametrize("sent", [
    {}, {"email": ""}, {"email": "x"}, {"email": 1}, {"email": "a@b", "role": "king"},
    {"email": "a@b", "token_allowance": -1}, {"email": "a@b", "token_allowance": 1.5},
    {"email": "a@b", "token_allowance": 2**80}, {"email": "a@b", "foo": 1},
    {"email": "a@b", "name": "x" * 300}, {"email": "a@b\u202e\x01"},
])  # fmt: skip
def test_odd_users_are_400(shared: House, sent: dict[str, Any]) -> None:
    assert shared.post(USERS, as_=shared.ada, json=sent).status_code == 400


def test_a_new_key_is_shown_once_and_works_until_it_is_revoked(house: House) -> None:
    sent = {"name": "import", "scopes": ["jobs:read"], "expires_at": "2999-01-01T00:00:00Z"}
    made = house.post(KEYS, as_=house.alice, json=sent).get_json()
    fresh = Person("alice", house.alice.user_id, made["key"])
    assert house.get("/api/v1/me", as_=fresh).status_code == 200
    listed = house.get(KEYS, as_=house.alice)
    assert made["key"] not in listed.text
    assert listed.get_json()["data"][0]["last4"] == made["key"][-4:]
    revoked = house.call("DELETE", f"{KEYS}/{made['id']}", as_=house.alice)
    assert revoked.get_json()["revoked_at"] is not None
    assert house.get("/api/v1/me", as_=fresh).status_code == 401


@pytest.mark.parametrize("sent", [
    {"scopes": ["jobs:fly"]}, {"scopes": "jobs:read"}, {"scopes": [1]}, {"name": 1},
    {"expires_at": "soon"}, {"expires_at": 60}, {"user_id": "1"}, {"foo": 1},
])  # fmt: skip
def test_odd_keys_are_400(shared: House, sent: dict[str, Any]) -> None:
    assert shared.post(KEYS, as_=shared.alice, json=sent).status_code == 400


def test_an_administrator_makes_keys_for_others_and_sees_all(house: House) -> None:
    made = house.post(KEYS, as_=house.ada, json={"user_id": house.bob.user_id})
    assert made.get_json()["user_id"] == house.bob.user_id
    unknown = house.post(KEYS, as_=house.ada, json={"user_id": 9999})
    assert unknown.status_code == 404
    everybodys = house.get(f"{KEYS}?all_users=true", as_=house.ada).get_json()["data"]
    assert {key["user_id"] for key in everybodys} >= {house.alice.user_id, house.bob.user_id}
    assert house.get(f"{KEYS}?all_users=true", as_=house.alice).status_code == 403


def test_agents_are_made_shown_listed_and_changed(house: House) -> None:
    sent = {"name": "brief", "system": "Be brief", "model": "gpt-4", "options": {"max_tokens": 9}}
    made = house.post(AGENTS, as_=house.alice, json=sent)
    agent = made.get_json()
    assert (made.status_code, agent["version"]) == (201, 1)
    path = f"{AGENTS}/{agent['id']}"
    changed = house.call("PATCH", path, as_=house.alice, json={"system": None}).get_json()
    assert (changed["system"], changed["model"], changed["version"]) == (None, "gpt-4", 2)
    assert house.get(path, as_=house.alice).get_json() == changed
    assert house.get(AGENTS, as_=house.alice).get_json()["data"] == [changed]
    assert house.get(AGENTS, as_=house.bob).get_json()["data"] == []
    assert house.get(path, as_=house.ada).status_code == 200


@pytest.mark.parametrize("sent", [
    {}, {"name": ""}, {"name": "x", "format": "pdf"}, {"name": "x", "options": []},
    {"name": "x", "model": "m" * 300}, {"name": "x", "foo": 1},
])  # fmt: skip
def test_odd_agents_are_400(shared: House, sent: dict[str, Any]) -> None:
    assert shared.post(AGENTS, as_=shared.alice, json=sent).status_code == 400
