"""What dispatchers did to rows that would not have gone on by themselves, counted as they do it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from app.db import before_commit
from models import Recovered, Recovery
from models.base import table_of
from models.types import now

_R = table_of(Recovery)


def note_recoveries(session: Session, counts: Mapping[Recovered, int]) -> None:
    """Count what this transaction recovers: last thing before its commit, so that dispatchers
    hardly wait for each other."""
    found = {reason: count for reason, count in sorted(counts.items()) if count}
    if found:
        before_commit(session, lambda session: _add(session, found))


def _add(session: Session, counts: Mapping[Recovered, int]) -> None:
    on_postgresql = session.get_bind().dialect.name == "postgresql"
    insert = (postgresql.insert if on_postgresql else sqlite.insert)(_R)
    for reason, count in counts.items():
        values: dict[str, Any] = {"reason": reason.value, "total": count, "last_at": now()}
        new = insert.values(values)
        total = _R.c.total + new.excluded.total
        session.execute(
            new.on_conflict_do_update(
                index_elements=["reason"], set_={"total": total, "last_at": now()}
            )
        )
