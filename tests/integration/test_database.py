"""The engine and its transactions: who waits for whom, and what is said when it cannot go on."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, func, select, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

import app.db
from app import lifecycle
from app.db import Database, before_commit
from app.errors import ConfigurationError, Unavailable
from models import LLMOutput, Status
from tests.integration.lifecycle.world import World, a_world, new_job, together
from tests.support.processes import run_process

STORM = Path(__file__).with_name("sqlite_storm.py")


@pytest.fixture
def world(database_url: str) -> Iterator[World]:
    with a_world(database_url) as world:
        yield world


@pytest.fixture
def sqlite(sqlite_url: str) -> Iterator[World]:
    with a_world(sqlite_url) as world:
        yield world


def count(session: Session) -> int:
    return session.scalar(select(func.count()).select_from(LLMOutput)) or 0


# Transactions


def test_what_is_written_is_committed_at_the_end(world: World) -> None:
    with world.database.write() as session:
        lifecycle.create(session, [new_job()])
    with world.database.read() as session:
        assert count(session) == 1


def test_what_a_reader_changes_is_thrown_away(world: World) -> None:
    with world.database.read() as session:
        lifecycle.create(session, [new_job()])
    with world.database.read() as session:
        assert count(session) == 0


def test_an_error_undoes_the_whole_transaction(world: World) -> None:
    def post_and_break_off(session: Session) -> None:
        lifecycle.create(session, [new_job()])
        raise RuntimeError("broken off")

    with pytest.raises(RuntimeError):
        world.do(post_and_break_off)
    with world.database.read() as session:
        assert count(session) == 0


def test_last_acts_come_last_and_only_when_all_went_well(world: World) -> None:
    told: list[str] = []

    def act(session: Session, *, fails: bool = False) -> None:
        before_commit(session, lambda _: told.append("last"))
        told.append("first")
        if fails:
            raise RuntimeError("broken off")

    world.do(act)
    assert told == ["first", "last"]
    with pytest.raises(RuntimeError):
        world.do(act, fails=True)
    assert told == ["first", "last", "first"]


def test_last_acts_of_any_other_session_are_done_at_once(world: World) -> None:
    told: list[str] = []
    with Session(world.database.engine) as session:
        before_commit(session, lambda _: told.append("done"))
        assert told == ["done"]


# SQLite


def test_every_writing_transaction_takes_the_write_lock_first(sqlite: World) -> None:
    begun: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        if statement.startswith("BEGIN"):
            begun.append(statement)

    event.listen(sqlite.database.engine, "before_cursor_execute", note)
    (claim,) = sqlite.claim(sqlite.post())
    sqlite.end("complete", claim.key)
    assert begun == ["BEGIN IMMEDIATE"] * 3
    sqlite.row(claim.output_id)
    assert begun[3:] == ["BEGIN"]


def test_a_reader_blocks_no_writer_and_sees_one_moment(sqlite: World) -> None:
    sqlite.post()
    with sqlite.database.read() as reader:
        assert count(reader) == 1
        together(lambda: sqlite.post(5), lambda: sqlite.post(5))
        assert count(reader) == 1
    assert len(sqlite.rows()) == 11


def test_a_writer_blocks_no_reader(sqlite: World) -> None:
    with sqlite.database.write() as writer:
        lifecycle.create(writer, [new_job()])
        (seen,) = together(sqlite.rows)
        assert seen == {}
    assert len(sqlite.rows()) == 1


def test_a_writer_that_waits_too_long_says_unavailable(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app.db, "BUSY_TIMEOUT_SECONDS", 0.05)
    with a_world(sqlite_url) as world, world.database.write() as session:
        lifecycle.create(session, [new_job()])
        with pytest.raises(Unavailable):
            together(world.post)


@pytest.mark.fault("F10", "four processes storm SQLite's lock")
def test_four_processes_storming_the_write_lock_are_never_told_it_is_locked(
    empty_sqlite_url: str,
) -> None:
    """From nothing: they also migrate all at once."""
    rounds = 60
    with ExitStack() as stack:
        storm = [
            stack.enter_context(
                run_process([sys.executable, str(STORM), empty_sqlite_url, name, str(rounds)])
            )
            for name in "abcd"
        ]
        endings = [(process.wait(timeout=90), process.output) for process in storm]
    assert endings == [(0, f"{rounds} completed\n")] * 4
    with a_world(empty_sqlite_url) as world:
        assert {row.status for row in world.rows().values()} == {Status.COMPLETED}
        assert len(world.rows()) == 4 * rounds


@pytest.mark.fault("F9", "the disk is full when an answer is written")
def test_a_full_disk_is_unavailable_and_takes_nothing_away(sqlite_url: str) -> None:
    with a_world(sqlite_url) as world:
        (held,) = world.claim(world.post())
        event.listen(world.database.engine, "connect", _small_disk)
        world.database.engine.dispose()
        accepted = [held.output_id]

        def post_until_it_is_full() -> None:
            while len(accepted) < 1000:
                accepted.extend(made.output_id for made in world.post(context={"x": "x" * 10_000}))

        with pytest.raises(Unavailable):
            post_until_it_is_full()
        assert sorted(world.rows()) == accepted
        event.remove(world.database.engine, "connect", _small_disk)
        world.database.engine.dispose()
        assert world.end("complete", held.key) == {held.key}


def _small_disk(connection: Any, _record: Any) -> None:
    connection.execute("PRAGMA max_page_count = 120").close()


def test_a_database_that_is_no_file_is_refused() -> None:
    for url in ("sqlite://", "sqlite:///:memory:", "mysql://localhost/jobs"):
        with pytest.raises(ConfigurationError, match="DATABASE_URL"):
            Database(url)


# PostgreSQL


def test_a_server_that_is_away_is_unavailable() -> None:
    database = Database("postgresql://postgres@127.0.0.1:1/nowhere")
    with pytest.raises(Unavailable):
        database.ping()
    database.dispose()


def test_a_lost_connection_is_unavailable_and_the_next_one_works(postgres_url: str) -> None:
    with a_world(postgres_url) as world:

        def lose_the_connection(session: Session) -> None:
            (pid,) = session.execute(text("SELECT pg_backend_pid()")).one()
            together(lambda: world.do(_terminate, pid))
            lifecycle.create(session, [new_job()])

        with pytest.raises(Unavailable):
            world.do(lose_the_connection)
        assert len(world.post()) == 1


def _terminate(session: Session, pid: int) -> None:
    session.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": pid})


def test_data_that_is_too_much_is_the_datas_fault(postgres_url: str) -> None:
    """Else a writer would wait for ever for a database that is there."""
    with a_world(postgres_url) as world:

        def nest_too_deep(session: Session) -> None:
            session.execute(text("SELECT CAST(repeat('[', 100000) AS json)"))

        with pytest.raises(OperationalError, match="stack depth"):
            world.do(nest_too_deep)


def test_no_plan_outlives_its_statement(postgres_url: str) -> None:
    """One made while the table was small would be kept when it has grown."""
    with a_world(postgres_url) as world:
        for _ in range(10):
            world.claim(world.post())
        with world.database.read() as session:
            assert session.scalar(text("SELECT count(*) FROM pg_prepared_statements")) == 0


def test_a_pool_that_is_used_up_is_unavailable(world: World) -> None:
    pool: Any = world.database.engine.pool
    pool._timeout = 0.05
    with ExitStack() as stack:
        for _ in range(20):
            stack.enter_context(world.database.engine.connect())
        with pytest.raises(Unavailable):
            world.rows()
