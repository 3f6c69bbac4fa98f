"""The outputs list costs as much among a hundred thousand rows as among five thousand.

On SQLite the work is counted in steps of its machine, which no load on this one changes; on
PostgreSQL no plan may read the whole table, with statistics and without.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import event, text
from sqlalchemy.orm import Session

from app import accounts
from app.accounts import Caller
from app.db import Database
from app.jobs import Filters
from app.jobs.lines import MOST_IN_A_TAB, count_newer, count_states, lines_of, list_lines
from app.paging import cursor
from models import Role, Status
from tests.support.databases import SQLiteDatabases
from tests.support.many_rows import fill
from tests.support.postgres_server import PostgresServer

FEW, MANY = 5_000, 100_000
STEPS_A_ROW = 15
"""What counting a row costs at most."""

GRAIN = 10
"""Steps are counted in tens."""

Ask = Callable[[Session, Caller], Any]


def owner(database: Database) -> Caller:
    with database.write() as session:
        return accounts.caller_of(
            accounts.create_user(session, email="a@example.org", role=Role.ADMIN)
        )


def _list(**filters: Any) -> Ask:
    return lambda session, caller: list_lines(session, caller, Filters(**filters), limit=25)


def _second_page(session: Session, caller: Caller) -> Any:
    return list_lines(session, caller, Filters(), limit=25, after=cursor(FEW - 100))


QUESTIONS: dict[str, Ask] = {
    "first page": _list(),
    "later page": _second_page,
    "everybody's": _list(all_users=True),
    "failed": _list(status="failed"),
    "pending": _list(status="pending"),
    "completed": _list(status="completed"),
    "liked": _list(feedback="thumbs_up"),
    "everybody's failed": _list(status="failed", all_users=True),
    "everybody's cancelled": _list(status="cancelled", all_users=True),
    "everybody's liked": _list(feedback="thumbs_up", all_users=True),
    "a common model": _list(model="model-3"),
    "rows again": lambda session, caller: lines_of(session, caller, list(range(500, 525))),
}

COUNTS: dict[str, Ask] = {
    "own": lambda session, caller: count_states(session, caller, Filters()),
    "everybody's": lambda session, caller: count_states(session, caller, Filters(all_users=True)),
    "newer": lambda session, caller: count_newer(session, caller, Filters(), than=10, cap=900),
}


# SQLite


@pytest.fixture(scope="module")
def steps(
    sqlite_databases: SQLiteDatabases, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, list[int]]:
    """How much work each question was: among few rows, half of many, and many."""
    url = sqlite_databases.migrated(tmp_path_factory.mktemp("growth") / "x.db")
    database = Database(url)
    caller = owner(database)
    found: dict[str, list[int]] = {}
    for first, last in ((1, FEW), (FEW + 1, MANY // 2), (MANY // 2 + 1, MANY)):
        fill(database, caller.user_id or 0, first, last)
        for name, ask in {**QUESTIONS, **{f"count {n}": a for n, a in COUNTS.items()}}.items():
            found.setdefault(name, []).append(_steps(database, caller, ask))
    database.dispose()
    return found


def _steps(database: Database, caller: Caller, ask: Ask) -> int:
    taken = 0

    def step() -> int:
        nonlocal taken
        taken += 1
        return 0

    with database.read() as session:
        connection: Any = session.connection().connection.dbapi_connection
        connection.set_progress_handler(step, GRAIN)
        try:
            ask(session, caller)
        finally:
            connection.set_progress_handler(None, 0)
    return taken * GRAIN


@pytest.mark.parametrize("name", QUESTIONS)
def test_a_page_is_as_much_work_among_many_rows_as_among_few(
    steps: dict[str, list[int]], name: str
) -> None:
    few, _, many = steps[name]
    assert many <= 2 * few + 200


@pytest.mark.parametrize("name", COUNTS)
def test_counting_ends_at_a_thousand_of_a_state(steps: dict[str, list[int]], name: str) -> None:
    *_, many = steps[f"count {name}"]
    assert many <= STEPS_A_ROW * len(Status) * MOST_IN_A_TAB


# PostgreSQL


@pytest.fixture(scope="module")
def postgres(
    postgres_server: PostgresServer, postgres_template: str
) -> Iterator[tuple[Database, Caller]]:
    with postgres_server.database(template=postgres_template) as name:
        database = Database(postgres_server.url(name))
        with database.write() as session:
            session.execute(text("ALTER TABLE llm_outputs SET (autovacuum_enabled = off)"))
        caller = owner(database)
        fill(database, caller.user_id or 0, 1, MANY)
        yield database, caller
        database.dispose()


@pytest.mark.parametrize(
    ("name", "statistics"),
    [
        (name, statistics)
        for name in QUESTIONS
        for statistics in (False, True)
        # Without statistics PostgreSQL takes half the rows for liked: a small table is read whole.
        if statistics or name != "everybody's liked"
    ],
)
def test_no_page_reads_the_whole_table(
    postgres: tuple[Database, Caller], name: str, statistics: bool
) -> None:
    database, caller = postgres
    with database.write() as session:
        session.execute(text("DELETE FROM pg_statistic WHERE starelid = 'llm_outputs'::regclass"))
        if statistics:
            session.execute(text("ANALYZE llm_outputs"))
    asked: list[tuple[str, Any]] = []

    def note(_c: Any, _u: Any, statement: str, parameters: Any, *_: Any) -> None:
        if "llm_outputs" in statement:
            asked.append((statement, parameters))

    event.listen(database.engine, "before_cursor_execute", note)
    with database.read() as session:
        QUESTIONS[name](session, caller)
    event.remove(database.engine, "before_cursor_execute", note)
    assert asked
    with database.read() as session:
        for statement, parameters in asked:
            plan = session.connection().exec_driver_sql(f"EXPLAIN {statement}", parameters)
            told = "\n".join(row[0] for row in plan)
            assert "Seq Scan on llm_outputs" not in told, told
