"""Dates as Java's SimpleDateFormat writes them, with every letter that has.

The letters mean what they mean in Java, which is not always what they mean in CLDR: names, weeks
and eras come from Babel, numbers from here. A pattern is compiled before there are values, so a
wrong one is known early. A value is written in the offset it carries; nothing is converted.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from babel.dates import DateTimeFormat

from app.prompts.text_adapters import locales

MAX_PATTERN_LENGTH = 100

_LONGEST_DATE = 40
_ISO_DATE = re.compile(
    r"\d{4}-\d{2}-\d{2}"
    r"(?:[T ]\d{2}:\d{2}(?::\d{2}(?:[.,]\d{1,9})?+)?+)?+(?:Z|[+-]\d{2}:?+\d{2})?+",
    re.ASCII,
)


@dataclass(frozen=True, slots=True)
class _Field:
    letter: str
    count: int


@dataclass(frozen=True, slots=True)
class DateFormat:
    """A compiled SimpleDateFormat pattern: literal text and fields in turn."""

    parts: tuple[str | _Field, ...]
    locale: str

    def format(self, value: date) -> str:
        """The date as the pattern has it; a time that is not there is midnight, in UTC."""
        moment = _moment(value)
        babel = DateTimeFormat(moment, locales.locale(self.locale))
        return "".join(
            part if isinstance(part, str) else _DATE_LETTERS[part.letter](moment, babel, part)
            for part in self.parts
        )


_DATE_PART = re.compile(r"'(?:[^']|'')*+'|([A-Za-z])\1*+|[^A-Za-z']++|'")


def date_format(pattern: str, *, locale: str = locales.DEFAULT) -> DateFormat:
    """Compile a pattern. Raises ValueError with a sentence about what is wrong with it."""
    if len(pattern) > MAX_PATTERN_LENGTH:
        raise ValueError(f"it has more than {MAX_PATTERN_LENGTH} characters")
    parts = tuple(_date_part(found) for found in _DATE_PART.finditer(pattern))
    if all(isinstance(part, str) for part in parts):
        raise ValueError("it has no letter for a part of a date, and no '#' for a number")
    return DateFormat(parts, locale)


def _date_part(found: re.Match[str]) -> str | _Field:
    written, letter = found[0], found[1]
    if written == "'":
        raise ValueError("it has a quote without an end")
    if written.startswith("'"):
        return written[1:-1].replace("''", "'") or "'"
    if letter is None:
        return written
    if letter not in _DATE_LETTERS or (letter == "X" and len(written) > 3):
        raise ValueError(f"{written!r} is no part of a date")
    return _Field(letter, len(written))


def _by_babel(longest: int) -> Callable[[datetime, DateTimeFormat, _Field], str]:
    """A letter that means the same in CLDR, up to this many; there, more may mean less."""
    return lambda _, babel, field: str(babel[field.letter * min(field.count, longest)])


def _number(
    read: Callable[[datetime, DateTimeFormat], int],
) -> Callable[[datetime, DateTimeFormat, _Field], str]:
    return lambda moment, babel, field: str(read(moment, babel)).zfill(field.count)


def _year(moment: datetime, babel: DateTimeFormat, field: _Field) -> str:
    written = str(babel[field.letter])
    return written[-2:].zfill(2) if field.count == 2 else written.zfill(field.count)


def _month(moment: datetime, babel: DateTimeFormat, field: _Field) -> str:
    if field.count < 3:
        return str(moment.month).zfill(field.count)
    return str(babel[field.letter * min(field.count, 4)])


def _offset(moment: datetime, *, colon: str) -> str:
    seconds = int((moment.utcoffset() or timedelta()).total_seconds())
    hours, minutes = divmod(abs(seconds) // 60, 60)
    return f"{'-' if seconds < 0 else '+'}{hours:02}{colon}{minutes:02}"


def _zone(moment: datetime, _: DateTimeFormat, field: _Field) -> str:
    """The offset a value was written with, in the manner of `z`, `Z` and `X`."""
    if field.letter == "Z":
        return _offset(moment, colon="")
    if not moment.utcoffset():
        return "Z" if field.letter == "X" else "UTC"
    if field.letter == "z":
        return "GMT" + _offset(moment, colon=":")
    return _offset(moment, colon=":" if field.count == 3 else "")[: 3 if field.count == 1 else 6]


_DATE_LETTERS: dict[str, Callable[[datetime, DateTimeFormat, _Field], str]] = {
    "G": _by_babel(1),
    "y": _year,
    "Y": _year,
    "M": _month,
    "L": _month,
    "w": _number(lambda _, babel: int(babel["w"])),
    "W": _number(lambda _, babel: int(babel["W"])),
    "D": _number(lambda moment, _: moment.timetuple().tm_yday),
    "d": _number(lambda moment, _: moment.day),
    "F": _number(lambda moment, _: (moment.day - 1) // 7 + 1),
    "E": _by_babel(4),
    "u": _number(lambda moment, _: moment.isoweekday()),
    "a": _by_babel(1),
    "H": _number(lambda moment, _: moment.hour),
    "k": _number(lambda moment, _: moment.hour or 24),
    "K": _number(lambda moment, _: moment.hour % 12),
    "h": _number(lambda moment, _: moment.hour % 12 or 12),
    "m": _number(lambda moment, _: moment.minute),
    "s": _number(lambda moment, _: moment.second),
    "S": _number(lambda moment, _: moment.microsecond // 1000),
    "z": _zone,
    "Z": _zone,
    "X": _zone,
}


def as_date(value: Any) -> date | None:
    """A date, or a text that is one in ISO 8601; None for anything else."""
    if isinstance(value, date):
        return value
    if not isinstance(value, str) or len(value) > _LONGEST_DATE or not _ISO_DATE.fullmatch(value):
        return None
    day, rest = value[:10], value[10:]
    try:  # Python reads no offset without a time, which XML's dates have
        return datetime.fromisoformat(f"{day}T00:00{rest}" if rest[:1] not in "T " else value)
    except ValueError:
        return None


def spell_date(value: date) -> str:
    """A date without a pattern: Java's short form in no language, `2014-04-27 13:05`."""
    moment = _moment(value)
    return f"{moment.date().isoformat()} {moment.hour:02}:{moment.minute:02}"


def _moment(value: date) -> datetime:
    if isinstance(value, datetime):
        return value
    return datetime(value.year, value.month, value.day, tzinfo=UTC)
