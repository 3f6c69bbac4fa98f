"""fold: counts what has happened since the marks into the tables of statistics, exactly once.

Marks, sums and the lock that keeps others out are one transaction: it is there whole, or not at
all. Rows up to the horizon are counted (`horizon.py`), at most some thousands of a kind at a time;
the rest waits for the next round. Jobs that ended and calls are found by their time, accepted jobs
by their ids: every id given out before the horizon is there, or never will be.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from functools import cache, partial
from itertools import chain
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, delete, false, func, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from app.statistics import streams
from app.statistics.horizon import horizon
from app.statistics.sheet import Sheet
from models import LLMOutput, Stream
from models.base import table_of
from models.statistics import ALL_TIME, call_statistics, job_statistics, statistics_marks
from models.types import now, now_plus

MOST_ROWS = {"sqlite": 2_000, "postgresql": 20_000}
"""Of one kind in one transaction: on SQLite nobody else writes meanwhile."""

KEPT_DAYS = 400

_M = statistics_marks
_T = table_of(LLMOutput)
_TICK = timedelta(milliseconds=1)
"""The finest time both databases tell apart."""


@dataclass(frozen=True, slots=True)
class Folded:
    """What a round did: jobs and calls counted, and whether some more can be counted at once."""

    events: int
    behind: bool


@dataclass(frozen=True, slots=True)
class _Mark:
    """How far a stream is folded (`models.StatisticsMark`)."""

    upto: datetime
    upto_id: int
    seen_id: int
    seen_at: datetime

    @classmethod
    def first(cls) -> _Mark:
        """Nothing is folded yet."""
        return cls(ALL_TIME, 0, 0, ALL_TIME)


_Marks = dict[Stream, _Mark]


def is_there_news(session: Session) -> bool:
    """Has anything happened that is not counted? A look that takes no lock."""
    marks = _read_marks(session)
    if len(marks) < len(Stream):
        return True
    moments = chain(*(_oldest(*one) for one in marks.items()))
    return any(session.scalar(query) is not None for query in moments)


def lag_seconds(session: Session) -> float:
    """How long ago the oldest event happened that is not counted yet; 0 when all are."""
    marks = _read_marks(session)
    moments = [_oldest(stream, marks.get(stream, _Mark.first())) for stream in Stream]
    found = [m for m in (session.scalar(query) for query in chain(*moments)) if m is not None]
    clock: datetime = session.execute(select(now())).scalar_one()
    ages = [float((clock - moment).total_seconds()) for moment in found]
    return max([0.0, *ages])


def fold(session: Session, *, most: int | None = None) -> Folded:
    """Count what happened since the marks, in the caller's writing transaction.

    `most` rows of a kind at most (unsaid: `MOST_ROWS`). When somebody else is folding, nothing.
    """
    marks = _held_marks(session)
    if not marks:
        return Folded(0, behind=False)
    most = most or MOST_ROWS[session.get_bind().dialect.name]
    newest = session.execute(_newest()).one()
    limit = horizon(session)  # after the newest id: what is settled before it must not be younger
    sheet = Sheet()
    behind = _count_accepted(session, sheet, marks, newest, limit, most)
    for stream in (Stream.ENDED, Stream.CALLED, Stream.REPORTED):
        behind |= _count_until(session, sheet, marks, stream, limit, most)
    sheet.write(session)
    _move(session, marks)
    return Folded(sheet.events, behind)


def counted(session: Session) -> ColumnElement[bool]:
    """The condition of rows of which everything has been counted; they may go."""
    marks = _read_marks(session)
    if len(marks) < len(Stream):
        return false()
    moments = [mark.upto for stream, mark in marks.items() if stream != Stream.ACCEPTED]
    return and_(_T.c.id <= marks[Stream.ACCEPTED].upto_id, _T.c.finished_at < min(moments))


def prune(session: Session) -> int:
    """Forget hours older than `KEPT_DAYS`; how many rows that were. All time is kept."""
    old = now_plus(-KEPT_DAYS * 86_400)
    gone = 0
    for table in (job_statistics, call_statistics):
        hour = table.c.hour
        found = session.execute(delete(table).where(hour > ALL_TIME, hour < old))
        gone += found.rowcount  # type: ignore[attr-defined]
    return gone


def _count_accepted(
    session: Session, sheet: Sheet, marks: _Marks, newest: Any, limit: datetime, most: int
) -> bool:
    """Accepted jobs up to the newest id that is settled. Were there more than `most`?"""
    mark = marks[Stream.ACCEPTED]
    if newest.at <= limit:
        settled, seen = newest.id, newest
    elif mark.seen_at <= limit:
        settled, seen = mark.seen_id, newest
    else:
        return False  # what was seen last is still being written; look for nothing newer
    window = {"after": mark.upto_id, "upto": settled}
    last = session.scalar(streams.cut_ids(), {**window, "most": most})
    window["upto"] = settled if last is None else last
    sheet.jobs += session.execute(streams.accepted(), window).mappings()
    marks[Stream.ACCEPTED] = replace(
        mark, upto_id=max(mark.upto_id, window["upto"]), seen_id=seen.id, seen_at=seen.at
    )
    return bool(window["upto"] < settled)


def _count_until(
    session: Session, sheet: Sheet, marks: _Marks, stream: Stream, limit: datetime, most: int
) -> bool:
    """What ended before the horizon. Were there more than `most` rows?"""
    mark = marks[stream]
    if limit <= mark.upto:
        return False
    window = {"since": mark.upto, "until": limit}
    cuts = [session.scalar(streams.cut(k), {**window, "most": most}) for k in _KINDS[stream]]
    until = min([limit, *(cut for cut in cuts if cut is not None)])
    window["until"] = min(limit, max(until, mark.upto + _TICK))  # many may share one moment
    for statement in _JOBS[stream]:
        sheet.jobs += session.execute(statement(), window).mappings()
    for statement in _CALLS[stream]:
        sheet.calls += session.execute(statement(), window).mappings()
    marks[stream] = replace(mark, upto=window["until"])
    return window["until"] < limit


_KINDS: dict[Stream, tuple[str, ...]] = {
    Stream.ENDED: ("completed", "given_up"),
    Stream.CALLED: ("called",),
    Stream.REPORTED: ("reported",),
}
_JOBS: dict[Stream, tuple[Callable[[], Select[Any]], ...]] = {
    Stream.ENDED: (partial(streams.ended, "completed"), partial(streams.ended, "given_up")),
    Stream.CALLED: (streams.spent,),
    Stream.REPORTED: (streams.spent_late,),
}
_CALLS: dict[Stream, tuple[Callable[[], Select[Any]], ...]] = {
    Stream.ENDED: (),
    Stream.CALLED: (streams.called,),
    Stream.REPORTED: (streams.reported,),
}


def _oldest(stream: Stream, mark: _Mark) -> list[Select[Any]]:
    """When the first event of this stream after its mark happened, by each of its indexes."""
    if stream == Stream.ACCEPTED:
        return [streams.first_accepted(mark.upto_id)]
    return [streams.first(kind, mark.upto) for kind in _KINDS[stream]]


def _held_marks(session: Session) -> _Marks:
    """The marks, locked; empty while somebody else holds them."""
    marks = _read_marks(session, hold=True)
    if not marks and len(_read_marks(session)) < len(Stream):
        on_postgresql = session.get_bind().dialect.name == "postgresql"
        new = (postgresql.insert if on_postgresql else sqlite.insert)(_M)
        session.execute(new.on_conflict_do_nothing(), [_first(stream) for stream in Stream])
        marks = _read_marks(session, hold=True)
    return marks if len(marks) == len(Stream) else {}


def _read_marks(session: Session, *, hold: bool = False) -> _Marks:
    query = select(_M).with_for_update(skip_locked=True) if hold else select(_M)
    return {
        Stream(row.stream): _Mark(row.upto, row.upto_id, row.seen_id, row.seen_at)
        for row in session.execute(query)
    }


def _first(stream: Stream) -> dict[str, Any]:
    return {"stream": stream.value, **asdict(_Mark.first())}


def _move(session: Session, marks: _Marks) -> None:
    for stream, mark in marks.items():
        session.execute(update(_M).where(_M.c.stream == stream).values(asdict(mark)))


@cache
def _newest() -> Select[Any]:
    """The newest id, and a moment at which it had been given out."""
    newest = select(func.coalesce(func.max(_T.c.id), 0).label("id")).subquery("newest")
    return select(newest.c.id, now().label("at"))
