"""One look for everybody: which rows of open lists moved, and how many rows are newer than those.

A process has one feed however many people watch. What moved is news it hears anyway; once a second,
while anybody watches, one query finds the rows that are new. News may be lost: so the watched rows
themselves are looked at now and then, and every second while no news can be heard. Not here: one
job's text as it is written (`events.py`), and what a page does with the hint (it asks again).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Hashable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.db import Database
from app.errors import Unavailable
from models import LLMOutput

log = structlog.get_logger(__name__)

TICK_SECONDS = 1.0
LOOK_ANYWAY_SECONDS = 5.0
"""How often watched rows are looked at although news are heard."""

MOST_NEW = 1_000
"""More new rows are not counted."""

MOST_WATCHED = 200
"""Rows of one page."""

_AT_ONCE = 5_000
_OVERLAP = 200
"""Ids are given out in order but may be committed out of it: so many are read a second time."""

_CHUNK = 500


@dataclass(frozen=True, slots=True)
class News:
    """Rows to look at again, and how many rows are newer than the newest the list shows."""

    rows: tuple[int, ...]
    new: int


class Watcher:
    """One open list. Its thread waits here; the feed's thread leaves news."""

    def __init__(self, row_ids: Collection[int], counted: int | None, *, after: int) -> None:
        self.row_ids = frozenset(row_ids)
        self.counted = counted
        self.after = after
        self._moved: set[int] = set()
        self._fresh: set[int] = set()
        self._told = 0
        self._condition = threading.Condition()
        self._over = False
        self.left = threading.Event()

    def wait(self, timeout_seconds: float) -> News | None:
        """News since the last time, as soon as there are any; None after the time-out."""
        with self._condition:
            self._condition.wait_for(self._anything, timeout_seconds)
            if self._over or not self._anything():
                return None
            news = News(tuple(sorted(self._moved)), len(self._fresh))
            self._moved, self._told = set(), news.new
            return news

    @property
    def over(self) -> bool:
        """Was it told to end: by a newer watcher of the same tab, or because the process stops?"""
        return self._over

    def end(self) -> None:
        """Let its thread go."""
        with self._condition:
            self._over = True
            self._condition.notify_all()

    def moved(self, ids: Collection[int]) -> None:
        """These rows changed; it keeps those it watches."""
        mine = self.row_ids.intersection(ids)
        if mine:
            with self._condition:
                self._moved |= mine
                self._condition.notify_all()

    def appeared(self, rows: Iterable[tuple[int, int | None]]) -> None:
        """These rows (id, owner) exist; it counts those that are new to it."""
        with self._condition:
            for row_id, owner in rows:
                mine = self.counted is None or owner == self.counted
                if mine and row_id > self.after and len(self._fresh) < MOST_NEW:
                    self._fresh.add(row_id)
            self._condition.notify_all()

    def _anything(self) -> bool:
        return self._over or bool(self._moved) or len(self._fresh) > self._told


