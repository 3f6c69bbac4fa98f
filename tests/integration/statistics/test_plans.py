"""Folding, scraping and the Quality page find their rows by index, with statistics and without.

They run for ever beside the jobs, on tables of any length: what they read must not grow with what
is there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from app import statistics
from app.accounts import OPERATOR, Caller
from app.statistics import quality
from app.statistics.quality import GroupBy, Selection
from app.statistics.totals import totals
from tests.integration.lifecycle.world import World, a_world
from tests.integration.statistics.counted import settle
from tests.support.databases import SQLiteDatabases
from tests.support.postgres_server import PostgresServer

ROWS = 20_000
NEW = 200
VOTES = 300
Act = Callable[[Session], Any]

FILL = [
    "UPDATE llm_outputs SET status = 'completed', fence = 1, finished_at = created_at,"
    " started_at = created_at, raw_response = 'x' WHERE id <= 18000",
    "UPDATE llm_outputs SET status = 'failed', error_code = 'refused' WHERE id % 90 = 7"
    " AND id <= 18000",
    "UPDATE llm_outputs SET feedback = 1 WHERE id % 60 = 7 AND id <= 18000",
    "INSERT INTO attempts (output_id, number, kind, outcome, started_at, finished_at)"
    " SELECT id, 1, 'answer', 'completed', created_at, finished_at"
    " FROM llm_outputs WHERE fence = 1",
]
NEWS = [
    "UPDATE llm_outputs SET status = 'completed', fence = 1, finished_at = NOW,"
    f" started_at = NOW WHERE id BETWEEN 18001 AND {18000 + NEW}",
    "INSERT INTO attempts (output_id, number, kind, outcome, started_at, finished_at)"
    " SELECT id, 1, 'answer', 'completed', created_at, NOW"
    f" FROM llm_outputs WHERE id BETWEEN 18001 AND {18000 + NEW}",
]


class Enough(Exception):
    """Ends a transaction without a commit."""


@pytest.fixture(scope="module")
def full_sqlite(
    sqlite_databases: SQLiteDatabases, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    url = sqlite_databases.migrated(tmp_path_factory.mktemp("plans") / "full.db")
    with a_world(url, durable=False) as world:
        fill(world, "strftime('%Y-%m-%d %H:%M:%f', 'now')")
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
        fill(world, "clock_timestamp()")
        yield world


@pytest.fixture(params=["without statistics", "with statistics"])
def postgres(full_postgres: World, request: pytest.FixtureRequest) -> World:
    with full_postgres.database.write() as session:
        for table in ("llm_outputs", "attempts"):
            gone = f"DELETE FROM pg_statistic WHERE starelid = '{table}'::regclass"
            session.execute(text(gone))
        if request.param == "with statistics":
            session.execute(text("ANALYZE"))
    return full_postgres


def fill(world: World, clock: str) -> None:
    """A long past that is counted, and some news that is not."""
    users = [world.user(f"user-{number}") for number in range(5)]
    for first in range(0, ROWS - NEW, 500):
        count = min(500, ROWS - NEW - first)
        world.post(count, user_id=users[first // 500 % 5], context={"text": "x" * 200})
    run(world, FILL, clock)
    settle(world)
    world.post(NEW, user_id=users[0])
    run(world, NEWS, clock)


def run(world: World, statements: list[str], clock: str) -> None:
    with world.database.write() as session:
        for statement in statements:
            session.execute(text(statement.replace("NOW", clock)))


def lately() -> Selection:
    now = datetime.now(UTC)
    return Selection(since=now - timedelta(hours=3), until=now + timedelta(minutes=5))


ONE = Caller(user_id=1, email="user-0@example.org")
FOLDS: dict[str, Act] = {
    "fold": statistics.fold,
    "look": statistics.is_there_news,
    "lag": statistics.lag_seconds,
}
READS: dict[str, Act] = {
    "totals": totals,
    "everybody": lambda session: quality.overview(session, OPERATOR, lately()),
    "one": lambda session: quality.overview(session, ONE, lately()),
    "groups": lambda session: quality.groups(session, OPERATOR, lately(), GroupBy.PROMPT),
    "users": lambda session: quality.groups(session, OPERATOR, lately(), GroupBy.USER),
}


@pytest.mark.parametrize("act", sorted(FOLDS | READS))
def test_sqlite_scans_no_table_of_jobs_or_calls(full_sqlite: World, act: str) -> None:
    plans = sqlite_plans(full_sqlite, (FOLDS | READS)[act])
    scans = re.findall(r"SCAN (?:llm_outputs|attempts)\b.*", plans)
    assert not scans
    assert not re.search(r"SCAN (?:job|call)_statistics", plans), plans


def test_sqlite_folds_by_the_indexes_made_for_it(full_sqlite: World) -> None:
    plans = sqlite_plans(full_sqlite, statistics.fold)
    for index in ("completed", "given_up"):
        assert f"USING INDEX ix_llm_outputs_{index} (finished_at>? AND finished_at<?)" in plans
    for moment in ("finished_at", "reported_at"):
        assert f"USING INDEX ix_attempts_{moment} ({moment}>? AND {moment}<?)" in plans
    assert "SEARCH llm_outputs USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)" in plans


@pytest.mark.parametrize("act", sorted(FOLDS))
def test_postgresql_reads_no_more_than_the_news(postgres: World, act: str) -> None:
    for node in nodes_on(postgres, FOLDS[act], ("llm_outputs", "attempts")):
        assert "Index" in node["Node Type"] or "Bitmap" in node["Node Type"], node
        read = node["Actual Rows"] + node.get("Rows Removed by Filter", 0)
        assert read * node["Actual Loops"] <= 2 * NEW, node


@pytest.mark.parametrize("act", sorted(READS))
def test_postgresql_reads_of_jobs_only_those_with_votes(postgres: World, act: str) -> None:
    for node in nodes_on(postgres, READS[act], ("llm_outputs", "attempts")):
        assert "Index" in node["Node Type"] or "Bitmap" in node["Node Type"], node
        read = node["Actual Rows"] + node.get("Rows Removed by Filter", 0)
        assert read * node["Actual Loops"] <= VOTES, node


def test_there_is_news_for_these_plans_to_be_about(full_sqlite: World, postgres: World) -> None:
    for world in (full_sqlite, postgres):
        heard: list[int] = []

        def count(session: Session, heard: list[int] = heard) -> None:
            heard.append(statistics.fold(session).events)
            raise Enough

        with suppress(Enough):
            world.do(count)
        assert heard == [3 * NEW]


def sqlite_plans(world: World, act: Act) -> str:
    lines: list[str] = []
    with world.database.engine.connect() as connection:
        for statement, parameters in statements(world, act):
            plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
            lines += [row.detail for row in plan]
    return "\n".join(lines)


def nodes_on(world: World, act: Act, tables: tuple[str, ...]) -> list[dict[str, Any]]:
    """The nodes of all plans that read these tables, with what they really did."""
    nodes: list[dict[str, Any]] = []
    heard = statements(world, act)
    with world.database.engine.connect() as connection, connection.begin() as transaction:
        for statement, parameters in heard:
            explain = f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}"
            (plan,) = connection.exec_driver_sql(explain, parameters).scalar_one()
            nodes += [n for n in walk(plan["Plan"]) if n.get("Relation Name") in tables]
        transaction.rollback()
    return nodes


def walk(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for child in node.get("Plans", []):
        yield from walk(child)


def statements(world: World, act: Act) -> list[tuple[str, Any]]:
    """What an act asks the database, undone afterwards."""

    def act_and_undo(session: Session) -> None:
        act(session)
        raise Enough

    with world.listening() as heard, suppress(Enough):
        world.do(act_and_undo)
    return heard
