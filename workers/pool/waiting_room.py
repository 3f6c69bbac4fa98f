"""The order inside a worker: who takes the next free slot.

Messages wait in three lines (high, default, low) and leave by strict priority, with one exception:
one slot belongs to the oldest waiting default or low message, so that an unbroken stream of high
ones never starves the rest. A plain data structure: it knows nothing of Celery, slots or threads,
and belongs to whoever calls it from one thread.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from enum import IntEnum
from itertools import count
from typing import Generic, TypeVar

T = TypeVar("T", bound=Hashable)


class Rank(IntEnum):
    """The three lines; a smaller number goes first."""

    HIGH = 0
    DEFAULT = 1
    LOW = 2

    @classmethod
    def of(cls, queue: str | None) -> Rank:
        """The line for messages of `queue`: its own name, and default for every other one."""
        return _RANKS.get(queue or "", cls.DEFAULT)


_RANKS = {"high": Rank.HIGH, "low": Rank.LOW}


class WaitingRoom(Generic[T]):
    """Three lines, each first come first served."""

    def __init__(self) -> None:
        self._lines: dict[Rank, OrderedDict[T, int]] = {rank: OrderedDict() for rank in Rank}
        self._arrivals = count()

    def __len__(self) -> int:
        return sum(map(len, self._lines.values()))

    def add(self, item: T, rank: Rank) -> None:
        """Put `item` at the end of its line."""
        self._lines[rank][item] = next(self._arrivals)

    def remove(self, item: T) -> bool:
        """Let `item` leave without its turn; says whether it was here."""
        return any(line.pop(item, None) is not None for line in self._lines.values())

    def next(self, *, reserved_is_free: bool) -> T | None:
        """Take out whose turn it is, or None when nobody waits.

        `reserved_is_free` says that the slot kept for default and low messages is not in use:
        then the oldest of them goes first.
        """
        waiting = [line for line in self._lines.values() if line]
        lower = [line for rank, line in self._lines.items() if line and rank is not Rank.HIGH]
        if reserved_is_free and lower:
            return _take(min(lower, key=_oldest))
        return _take(waiting[0]) if waiting else None

    def clear(self) -> list[T]:
        """Send everybody away; returns them in the order of their lines."""
        everybody = [item for line in self._lines.values() for item in line]
        for line in self._lines.values():
            line.clear()
        return everybody


def _oldest(line: OrderedDict[T, int]) -> int:
    return next(iter(line.values()))


def _take(line: OrderedDict[T, int]) -> T:
    return line.popitem(last=False)[0]
