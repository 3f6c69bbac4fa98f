"""How deep, wide and long the values of a request may be. Pure; shared with whoever reads JSON.

What passes can be stored and shown: JSON values only, no NaN, no NUL, no lone surrogate (PostgreSQL
refuses the one, UTF-8 the other), and nothing that makes a later step run out of stack or memory.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any

from app.errors import InvalidParameter

MAX_DEPTH = 32
MAX_KEYS = 1_000
MAX_ITEMS = 10_000
MAX_VALUES = 100_000
MAX_STRING_BYTES = 256 * 1024
_MAX_INTEGER_BITS = 1024

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def check_value(value: Any, *, pointer: str = "", depth: int = 1) -> None:
    """Refuse a JSON-like value that is beyond a limit or cannot be stored.

    `pointer` is where the value stands in the request (a JSON Pointer, for the message), `depth`
    how deep (a whole body is at 1, its fields at 2). Raises InvalidParameter.
    """
    waiting = [(value, pointer, depth)]
    values = keys = 0
    while waiting:
        item, place, level = waiting.pop()
        values += 1
        keys += len(item) if isinstance(item, dict) else 0
        if values > MAX_VALUES or keys > MAX_KEYS:
            most = f"{MAX_KEYS:,} keys" if keys > MAX_KEYS else f"{MAX_VALUES:,} values"
            raise _refusal(pointer, f"more than {most}")
        if isinstance(item, (dict, list, tuple)):
            if level > MAX_DEPTH:
                raise _refusal(place, f"deeper than {MAX_DEPTH} levels")
            waiting += [(inner, where, level + 1) for inner, where in _inside(item, place)]
        else:
            _check_leaf(item, place)


def check_text(text: str, *, pointer: str) -> None:
    """Refuse a text that is too long or cannot be stored. Raises InvalidParameter."""
    if len(text) > MAX_STRING_BYTES or len(text.encode("utf-8", "replace")) > MAX_STRING_BYTES:
        raise _refusal(pointer, f"a text longer than {MAX_STRING_BYTES // 1024} kB")
    if found := _UNSTORABLE.search(text):
        raise _refusal(pointer, f"the character U+{ord(found[0]):04X}, which cannot be stored")


def _inside(item: Any, place: str) -> Iterator[tuple[Any, str]]:
    if not isinstance(item, dict):
        if len(item) > MAX_ITEMS:
            raise _refusal(place, f"a list of more than {MAX_ITEMS:,} items")
        for number, inner in enumerate(item):
            yield inner, f"{place}/{number}"
        return
    for key, inner in item.items():
        if not isinstance(key, str):
            raise _refusal(place, f"the key {key!r}, which is no text")
        check_text(key, pointer=place)
        yield inner, f"{place}/{key.replace('~', '~0').replace('/', '~1')}"


def _check_leaf(item: Any, place: str) -> None:
    if isinstance(item, str):
        check_text(item, pointer=place)
    elif isinstance(item, float):
        if not math.isfinite(item):
            raise _refusal(place, f"{item}, which is no JSON number")
    elif isinstance(item, int):
        if item.bit_length() > _MAX_INTEGER_BITS:
            raise _refusal(place, "a number of more than 300 digits")
    elif item is not None:
        raise _refusal(place, f"a value of type {type(item).__name__}, which is not JSON")


def _refusal(place: str, problem: str) -> InvalidParameter:
    shown = place if len(place) <= 120 else f"{place[:120]}…"
    return InvalidParameter(f"Invalid value at {shown or '/'}: {problem}", pointer=place or None)
