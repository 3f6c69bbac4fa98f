"""In what order waiting rows are woken: each caller in turn, and each caller's oldest first.

Unsent rows lie in lanes: the rows of one caller, bucket and model, in the order they become due. A
lane's first row says all about it: whether anything in it is due, and whether it is paused. Hopping
from lane to lane along the index `ix_llm_outputs_unsent` therefore costs one probe a lane, however
many rows wait in it, are scheduled for later or are held back by a pause.

Not here: rows whose message was lost, and marking what is sent (`sweep.py`).
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from itertools import islice
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    FromClause,
    Integer,
    Select,
    and_,
    bindparam,
    func,
    literal,
    select,
)
from sqlalchemy.orm import Session

from app.lifecycle import guards
from models import LLMOutput, Status
from models.base import table_of
from models.types import plain

MOST_LANES = 1000
"""Lanes looked at in one search. When there are more, a second search starts anywhere."""

_T = table_of(LLMOutput)
_LAST = _T.alias("last_lane")
#: The index's order, in full: PostgreSQL sorts a caller's rows where a part of it is left out.
_IN_ORDER = [_T.c[name] for name in ("user_id", "bucket", "model_name", "run_at", "id")]
_Place = tuple[datetime, int]
"""Where a row stands in its lane: when it is due, and its id."""


@dataclass(frozen=True, slots=True)
class Lane:
    """The unsent rows of one caller, bucket and model, of which the first is due first.

    `ready`: it is due, and nothing it needs is paused.
    """

    user_id: int | None
    bucket: str
    model_name: str
    first_run_at: datetime
    ready: bool


def waiting_lanes(session: Session, queue: str) -> list[Lane]:
    """The lanes of a queue that could send a row now."""
    lanes = _search(session, _lanes_of_anybody(), queue=queue, user_id=0)
    if len(lanes) >= MOST_LANES:
        last = session.scalar(_last_caller(), {"queue": queue}) or 0
        start = random.randint(lanes[-1].user_id or 0, last)
        lanes += _search(session, _lanes_of_anybody(), queue=queue, user_id=start)
    lanes += _search(session, _lanes_of_nobody(), queue=queue)
    return list(dict.fromkeys(lane for lane in lanes if lane.ready))


def lanes(session: Session, queue: str) -> list[Lane]:
    """The lanes of a queue, ready or not; of more than `MOST_LANES` those of the first callers."""
    of_anybody = _search(session, _lanes_of_anybody(), queue=queue, user_id=0)
    return of_anybody + _search(session, _lanes_of_nobody(), queue=queue)


def has_waiting_lane(session: Session, queue: str, user_id: int | None) -> bool:
    """Does this caller have a row of this queue that could be sent now?"""
    if user_id is None:
        lanes = _search(session, _lanes_of_nobody(), queue=queue)
    else:
        lanes = _search(session, _lanes_of_one(), queue=queue, user_id=user_id)
    return any(lane.ready for lane in lanes)


def pick(session: Session, queue: str, most: int) -> list[int]:
    """At most `most` ids of rows to send, in order. None of them is locked yet.

    Callers come in no fixed order: when there is room for few, it is not always the same few.
    """
    lanes_of: dict[int | None, list[Lane]] = {}
    for lane in waiting_lanes(session, queue):
        lanes_of.setdefault(lane.user_id, []).append(lane)
    callers = random.sample(list(lanes_of), k=min(most, len(lanes_of)))
    page = -(-most // len(callers)) if callers else 0
    return list(
        islice(_in_turn([_oldest_first(session, queue, lanes_of[c], page) for c in callers]), most)
    )


def _in_turn(streams: Sequence[Iterator[int]]) -> Iterator[int]:
    """One from each stream, round and round, until all have ended."""
    left = list(streams)
    while left:
        for stream in list(left):
            try:
                yield next(stream)
            except StopIteration:
                left.remove(stream)


def _oldest_first(session: Session, queue: str, lanes: Sequence[Lane], page: int) -> Iterator[int]:
    places = heapq.merge(*(_rows_of(session, queue, lane, page) for lane in lanes))
    return (output_id for _, output_id in places)


def _rows_of(session: Session, queue: str, lane: Lane, page: int) -> Iterator[_Place]:
    """The lane's due rows in order, read by pages as they are asked for."""
    place = {"queue": queue, "bucket": lane.bucket, "model_name": lane.model_name, "page": page}
    owned = lane.user_id is not None
    if owned:
        place["user_id"] = lane.user_id
    seen = 0
    while True:
        rows = session.execute(_page(owned), {**place, "seen": seen}).all()
        yield from ((row.run_at, row.id) for row in rows)
        if len(rows) < page:
            return
        seen += page


