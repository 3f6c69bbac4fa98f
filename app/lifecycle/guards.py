"""The conditions that decide who wins: each verb's WHERE is made of these."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, and_, exists, or_, select

from models import ControlKind, LLMOutput, QueueControl, Status
from models.base import table_of
from models.types import now

_T = table_of(LLMOutput)
_C = table_of(QueueControl)

#: Nobody asked to cancel. Every verb of a holder but `renew` and `stop` needs it: a cancelled row
#: must not go back to pending, where no claim would ever take it.
NOT_CANCELLED: ColumnElement[bool] = _T.c.cancel_requested_at.is_(None)


def mine(v: Any) -> tuple[ColumnElement[bool], ...]:
    """The row of `v` is processing under my fence."""
    return (_T.c.id == v.c.id, _T.c.status == Status.PROCESSING, _T.c.fence == v.c.fence)


def not_paused(columns: Any) -> ColumnElement[bool]:
    """Neither the row's queue nor its model nor its provider bucket is paused."""
    in_force = or_(_C.c.paused_until.is_(None), _C.c.paused_until > now())
    names_it = or_(
        and_(_C.c.kind == ControlKind.QUEUE, _C.c.name == columns.queue),
        and_(_C.c.kind == ControlKind.MODEL, _C.c.name == columns.model_name),
        and_(_C.c.kind == ControlKind.BUCKET, _C.c.name == columns.bucket),
    )
    return ~exists(select(_C.c.name).where(in_force, names_it))
