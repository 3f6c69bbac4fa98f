"""The schema comes from migrations and is what the models say, on both databases.

What may be lost on the way is tested too: a migration is all or nothing, two at once are one, and
rows survive the way SQLite changes a table (a copy takes its place).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.operations import Operations
from sqlalchemy import Connection, Engine, inspect, text
from sqlalchemy.exc import IntegrityError

from app.db import make_engine
from app.errors import LLMJobsError
from app.migrate import current, downgrade, head, migrating, upgrade
from models import Base
from tests.integration.lifecycle.world import World, a_world


@contextmanager
def engine_of(url: str) -> Iterator[Engine]:
    engine = make_engine(url, pool_size=1)
    try:
        yield engine
    finally:
        engine.dispose()


def tables_of(url: str) -> set[str]:
    with engine_of(url) as engine:
        tables = set(inspect(engine).get_table_names()) - {"alembic_version", "sqlite_sequence"}
        return {table for table in tables if not finds_chunks(table)}


def finds_chunks(name: str | None) -> bool:
    """What a database builds of chunks to find them (`models.document.INDEX`); no table of ours."""
    return name in ("tsv", "ix_doc_chunks_tsv") or (name or "").startswith("doc_chunks_fts")


def test_an_empty_database_is_brought_to_the_newest_schema(empty_database_url: str) -> None:
    assert upgrade(empty_database_url) == head()
    assert tables_of(empty_database_url) == set(Base.metadata.tables)
    with engine_of(empty_database_url) as engine:
        assert current(engine) == head()


def test_an_upgrade_that_is_not_needed_changes_nothing(database_url: str) -> None:
    with a_world(database_url) as world:
        world.post(3)
        before = world.rows()
        assert upgrade(database_url) == head()
        assert world.rows() == before


def test_what_was_built_can_be_taken_down_and_built_again(empty_database_url: str) -> None:
    upgrade(empty_database_url)
    assert downgrade(empty_database_url) is None
    assert tables_of(empty_database_url) == set()
    assert upgrade(empty_database_url) == head()
    assert tables_of(empty_database_url) == set(Base.metadata.tables)


def test_a_database_that_was_never_migrated_says_so(empty_database_url: str) -> None:
    with engine_of(empty_database_url) as engine:
        assert current(engine) is None


@pytest.mark.parametrize("times", [4])
def test_upgrades_at_the_same_time_are_one(empty_database_url: str, times: int) -> None:
    with ThreadPoolExecutor(times) as threads:
        reached = list(threads.map(upgrade, [empty_database_url] * times))
    assert reached == [head()] * times
    assert tables_of(empty_database_url) == set(Base.metadata.tables)


def test_a_migration_is_all_or_nothing(empty_database_url: str) -> None:
    def break_off() -> None:
        with migrating(empty_database_url) as connection:
            connection.execute(text("CREATE TABLE half (id INTEGER)"))
            raise RuntimeError("the release process dies here")

    with pytest.raises(RuntimeError):
        break_off()
    assert tables_of(empty_database_url) == set()


# Models equal migrations


def test_models_equal_migrations(database_url: str) -> None:
    with engine_of(database_url) as engine, engine.connect() as connection:
        options = {"compare_type": True, "include_name": lambda name, *_: not finds_chunks(name)}
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, Base.metadata) == []


def test_checks_keys_and_partial_indexes_equal_the_models(empty_database_url: str) -> None:
    """Alembic does not compare all of these: so the models' own schema is made, and compared."""
    upgrade(empty_database_url)
    with engine_of(empty_database_url) as engine:
        migrated = details(engine)
        downgrade(empty_database_url)
        Base.metadata.create_all(engine)
        assert migrated == details(engine)


def details(engine: Engine) -> dict[str, Any]:
    found: dict[str, Any] = {}
    inspector = inspect(engine)
    for table in Base.metadata.tables:
        found[f"{table} checks"] = sorted(
            (str(c["name"]), plain(c["sqltext"])) for c in inspector.get_check_constraints(table)
        )
        found[f"{table} indexes"] = sorted(
            (str(i["name"]), i["column_names"], i["unique"], predicate(i))
            for i in inspector.get_indexes(table)
        )
        found[f"{table} keys"] = sorted(
            (str(k["name"]), k["referred_table"], sorted(k["options"].items()))
            for k in inspector.get_foreign_keys(table)
        )
        found[f"{table} uniques"] = sorted(
            (str(u["name"]), u["column_names"]) for u in inspector.get_unique_constraints(table)
        )
    return found


def predicate(index: Any) -> str:
    options = index.get("dialect_options", {})
    return plain(str(options.get("postgresql_where", options.get("sqlite_where", ""))))


def plain(sql: str) -> str:
    return re.sub(r"\s+", " ", sql).strip()


def test_the_comparison_sees_partial_indexes_and_checks(empty_sqlite_url: str) -> None:
    upgrade(empty_sqlite_url)
    with engine_of(empty_sqlite_url) as engine:
        assert ("ix_llm_outputs_leases", ["lease_expires_at"], 0, "status = 'processing'") in (
            details(engine)["llm_outputs indexes"]
        )
        assert len(details(engine)["llm_outputs checks"]) == 7


# Rows survive


def change_a_table(connection: Connection) -> None:
    """What a later migration may do; on SQLite a new table is filled and replaces the old one."""
    with Operations(MigrationContext.configure(connection)).batch_alter_table(
        "llm_outputs"
    ) as batch:
        batch.add_column(sa.Column("shade", sa.String(16), nullable=True))
        batch.alter_column("worker", type_=sa.String(300), existing_nullable=True)


def test_rows_and_what_refers_to_them_survive_a_changed_table(database_url: str) -> None:
    with a_world(database_url) as world:
        claims = world.claim(world.post(3, user_id=world.user()))
        world.end("complete", claims[0].key)
        world.post(parent_id=claims[0].output_id, root_id=claims[0].output_id)
        rows, attempts, tokens = world.snapshot()
        with migrating(database_url) as connection:
            change_a_table(connection)
        assert world.snapshot() == (rows, attempts, tokens)
        assert len(attempts) == 3
        foreign_keys_hold_again(world)


def foreign_keys_hold_again(world: World) -> None:
    with pytest.raises(IntegrityError):
        world.post(user_id=10**6)


def test_a_migration_that_would_leave_dangling_references_is_refused(sqlite_url: str) -> None:
    with a_world(sqlite_url) as world:
        (claim,) = world.claim(world.post())

        def lose_the_row() -> None:
            with migrating(sqlite_url) as connection:
                connection.execute(text("DELETE FROM llm_outputs"))

        with pytest.raises(LLMJobsError, match="dangling"):
            lose_the_row()
        assert world.row(claim.output_id).status == "processing"
