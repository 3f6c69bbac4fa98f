"""forget: one small step of what is too old. Whoever wants all of it asks until nothing is left.

A row whose texts are gone is still counted, found and shown with its facts. A row that is gone is
gone with its attempts; the statistics have counted it before (rows they have not are left alone).
Lineage stays whole: a parent outlives its derived jobs. What a chat shows is as old as the chat:
its jobs are kept while it is there, and a removed chat goes with the rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, delete, exists, func, select
from sqlalchemy.orm import Session, aliased

from app import statistics
from app.jobs.erase import erase_texts
from app.settings import Settings
from models import Chat, ChatMessage, LLMOutput, Status
from models.types import now_plus

MOST_ROWS = 500
"""In one transaction: on SQLite nobody else writes meanwhile."""

_DAY_SECONDS = 86_400.0


@dataclass(frozen=True, slots=True)
class Keeping:
    """For how many days after a job's end its texts, and its row, are kept; None is for ever."""

    texts_days: float | None = None
    rows_days: float | None = None

    @classmethod
    def by(cls, settings: Settings) -> Keeping:
        return cls(settings.keep_texts_days, settings.keep_rows_days)

    @property
    def forever(self) -> bool:
        return self.texts_days is None and self.rows_days is None


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What went: jobs that lost their texts, rows of jobs, and chats that had been removed."""

    texts: int = 0
    rows: int = 0
    chats: int = 0

    def __bool__(self) -> bool:
        return bool(self.texts or self.rows or self.chats)

    def __add__(self, other: Forgotten) -> Forgotten:
        return Forgotten(self.texts + other.texts, self.rows + other.rows, self.chats + other.chats)


def forget(session: Session, keeping: Keeping, *, most: int = MOST_ROWS) -> Forgotten:
    """Forget at most `most` of each kind, in the caller's writing transaction.

    Nothing forgotten means that nothing is left to forget for now. May be asked for by many at
    once: each takes other rows.
    """
    done = Forgotten()
    if keeping.rows_days is not None:
        old = now_plus(-keeping.rows_days * _DAY_SECONDS)
        done += Forgotten(chats=_remove_chats(session, old, most))
        done += Forgotten(rows=_remove_rows(session, old, most))
    if keeping.texts_days is not None:
        old = now_plus(-keeping.texts_days * _DAY_SECONDS)
        done += Forgotten(texts=_remove_texts(session, old, most))
    return done


def count_old(session: Session, keeping: Keeping) -> Forgotten:
    """How much `forget` would take now; parents of rows that would go lose their texts first."""

    def number(query: Select[Any]) -> int:
        return session.scalar(select(func.count()).select_from(query.subquery())) or 0

    texts = rows = chats = 0
    going_rows: list[Select[int]] = []
    if keeping.rows_days is not None:
        old = now_plus(-keeping.rows_days * _DAY_SECONDS)
        chats = number(_removed_chats(old))
        going_rows = list(_old_rows(session, old))
        rows = sum(map(number, going_rows))
    if keeping.texts_days is not None:
        query = _old_texts(now_plus(-keeping.texts_days * _DAY_SECONDS)).order_by(None)
        for going in going_rows:
            query = query.where(LLMOutput.id.not_in(going.order_by(None)))
        texts = number(query)
    return Forgotten(texts, rows, chats)


def _remove_texts(session: Session, old: ColumnElement[datetime], most: int) -> int:
    ids = _taken(session, _old_texts(old), most)
    erase_texts(session, ids)
    return len(ids)


def _remove_rows(session: Session, old: ColumnElement[datetime], most: int) -> int:
    gone = 0
    for query in _old_rows(session, old):
        ids = _taken(session, query, most - gone)
        session.execute(delete(LLMOutput).where(LLMOutput.id.in_(ids)))
        gone += len(ids)
    return gone


def _remove_chats(session: Session, old: ColumnElement[datetime], most: int) -> int:
    ids = _taken(session, _removed_chats(old), most)
    session.execute(delete(Chat).where(Chat.id.in_(ids)))
    return len(ids)


def _taken(session: Session, query: Select[int], most: int) -> list[int]:
    """Ids nobody else is working on, locked until the transaction ends."""
    return list(session.scalars(query.limit(most).with_for_update(skip_locked=True)))


def _old_texts(old: ColumnElement[datetime]) -> Select[int]:
    return (
        select(LLMOutput.id)
        .where(
            LLMOutput.finished_at.is_not(None),
            LLMOutput.finished_at < old,
            LLMOutput.erased_at.is_(None),
            ~_in_a_chat(),
        )
        .order_by(LLMOutput.finished_at)
    )


def _old_rows(session: Session, old: ColumnElement[datetime]) -> Iterator[Select[int]]:
    """By each of the two indexes of ended rows; the youngest of a lineage first."""
    counted = statistics.counted(session)
    derived = aliased(LLMOutput)
    needed = [exists().where(of == LLMOutput.id) for of in (derived.parent_id, derived.root_id)]
    for ended in (
        LLMOutput.status == Status.COMPLETED.value,
        LLMOutput.status.in_((Status.FAILED.value, Status.CANCELLED.value)),
    ):
        yield (
            select(LLMOutput.id)
            .where(ended, LLMOutput.finished_at < old, counted)
            .where(*(~one for one in needed), ~_in_a_chat())
            .order_by(LLMOutput.finished_at)
        )


def _removed_chats(old: ColumnElement[datetime]) -> Select[int]:
    return select(Chat.id).where(Chat.deleted_at.is_not(None), Chat.deleted_at < old)


def _in_a_chat() -> ColumnElement[bool]:
    return exists().where(ChatMessage.output_id == LLMOutput.id)
