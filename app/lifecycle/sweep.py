"""rescue, expire, due rows: what a dispatcher does to rows nobody holds any more, or yet.

Several dispatchers may run at once: rows are taken with SKIP LOCKED on PostgreSQL and in one short
write on SQLite, so doubled sweeping is harmless.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from sqlalchemy import (
    Float,
    Integer,
    Select,
    Update,
    and_,
    bindparam,
    case,
    func,
    literal,
    select,
    update,
)
from sqlalchemy.orm import Session
from sqlalchemy.sql.dml import ReturningUpdate

from app.lifecycle import effects, fair, guards
from app.lifecycle.guards import POISON_LOSSES
from app.lifecycle.ledger import Ended
from app.lifecycle.texts import stored
from models import Attempt, LLMOutput, Outcome, Status
from models.base import table_of
from models.batch import arguments, named_by, recordset
from models.types import BigId, now, seconds_until, statement_now_plus

_T = table_of(LLMOutput)
_A = table_of(Attempt)


@dataclass(frozen=True, slots=True)
class Due:
    """A row to wake. `waited_seconds` counts from when it became due; `lost`: its message led to
    nothing.
    """

    output_id: int
    job_id: str
    queue: str
    template_name: str
    prompt_name: str | None
    model_name: str
    tries: int
    user_id: int | None
    waited_seconds: float
    lost: bool


def rescue(session: Session, *, limit: int = 500) -> dict[int, Ended]:
    """Rows whose lease is over: back to pending; failed after three losses; cancelled if asked.

    The attempt is closed as lost: its call may have been made and billed.
    """
    rescued = _ended(session.execute(_rescue(), {"most": limit}))
    if rescued:
        dialect = _dialect(session)
        session.execute(_lose(dialect), _ids(dialect, rescued))
    return rescued


def keep_seen(session: Session, seen: Mapping[int, str]) -> None:
    """Keep what people had seen of answers whose worker was lost, by output: with the attempt that
    wrote it, and as the answer where a person had stopped it. Erased texts stay erased.
    """
    for output_id, text in seen.items():
        there = select(_T.c.id).where(_T.c.id == output_id, _T.c.erased_at.is_(None))
        last = (
            select(func.max(_A.c.number))
            .where(_A.c.output_id == output_id, _A.c.outcome == Outcome.LOST)
            .scalar_subquery()
        )
        session.execute(
            update(_A)
            .where(_A.c.output_id.in_(there), _A.c.number == last, _A.c.text.is_(None))
            .values(text=stored(text))
        )
        session.execute(
            update(_T)
            .where(
                _T.c.id == output_id,
                _T.c.erased_at.is_(None),
                guards.status_is(Status.CANCELLED),
                _T.c.raw_response.is_(None),
            )
            .values(raw_response=stored(text))
        )


def expire(session: Session, *, limit: int = 500) -> dict[int, Ended]:
    """pending → failed (`expired`) for rows whose deadline has passed."""
    return _ended(session.execute(_expire(), {"most": limit}))


def due_rows(session: Session, queue: str, *, room: int, rewake_seconds: float) -> list[Due]:
    """At most `room` due rows of a queue, held by this transaction, in fair order between callers.

    First rows whose message was sent `rewake_seconds` ago and led to nothing, then rows never
    sent: each caller in turn gives its oldest. What is not due or paused costs nothing, however
    much of it there is.
    """
    wanted = {"queue": queue, "ago": -rewake_seconds, "most": room}
    found = [_due(row) for row in session.execute(_take_lost(), wanted)]
    if len(found) < room:
        found += _still_unsent(session, fair.pick(session, queue, room - len(found)))
    return found


def anything_due(session: Session, queue: str, *, rewake_seconds: float) -> bool:
    """Is there a row to wake in this queue? A look that takes no lock."""
    wanted = {"queue": queue, "ago": -rewake_seconds, "most": 1}
    if session.execute(_lost(), wanted).first() is not None:
        return True
    return bool(fair.waiting_lanes(session, queue))


def has_older_waiting(session: Session, user_id: int | None, queue: str) -> bool:
    """Does this caller have a due job of this queue that waits unsent? Then a new one queues up."""
    return fair.has_waiting_lane(session, queue, user_id)


def mark_woken(session: Session, output_ids: Sequence[int]) -> None:
    """Their messages go out right after this commit."""
    _mark(session, output_ids, woken_at=now())


def mark_unsent(session: Session, output_ids: Sequence[int]) -> None:
    """Their messages could not be sent: the next tick tries again."""
    _mark(session, output_ids, **effects.to_be_sent())


_CANCELLED = "Cancelled; its worker was lost"
_LOST = "The worker was lost while it held this job"
_POISON = f"{POISON_LOSSES} workers were lost while they held this job"
_MOST = bindparam("most", type_=Integer)
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
    _T.c.woken_at.is_not(None).label("lost"),
)


@cache
def _rescue() -> ReturningUpdate[Any]:
    over = guards.taken_by_nobody(
        select(_T.c.id)
        .where(guards.status_is(Status.PROCESSING), guards.lease_over())
        .order_by(_T.c.lease_expires_at)
        .limit(_MOST)
    ).cte("over")
    asked, poison = guards.cancel_asked(), and_(guards.not_cancelled(), guards.poisoned())
    back = and_(guards.not_cancelled(), ~guards.poisoned())
    return (
        update(_T)
        .where(_T.c.id.in_(select(over.c.id)), guards.is_processing())
        .values(
            status=case((asked, Status.CANCELLED), (poison, Status.FAILED), else_=Status.PENDING),
            run_at=case((back, now()), else_=_T.c.run_at),
            finished_at=case((~back, now())),
            error_code=case((asked, "cancelled"), (poison, "poison"), else_="worker_lost"),
            error_message=case((asked, _CANCELLED), (poison, _POISON), else_=_LOST),
            raw_response=case(
                (poison, effects.PERMANENT_FAILURE + _POISON), else_=_T.c.raw_response
            ),
            **effects.one_loss_more(),
            **effects.let_go(),
            **effects.to_be_sent(),
            **effects.touched(),
        )
        .returning(_T.c.id, _T.c.job_id, _T.c.status)
    )


@cache
def _lose(dialect: str) -> Update:
    v = recordset(dialect, {"id": BigId})
    return (
        update(_A)
        .where(named_by(dialect, _A.c.output_id))
        .where(_A.c.output_id == v.c.id, _A.c.outcome == Outcome.RUNNING)
        .values(outcome=Outcome.LOST, finished_at=now(), error_code="worker_lost")
    )


@cache
def _expire() -> ReturningUpdate[Any]:
    late = guards.taken_by_nobody(
        select(_T.c.id)
        .where(guards.status_is(Status.PENDING), guards.past_deadline())
        .order_by(_T.c.deadline)
        .limit(_MOST)
    ).cte("late")
    return (
        update(_T)
        .where(_T.c.id.in_(select(late.c.id)), guards.is_pending())
        .values(
            status=Status.FAILED,
            **effects.failure("expired", literal("The deadline passed before an answer")),
            **effects.over(),
            **effects.touched(),
        )
        .returning(_T.c.id, _T.c.job_id, _T.c.status)
    )


@cache
def _lost() -> Select[Any]:
    return (
        select(*_DUE_COLUMNS)
        .where(
            guards.status_is(Status.PENDING),
            _T.c.queue == bindparam("queue"),
            _T.c.woken_at <= statement_now_plus(bindparam("ago", type_=Float)),
            guards.is_due(),
            guards.not_paused(_T.c),
        )
        .order_by(_T.c.woken_at)
        .limit(_MOST)
    )


@cache
def _take_lost() -> Select[Any]:
    return guards.taken_by_nobody(_lost())  # type: ignore[no-any-return]


def _still_unsent(session: Session, picked: Sequence[int]) -> list[Due]:
    """The picked rows that nobody else has taken meanwhile, held, in the order picked."""
    if not picked:
        return []
    dialect = _dialect(session)
    found = session.execute(_take(dialect), _ids(dialect, picked))
    taken = {row.id: _due(row) for row in found}
    return [taken[output_id] for output_id in picked if output_id in taken]


@cache
def _take(dialect: str) -> Select[Any]:
    v = recordset(dialect, {"id": BigId})
    return guards.taken_by_nobody(  # type: ignore[no-any-return]
        select(*_DUE_COLUMNS).where(
            named_by(dialect, _T.c.id),
            _T.c.id.in_(select(v.c.id)),
            guards.is_pending(),
            guards.unsent(),
            guards.is_due(),
        )
    )


def _mark(session: Session, output_ids: Sequence[int], **woken: Any) -> None:
    """Write `woken_at`; rows that somebody holds are being claimed or ended, and need no mark."""
    if not output_ids:
        return
    dialect = _dialect(session)
    session.execute(_free(dialect).values(woken), _ids(dialect, output_ids))


@cache
def _free(dialect: str) -> Update:
    v = recordset(dialect, {"id": BigId})
    free = guards.taken_by_nobody(
        select(_T.c.id).where(
            named_by(dialect, _T.c.id), _T.c.id.in_(select(v.c.id)), guards.is_pending()
        )
    ).cte("free")
    return update(_T).where(_T.c.id.in_(select(free.c.id)))


def _ids(dialect: str, output_ids: Iterable[int]) -> dict[str, Any]:
    return arguments(dialect, ({"id": output_id} for output_id in output_ids))


def _dialect(session: Session) -> str:
    return session.get_bind().dialect.name


def _ended(rows: Iterable[Any]) -> dict[int, Ended]:
    return {row.id: Ended(row.id, row.job_id, row.status) for row in rows}


def _due(row: Any) -> Due:
    return Due(
        output_id=row.id,
        **{n: getattr(row, n) for n in Due.__dataclass_fields__ if n != "output_id"},
    )
