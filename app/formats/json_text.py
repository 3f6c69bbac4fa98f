"""Finds the JSON value in what a model wrote: the whole text, a fenced block, or amid prose.

It never guesses: a value inside a broken one, or one of several, is not taken for the answer.
Not here: whether the value is the one that was asked for (`schemas`).
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any

MAX_DEPTH = 100

_BYTE_ORDER_MARK = "\ufeff"
_FENCE = re.compile(r"[ \t]*(`{3,}|~{3,})([^`]*)")
_OPENER = re.compile(r"[{\[]")


def read_json(text: str) -> Any:
    """The one JSON value in `text`. Of equal keys the last one counts.

    Raises ValueError with a sentence that says what is wrong: not JSON, NaN or Infinity (which no
    database and no other reader takes), a number out of range, more than `MAX_DEPTH` levels, or
    more than one value.
    """
    try:
        return decode(text)
    except ValueError as error:
        problem = error
    values = _values_in_fences(text)
    if values is None:
        values = _values_in_prose(text)
    if len(values) > 1:
        raise ValueError("there is more than one JSON value in it")
    if not values:
        raise problem
    return values[0]


def decode(text: str) -> Any:
    """The value of a text that is nothing but JSON. Raises ValueError as `read_json` does."""
    text = text.strip().removeprefix(_BYTE_ORDER_MARK).lstrip()
    value, end = _value_at(text, 0)
    if end < len(text):
        raise ValueError(f"there is more after the value, from character {end + 1} on")
    return value


def _value_at(text: str, start: int) -> tuple[Any, int]:
    """The value that begins there, and where it ends."""
    try:
        value, end = _DECODER.raw_decode(text, start)
    except RecursionError:
        raise _too_deep() from None
    _check_depth(value)
    return value, end


def _values_in_fences(text: str) -> list[Any] | None:
    """The values of the fenced blocks that are JSON; None without any block.

    Raises ValueError for the first block when none is JSON.
    """
    blocks = list(_fenced_blocks(text))
    if not blocks:
        return None
    return _readable(blocks) or [decode(blocks[0])]


def _values_in_prose(text: str) -> list[Any]:
    """The value that begins at the first bracket, and those after its end, if any.

    Only the first bracket can begin the answer: a value further in may be a part of a broken or a
    cut one, and nothing in the text tells which. Raises ValueError when there is no value there.
    """
    values: list[Any] = []
    end = 0
    while len(values) < 2 and (match := _OPENER.search(text, end)):
        try:
            value, end = _value_at(text, match.start())
        except ValueError:
            if not values:
                raise
            break
        values.append(value)
    return values


def _readable(candidates: Iterable[str]) -> list[Any]:
    values = []
    for candidate in candidates:
        with suppress(ValueError):
            values.append(decode(candidate))
    return values


def _fenced_blocks(text: str) -> Iterator[str]:
    """What stands between fence lines; an unclosed fence lasts to the end, as in Markdown."""
    fence = ""
    block: list[str] = []
    for line in text.split("\n"):
        match = _FENCE.fullmatch(line.rstrip())
        if not fence and match:
            fence, block = match[1], []
        elif fence and match and match[1].startswith(fence) and not match[2].strip():
            yield "\n".join(block)
            fence = ""
        elif fence:
            block.append(line)
    if fence:
        yield "\n".join(block)


def _check_depth(value: Any) -> None:
    level = _containers([value])
    for _ in range(MAX_DEPTH):
        if not level:
            return
        level = _containers(
            inner for item in level for inner in (item.values() if isinstance(item, dict) else item)
        )
    if level:
        raise _too_deep()


def _containers(items: Iterable[Any]) -> list[Any]:
    return [item for item in items if isinstance(item, (dict, list))]


def _too_deep() -> ValueError:
    return ValueError(f"it has more than {MAX_DEPTH} levels")


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError(f"{digits[:40]} is out of range for a number")
    return number


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is not valid JSON")


_DECODER = json.JSONDecoder(parse_float=_finite, parse_constant=_refuse)
