"""The horizon: the moment before which no row can still appear.

A row carries the time at which a statement wrote it, but is seen only when its transaction commits.
Whoever counts rows "until now" misses those, and whoever waits a while guesses. What happened
before the horizon has been committed, or never will be:

* SQLite has one writer. Inside a writing transaction that is us, so the horizon is now.
* On PostgreSQL it is when the oldest transaction that writes began. One gets its number at its
  first write, a moment after a statement has read the clock; so of transactions without a number,
  those in the middle of a statement count from that statement's start. Statements that cannot write
  a row (reports, backups) hold nothing up. A writer whose start is hidden from us stops everything
  until it is done: all processes of the platform connect as one role, so it is somebody else's.

It rests on the database's clock: one that is set back by hand can lose rows to the statistics.
"""

from __future__ import annotations

from datetime import datetime
from typing import cast

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from models.types import now

_ON_POSTGRESQL = text(
    r"""
    SELECT least(statement_timestamp(), min(
        CASE WHEN backend_xid IS NULL THEN query_start
        ELSE coalesce(xact_start, to_timestamp(0)) END))
    FROM pg_stat_activity
    WHERE datname = current_database()
      AND pid <> pg_backend_pid()
      AND backend_type IS DISTINCT FROM 'autovacuum worker'
      AND (backend_xid IS NOT NULL
           OR (state = 'active' AND query !~* '^\s*(select|copy|vacuum|analyze|explain)\y'))
    """
)


def horizon(session: Session) -> datetime:
    """The moment before which every row that will ever be there can be seen.

    Ask in a writing transaction, and read rows in later statements of it.
    """
    if session.get_bind().dialect.name == "postgresql":
        return cast(datetime, session.execute(_ON_POSTGRESQL).scalar_one())
    return session.execute(select(now())).scalar_one()
