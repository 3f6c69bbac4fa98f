"""The conditions that decide who wins: each verb's WHERE is made of these.

They are called by name (`guards.mine(v)`) when a statement is built, so that the mutation check can
take one away and see what breaks. Not here: what a verb writes (`effects.py`).

Statuses are written into the SQL text: a bound one would hide from the planner that a partial index
holds the rows.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, and_, exists, literal_column, or_, select

from models import ControlKind, LLMOutput, QueueControl, Status
from models.base import table_of
from models.types import now, plain, statement_now

_T = table_of(LLMOutput)
_C = table_of(QueueControl)

POISON_LOSSES = 3
"""A job whose worker died this often is not given to another one."""


def status_is(status: Status) -> ColumnElement[bool]:
    """For finding rows: the partial indexes of this status are searched."""
    return _T.c.status == word(status)


def is_pending() -> ColumnElement[bool]:
    """For a row named by its id: nobody holds it and it has not ended."""
    return plain(_T.c.status) == word(Status.PENDING)


def is_processing() -> ColumnElement[bool]:
    """For a row named by its id: somebody holds it."""
    return plain(_T.c.status) == word(Status.PROCESSING)


def mine(v: Any) -> ColumnElement[bool]:
    """The row of `v` is processing under my fence."""
    return and_(_T.c.id == v.c.id, is_processing(), same_fence(v))


def same_fence(v: Any) -> ColumnElement[bool]:
    """Nobody has claimed the row since I did."""
    fence: ColumnElement[int] = v.c.fence
    return _T.c.fence == fence


def not_cancelled() -> ColumnElement[bool]:
    """Nobody asked to cancel. Every verb of a holder but `renew` and `stop` needs it: a cancelled
    row must not go back to pending, where no claim would ever take it.
    """
    return _T.c.cancel_requested_at.is_(None)


def cancel_asked() -> ColumnElement[bool]:
    """Somebody asked to cancel."""
    return _T.c.cancel_requested_at.is_not(None)


def is_due() -> ColumnElement[bool]:
    """Its time has come."""
    return _T.c.run_at <= statement_now()


def before_deadline() -> ColumnElement[bool]:
    """There is time left to answer."""
    return _T.c.deadline > now()


def past_deadline() -> ColumnElement[bool]:
    """An answer would come too late."""
    return _T.c.deadline <= statement_now()


def lease_over() -> ColumnElement[bool]:
    """Its holder has not renewed the lease in time."""
    return _T.c.lease_expires_at <= statement_now()


def a_try_left() -> ColumnElement[bool]:
    """After one more used try, another one is allowed."""
    return _T.c.tries + 1 < _T.c.max_tries


def poisoned() -> ColumnElement[bool]:
    """With this loss, too many workers have died holding the row."""
    return _T.c.losses + 1 >= POISON_LOSSES


def unsent() -> ColumnElement[bool]:
    """No message that names the row is out."""
    return _T.c.woken_at.is_(None)


def not_paused(columns: Any) -> ColumnElement[bool]:
    """Neither the row's queue nor its model nor its provider bucket is paused."""
    in_force = or_(_C.c.paused_until.is_(None), _C.c.paused_until > now())
    names_it = or_(
        and_(_C.c.kind == ControlKind.QUEUE, _C.c.name == columns.queue),
        and_(_C.c.kind == ControlKind.MODEL, _C.c.name == columns.model_name),
        and_(_C.c.kind == ControlKind.BUCKET, _C.c.name == columns.bucket),
    )
    return ~exists(select(_C.c.name).where(in_force, names_it))


def taken_by_nobody(query: Any) -> Any:
    """The query's rows that no other transaction holds, locked: how two dispatchers share work."""
    return query.with_for_update(key_share=True, skip_locked=True)


def word(status: Status) -> ColumnElement[str]:
    """A status as it stands in SQL text."""
    return literal_column(f"'{status.value}'")
