"""cancel, advance, pause, resume: what people and shared limits may do to rows they do not hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from sqlalchemy import case, delete, func, literal, or_, select, tuple_, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session
from sqlalchemy.sql.dml import ReturningUpdate

from app.lifecycle import effects, guards
from app.lifecycle.order import lock
from models import ControlKind, LLMOutput, QueueControl, Status
from models.base import table_of
from models.batch import arguments, named_by, recordset
from models.types import BigId, now, now_plus, statement_now

_T = table_of(LLMOutput)
_C = table_of(QueueControl)


@dataclass(frozen=True, slots=True)
class Cancelled:
    """What a cancel did: the row ended (`cancelled`), or its worker was asked (`processing`)."""

    output_id: int
    job_id: str
    status: str


def cancel(session: Session, output_ids: Sequence[int]) -> dict[int, Cancelled]:
    """pending → cancelled at once; processing rows are marked, their worker closes the call.

    A row that is missing from the answer had ended. Asking twice is harmless.
    """
    rows = _move(session, _cancel, output_ids)
    return {row.id: Cancelled(row.id, row.job_id, row.status) for row in rows}


def advance(session: Session, output_ids: Sequence[int]) -> set[int]:
    """pending → pending, due now: a person will not wait for the retry's delay."""
    return {row.id for row in _move(session, _advance, output_ids)}


def pause(
    session: Session,
    kind: ControlKind,
    name: str,
    *,
    seconds: float | None = None,
    reason: str = "",
    user_id: int | None = None,
) -> None:
    """Hold back a queue, a model or a bucket for `seconds` (None: until resumed).

    A pause in force is only ever prolonged: two workers that hear of a limit agree on the later.
    """
    until: Any = literal(None) if seconds is None else now_plus(seconds)
    pause = _upsert(session)(_C).values(
        kind=kind.value,
        name=name,
        paused_until=until,
        reason=reason,
        user_id=user_id,
        created_at=now(),
    )
    new = pause.excluded
    longer = or_(new.paused_until.is_(None), _C.c.paused_until < new.paused_until)
    session.execute(
        pause.on_conflict_do_update(
            index_elements=[_C.c.kind, _C.c.name],
            set_={name: new[name] for name in ("paused_until", "reason", "user_id")},
            where=_C.c.paused_until.is_not(None) & longer,
        )
    )


def resume(session: Session, kind: ControlKind, name: str) -> bool:
    """Lift a pause; its rows are woken at the next tick. False when there was none."""
    found = session.execute(
        delete(_C).where(_C.c.kind == kind, _C.c.name == name).returning(_C.c.name)
    ).first()
    if found is not None:
        wake_what_waited(session, kind, name)
    return found is not None


def lift_elapsed_pauses(session: Session) -> int:
    """Forget pauses that are over and let the rows they held back be woken now. How many."""
    key = tuple_(_C.c.kind, _C.c.name)
    over = guards.taken_by_nobody(  # one that somebody holds is being prolonged
        select(_C.c.kind, _C.c.name).where(_C.c.paused_until <= statement_now())
    ).cte("over")
    lifted = session.execute(
        delete(_C).where(key.in_(select(over))).returning(_C.c.kind, _C.c.name)
    ).all()
    for kind, name in lifted:
        wake_what_waited(session, ControlKind(kind), name)
    return len(lifted)


def wake_what_waited(session: Session, kind: ControlKind, name: str) -> None:
    """Messages sent before the pause were refused by the claim: those rows need new ones.

    Few rows are concerned: no more than a window of messages was out. A row somebody holds just now
    is being claimed or cancelled, and needs none.
    """
    column = {
        ControlKind.QUEUE: _T.c.queue,
        ControlKind.MODEL: _T.c.model_name,
        ControlKind.BUCKET: _T.c.bucket,
    }[kind]
    waited = guards.taken_by_nobody(
        select(_T.c.id).where(
            guards.status_is(Status.PENDING), _T.c.woken_at.is_not(None), column == name
        )
    ).cte("waited")
    session.execute(
        update(_T)
        .where(_T.c.id.in_(select(waited.c.id)), guards.is_pending())
        .values(effects.to_be_sent())
    )


def pauses(session: Session) -> Sequence[QueueControl]:
    """Every pause in force."""
    in_force = or_(QueueControl.paused_until.is_(None), QueueControl.paused_until > now())
    return session.scalars(select(QueueControl).where(in_force)).all()


def _move(session: Session, statement: Any, output_ids: Sequence[int]) -> Sequence[Any]:
    if not output_ids:
        return []
    lock(session, set(output_ids))
    dialect = session.get_bind().dialect.name
    rows = ({"id": output_id} for output_id in output_ids)
    return session.execute(statement(dialect), arguments(dialect, rows)).all()


@cache
def _cancel(dialect: str) -> ReturningUpdate[Any]:
    v = recordset(dialect, {"id": BigId})
    pending = guards.is_pending()
    return (
        update(_T)
        .where(named_by(dialect, _T.c.id), _T.c.id == v.c.id)
        .where(or_(pending, guards.is_processing()))
        .values(
            status=case((pending, Status.CANCELLED), else_=_T.c.status),
            cancel_requested_at=func.coalesce(_T.c.cancel_requested_at, now()),
            finished_at=case((pending, now())),
            error_code=case((pending, "cancelled"), else_=_T.c.error_code),
            error_message=case((pending, "Cancelled before it ran"), else_=_T.c.error_message),
            **effects.touched(),
        )
        .returning(_T.c.id, _T.c.job_id, _T.c.status)
    )


@cache
def _advance(dialect: str) -> ReturningUpdate[Any]:
    v = recordset(dialect, {"id": BigId})
    return (
        update(_T)
        .where(named_by(dialect, _T.c.id), _T.c.id == v.c.id, guards.is_pending())
        .values(run_at=now(), **effects.to_be_sent(), **effects.touched())
        .returning(_T.c.id)
    )


def _upsert(session: Session) -> Any:
    """The dialect's INSERT … ON CONFLICT: of two pauses at once, the longer stands."""
    on_postgresql = session.get_bind().dialect.name == "postgresql"
    return postgresql.insert if on_postgresql else sqlite.insert
