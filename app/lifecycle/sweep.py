"""rescue, expire, due rows: what a dispatcher does to rows nobody holds any more, or yet.

Several dispatchers may run at once: rows are taken with SKIP LOCKED on PostgreSQL and in one short
write on SQLite, so doubled sweeping is harmless.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import and_, case, func, or_, select, update
from sqlalchemy.orm import Session

from app.lifecycle.endings import PERMANENT_FAILURE
from app.lifecycle.guards import not_paused
from app.lifecycle.ledger import Ended
from models import Attempt, LLMOutput, Outcome, Status
from models.base import table_of
from models.types import now, now_plus, seconds_until

_T = table_of(LLMOutput)
_A = table_of(Attempt)

POISON_LOSSES = 3
"""A job whose worker died this often is not given to another one."""


@dataclass(frozen=True, slots=True)
class Due:
    """A row to wake. `waited_seconds` counts from when it became due."""

    output_id: int
    job_id: str
    queue: str
    template_name: str
    prompt_name: str | None
    model_name: str
    tries: int
    user_id: int | None
    waited_seconds: float


def rescue(session: Session, *, limit: int = 500) -> dict[int, Ended]:
    """Rows whose lease is over: back to pending; failed after three losses; cancelled if asked.

    The attempt is closed as lost: its call may have been made and billed.
    """
    over = (
        select(_T.c.id)
        .where(_T.c.status == Status.PROCESSING, _T.c.lease_expires_at <= now())
        .order_by(_T.c.lease_expires_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    asked = _T.c.cancel_requested_at.is_not(None)
    poison = and_(~asked, _T.c.losses + 1 >= POISON_LOSSES)
    back = and_(~asked, ~poison)
    result = session.execute(
        update(_T)
        .where(_T.c.id.in_(over), _T.c.status == Status.PROCESSING, _T.c.lease_expires_at <= now())
        .values(
            status=case((asked, Status.CANCELLED), (poison, Status.FAILED), else_=Status.PENDING),
            losses=_T.c.losses + 1,
            lease_expires_at=None,
            worker=None,
            woken_at=None,
            run_at=case((back, now()), else_=_T.c.run_at),
            finished_at=case((back, None), else_=now()),
            error_code=case((asked, "cancelled"), (poison, "poison"), else_="worker_lost"),
            error_message=case(
                (asked, "Cancelled; its worker was lost"),
                (poison, _POISON_MESSAGE),
                else_="The worker was lost while it held this job",
            ),
            raw_response=case(
                (poison, PERMANENT_FAILURE + _POISON_MESSAGE), else_=_T.c.raw_response
            ),
            updated_at=now(),
        )
        .returning(_T.c.id, _T.c.job_id, _T.c.status)
    )
    rescued = {row.id: Ended(row.id, row.job_id, row.status) for row in result}
    if rescued:
        session.execute(
            update(_A)
            .where(_A.c.output_id.in_(list(rescued)), _A.c.outcome == Outcome.RUNNING)
            .values(outcome=Outcome.LOST, finished_at=now(), error_code="worker_lost")
        )
    return rescued


def expire(session: Session, *, limit: int = 500) -> dict[int, Ended]:
    """pending → failed (`expired`) for rows whose deadline has passed."""
    late = (
        select(_T.c.id)
        .where(_T.c.status == Status.PENDING, _T.c.deadline <= now())
        .order_by(_T.c.deadline)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    message = "The deadline passed before an answer"
    result = session.execute(
        update(_T)
        .where(_T.c.id.in_(late), _T.c.status == Status.PENDING)
        .values(
            status=Status.FAILED,
            finished_at=now(),
            error_code="expired",
            error_message=message,
            raw_response=PERMANENT_FAILURE + message,
            updated_at=now(),
        )
        .returning(_T.c.id, _T.c.job_id, _T.c.status)
    )
    return {row.id: Ended(row.id, row.job_id, row.status) for row in result}


def due_rows(session: Session, queue: str, *, room: int, rewake_seconds: float) -> list[Due]:
    """At most `room` due rows of a queue, in fair order between callers.

    First rows whose message was sent `rewake_seconds` ago and led to nothing, then rows never
    sent: each caller in turn gives its oldest. Costs one index probe per waiting caller (at most
    `room` of them), whatever the backlog.
    """
    found = _lost_messages(session, queue, room, rewake_seconds)
    return found + _unsent(session, queue, room - len(found)) if len(found) < room else found


def mark_woken(session: Session, output_ids: Sequence[int]) -> None:
    """Their messages go out right after this commit."""
    session.execute(
        update(_T)
        .where(_T.c.id.in_(output_ids), _T.c.status == Status.PENDING)
        .values(woken_at=now())
    )


def mark_unsent(session: Session, output_ids: Sequence[int]) -> None:
    """Their messages could not be sent: the next tick tries again."""
    session.execute(
        update(_T)
        .where(_T.c.id.in_(output_ids), _T.c.status == Status.PENDING)
        .values(woken_at=None)
    )


_POISON_MESSAGE = f"{POISON_LOSSES} workers were lost while they held this job"
_DUE_COLUMNS = (
    _T.c.id,
    _T.c.job_id,
    _T.c.queue,
    func.substr(_T.c.template_name, 1, 2000).label("template_name"),
    _T.c.prompt_name,
    _T.c.model_name,
    _T.c.tries,
    _T.c.user_id,
    (-seconds_until(_T.c.run_at)).label("waited_seconds"),
)


def _lost_messages(session: Session, queue: str, room: int, rewake_seconds: float) -> list[Due]:
    query = (
        select(*_DUE_COLUMNS)
        .where(
            _T.c.status == Status.PENDING,
            _T.c.woken_at <= now_plus(-rewake_seconds),
            _T.c.queue == queue,
            _T.c.run_at <= now(),
            not_paused(_T.c),
        )
        .order_by(_T.c.woken_at)
        .limit(room)
        .with_for_update(skip_locked=True)
    )
    return [_due(row) for row in session.execute(query)]


def _unsent(session: Session, queue: str, room: int) -> list[Due]:
    callers = _waiting_callers(session, queue, most=room)
    if not callers:
        return []
    share = -(-room // len(callers))
    per_caller = [_oldest_unsent(session, queue, caller, share) for caller in callers]
    in_turn = (rows[n] for n in range(share) for rows in per_caller if n < len(rows))
    return [due for due, _ in zip(in_turn, range(room), strict=False)]


def _waiting_callers(session: Session, queue: str, *, most: int) -> list[int | None]:
    """Callers with due unsent rows: hops from one to the next along the index."""
    callers: list[int | None] = []
    if session.execute(_first(queue, _T.c.user_id.is_(None))).first():
        callers.append(None)
    after = -1
    while len(callers) < most:
        row = session.execute(_first(queue, _T.c.user_id > after).order_by(_T.c.user_id)).first()
        if row is None:
            break
        after = row.user_id
        callers.append(after)
    return callers


def _first(queue: str, of_caller: Any) -> Any:
    return select(_T.c.user_id).where(_waits(queue), of_caller).limit(1)


def _oldest_unsent(session: Session, queue: str, caller: int | None, share: int) -> list[Due]:
    query = (
        select(*_DUE_COLUMNS)
        .where(_waits(queue), _T.c.user_id.is_(None) if caller is None else _T.c.user_id == caller)
        .where(not_paused(_T.c))
        .order_by(_T.c.run_at, _T.c.id)
        .limit(share)
        .with_for_update(skip_locked=True)
    )
    return [_due(row) for row in session.execute(query)]


def _waits(queue: str) -> Any:
    return and_(
        _T.c.queue == queue,
        _T.c.status == Status.PENDING,
        _T.c.woken_at.is_(None),
        _T.c.run_at <= now(),
    )


def has_older_waiting(session: Session, user_id: int | None, queue: str) -> bool:
    """Does this caller have a due job of this queue that waits unsent? Then a new one queues up."""
    of_caller = _T.c.user_id.is_(None) if user_id is None else _T.c.user_id == user_id
    return session.execute(_first(queue, or_(of_caller))).first() is not None


def _due(row: Any) -> Due:
    return Due(
        output_id=row.id,
        **{n: getattr(row, n) for n in Due.__dataclass_fields__ if n != "output_id"},
    )


def anything_due(session: Session, queue: str, *, rewake_seconds: float) -> bool:
    """Is there a row to wake in this queue? A cheap look that takes no lock."""
    lost = select(_T.c.id).where(
        _T.c.status == Status.PENDING,
        _T.c.woken_at <= now_plus(-rewake_seconds),
        _T.c.queue == queue,
        _T.c.run_at <= now(),
    )
    if session.execute(lost.limit(1)).first() is not None:
        return True
    return session.execute(select(_T.c.id).where(_waits(queue)).limit(1)).first() is not None
