"""Brings a database to the schema this code expects, with Alembic driven from code.

The scripts live in the package `migrations`; it is named here, not imported, because it stands
above `app`.
"""

from __future__ import annotations

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, text

from app.db import make_engine

_LOCK = 0x6C6C6D6A  # one migration at a time on PostgreSQL: several release processes may start


def upgrade(url: str, revision: str = "head") -> str | None:
    """Apply every missing migration up to `revision`; returns the revision reached.

    Safe to run again and from several processes at once. Raises SQLAlchemy's OperationalError when
    the database cannot be reached.
    """
    engine = make_engine(url, pool_size=1)
    try:
        with engine.begin() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(text("SELECT pg_advisory_xact_lock(:id)"), {"id": _LOCK})
            command.upgrade(_config(connection), revision)
            return MigrationContext.configure(connection).get_current_revision()
    finally:
        engine.dispose()


def current(engine: Engine) -> str | None:
    """The revision a database is at; None when it was never migrated."""
    with engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision()


def head() -> str | None:
    """The newest revision this code knows."""
    return ScriptDirectory.from_config(_config(None)).get_current_head()


def _config(connection: Connection | None) -> Config:
    config = Config()
    config.set_main_option("script_location", "migrations:")
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config
