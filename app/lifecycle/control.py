"""cancel, advance, pause, resume: what people and shared limits may do to rows they do not hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import and_, case, delete, func, insert, literal, or_, select, update
from sqlalchemy.orm import Session

from models import ControlKind, LLMOutput, QueueControl, Status
from models.base import table_of
from models.types import now, now_plus

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
    pending = _T.c.status == Status.PENDING
    result = session.execute(
        update(_T)
        .where(_T.c.id.in_(output_ids), _T.c.status.in_([Status.PENDING, Status.PROCESSING]))
        .values(
            status=case((pending, Status.CANCELLED), else_=_T.c.status),
            cancel_requested_at=func.coalesce(_T.c.cancel_requested_at, now()),
            finished_at=case((pending, now()), else_=None),
            error_code=case((pending, "cancelled"), else_=_T.c.error_code),
            error_message=case((pending, "Cancelled before it ran"), else_=_T.c.error_message),
            updated_at=now(),
        )
        .returning(_T.c.id, _T.c.job_id, _T.c.status)
    )
    return {row.id: Cancelled(row.id, row.job_id, row.status) for row in result}


def advance(session: Session, output_ids: Sequence[int]) -> set[int]:
    """pending → pending, due now: a person will not wait for the retry's delay."""
    result = session.execute(
        update(_T)
        .where(_T.c.id.in_(output_ids), _T.c.status == Status.PENDING)
        .values(run_at=now(), woken_at=None, updated_at=now())
        .returning(_T.c.id)
    )
    return set(result.scalars())


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
    until = None if seconds is None else now_plus(seconds)
    standing = and_(_C.c.kind == kind, _C.c.name == name)
    longer: Any = literal(False) if until is None else _C.c.paused_until >= until
    kept = or_(_C.c.paused_until.is_(None), longer)
    moved = session.execute(
        update(_C)
        .where(standing)
        .values(
            paused_until=case((kept, _C.c.paused_until), else_=until)
            if until is not None
            else None,
            reason=reason,
            user_id=user_id,
        )
    )
    if moved.rowcount == 0:  # type: ignore[attr-defined]
        _insert_pause(session, kind, name, until=until, reason=reason, user_id=user_id)


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
    over = session.execute(
        delete(_C).where(_C.c.paused_until <= now()).returning(_C.c.kind, _C.c.name)
    ).all()
    for kind, name in over:
        wake_what_waited(session, ControlKind(kind), name)
    return len(over)


def wake_what_waited(session: Session, kind: ControlKind, name: str) -> None:
    """Messages sent before the pause were refused by the claim: those rows need new ones.

    Few rows are concerned: no more than a window of messages was out.
    """
    column = {
        ControlKind.QUEUE: _T.c.queue,
        ControlKind.MODEL: _T.c.model_name,
        ControlKind.BUCKET: _T.c.bucket,
    }[kind]
    session.execute(
        update(_T)
        .where(column == name, _T.c.status == Status.PENDING, _T.c.woken_at.is_not(None))
        .values(woken_at=None)
    )


def pauses(session: Session) -> Sequence[QueueControl]:
    """Every pause in force."""
    in_force = or_(QueueControl.paused_until.is_(None), QueueControl.paused_until > now())
    return session.scalars(select(QueueControl).where(in_force)).all()


def _insert_pause(
    session: Session,
    kind: ControlKind,
    name: str,
    *,
    until: Any,
    reason: str,
    user_id: int | None,
) -> None:
    """Insert unless another transaction did in the meantime (then its pause stands)."""
    values = {
        "kind": literal(kind.value),
        "name": literal(name),
        "paused_until": until if until is not None else literal(None),
        "reason": literal(reason),
        "user_id": literal(user_id),
        "created_at": now(),
    }
    if session.get_bind().dialect.name == "postgresql":
        from sqlalchemy.dialects.postgresql import insert as upsert

        session.execute(upsert(_C).values(values).on_conflict_do_nothing())
    else:
        session.execute(insert(_C).values(values))
