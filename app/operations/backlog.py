"""How much waits in a queue: exact while that is little, and never more work than it is worth.

Rows whose message is out are few (a queue's window). Unsent rows may be a million; they lie in
lanes (`app.lifecycle.fair`), and of each lane what is due and what is scheduled is a range of the
index, so that a million rows of one kind do not hide ten of the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache

from sqlalchemy import Integer, Select, bindparam, func, literal, select
from sqlalchemy.orm import Session

from app.jobs import Counted
from app.lifecycle import fair, guards
from app.lifecycle.fair import Lane
from models import LLMOutput, Queue, Status
from models.base import table_of
from models.types import statement_now

COUNTED_ROWS = 10_000
COUNTED_LANES = 200
"""Callers, buckets and models beyond this are not counted one by one."""

_T = table_of(LLMOutput)
_CAP = bindparam("cap", type_=Integer)


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """What waits in a queue. `sent` counts, among the ready, rows whose message is out."""

    ready: Counted
    scheduled: Counted
    sent: int
    oldest_run_at: datetime | None


def backlog(session: Session, queue: Queue, *, cap: int = COUNTED_ROWS) -> Backlog:
    """What waits in one queue, each kind counted up to `cap`."""
    sent, oldest_sent = session.execute(_sent(), {"queue": queue.value, "cap": cap + 1}).one()
    lanes = fair.lanes(session, queue.value)
    clock = session.scalars(select(statement_now())).one()
    due_lanes = [lane for lane in lanes if lane.first_run_at <= clock]
    budget = max(0, cap + 1 - sent)
    ready = sent + _count(session, queue, due_lanes, due=True, cap=budget)
    scheduled = _count(session, queue, lanes, due=False, cap=cap + 1)
    beyond = len(lanes) > COUNTED_LANES
    oldest = [lane.first_run_at for lane in due_lanes] + ([oldest_sent] if oldest_sent else [])
    return Backlog(
        ready=Counted(min(ready, cap), ready > cap or len(due_lanes) > COUNTED_LANES),
        scheduled=Counted(min(scheduled, cap), scheduled > cap or beyond),
        sent=sent,
        oldest_run_at=min(oldest, default=None),
    )


def _count(session: Session, queue: Queue, lanes: Sequence[Lane], *, due: bool, cap: int) -> int:
    """Rows of these lanes that are due, or that are not, up to `cap` together."""
    found = 0
    for lane in lanes[:COUNTED_LANES]:
        if found >= cap:
            break
        owned = lane.user_id is not None
        place = {"queue": queue.value, "bucket": lane.bucket, "model_name": lane.model_name}
        if owned:
            place["user_id"] = lane.user_id  # type: ignore[assignment]
        found += session.execute(_of_lane(owned, due), {**place, "cap": cap - found}).scalar_one()
    return found


@cache
def _sent() -> Select[int, datetime]:
    rows = (
        select(_T.c.run_at)
        .where(
            guards.status_is(Status.PENDING),
            _T.c.woken_at.is_not(None),
            _T.c.queue == bindparam("queue"),
        )
        .limit(_CAP)
        .subquery()
    )
    return select(func.count(), func.min(rows.c.run_at)).select_from(rows)


@cache
def _of_lane(owned: bool, due: bool) -> Select[int]:
    moment = _T.c.run_at <= statement_now() if due else _T.c.run_at > statement_now()
    rows = (
        select(literal(1))
        .where(
            guards.status_is(Status.PENDING),
            guards.unsent(),
            _T.c.queue == bindparam("queue"),
            _T.c.user_id == bindparam("user_id") if owned else _T.c.user_id.is_(None),
            _T.c.bucket == bindparam("bucket"),
            _T.c.model_name == bindparam("model_name"),
            moment,
        )
        .limit(_CAP)
        .subquery()
    )
    return select(func.count()).select_from(rows)
