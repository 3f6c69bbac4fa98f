"""Every administrative act leaves a trace with it, and none leaves a secret."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from app import accounts, audit, jobs, log, prices, queues
from app.accounts import OPERATOR, Caller
from app.audit import Action
from app.db import Database
from app.errors import Forbidden, InvalidParameter
from models import AuditEvent, ControlKind
from tests.integration.application.conftest import Rows, make_user

PASSWORD = "a long enough password"
PRICE = {"provider": "openai", "model": "gpt-4", "input_per_million": 1, "output_per_million": 2}

Act = Callable[[Session, Caller, int], Any]

ACTS: dict[str, tuple[Act, list[tuple[str, str]]]] = {
    "user made": (
        lambda s, c, _: accounts.create_user(s, email="new@example.org", by=c),
        [("user.created", "user:{last_user}")],
    ),
    "user changed": (
        lambda s, c, bob: accounts.update_user(s, c, bob, name="Bobby", role="admin"),
        [("user.changed", "user:{bob}")],
    ),
    "user deactivated": (
        lambda s, c, bob: accounts.update_user(s, c, bob, active=False),
        [("user.deactivated", "user:{bob}")],
    ),
    "password set": (
        lambda s, c, bob: accounts.set_password(s, c, bob, PASSWORD),
        [("user.password_set", "user:{bob}")],
    ),
    "key made and revoked": (
        lambda s, c, bob: accounts.revoke_key(
            s, c, accounts.issue_key(s, c, user_id=bob, name="ci").key.id
        ),
        [("key.created", "key:1"), ("key.revoked", "key:1")],
    ),
    "queue paused and resumed": (
        lambda s, c, _: (
            queues.pause(s, c, ControlKind.QUEUE, "low", seconds=60, reason="upgrade"),
            queues.resume(s, c, ControlKind.QUEUE, "low"),
        ),
        [("operations.paused", "queue:low"), ("operations.resumed", "queue:low")],
    ),
    "model paused": (
        lambda s, c, _: queues.pause(s, c, ControlKind.MODEL, "gpt-4"),
        [("operations.paused", "model:gpt-4")],
    ),
    "price set": (
        lambda s, c, _: prices.set_price(s, c, **PRICE),
        [("price.set", "price:openai/gpt-4")],
    ),
}  # fmt: skip


def events(database: Database, *, since: int = 0) -> list[AuditEvent]:
    with database.read() as session:
        found = select(AuditEvent).where(AuditEvent.id > since).order_by(AuditEvent.id)
        return list(session.scalars(found))


def last_id(database: Database) -> int:
    return max((event.id for event in events(database)), default=0)


@pytest.mark.parametrize("name", ACTS)
def test_an_act_is_recorded_with_who_did_it(
    database: Database, admin: Caller, bob: Caller, name: str
) -> None:
    act, expected = ACTS[name]
    before = last_id(database)
    with database.write() as session:
        act(session, admin, bob.user_id or 0)
    found = events(database, since=before)
    known = {"bob": bob.user_id, "last_user": (bob.user_id or 0) + 1}
    assert [(e.action, e.subject) for e in found] == [
        (action, subject.format(**known)) for action, subject in expected
    ]
    assert {(e.user_id, e.actor) for e in found} == {(admin.user_id, "ada@example.org")}


@pytest.mark.parametrize("name", ACTS)
def test_an_act_that_is_undone_leaves_no_trace(
    database: Database, admin: Caller, bob: Caller, name: str
) -> None:
    before = last_id(database)
    with database.write() as session:
        ACTS[name][0](session, admin, bob.user_id or 0)
        session.flush()
        session.rollback()
    assert events(database, since=before) == []


def test_an_erased_output_is_recorded_once(database: Database, rows: Rows, alice: Caller) -> None:
    output_id = rows.completed(alice)
    before = last_id(database)
    for _ in range(2):
        with database.write() as session:
            jobs.erase(session, alice, output_id)
    (event,) = events(database, since=before)
    assert (event.action, event.subject) == ("output.erased", f"output:{output_id}")


def test_what_changed_nothing_is_not_recorded(
    database: Database, admin: Caller, bob: Caller
) -> None:
    with database.write() as session:
        key = accounts.issue_key(session, admin).key
        accounts.revoke_key(session, admin, key.id)
    before = last_id(database)
    with database.write() as session:
        accounts.update_user(session, admin, bob.user_id or 0, name="Bob", active=True)
        accounts.revoke_key(session, admin, key.id)
        queues.resume(session, admin, ControlKind.QUEUE, "low")
    assert events(database, since=before) == []


def test_no_secret_is_in_the_trail(database: Database, admin: Caller, bob: Caller) -> None:
    with database.write() as session:
        accounts.set_password(session, admin, bob.user_id or 0, PASSWORD)
        made = accounts.issue_key(session, admin, user_id=bob.user_id)
    told = json.dumps([(e.action, e.subject, e.details) for e in events(database)])
    assert made.key.prefix in told
    for secret in (PASSWORD, made.text, made.text[-49:], made.key.secret_sha256, "argon2"):
        assert secret not in told


def test_a_change_says_what_was_and_what_is(database: Database, admin: Caller, bob: Caller) -> None:
    with database.write() as session:
        accounts.update_user(session, admin, bob.user_id or 0, role="admin", name="Bob")
    assert events(database)[-1].details == {"role": {"from": "member", "to": "admin"}}


def test_commands_on_the_machine_are_the_operators(database: Database) -> None:
    with database.write() as session:
        make_user(session, "eve")
    (event,) = events(database)
    assert (event.user_id, event.actor, event.request_id) == (None, "operator", None)


def test_the_requests_id_comes_along(database: Database, admin: Caller) -> None:
    with log.bound(request_id="r-1"), database.write() as session:
        audit.record(session, admin, Action.PRICE_SET, subject="x\x00y" * 200)
    event = events(database)[-1]
    assert event.request_id == "r-1"
    assert len(event.subject) == 255
    assert "\x00" not in event.subject


def test_the_trail_is_read_newest_first_and_by_kind(database: Database, admin: Caller) -> None:
    with database.write() as session:
        for name in ("one", "two"):
            audit.record(session, admin, Action.PRICE_SET, subject=name)
        audit.record(session, OPERATOR, Action.RESUMED, subject="three")
    with database.read() as session:
        page = audit.list_events(session, admin, limit=2)
        assert [event.subject for event in page.rows] == ["three", "two"]
        older = audit.list_events(session, admin, limit=2, after=page.next, action="price.set")
        assert [event.subject for event in older.rows] == ["one"]
        with pytest.raises(InvalidParameter):
            audit.list_events(session, admin, action="price.stolen")


def test_only_administrators_read_the_trail(database: Database, alice: Caller) -> None:
    with database.read() as session, pytest.raises(Forbidden):
        audit.list_events(session, alice)
