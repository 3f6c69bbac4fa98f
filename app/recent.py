"""A value that may be a little old: read at most every so often per process, whoever asks.

For what every request wants to know and the database should not be asked each time. Values of
different databases are kept apart.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar
from weakref import WeakKeyDictionary

from app.db import Database

Value = TypeVar("Value")


@dataclass(slots=True)
class _Kept(Generic[Value]):
    value: Value | None = None
    taken_at: float = float("-inf")
    being_taken: bool = False


class Recent(Generic[Value]):
    """Keeps one value per database for `seconds`. Thread-safe."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._lock = threading.Lock()
        self._kept: WeakKeyDictionary[Database, _Kept[Value]] = WeakKeyDictionary()

    def get(self, database: Database, take: Callable[[], Value]) -> Value:
        """The value, taken anew when it is too old. Raises what `take` raises.

        One thread takes the next value while the others go on with the last one, so that nobody
        waits in line for a slow database.
        """
        with self._lock:
            kept = self._kept.setdefault(database, _Kept())
            fresh = time.monotonic() - kept.taken_at <= self._seconds
            if kept.value is not None and (fresh or kept.being_taken):
                return kept.value
            kept.being_taken = True
        try:
            value = take()
            with self._lock:
                kept.value, kept.taken_at = value, time.monotonic()
            return value
        finally:
            with self._lock:
                kept.being_taken = False
