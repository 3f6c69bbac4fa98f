"""Connections held open on purpose: a bounded number, so that they never take every thread.

A held connection (an event stream, a `?wait=`, a file that is read slowly) occupies a thread of
this process. Counts are per process; nothing here is shared.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from flask import current_app

from app.errors import TooManyRequests
from app.runtime import Runtime
from models import ENDED

Row = Mapping[str, Any]

STREAMS_PER_USER = 3
EXPORTS_PER_USER = 2
RETRY_SECONDS = 5
LOOK_SECONDS = 2.0
"""How soon a waiting request notices that its process is stopping."""


class Places:
    """How many connections may be held at once, in all and per user."""

    def __init__(self, total: int, *, per_user: int) -> None:
        self._total = total
        self._per_user = per_user
        self._held: Counter[Hashable] = Counter()
        self._lock = threading.Lock()

    def take(self, user: Hashable) -> bool:
        """Take a place if there is one; who took it gives it back."""
        with self._lock:
            if self._held.total() >= self._total or self._held[user] >= self._per_user:
                return False
            self._held[user] += 1
            return True

    def give_back(self, user: Hashable) -> None:
        with self._lock:
            self._held[user] -= 1
            if self._held[user] <= 0:
                del self._held[user]

    @property
    def held(self) -> int:
        with self._lock:
            return self._held.total()


class Held:
    """The kinds of held connections of one process; an eighth of the threads stays free."""

    def __init__(self, threads: int) -> None:
        most = max(1, threads * 3 // 8)
        self.streams = Places(most, per_user=STREAMS_PER_USER)
        self.waits = Places(most, per_user=most)
        self.exports = Places(max(1, threads // 8), per_user=EXPORTS_PER_USER)
        self.stopping = threading.Event()


def let_go(application: object) -> None:
    """End what is held: the process was told to stop. May be called in a signal handler."""
    found: Held | None = getattr(application, "extensions", {}).get("llm_jobs_held")
    if found is not None:  # another WSGI application holds nothing of ours
        found.stopping.set()


def held() -> Held:
    """The current application's."""
    found: Held = current_app.extensions["llm_jobs_held"]
    return found


def take_stream(user: Hashable) -> Callable[[], None]:
    """A place for an event stream; returns what gives it back (once, however often called).

    Raises TooManyRequests when the user has its streams, or the process its connections.
    """
    return _taken(held().streams, user, f"event streams; at most {STREAMS_PER_USER}")


def take_service(user: Hashable) -> Callable[[], None]:
    """A place to wait in for a service's answer; as `take_stream`. One key is many people's there:
    only the process's places count.
    """
    return _taken(held().waits, user, "requests that wait")


def take_export(user: Hashable) -> Callable[[], None]:
    """A place for a file that is sent while it is read; as `take_stream`.

    Whoever reads it slowly keeps a thread: one person must not keep them all.
    """
    return _taken(held().exports, user, f"exports; at most {EXPORTS_PER_USER}")


def _taken(places: Places, user: Hashable, what: str) -> Callable[[], None]:
    if not places.take(user):
        raise TooManyRequests(f"Too many open {what} per user", retry_after_seconds=RETRY_SECONDS)
    once = threading.Lock()

    def give_back() -> None:
        if once.acquire(blocking=False):
            places.give_back(user)

    return give_back


@contextmanager
def wait_place(user: Hashable) -> Iterator[bool]:
    """Whether there is a place to wait in; without one the answer is given at once."""
    places = held().waits
    taken = places.take(user)
    try:
        yield taken
    finally:
        if taken:
            places.give_back(user)


def row_when_ended(
    runtime: Runtime, user: Hashable, read_row: Callable[[], Row], *, seconds: float | None
) -> Row:
    """The row as soon as its job has ended, or as it is after `seconds`; at once without them.

    News only shorten the wait: the row is read again after each.
    """
    row = read_row()
    if not seconds or row["status"] in ENDED:
        return row
    deadline, stopping = time.monotonic() + seconds, held().stopping
    with wait_place(user) as waiting:
        while waiting and row["status"] not in ENDED and not stopping.is_set():
            left = deadline - time.monotonic()
            if left <= 0:
                break
            runtime.events.wait_ended([row["job_id"]], min(left, LOOK_SECONDS))
            row = read_row()
    return row
