"""What was answered to a caller's `Idempotency-Key`, stored in the transaction that accepts.

The unique key decides between parallel requests: whoever comes second rolls back what it was about
to accept and reads the first one's answer. Keys of different callers never meet.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import delete, select, tuple_
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from app.accounts import Caller
from app.db import Database
from app.errors import IdempotencyMismatch, InvalidParameter
from app.jobs.request import IdempotencyRequest, Submission
from models import IdempotencyKey
from models.base import table_of
from models.types import now, now_plus

KEPT_SECONDS = 48 * 3600
"""How long a key is remembered; 24 hours are promised."""

LONGEST_KEY = 255
_T = table_of(IdempotencyKey)


class AlreadyAnswered(Exception):
    """Another request with this key was accepted first. Never leaves this package."""


def recall(
    database: Database, caller: Caller, idempotency: IdempotencyRequest
) -> Submission | None:
    """The first answer to this key, as a replay; None when the key is new.

    Raises IdempotencyMismatch when it came with another request, InvalidParameter when it cannot be
    a key or nobody owns it.
    """
    _check(caller, idempotency)
    with database.read() as session:
        known = session.scalars(
            select(IdempotencyKey).where(
                IdempotencyKey.user_id == caller.user_id, IdempotencyKey.key == idempotency.key
            )
        ).one_or_none()
    if known is None:
        return None
    if known.fingerprint != idempotency.fingerprint:
        raise IdempotencyMismatch
    return Submission(
        output_id=known.body["output_id"],
        job_id=known.body["job_id"],
        estimated_completion=datetime.fromisoformat(known.body["estimated_completion"]),
        warnings=known.body.get("warnings", []),
        replayed=known.body,
    )


def remember(
    session: Session, caller: Caller, idempotency: IdempotencyRequest, submission: Submission
) -> None:
    """Store the answer beside the row. Raises AlreadyAnswered when another request was first."""
    insert: Any = {"postgresql": postgresql.insert, "sqlite": sqlite.insert}[
        session.get_bind().dialect.name
    ]
    statement = (
        insert(_T)
        .values(
            user_id=caller.user_id,
            key=idempotency.key,
            fingerprint=idempotency.fingerprint,
            status=201,
            body=submission.answer,
            location=submission.location,
            created_at=now(),
        )
        .on_conflict_do_nothing()
        .returning(_T.c.key)
    )
    if session.execute(statement).first() is None:
        raise AlreadyAnswered


def prune_idempotency_keys(
    session: Session, *, older_than_seconds: float = KEPT_SECONDS, limit: int = 5_000
) -> int:
    """Forget at most `limit` keys older than this; returns how many."""
    old = (
        select(_T.c.user_id, _T.c.key)
        .where(_T.c.created_at < now_plus(-older_than_seconds))
        .limit(limit)
    )
    gone = session.execute(
        delete(_T).where(tuple_(_T.c.user_id, _T.c.key).in_(old)).returning(_T.c.key)
    )
    return len(gone.all())


def _check(caller: Caller, idempotency: IdempotencyRequest) -> None:
    if caller.user_id is None:
        raise InvalidParameter("An Idempotency-Key needs a user it belongs to")
    key = idempotency.key
    if not key.strip() or len(key) > LONGEST_KEY or not key.isprintable():
        raise InvalidParameter(
            f"Invalid Idempotency-Key. Must be 1 to {LONGEST_KEY} printable characters"
        )
