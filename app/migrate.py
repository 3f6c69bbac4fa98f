"""Brings a database to the schema this code expects, with Alembic driven from code.

The scripts live in the package `migrations`; it is named here, not imported, because it stands
above `app`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, event, text

from app.db import WRITING, make_engine
from app.errors import LLMJobsError

_LOCK = 0x6C6C6D6A  # one migration at a time on PostgreSQL: several release processes may start


def upgrade(url: str, revision: str = "head") -> str | None:
    """Apply every missing migration up to `revision`; returns the revision reached.

    Safe to run again and from several processes at once. All or nothing. Raises SQLAlchemy's
    OperationalError when the database cannot be reached.
    """
    with migrating(url) as connection:
        command.upgrade(_config(connection), revision)
        return MigrationContext.configure(connection).get_current_revision()


def downgrade(url: str, revision: str = "base") -> str | None:
    """Undo migrations down to `revision`, with the data they hold; returns the revision reached.

    Raises like `upgrade`.
    """
    with migrating(url) as connection:
        command.downgrade(_config(connection), revision)
        return MigrationContext.configure(connection).get_current_revision()


@contextmanager
def migrating(url: str) -> Iterator[Connection]:
    """A connection whose transaction may change the schema, and no other such one beside it.

    SQLite changes a table by copying it and dropping the old one; with foreign keys on, that would
    delete every row that refers to it. They are off meanwhile and checked before the commit.
    """
    engine = make_engine(url, pool_size=1)
    try:
        if engine.dialect.name == "sqlite":
            event.listen(engine, "connect", _foreign_keys_off)
        with engine.execution_options(**WRITING).begin() as connection:
            if engine.dialect.name == "postgresql":
                connection.execute(text("SELECT pg_advisory_xact_lock(:id)"), {"id": _LOCK})
            yield connection
            if engine.dialect.name == "sqlite":
                _require_no_dangling_keys(connection)
    finally:
        engine.dispose()


def current(engine: Engine) -> str | None:
    """The revision a database is at; None when it was never migrated."""
    with engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision()


def head() -> str | None:
    """The newest revision this code knows."""
    return ScriptDirectory.from_config(_config(None)).get_current_head()


def _foreign_keys_off(connection: Any, _record: Any) -> None:
    connection.execute("PRAGMA foreign_keys = OFF").close()  # ignored inside a transaction


def _require_no_dangling_keys(connection: Connection) -> None:
    dangling = connection.exec_driver_sql("PRAGMA foreign_key_check").all()
    if dangling:
        raise LLMJobsError(f"the migration would leave dangling references: {dangling[:3]}")


def _config(connection: Connection | None) -> Config:
    config = Config()
    config.set_main_option("script_location", "migrations:")
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config