@cache
def _page(owned: bool) -> Select[datetime, int]:
    return (
        select(_T.c.run_at, _T.c.id)
        .where(
            _unsent_in(_T, bindparam("queue")),
            _T.c.user_id == bindparam("user_id") if owned else _T.c.user_id.is_(None),
            _T.c.bucket == bindparam("bucket"),
            _T.c.model_name == bindparam("model_name"),
            guards.is_due(),
        )
        .order_by(*_IN_ORDER)
        .limit(bindparam("page", type_=Integer))
        .offset(bindparam("seen", type_=Integer))
    )


def _search(session: Session, statement: Select[Any], **parameters: Any) -> list[Lane]:
    rows = session.execute(statement, parameters)
    return [
        Lane(row.user_id, row.bucket, row.model_name, row.run_at, bool(row.ready)) for row in rows
    ]


@cache
def _lanes_of_anybody() -> Select[Any]:
    user_id = bindparam("user_id", type_=BigInteger)
    return _lanes(_T.c.user_id >= user_id, "user_id", "bucket", "model_name")


@cache
def _lanes_of_one() -> Select[Any]:
    user_id = bindparam("user_id", type_=BigInteger)
    return _lanes(_T.c.user_id == user_id, "bucket", "model_name")


@cache
def _lanes_of_nobody() -> Select[Any]:
    return _lanes(_T.c.user_id.is_(None), "bucket", "model_name")


def _lanes(whose: ColumnElement[bool], *key: str) -> Select[Any]:
    """The first row of each lane: hops from one row to the first that has a greater key."""
    hop = select(_first(whose).scalar_subquery().label("id"), literal(1).label("number")).cte(
        "hop", recursive=True
    )
    following = func.coalesce(*(_beyond(whose, key[:n]) for n in range(len(key), 0, -1)))
    hop = hop.union_all(
        select(following, hop.c.number + 1)
        .join_from(hop, _LAST, _LAST.c.id == hop.c.id)
        .where(hop.c.number < MOST_LANES)
    )
    ready = and_(guards.is_due(), guards.not_paused(_T.c))
    return select(
        _T.c.user_id, _T.c.bucket, _T.c.model_name, _T.c.run_at, ready.label("ready")
    ).join_from(hop, _T, _T.c.id == hop.c.id)


def _beyond(whose: ColumnElement[bool], key: Sequence[str]) -> ColumnElement[int]:
    """The first row whose key is the last lane's but for a greater last part.

    Each such search is one seek. As one comparison, `(a, b) > (x, y)`, SQLite would begin at the
    lane's own rows and pass over all of them.
    """
    *same, greater = key
    place = [_T.c[name] == _of_last(name) for name in same]
    owned = [] if "user_id" in key else [whose]
    first = _first(*owned, *place, _T.c[greater] > _of_last(greater)).correlate(_LAST)
    return first.scalar_subquery()


def _of_last(name: str) -> ColumnElement[Any]:
    return _LAST.c[name] if name == "user_id" else plain(_LAST.c[name])


def _first(*of_lane: ColumnElement[bool]) -> Select[int]:
    unsent = _unsent_in(_T, bindparam("queue"))
    return select(_T.c.id).where(unsent, *of_lane).order_by(*_IN_ORDER).limit(1)


def _last_caller() -> Select[Any]:
    return select(func.max(_T.c.user_id)).where(_unsent_in(_T, bindparam("queue")))


def _unsent_in(table: FromClause, queue: Any) -> ColumnElement[bool]:
    return and_(guards.status_is(Status.PENDING), guards.unsent(), table.c.queue == queue)