class Feed:
    """Tells watchers of rows. `listen` makes news come in (by `hear`), `hearing`: do they?"""

    def __init__(
        self, database: Database, *, listen: Callable[[], None], hearing: Callable[[], bool]
    ) -> None:
        self._database = database
        self._listen = listen
        self._hearing = hearing
        self._lock = threading.Lock()
        self._watchers: dict[Hashable, Watcher] = {}
        self._versions: dict[int, datetime] = {}
        self._newest = 0
        self._looked = 0.0
        self._thread: threading.Thread | None = None
        self._closed = threading.Event()

    def watch(
        self,
        tab: Hashable,
        *,
        row_ids: Sequence[int],
        owner: int | None,
        counted: int | None,
        after: int,
        seen: datetime | None = None,
    ) -> Watcher:
        """Watch rows of `owner`, and what comes after row `after` of the user `counted`; None is
        everybody, and who may ask so is the caller's matter.

        Ids of others' rows are dropped. What moved after `seen`, and what is newer, is told at
        once. The same `tab` ends what it watched before. Raises Unavailable without a database.
        """
        self.end(tab)
        with self._database.read() as session:
            versions = _versions(session, row_ids[:MOST_WATCHED], owner)
            newest = session.scalar(select(func.max(LLMOutput.id))) or 0
        watcher = Watcher(versions, counted, after=after)
        with self._lock:
            self._watchers[tab] = watcher
            self._versions = versions | self._versions
            self._start(newest)
        self._listen()
        try:
            with self._database.read() as session:  # what came while nobody looked
                watcher.appeared(_newer(session, after, counted, most=MOST_NEW))
        except BaseException:
            self.leave(tab, watcher)
            raise
        watcher.moved([row for row, moment in versions.items() if seen and moment > seen])
        return watcher

    def leave(self, tab: Hashable, watcher: Watcher) -> None:
        """The watcher's list was closed."""
        with self._lock:
            if self._watchers.get(tab) is watcher:
                del self._watchers[tab]
        watcher.left.set()

    def end(self, tab: Hashable, *, wait_seconds: float = 0) -> None:
        """End what a tab watches; returns when it has left, or after so long."""
        with self._lock:
            watcher = self._watchers.get(tab)
        if watcher is not None:
            watcher.end()
            watcher.left.wait(wait_seconds)

    def hear(self, facts: Sequence[Sequence[Any]]) -> None:
        """News: rows (id first) moved."""
        ids = {fact[0] for fact in facts}
        for watcher in self._all():
            watcher.moved(ids)

    def close(self) -> None:
        """Let everybody go and stop looking."""
        self._closed.set()
        for watcher in self._all():
            watcher.end()
        if self._thread is not None:
            self._thread.join(timeout=3)

    # Inside

    def _all(self) -> list[Watcher]:
        with self._lock:
            return list(self._watchers.values())

    def _start(self, newest: int) -> None:
        if self._thread is None and not self._closed.is_set():
            self._newest = newest
            self._thread = threading.Thread(target=self._run, name="llm-jobs-feed", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        away = False
        while not self._closed.wait(TICK_SECONDS):
            with self._lock:
                watchers = list(self._watchers.values())
                if not watchers:
                    self._thread = None  # whoever comes next starts another
                    self._versions = {}
                    return
            try:
                self._look(watchers)
                away = False
            except Unavailable:
                if not away:
                    log.warning("awaited rows not looked up: the database is away")
                away = True

    def _look(self, watchers: Sequence[Watcher]) -> None:
        with self._database.read() as session:
            new = self._look_for_new(session)
            moved = self._look_at_watched(session, watchers)
        for watcher in watchers:
            watcher.appeared(new)
            watcher.moved(moved)

    def _look_for_new(self, session: Session) -> list[tuple[int, int | None]]:
        rows = _newer(session, max(0, self._newest - _OVERLAP), None, most=_AT_ONCE)
        self._newest = max([self._newest, *(row[0] for row in rows)])
        return rows

    def _look_at_watched(self, session: Session, watchers: Sequence[Watcher]) -> list[int]:
        every = LOOK_ANYWAY_SECONDS if self._hearing() else TICK_SECONDS
        if time.monotonic() - self._looked < every - 0.05:
            return []
        self._looked = time.monotonic()
        watched = sorted(frozenset().union(*(watcher.row_ids for watcher in watchers)))
        now = _versions(session, watched, None)
        before, self._versions = self._versions, now
        return [row for row, moment in now.items() if before.get(row, moment) != moment]


def _newer(
    session: Session, after: int, user_id: int | None, *, most: int
) -> list[tuple[int, int | None]]:
    query = select(LLMOutput.id, LLMOutput.user_id).where(LLMOutput.id > after)
    if user_id is not None:
        query = query.where(LLMOutput.user_id == user_id)
    return [
        (row, owner) for row, owner in session.execute(query.order_by(LLMOutput.id).limit(most))
    ]


def _versions(session: Session, row_ids: Sequence[int], user_id: int | None) -> dict[int, datetime]:
    """When each row last changed; of one user's rows, or of all."""
    found: dict[int, datetime] = {}
    for start in range(0, len(row_ids), _CHUNK):
        query = select(LLMOutput.id, LLMOutput.updated_at).where(
            LLMOutput.id.in_(row_ids[start : start + _CHUNK])
        )
        if user_id is not None:
            query = query.where(LLMOutput.user_id == user_id)
        found |= {row.id: row.updated_at for row in session.execute(query)}
    return found
