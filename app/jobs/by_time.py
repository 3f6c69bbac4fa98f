"""Which ids the rows of a time have: ids rise with the moment of acceptance.

There is no index on `created_at`, and none is needed. Not exact, and meant to be used beside a
condition on `created_at`: it only spares reading what is older.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from models import LLMOutput

SLACK = timedelta(minutes=10)
"""How far the clock may have been set back, or a transaction held its ids, without a row missed."""


def first_id_since(session: Session, moment: datetime) -> int:
    """An id that no row accepted at `moment` or later is below; close to the lowest such.

    About twenty looks at single rows, however many there are.
    """
    moment = _earlier(moment)
    low, high = 1, (session.scalar(select(func.max(LLMOutput.id))) or 0) + 1
    while low < high:
        middle = (low + high) // 2
        row = session.execute(
            select(LLMOutput.id, LLMOutput.created_at)
            .where(LLMOutput.id >= middle)
            .order_by(LLMOutput.id)
            .limit(1)
        ).one_or_none()
        if row is None or row.created_at >= moment:
            high = middle
        else:
            low = row.id + 1
    return low


def _earlier(moment: datetime) -> datetime:
    try:
        return moment - SLACK
    except OverflowError:
        return moment
