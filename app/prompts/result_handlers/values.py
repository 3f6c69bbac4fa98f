"""Dates and numbers as models write them in texts."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from datetime import date

_DATE = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})(?:[zZ]|[+-](?:0[0-9]|1[0-8]):[0-5][0-9](?::[0-5][0-9])?)?"
)
_SPACES = str.maketrans("", "", " \u00a0\u2007\u2009\u202f")
_DECIMAL = re.compile(r"[+-]?(?:[0-9]++(?:\.[0-9]*+)?|\.[0-9]++)(?:[eE][+-]?[0-9]{1,3})?")
_MOST_NAMED = 10
_LONGEST_NAME = 80


def iso_date(text: str) -> str | None:
    """`YYYY-MM-DD` of such a text, whatever offset stands behind it (the date is a midnight); None
    when the text is no date, or one that no calendar has.
    """
    match = _DATE.fullmatch(text)
    if match is None:
        return None
    try:
        return date.fromisoformat(match[1]).isoformat()
    except ValueError:
        return None


def number(text: str) -> float | None:
    """A number in anybody's notation: `1,172.15`, `1.172,15`, `1090,00`, `1 234,50`.

    A single comma is a decimal one, so `1,234` is 1.234 (Imixs-AI reads it so). None when the text
    is no number.
    """
    digits = _with_decimal_point(text.strip().translate(_SPACES))
    if not _DECIMAL.fullmatch(digits):
        return None
    value = float(digits)
    return value if math.isfinite(value) else None


def _with_decimal_point(digits: str) -> str:
    """The mark that stands last is the decimal one; one that stands there twice is none."""
    comma, point = digits.rfind(","), digits.rfind(".")
    last, other = (",", ".") if comma > point else (".", ",")
    if digits.count(last) > 1:
        return digits if other in digits else _without_groups(digits, last)
    return digits.replace(other, "").replace(last, ".")


def _without_groups(digits: str, mark: str) -> str:
    """Without the marks between groups of three; unchanged when the groups are others."""
    first, *groups = digits.split(mark)
    return digits.replace(mark, "") if first and all(len(g) == 3 for g in groups) else digits


def named(names: Sequence[str]) -> str:
    """Names for a sentence: the first few, cut, and how many more there are."""
    shown = ", ".join(name[:_LONGEST_NAME] for name in names[:_MOST_NAMED])
    more = len(names) - _MOST_NAMED
    return f"{shown} and {more:,} more" if more > 0 else shown
