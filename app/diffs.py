"""What differs between two texts, word by word, and between two JSON values, place by place. Pure.

Applying a difference to the one gives the other (a test proves it). Input of any size is taken: a
text too long for words is compared by lines, one too long for that is shown as replaced, and of
very many changed places only the first are listed.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from enum import StrEnum
from typing import Any

MOST_PARTS = 3_000
"""Words, or else lines, of either text that are compared; what both begin and end with is free."""

MOST_CHANGES = 400
DEEPEST = 40
"""Values nested deeper are compared as wholes."""

_WORDS = re.compile(r"\w+\s*|[^\w\s]\s*|\s+")


class Kind(StrEnum):
    """What became of a piece or a place."""

    SAME = "same"
    GONE = "gone"
    NEW = "new"
    CHANGED = "changed"


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of text that both have, only the first (`gone`) or only the second (`new`)."""

    kind: Kind
    text: str


@dataclass(frozen=True, slots=True)
class TextDiff:
    """Two texts as pieces in order. `coarse`: too long to be compared word by word."""

    pieces: tuple[Piece, ...]
    coarse: bool = False

    @property
    def differs(self) -> bool:
        return any(piece.kind is not Kind.SAME for piece in self.pieces)

    @property
    def before(self) -> str:
        """The first text."""
        return "".join(piece.text for piece in self.pieces if piece.kind is not Kind.NEW)

    @property
    def after(self) -> str:
        """The second text."""
        return "".join(piece.text for piece in self.pieces if piece.kind is not Kind.GONE)


Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Change:
    """One place of a JSON value: `before` is None when new, `after` when gone."""

    path: Path
    kind: Kind
    before: Any = None
    after: Any = None

    @property
    def place(self) -> str:
        """The path for people: `user.tags[2]`; empty for the whole value."""
        spelled = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in self.path)
        return spelled.removeprefix(".")


@dataclass(frozen=True, slots=True)
class ValueDiff:
    """Changed places in order. `cut`: there are more than are listed."""

    changes: tuple[Change, ...]
    cut: bool = False

    @property
    def differs(self) -> bool:
        return bool(self.changes)


def of_texts(before: str, after: str) -> TextDiff:
    """The word diff of two texts."""
    coarse = False
    first, second = _WORDS.findall(before), _WORDS.findall(after)
    head, tail = _common(first, second)
    if max(len(first), len(second)) - head - tail > MOST_PARTS:
        coarse = True
        first, second = before.splitlines(keepends=True), after.splitlines(keepends=True)
        head, tail = _common(first, second)
    middle = (first[head : len(first) - tail], second[head : len(second) - tail])
    pieces = [
        (Kind.SAME, "".join(first[:head])),
        *_compared(*middle),
        (Kind.SAME, "".join(first[len(first) - tail :])),
    ]
    return TextDiff(tuple(Piece(kind, text) for kind, text in pieces if text), coarse)


def of_values(before: Any, after: Any) -> ValueDiff:
    """The structural diff of two JSON values. Lists are compared place by place."""
    changes: list[Change] = []
    for change in _walk((), before, after):
        if len(changes) == MOST_CHANGES:
            return ValueDiff(tuple(changes), cut=True)
        changes.append(change)
    return ValueDiff(tuple(changes))


def applied(before: Any, changes: Sequence[Change]) -> Any:
    """A value with changes made to a copy of it."""
    box = [copy.deepcopy(before)]
    for change in changes:
        path: Path = (0, *change.path)
        place: Any = box
        for step in path[:-1]:
            place = place[step]
        if change.kind is Kind.GONE:
            del place[path[-1]]
        elif change.kind is Kind.NEW and isinstance(place, list):
            place.append(change.after)
        else:
            place[path[-1]] = change.after
    return box[0]


def _common(first: Sequence[str], second: Sequence[str]) -> tuple[int, int]:
    """How many parts both begin with, and how many of the rest both end with."""
    shorter = min(len(first), len(second))
    head = next((i for i in range(shorter) if first[i] != second[i]), shorter)
    left = shorter - head
    tail = next((i for i in range(left) if first[-1 - i] != second[-1 - i]), left)
    return head, tail


def _compared(first: Sequence[str], second: Sequence[str]) -> Iterator[tuple[Kind, str]]:
    if max(len(first), len(second)) > MOST_PARTS:
        yield Kind.GONE, "".join(first)
        yield Kind.NEW, "".join(second)
        return
    for tag, a, b, c, d in SequenceMatcher(None, first, second).get_opcodes():
        if tag == "equal":
            yield Kind.SAME, "".join(first[a:b])
        else:
            yield Kind.GONE, "".join(first[a:b])
            yield Kind.NEW, "".join(second[c:d])


def _walk(path: Path, before: Any, after: Any) -> Iterator[Change]:
    if len(path) < DEEPEST and isinstance(before, dict) and isinstance(after, dict):
        yield from _walk_object(path, before, after)
    elif len(path) < DEEPEST and isinstance(before, list) and isinstance(after, list):
        yield from _walk_list(path, before, after)
    elif not _same(before, after):
        yield Change(path, Kind.CHANGED, before, after)


def _walk_object(path: Path, before: dict[str, Any], after: dict[str, Any]) -> Iterator[Change]:
    for key, value in before.items():
        if key in after:
            yield from _walk((*path, key), value, after[key])
        else:
            yield Change((*path, key), Kind.GONE, value)
    for key, value in after.items():
        if key not in before:
            yield Change((*path, key), Kind.NEW, None, value)


def _walk_list(path: Path, before: list[Any], after: list[Any]) -> Iterator[Change]:
    both = min(len(before), len(after))
    for index in range(both):
        yield from _walk((*path, index), before[index], after[index])
    for index in range(len(before) - 1, both - 1, -1):  # from the end, so that places stay
        yield Change((*path, index), Kind.GONE, before[index])
    for index in range(both, len(after)):
        yield Change((*path, index), Kind.NEW, None, after[index])


def _same(before: Any, after: Any) -> bool:
    """Equal, and of one JSON type: `true` is not 1. What cannot be compared differs."""
    if type(before) is not type(after):
        return False
    try:
        return bool(before == after)
    except RecursionError:
        return False
