"""Who is let in, and what they may do to users, keys and agents."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import event, select, update
from sqlalchemy.orm import Session

from app import accounts
from app.accounts import OPERATOR, Caller, NewKey
from app.accounts.caller import caller_of
from app.db import Database
from app.errors import (
    Conflict,
    Forbidden,
    InvalidParameter,
    MissingParameter,
    NotFound,
    Unauthenticated,
    UnknownParameter,
)
from models import Agent, ApiKey, Role, Scope, User
from models.types import now_plus


def new_key(database: Database, caller: Caller, **facts: Any) -> NewKey:
    assert caller.user_id is not None
    with database.write() as session:
        return accounts.create_key(session, caller.user_id, **facts)


def authenticate(database: Database, text: str) -> Caller:
    with database.read() as session:
        return accounts.authenticate(session, text)


# Keys


def test_a_key_names_its_user_and_is_stored_as_a_hash_only(
    database: Database, alice: Caller
) -> None:
    made = new_key(database, alice, name="laptop")
    caller = authenticate(database, made.text)
    assert (caller.user_id, caller.email, caller.role) == (alice.user_id, alice.email, "member")
    assert caller.key_id == made.key.id
    assert made.text.startswith("ljk_live_")
    assert len(made.text) == len("ljk_live_") + 10 + 1 + 43 + 6
    with database.read() as session:
        row = session.scalars(select(ApiKey)).one()
        stored = " ".join(str(getattr(row, c.name)) for c in ApiKey.__table__.columns)
    assert made.text[-49:-6] not in stored
    assert made.text.startswith(row.prefix)
    assert made.text.endswith(row.last4)
    assert made.text not in repr(made)


def test_two_keys_of_one_user_are_both_good(database: Database, alice: Caller) -> None:
    first, second = new_key(database, alice), new_key(database, alice, live=False)
    assert second.text.startswith("ljk_test_")
    assert authenticate(database, first.text).key_id != authenticate(database, second.text).key_id


def _typo(text: str) -> str:
    return text[:-3] + ("A" if text[-3] != "A" else "B") + text[-2:]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda key: "",
        lambda key: key[:-1],
        lambda key: key + "x",
        lambda key: key.swapcase(),
        lambda key: " " + key,
        lambda key: key + "\n",
        lambda key: key.replace("ljk_live", "ljk_test"),
        lambda key: "ljk_live_" + "é" * 60,
        lambda key: "\ud800",
        lambda key: "ljk_live_" + "0" * 10_000,
        _typo,
    ],
)
def test_a_mistyped_key_is_refused_without_a_query(
    database: Database, alice: Caller, spoil: Callable[[str], str]
) -> None:
    text = spoil(new_key(database, alice).text)
    asked: list[str] = []
    with database.read() as session:
        session.connection()
        event.listen(
            database.engine, "before_cursor_execute", lambda c, cur, sql, *rest: asked.append(sql)
        )
        with pytest.raises(Unauthenticated):
            accounts.authenticate(session, text)
    assert asked == []


def test_anothers_id_with_my_secret_is_refused(
    database: Database, alice: Caller, bob: Caller
) -> None:
    from app.accounts.keys import _checksum

    mine, theirs = new_key(database, alice).text, new_key(database, bob).text
    forged = theirs[:20] + mine[20:-6]
    forged += _checksum(forged)
    unknown = "ljk_live_0000000000_" + mine[20:-6]
    unknown += _checksum(unknown)
    for text in (forged, unknown):
        with pytest.raises(Unauthenticated, match="Missing or invalid API key"):
            authenticate(database, text)


def test_a_revoked_expired_or_orphaned_key_is_refused_and_says_why(
    database: Database, alice: Caller, admin: Caller
) -> None:
    past = datetime.now(UTC) - timedelta(seconds=5)
    revoked, expired = new_key(database, alice), new_key(database, alice, expires_at=past)
    inactive = new_key(database, alice, expires_at=datetime.now(UTC) + timedelta(hours=1))
    authenticate(database, inactive.text)
    with database.write() as session:
        first = accounts.revoke_key(session, alice, revoked.key.id)
        again = accounts.revoke_key(session, alice, revoked.key.id)
        assert first.revoked_at == again.revoked_at is not None
        assert alice.user_id is not None
        accounts.update_user(session, admin, alice.user_id, active=False)
    for key, why in ((revoked, "revoked"), (expired, "expired"), (inactive, "inactive")):
        with pytest.raises(Unauthenticated, match=why):
            authenticate(database, key.text)


def test_last_use_is_written_at_most_once_a_minute(database: Database, alice: Caller) -> None:
    made = new_key(database, alice)

    def used() -> datetime | None:
        with database.read() as session:
            return session.scalar(select(ApiKey.last_used_at))

    def use() -> datetime | None:
        accounts.note_use(database, authenticate(database, made.text))
        return used()

    first = use()
    assert first is not None
    assert use() == first
    assert not authenticate(database, made.text).use_unrecorded
    with database.write() as session:
        session.execute(update(ApiKey).values(last_used_at=now_plus(-61)))
    later = use()
    assert later is not None
    assert later >= first


def test_a_key_without_scopes_has_what_its_user_may_do(
    database: Database, alice: Caller, admin: Caller
) -> None:
    member = authenticate(database, new_key(database, alice).text)
    chief = authenticate(database, new_key(database, admin).text)
    assert {s for s in Scope if chief.may(s)} == set(Scope)
    assert {s for s in Scope if not member.may(s)} == {Scope.OPS_READ}
    assert not chief.may("invented:scope")


@pytest.mark.parametrize("scope", list(Scope))
def test_a_scoped_key_has_that_scope_only(database: Database, admin: Caller, scope: Scope) -> None:
    caller = authenticate(database, new_key(database, admin, scopes=[scope]).text)
    assert {s for s in Scope if caller.may(s)} == {scope}
    caller.require(scope)
    for other in set(Scope) - {scope}:
        with pytest.raises(Forbidden, match=f"Missing scope: {other}"):
            caller.require(other)


def test_a_scope_gives_a_member_nothing_beyond_the_role(database: Database, bob: Caller) -> None:
    caller = authenticate(database, new_key(database, bob, scopes=[Scope.OPS_READ]).text)
    assert not any(caller.may(s) for s in Scope)


def test_an_unknown_scope_is_refused(database: Database, alice: Caller) -> None:
    with pytest.raises(InvalidParameter, match="Unknown scope: jobs:everything"):
        new_key(database, alice, scopes=["jobs:read", "jobs:everything"])


def test_people_issue_keys_for_themselves_and_administrators_for_others(
    database: Database, alice: Caller, bob: Caller, admin: Caller
) -> None:
    with database.write() as session:
        own = accounts.issue_key(session, alice, name="  own  ")
        assert (own.key.user_id, own.key.name) == (alice.user_id, "own")
        theirs = accounts.issue_key(session, admin, user_id=bob.user_id)
        assert theirs.key.user_id == bob.user_id
        with pytest.raises(Forbidden):
            accounts.issue_key(session, alice, user_id=bob.user_id)
        with pytest.raises(NotFound):
            accounts.issue_key(session, admin, user_id=10**9)
        with pytest.raises(InvalidParameter):
            accounts.issue_key(session, OPERATOR)


def test_a_limited_key_never_makes_a_stronger_one(database: Database, admin: Caller) -> None:
    scopes = [Scope.KEYS_ADMIN, Scope.JOBS_READ]
    limited = authenticate(database, new_key(database, admin, scopes=scopes).text)
    reader = authenticate(database, new_key(database, admin, scopes=[Scope.JOBS_READ]).text)
    with database.write() as session:
        assert accounts.issue_key(session, limited).key.scopes == sorted(scopes)
        with pytest.raises(Forbidden, match="jobs:write"):
            accounts.issue_key(session, limited, scopes=["jobs:write"])
        with pytest.raises(Forbidden):
            accounts.issue_key(session, reader)


def test_a_strangers_key_is_unknown(
    database: Database, alice: Caller, charlie: Caller, admin: Caller
) -> None:
    made = new_key(database, alice)
    with database.write() as session:
        with pytest.raises(NotFound):
            accounts.revoke_key(session, charlie, made.key.id)
        assert accounts.list_keys(session, charlie).rows == []
        assert [k.id for k in accounts.list_keys(session, alice).rows] == [made.key.id]
        assert len(accounts.list_keys(session, admin, all_users=True).rows) == 1
        with pytest.raises(Forbidden):
            accounts.list_keys(session, charlie, all_users=True)
        assert accounts.revoke_key(session, admin, made.key.id).revoked_at


def test_an_expiry_without_a_zone_is_refused(database: Database, alice: Caller) -> None:
    with pytest.raises(InvalidParameter, match="zone"):
        new_key(database, alice, expires_at=datetime(2030, 1, 1))  # noqa: DTZ001


# Users


def test_an_address_is_taken_once_whatever_its_case(database: Database, alice: Caller) -> None:
    with database.write() as session, pytest.raises(Conflict, match="taken"):
        accounts.create_user(session, email=" Alice@Example.ORG ")
    with database.write() as session:
        accounts.create_user(session, email="alice2@example.org")
        found = accounts.find_user(session, "ALICE@example.org")
        assert found is not None
        assert found.id == alice.user_id


def test_a_taken_address_leaves_the_transaction_usable(database: Database, alice: Caller) -> None:
    with database.write() as session:
        with pytest.raises(Conflict):
            accounts.create_user(session, email=alice.email)
        accounts.create_user(session, email="next@example.org")
    with database.read() as session:
        assert accounts.find_user(session, "next@example.org")


def test_a_user_that_cannot_be_is_refused(database: Database) -> None:
    wrong: list[tuple[dict[str, Any], type[Exception]]] = [
        ({"email": ""}, MissingParameter),
        ({"email": "  "}, MissingParameter),
        ({"email": "nobody"}, InvalidParameter),
        ({"email": "a b@c"}, InvalidParameter),
        ({"email": "a\x00@c"}, InvalidParameter),
        ({"email": "\ud800@c"}, InvalidParameter),
        ({"email": "x" * 250 + "@example.org"}, InvalidParameter),
        ({"role": "owner"}, InvalidParameter),
        ({"token_allowance": -1}, InvalidParameter),
        ({"token_allowance": True}, InvalidParameter),
        ({"token_allowance": 2**70}, InvalidParameter),
        ({"plan": "p" * 65}, InvalidParameter),
        ({"name": 5}, InvalidParameter),
    ]
    for facts, error in wrong:
        with database.write() as session, pytest.raises(error):
            accounts.create_user(session, **({"email": "new@example.org"} | facts))
    with database.read() as session:
        assert accounts.find_user(session, "new@example.org") is None


def test_only_administrators_see_and_change_users(
    database: Database, alice: Caller, bob: Caller, admin: Caller
) -> None:
    assert bob.user_id is not None
    with database.write() as session:
        for caller in (alice, bob):
            with pytest.raises(Forbidden):
                accounts.list_users(session, caller)
            with pytest.raises(Forbidden):
                accounts.update_user(session, caller, bob.user_id, role="admin")
        with pytest.raises(NotFound):
            accounts.get_user(session, alice, bob.user_id)
        assert accounts.get_user(session, bob, bob.user_id).email == bob.email
        changed = accounts.update_user(
            session, admin, bob.user_id, role="admin", token_allowance=5, plan="pro", name=" B "
        )
        assert (changed.role, changed.token_allowance, changed.plan, changed.name) == (
            "admin",
            5,
            "pro",
            "B",
        )
        with pytest.raises(UnknownParameter):
            accounts.update_user(session, admin, bob.user_id, tokens_used=0)
        with pytest.raises(NotFound):
            accounts.update_user(session, admin, 10**9, name="x")


def test_an_administrators_limited_key_is_no_administrator_of_users(
    database: Database, admin: Caller
) -> None:
    limited = authenticate(database, new_key(database, admin, scopes=["jobs:read"]).text)
    with database.read() as session, pytest.raises(Forbidden):
        accounts.list_users(session, limited)


def test_the_last_administrator_stays(database: Database, admin: Caller, bob: Caller) -> None:
    assert admin.user_id is not None
    assert bob.user_id is not None
    for change in ({"role": "member"}, {"active": False}):
        with database.write() as session, pytest.raises(Conflict, match="last"):
            accounts.update_user(session, admin, admin.user_id, **change)
    with database.write() as session:
        accounts.update_user(session, admin, bob.user_id, role="admin")
        assert accounts.update_user(session, admin, admin.user_id, role="member").role == "member"


def test_users_come_in_pages_newest_first(database: Database, admin: Caller) -> None:
    with database.write() as session:
        for n in range(5):
            accounts.create_user(session, email=f"u{n}@example.org")
    seen: list[str] = []
    after = None
    with database.read() as session:
        while True:
            page = accounts.list_users(session, admin, limit=2, after=after)
            seen += [user.email for user in page.rows]
            after = page.next
            assert page.has_more == (after is not None)
            if after is None:
                break
    assert seen == [f"u{n}@example.org" for n in (4, 3, 2, 1, 0)] + [admin.email]


@pytest.mark.parametrize("limit", [0, 101, -1])
def test_a_limit_outside_the_bounds_is_refused(
    database: Database, admin: Caller, limit: int
) -> None:
    with database.read() as session, pytest.raises(InvalidParameter, match="limit"):
        accounts.list_users(session, admin, limit=limit)


# Agents


def an_agent(session: Session, caller: Caller, **facts: Any) -> Agent:
    return accounts.create_agent(session, caller, **({"name": "Writer"} | facts))


def test_an_agent_belongs_to_its_maker(
    database: Database, alice: Caller, charlie: Caller, admin: Caller
) -> None:
    with database.write() as session:
        agent = an_agent(
            session, alice, system="Be kind.", model="gpt-4", format="json", options={"n": 1}
        )
        assert accounts.get_agent(session, alice, agent.id).system == "Be kind."
        for act in (accounts.get_agent, accounts.update_agent):
            with pytest.raises(NotFound):
                act(session, charlie, agent.id)
        assert accounts.list_agents(session, charlie).rows == []
        assert [a.id for a in accounts.list_agents(session, alice).rows] == [agent.id]
        assert len(accounts.list_agents(session, admin, all_users=True).rows) == 1
        with pytest.raises(Forbidden):
            accounts.list_agents(session, charlie, all_users=True)
        with pytest.raises(Forbidden):
            an_agent(session, charlie, user_id=alice.user_id)
        assert an_agent(session, admin, user_id=alice.user_id).user_id == alice.user_id
        with pytest.raises(NotFound):
            an_agent(session, admin, user_id=10**9)
        with pytest.raises(MissingParameter):
            an_agent(session, OPERATOR)


def test_a_change_raises_the_version(database: Database, alice: Caller) -> None:
    with database.write() as session:
        agent = an_agent(session, alice, system="a", model="gpt-4")
        changed = accounts.update_agent(session, alice, agent.id, system="b", model=" ")
        assert (changed.version, changed.system, changed.model) == (2, "b", None)
        assert changed.updated_at >= changed.created_at
        with pytest.raises(UnknownParameter):
            accounts.update_agent(session, alice, agent.id, user_id=1)


def test_an_agent_that_cannot_be_is_refused(database: Database, alice: Caller) -> None:
    wrong: list[tuple[dict[str, Any], type[Exception]]] = [
        ({"name": " "}, MissingParameter),
        ({"name": "x" * 256}, InvalidParameter),
        ({"format": "xml"}, InvalidParameter),
        ({"options": [1]}, InvalidParameter),
        ({"model": 4}, InvalidParameter),
        ({"model": "m" * 256}, InvalidParameter),
    ]
    for facts, error in wrong:
        with database.write() as session, pytest.raises(error):
            an_agent(session, alice, **facts)
    with database.read() as session:
        assert accounts.list_agents(session, alice).rows == []


def test_a_nul_in_an_agent_is_replaced(database: Database, alice: Caller) -> None:
    with database.write() as session:
        agent = an_agent(session, alice, system="a\x00b", options={"stop": ["\x00"]})
    assert agent.system == "a\ufffdb"
    assert agent.options == {"stop": ["\ufffd"]}


# Callers


def test_everybody_sees_their_own_rows_and_nobodys_belong_to_administrators() -> None:
    alice = caller_of(User(id=1, email="a@b", name="", role=Role.MEMBER))
    admin = caller_of(User(id=2, email="c@d", name="", role=Role.ADMIN))
    assert [alice.sees(owner) for owner in (1, 2, None)] == [True, False, False]
    assert [admin.sees(owner) for owner in (1, 2, None)] == [True, True, True]
    assert OPERATOR.sees(None)
