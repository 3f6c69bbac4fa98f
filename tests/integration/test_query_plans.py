"""The hot statements find their rows by index, among 20,000, with statistics and without.

SQLite never has statistics here, and PostgreSQL has none of a table that has just grown: that is
when a backlog forms. So plans must be right by construction.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from app import lifecycle
from app.accounts import Caller
from app.jobs import Filters, list_outputs
from app.lifecycle import Delivery, Held
from app.operations.backlog import backlog
from models import ControlKind, Queue, Role
from tests.integration.lifecycle.world import (
    World,
    a_world,
    again,
    completed,
    failed,
    release,
    retry_later,
    snoozed,
    stopped,
)
from tests.support.databases import SQLiteDatabases
from tests.support.postgres_server import PostgresServer

ROWS = 20_000
HELD = range(13_001, 13_501)
PENDING = range(13_501, ROWS + 1)
BATCH = 50

Act = Callable[[Session], Any]


class Enough(Exception):
    """Ends a transaction without a commit."""


@pytest.fixture(scope="module")
def full_sqlite(
    sqlite_databases: SQLiteDatabases, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    url = sqlite_databases.migrated(tmp_path_factory.mktemp("plans") / "full.db")
    with a_world(url, durable=False) as world:
        fill(world)
        yield world


@pytest.fixture(scope="module")
def full_postgres(postgres_server: PostgresServer, postgres_template: str) -> Iterator[World]:
    with (
        postgres_server.database(template=postgres_template) as name,
        a_world(postgres_server.url(name)) as world,
    ):
        with world.database.write() as session:
            for table in ("llm_outputs", "attempts", "users"):
                session.execute(text(f"ALTER TABLE {table} SET (autovacuum_enabled = off)"))
        fill(world)
        yield world


@pytest.fixture(params=["without statistics", "with statistics"])
def postgres(full_postgres: World, request: pytest.FixtureRequest) -> World:
    with full_postgres.database.write() as session:
        session.execute(text("DELETE FROM pg_statistic WHERE starelid = 'llm_outputs'::regclass"))
        if request.param == "with statistics":
            session.execute(text("ANALYZE"))
    return full_postgres


def fill(world: World) -> None:
    """Ended, running, waiting, scheduled, paused, late and lost rows of a few callers."""
    users = [world.user(f"user-{number}") for number in range(5)]
    for first in range(0, ROWS, 500):
        facts = {"user_id": users[first % 5], "model_name": "paused" if first > 18_000 else "gpt-4"}
        world.post(500, **facts, context={"text": "x" * 200})
    world.do(lifecycle.pause, ControlKind.MODEL, "paused")
    with world.database.write() as session:
        for statement in MIXTURE:
            session.execute(text(statement.replace("NOW", _now(world))))


def _now(world: World) -> str:
    on_sqlite = world.database.dialect == "sqlite"
    return "strftime('%Y-%m-%d %H:%M:%f', 'now')" if on_sqlite else "now()"


MIXTURE = [
    "UPDATE llm_outputs SET status = 'completed', fence = 1, finished_at = NOW, raw_response = 'x'"
    " WHERE id <= 13000",
    "UPDATE llm_outputs SET status = 'processing', fence = 1, lease_expires_at = deadline"
    " WHERE id BETWEEN 13001 AND 13500",
    "UPDATE llm_outputs SET lease_expires_at = created_at WHERE id BETWEEN 13001 AND 13010",
    "UPDATE llm_outputs SET run_at = deadline WHERE id BETWEEN 13501 AND 17000",
    "UPDATE llm_outputs SET woken_at = created_at WHERE id BETWEEN 17001 AND 17200",
    "UPDATE llm_outputs SET woken_at = deadline WHERE id BETWEEN 17201 AND 17500",
    "UPDATE llm_outputs SET deadline = created_at WHERE id BETWEEN 17501 AND 17510",
    "INSERT INTO attempts (output_id, number, kind, outcome, started_at)"
    " SELECT id, 1, 'answer', CASE status WHEN 'completed' THEN 'completed' ELSE 'running' END, NOW"
    " FROM llm_outputs WHERE fence = 1",
]


# What is asked

KEYS = [(output_id, 1) for output_id in HELD[100 : 100 + BATCH]]


def _claim(session: Session) -> Any:
    ids = PENDING[4000 : 4000 + BATCH]
    query = text("SELECT id, job_id FROM llm_outputs WHERE id BETWEEN :low AND :high")
    rows = session.execute(query, {"low": ids[0], "high": ids[-1]})
    deliveries = [Delivery(row.id, row.job_id) for row in rows]
    return lifecycle.claim(session, deliveries, worker="w", lease_seconds=60)


def _renew(session: Session) -> Any:
    return lifecycle.renew(session, [Held(*key) for key in KEYS], lease_seconds=60)


BY_ID: dict[str, Act] = {
    "claim": _claim,
    "renew": _renew,
    "again": lambda session: lifecycle.again(session, [again(key) for key in KEYS]),
    "release": lambda session: lifecycle.release(session, [release(key) for key in KEYS]),
    "complete": lambda session: lifecycle.complete(session, [completed(key) for key in KEYS]),
    "retry_later": lambda session: lifecycle.retry_later(session, [retry_later(k) for k in KEYS]),
    "snooze": lambda session: lifecycle.snooze(session, [snoozed(key) for key in KEYS]),
    "fail": lambda session: lifecycle.fail(session, [failed(key) for key in KEYS]),
    "stop": lambda session: lifecycle.stop(session, [stopped(key) for key in KEYS]),
    "cancel": lambda session: lifecycle.cancel(session, PENDING[:BATCH]),
    "advance": lambda session: lifecycle.advance(session, PENDING[:BATCH]),
    "mark_woken": lambda session: lifecycle.mark_woken(session, PENDING[:BATCH]),
}
"""Verbs that are told which rows: they look them up by id, and look at no others."""


def _list(caller: Caller, filters: Filters, session: Session) -> Any:
    return list_outputs(session, caller, filters)


BY_INDEX: dict[str, tuple[str, Act]] = {
    "rescue": ("ix_llm_outputs_leases", lifecycle.rescue),
    "expire": ("ix_llm_outputs_deadline", lifecycle.expire),
    "lost messages": (
        "ix_llm_outputs_sent",
        lambda session: lifecycle.due_rows(session, "default", room=20, rewake_seconds=0),
    ),
    "unsent rows": (
        "ix_llm_outputs_unsent",
        lambda session: lifecycle.due_rows(session, "default", room=300, rewake_seconds=0),
    ),
    "anything due": (
        "ix_llm_outputs_sent",
        lambda session: lifecycle.anything_due(session, "default", rewake_seconds=0),
    ),
    "older waiting": (
        "ix_llm_outputs_unsent",
        lambda session: lifecycle.has_older_waiting(session, 1, "default"),
    ),
}
"""Searches: each has an index made for it."""


@pytest.mark.parametrize("verb", sorted(BY_ID))
def test_sqlite_looks_rows_up_by_id(full_sqlite: World, verb: str) -> None:
    plans = sqlite_plans(full_sqlite, BY_ID[verb])
    assert accesses(plans, "llm_outputs") <= {"USING INTEGER PRIMARY KEY"}
    assert accesses(plans, "attempts") <= {"USING INDEX sqlite_autoindex_attempts_1"}
    assert "llm_outputs" in plans


@pytest.mark.parametrize("search", sorted(BY_INDEX))
def test_sqlite_searches_by_index(full_sqlite: World, search: str) -> None:
    index, act = BY_INDEX[search]
    plans = sqlite_plans(full_sqlite, act)
    assert f"USING INDEX {index}" in plans or f"USING COVERING INDEX {index}" in plans
    assert "SCAN llm_outputs" not in plans
    assert "TEMP B-TREE" not in plans


def test_sqlite_hops_from_lane_to_lane(full_sqlite: World) -> None:
    plans = sqlite_plans(full_sqlite, BY_INDEX["unsent rows"][1])
    assert "(queue=? AND user_id=? AND bucket=? AND model_name>?)" in plans
    assert "(queue=? AND user_id=? AND bucket>?)" in plans
    assert "(queue=? AND user_id>?)" in plans
    assert ")>(" not in plans  # such a search begins at the lane's own rows, and passes over them
    assert "(queue=? AND user_id=? AND bucket=? AND model_name=? AND run_at<?)" in plans


@pytest.mark.parametrize("verb", sorted(BY_ID))
def test_postgresql_looks_rows_up_by_id(postgres: World, verb: str) -> None:
    nodes = nodes_on(postgres, BY_ID[verb], "llm_outputs")
    # A bitmap heap scan reads what the index scan below it has found.
    used = {n.get("Index Name") for n in nodes if n["Node Type"] != "Bitmap Heap Scan"}
    assert used == {"pk_llm_outputs"}


@pytest.mark.parametrize("search", sorted(BY_INDEX))
def test_postgresql_searches_by_index(postgres: World, search: str) -> None:
    index, act = BY_INDEX[search]
    nodes = nodes_on(postgres, act, "llm_outputs")
    assert index in {node.get("Index Name") for node in nodes}
    assert {node["Node Type"] for node in nodes} <= {
        "Index Scan",
        "Index Only Scan",
        "Bitmap Heap Scan",
        "Bitmap Index Scan",
    }


@pytest.mark.parametrize("search", sorted(BY_INDEX))
def test_postgresql_reads_no_more_rows_than_it_uses(postgres: World, search: str) -> None:
    """However many rows are scheduled, paused or running: a search passes over few of them."""
    for node in nodes_on(postgres, BY_INDEX[search][1], "llm_outputs"):
        assert node.get("Rows Removed by Filter", 0) * node["Actual Loops"] <= 200, node


def sqlite_plans(world: World, act: Act) -> str:
    lines: list[str] = []
    with world.database.engine.connect() as connection:
        for statement, parameters in statements(world, act):
            plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
            lines += [row.detail for row in plan]
    return "\n".join(lines)


def accesses(plans: str, table: str) -> set[str]:
    """How a table is reached: `USING …`, or `everything` where it is scanned."""
    found = re.findall(rf"(?:SEARCH|SCAN) {table}\b *(USING [^(]*\w)?", plans)
    return {access or "everything" for access in found}


def nodes_on(world: World, act: Act, table: str) -> list[dict[str, Any]]:
    """The nodes of all plans that read a table, with what they really did."""
    nodes: list[dict[str, Any]] = []
    heard = statements(world, act)
    with world.database.engine.connect() as connection, connection.begin() as transaction:
        for statement, parameters in heard:
            explain = f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}"
            (plan,) = connection.exec_driver_sql(explain, parameters).scalar_one()
            nodes += [node for node in walk(plan["Plan"]) if reads(node, table)]
        transaction.rollback()
    return nodes


def walk(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for child in node.get("Plans", []):
        yield from walk(child)


def reads(node: dict[str, Any], table: str) -> bool:
    of_index = node["Node Type"] == "Bitmap Index Scan" and table in node.get("Index Name", "")
    return of_index or (node.get("Relation Name") == table and "Scan" in node["Node Type"])


def statements(world: World, act: Act) -> list[tuple[str, Any]]:
    """What an act asks the database, undone afterwards."""

    def act_and_undo(session: Session) -> None:
        act(session)
        raise Enough

    with world.listening() as heard, suppress(Enough):
        world.do(act_and_undo)
    return [(s, p) for s, p in heard if "llm_outputs" in s or "attempts" in s]


# Lists

ADMIN = Caller(user_id=None, email="", role=Role.ADMIN)
MEMBER = Caller(user_id=1, email="user-0@example.org")
HOUR_AGO = datetime.now(UTC) - timedelta(hours=1)

LISTS: dict[str, tuple[str, Act]] = {
    name: (index, partial(_list, caller, Filters(**filters, all_users=caller is ADMIN)))
    for name, index, caller, filters in [
        ("failed", "ix_llm_outputs_failed", ADMIN, {"status": "failed"}),
        ("failed with an error", "ix_llm_outputs_failed", ADMIN, {"error_code": "timeout"}),
        ("cancelled", "ix_llm_outputs_cancelled", ADMIN, {"status": "cancelled"}),
        ("liked", "ix_llm_outputs_voted", ADMIN, {"feedback": "thumbs_up"}),
        ("running", "ix_llm_outputs_leases", ADMIN, {"status": "processing"}),
        ("own", "ix_llm_outputs_user_id_id", MEMBER, {}),
        ("own running", "ix_llm_outputs_user_id_status_id", MEMBER, {"status": "processing"}),
        ("own failed", "ix_llm_outputs_user_id_status_id", MEMBER, {"status": "failed"}),
    ]
}
"""Lists people open: each page is read off an index, in order."""


@pytest.mark.parametrize("name", sorted(LISTS))
def test_sqlite_reads_a_page_of_a_list_off_an_index(full_sqlite: World, name: str) -> None:
    index, act = LISTS[name]
    plans = sqlite_plans(full_sqlite, act)
    assert f"INDEX {index}" in plans
    assert not re.search(r"SCAN llm_outputs(?! USING)", plans)
    assert "TEMP B-TREE FOR ORDER BY" not in plans


def test_sqlite_reads_no_row_that_is_older_than_the_time_asked_for(full_sqlite: World) -> None:
    act = partial(_list, ADMIN, Filters(created_after=HOUR_AGO, all_users=True))
    plans = sqlite_plans(full_sqlite, act)
    assert "USING INTEGER PRIMARY KEY (rowid>?)" in plans
    assert "TEMP B-TREE" not in plans


def test_sqlite_counts_a_backlog_off_its_indexes(full_sqlite: World) -> None:
    plans = sqlite_plans(full_sqlite, lambda session: backlog(session, Queue.DEFAULT))
    assert "INDEX ix_llm_outputs_unsent" in plans
    assert "INDEX ix_llm_outputs_sent" in plans
    assert "SCAN llm_outputs" not in plans


@pytest.mark.parametrize("name", ["failed", "cancelled", "running"])
def test_postgresql_reads_rare_rows_off_their_index(postgres: World, name: str) -> None:
    index, act = LISTS[name]
    nodes = nodes_on(postgres, act, "llm_outputs")
    assert index in {node.get("Index Name") for node in nodes}


def test_postgresql_counts_a_backlog_off_its_indexes(postgres: World) -> None:
    nodes = nodes_on(postgres, lambda session: backlog(session, Queue.DEFAULT), "llm_outputs")
    assert "Seq Scan" not in {node["Node Type"] for node in nodes}


def test_the_table_holds_what_these_plans_are_about(full_sqlite: World) -> None:
    with full_sqlite.database.read() as session:
        counts = session.execute(text("SELECT status, count(*) FROM llm_outputs GROUP BY status"))
        assert {row[0]: row[1] for row in counts} == {
            "completed": HELD[0] - 1,
            "processing": len(HELD),
            "pending": len(PENDING),
        }
