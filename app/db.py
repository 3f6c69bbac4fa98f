"""The database: one engine per process, transactions opened by the caller.

`read()` and `write()` give a Session inside one transaction; `write()` commits at the end. On
SQLite a writing transaction starts with BEGIN IMMEDIATE, because a read that upgrades to a write
fails at once whatever the busy time-out (measured, `docs/explanation/design.md`). No transaction
stays open across a provider call or a publish.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError, InterfaceError, OperationalError, TimeoutError
from sqlalchemy.orm import Session
from sqlalchemy.pool import QueuePool
from tenacity import retry, retry_if_exception, stop_after_delay, wait_random

from app.errors import ConfigurationError, Unavailable

BUSY_TIMEOUT_SECONDS = 10
WRITING = {"llm_jobs_writing": True}
"""Execution options of a connection whose transactions write."""

_FORMS = "use sqlite:///path/to/file.db or postgresql://host/name"
_SQLITE_REFUSALS = (sqlite3.SQLITE_ERROR, sqlite3.SQLITE_TOOBIG)
"""What SQLite says of a statement that will never succeed."""

_LAST_ACTS = "llm_jobs_last_acts"


class Database:
    """An engine and the two ways to use it."""

    def __init__(self, url: str, *, pool_size: int = 10) -> None:
        self.engine = make_engine(url, pool_size=pool_size)

    @property
    def dialect(self) -> str:
        """`sqlite` or `postgresql`."""
        return self.engine.dialect.name

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A session for reading. What it changes is thrown away.

        Raises Unavailable when the database cannot be reached.
        """
        with self._session(self.engine) as session:
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """A session in a writing transaction, committed when the block ends without an error.

        Raises Unavailable when the database cannot be reached or is full.
        """
        with self._session(self.engine.execution_options(**WRITING)) as session:
            session.info[_LAST_ACTS] = []
            yield session
            for act in session.info.pop(_LAST_ACTS):
                act(session)
            session.commit()

    @contextmanager
    def _session(self, engine: Engine) -> Iterator[Session]:
        try:
            with Session(engine, expire_on_commit=False) as session:
                yield session
        except TimeoutError as error:
            raise Unavailable("Every database connection is in use") from error
        except DBAPIError as error:
            if _is_away(error):
                raise Unavailable("The database is not available") from error
            raise

    def ping(self) -> None:
        """Ask the database for nothing. Raises Unavailable."""
        with self.read() as session:
            session.execute(text("SELECT 1"))

    def dispose(self) -> None:
        """Close every pooled connection."""
        self.engine.dispose()


def before_commit(session: Session, act: Callable[[Session], None]) -> None:
    """Do `act` as the last thing of this writing transaction, so that what it locks is held least.

    In a session that was not opened by `Database.write` it is done at once.
    """
    acts: list[Callable[[Session], None]] | None = session.info.get(_LAST_ACTS)
    if acts is None:
        act(session)
    else:
        acts.append(act)


def _is_away(error: DBAPIError) -> bool:
    """Would the same statement succeed later? Not when it is the data that is too much (54...),
    nor when it is the statement: SQLite's driver calls that an operational error, too.
    """
    if (getattr(error.orig, "sqlstate", None) or "").startswith("54"):
        return False
    if getattr(error.orig, "sqlite_errorcode", None) in _SQLITE_REFUSALS:
        return False
    return isinstance(error, (OperationalError, InterfaceError)) or error.connection_invalidated


def make_engine(url: str, *, pool_size: int = 10) -> Engine:
    """An engine for a SQLite or PostgreSQL URL; raises ConfigurationError for any other."""
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise ConfigurationError(f"DATABASE_URL is no URL: {_FORMS}") from None
    backend = parsed.get_backend_name()
    if backend in ("postgres", "postgresql"):
        return create_engine(
            parsed.set(drivername="postgresql+psycopg"),
            hide_parameters=True,  # an error's text ends in logs; prompts do not
            poolclass=QueuePool,
            pool_size=pool_size,
            max_overflow=pool_size,
            pool_timeout=5,
            pool_pre_ping=True,
            connect_args={
                "connect_timeout": 5,
                "application_name": "llm-jobs",
                "keepalives_idle": 15,
                "keepalives_interval": 5,
                "keepalives_count": 3,
                # A plan prepared while a table was small would be kept when it has grown
                # (measured: a claim took 20 times as long), and poolers dislike them.
                "prepare_threshold": None,
            },
        )
    if backend == "sqlite":
        return _sqlite_engine(parsed.render_as_string(hide_password=False), pool_size=pool_size)
    raise ConfigurationError(f"DATABASE_URL names {backend!r}: {_FORMS}")


def _sqlite_engine(url: str, *, pool_size: int) -> Engine:
    path = make_url(url).database
    if not path or path == ":memory:":
        raise ConfigurationError("DATABASE_URL: SQLite needs a file, such as sqlite:///var/app.db")
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(
        url,
        hide_parameters=True,
        poolclass=QueuePool,
        pool_size=pool_size,
        max_overflow=pool_size,
        pool_timeout=5,
        connect_args={"timeout": BUSY_TIMEOUT_SECONDS, "check_same_thread": False},
    )
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # we say BEGIN ourselves
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_SECONDS * 1000}")
    _write_ahead(cursor)
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.close()


def _is_busy(error: BaseException) -> bool:
    code = getattr(error, "sqlite_errorcode", None)
    return isinstance(error, sqlite3.OperationalError) and code == sqlite3.SQLITE_BUSY


@retry(
    retry=retry_if_exception(_is_busy),
    stop=stop_after_delay(BUSY_TIMEOUT_SECONDS),
    wait=wait_random(0.01, 0.05),
    reraise=True,
)
def _write_ahead(cursor: Any) -> None:
    """Of several who open a new file at once one changes its mode; to the others SQLite says that
    it is locked, without the patience of `busy_timeout`.
    """
    cursor.execute("PRAGMA journal_mode = WAL")


def _begin_sqlite(connection: Connection) -> None:
    writing = WRITING.items() <= connection.get_execution_options().items()
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")
