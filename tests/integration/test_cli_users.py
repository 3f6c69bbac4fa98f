"""`llm-jobs users`, as a shell sees it: real processes on a database of their own."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import update

from app import lifecycle
from app.accounts.passwords import check_password
from app.db import Database
from app.errors import Unauthenticated
from app.lifecycle import NewJob
from models import AuditEvent, LLMOutput, User
from tests.integration.test_cli import OK, USAGE, Done, Shell
from tests.support.databases import SQLiteDatabases

PASSWORD = "correct horse battery"


@pytest.fixture
def database(sqlite_databases: SQLiteDatabases, tmp_path: Path) -> Iterator[Database]:
    database = Database(sqlite_databases.migrated(tmp_path / "llm_jobs.db"))
    yield database
    database.dispose()


@pytest.fixture
def shell(database: Database, tmp_path: Path) -> Shell:
    url = database.engine.url.render_as_string(hide_password=False)
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "DATABASE_URL": url}
    return Shell(tmp_path, env | {"LANG": "C.UTF-8"})


def signed_in(database: Database, password: str) -> User:
    return check_password(database, "ada@example.org", password)


def make_ada(shell: Shell) -> Done:
    return shell("users", "create", "--email", "Ada@example.org", "--name", "Ada", "--admin")


def test_a_user_is_made_and_listed(shell: Shell) -> None:
    made = make_ada(shell)
    assert (made.status, made.out) == (OK, "1\n")
    assert "ada@example.org (admin)" in made.err
    shell("users", "create", "--email", "bob@example.org")
    bob, ada = shell("users", "list", "--json").json
    assert (ada["email"], ada["name"], ada["role"]) == ("ada@example.org", "Ada", "admin")
    assert (bob["role"], bob["password"], bob["active"]) == ("member", "none", True)
    assert shell("users", "list").out.splitlines()[0].split("\t")[:2] == ["id", "email"]


def test_a_user_that_cannot_be_is_bad_usage_and_none_is_made(shell: Shell) -> None:
    make_ada(shell)
    for email in ("ada@example.org", "no address", ""):
        refused = shell("users", "create", "--email", email)
        assert (refused.status, refused.out) == (USAGE, "")
    assert shell("users", "create").status == USAGE
    assert len(shell("users", "list", "--json").json) == 1


def test_a_password_is_read_from_standard_input(shell: Shell, database: Database) -> None:
    make_ada(shell)
    done = shell("users", "set-password", "ADA@example.org", stdin=f"{PASSWORD}\n".encode())
    assert (done.status, done.out) == (OK, "")
    assert signed_in(database, PASSWORD).name == "Ada"
    assert PASSWORD not in done.err
    assert shell("users", "list", "--json").json[0]["password"] == "set"


def test_a_made_up_password_is_printed_and_only_it(shell: Shell, database: Database) -> None:
    make_ada(shell)
    done = shell("users", "set-password", "ada@example.org", "--generate")
    (password,) = done.out.splitlines()
    assert signed_in(database, password).email == "ada@example.org"
    assert password not in done.err
    assert shell("users", "set-password", "ada@example.org", "--generate").out != done.out
    with pytest.raises(Unauthenticated):
        signed_in(database, password)


@pytest.mark.parametrize("sent", [b"", b"short\n", b"\xff" * 20, b"x" * 201])
def test_a_password_that_cannot_be_is_bad_usage_and_changes_nothing(
    shell: Shell, database: Database, sent: bytes
) -> None:
    make_ada(shell)
    shell("users", "set-password", "ada@example.org", stdin=PASSWORD.encode())
    refused = shell("users", "set-password", "ada@example.org", stdin=sent)
    assert (refused.status, refused.out) == (USAGE, "")
    assert signed_in(database, PASSWORD)


def test_nobody_gets_no_password(shell: Shell) -> None:
    refused = shell("users", "set-password", "eve@example.org", "--generate")
    assert (refused.status, refused.out) == (USAGE, "")
    assert "Unknown user: eve@example.org" in refused.err


def test_what_was_done_on_the_machine_is_in_the_trail(shell: Shell, database: Database) -> None:
    make_ada(shell)
    done = shell("users", "set-password", "ada@example.org", "--generate")
    with database.read() as session:
        found = session.query(AuditEvent).order_by(AuditEvent.id).all()
    acts = [(event.actor, event.action, event.subject) for event in found]
    assert acts == [
        ("operator", "user.created", "user:1"),
        ("operator", "user.password_set", "user:1"),
    ]
    assert done.out.strip() not in json.dumps([event.details for event in found])


def test_a_person_is_erased_by_address_and_known_by_number_afterwards(
    shell: Shell, database: Database
) -> None:
    make_ada(shell)
    shell("users", "create", "--email", "bob@example.org", "--name", "Bob")
    unsure = shell("users", "erase", "bob@example.org", stdin=b"n\n")
    assert unsure.status != OK
    assert shell("users", "erase", "nobody@example.org", "--yes").status == USAGE
    done = shell("users", "erase", "Bob@example.org", "--yes")
    assert (done.status, done.out) == (OK, "")
    assert "user 2 is erased" in done.err
    with database.read() as session:
        assert session.get_one(User, 2).email == "erased-2@erased.invalid"
    assert shell("users", "erase", "2", "--yes").status == OK


def test_old_jobs_are_counted_then_forgotten(shell: Shell, database: Database) -> None:
    facts = {"template_name": "t", "model_name": "m", "max_tries": 1, "max_age_seconds": 60}
    with database.write() as session:
        made = lifecycle.create(session, [NewJob(**facts) for _ in range(3)])
        ids = sorted(job.output_id for job in made.values())
        lifecycle.cancel(session, ids)
        long_ago = {"finished_at": datetime(2020, 1, 1, tzinfo=UTC)}
        session.execute(update(LLMOutput).where(LLMOutput.id.in_(ids[:2])).values(long_ago))
    assert shell("prune").status == USAGE
    assert shell("prune", "--texts-days", "0").status == USAGE
    counted = shell("prune", "--texts-days", "30", "--dry-run", "--json")
    assert counted.json == {"texts": 2, "rows": 0, "chats": 0}
    assert shell("prune", "--texts-days", "30").out.startswith("2 jobs lost their texts")
    assert shell("prune", "--texts-days", "30", "--json").json["texts"] == 0
