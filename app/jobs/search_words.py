"""The language of the search box: `status:failed model:gpt-4 since:2h free words`.

A word with a name before its colon is a filter, all else is looked for in the rows' texts.
Double quotes hold spaces together (`template:"Explain {{topic}}"`), and make any word a plain one
(`"http://example.org"`); within them `\\"` and `\\\\` stand for the two characters. `write` is the
way back, so that a list's filters can be shown in the box and kept in its address.

Pure: an address stays an address, and a duration is counted from the clock given. Who may ask for
what is decided where the filters are used (`search.py`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from app.errors import InvalidParameter
from app.jobs.search import Filters
from models import Feedback, Format, Queue, Status

LONGEST = 1_000

_NAMED = re.compile(r"([A-Za-z_]+(?:\.[A-Za-z0-9_-]+)?):(.*)", re.DOTALL)
_PLAIN = re.compile(r'[^\s"\\:]+')
_AGO = re.compile(r"(\d{1,6})(s|min|m|h|d|w)")
_SECONDS = {"s": 1, "min": 60, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_METADATA = "metadata."


def parse(text: str, *, clock: datetime) -> Filters:
    """The filters a text stands for; `clock` is the moment `since:2h` is counted from.

    Raises InvalidParameter whose details give the `word` that is wrong.
    """
    if len(text) > LONGEST:
        raise InvalidParameter(
            f"Invalid search. Must be at most {LONGEST} characters", pointer="/q"
        )
    found: dict[str, Any] = {}
    metadata: dict[str, str] = {}
    free: list[str] = []
    for word, name, value in _words(text):
        if not name:
            free.append(value)
        elif name.startswith(_METADATA):
            _say_once(metadata, name.removeprefix(_METADATA), value, word)
        else:
            field, read = _known(name, word)
            _say_once(found, field, read(value, word, clock), word)
    return Filters(**found, metadata=metadata, q=" ".join(free) or None)


def taken_apart(text: str) -> dict[str, str]:
    """Each filter's name with its value as it was written (`since`: `2h`), free words under `q`.

    Values are not looked at: `parse` says what is wrong with one. Raises as it does for the rest.
    """
    found: dict[str, str] = {}
    free: list[str] = []
    for word, name, value in _words(text):
        if not name:
            free.append(value)
            continue
        if not name.startswith(_METADATA):
            _known(name, word)
        _say_once(found, name, value, word)
    return {**found, "q": " ".join(free)} if free else found


def put_together(words: Mapping[str, str]) -> str:
    """The text that `taken_apart` takes apart into these."""
    named = [f"{name}:{_as_value(value)}" for name, value in words.items() if name != "q"]
    return " ".join([*named, _as_free(words["q"])] if words.get("q") else named)


def write(filters: Filters) -> str:
    """A text that `parse` reads as these filters; what is no word (`all_users`, `user_id`) is not
    in it.
    """
    words = []
    for name, (field, _) in _FILTERS.items():
        value = getattr(filters, field)
        if value is not None:
            shown = value.isoformat() if isinstance(value, datetime) else str(value)
            words.append(f"{name}:{_as_value(shown)}")
    words += [f"{_METADATA}{key}:{_as_value(value)}" for key, value in filters.metadata.items()]
    if filters.q:
        words.append(_as_free(filters.q))
    return " ".join(words)


def _words(text: str) -> Iterator[tuple[str, str, str]]:
    """Each word as it is written, its filter's name (none: a free word), and its value."""
    for word in _split(text):
        named = _NAMED.fullmatch(word)
        if named and not word.startswith('"'):
            value = _unquoted(named[2], word)
            if not value:
                raise _wrong(word, f"{named[1]}: needs a value, such as {named[1]}:…")
            yield word, named[1].lower() if "." not in named[1] else named[1], value
        else:
            yield word, "", _unquoted(word, word)


def _split(text: str) -> Iterator[str]:
    """Words apart by spaces outside quotes. A quote that is not closed holds the rest."""
    word, quoted, escaped = "", False, False
    for character in text:
        if character.isspace() and not quoted:
            if word:
                yield word
            word = ""
            continue
        word += character
        if escaped:
            escaped = False
        elif character == "\\" and quoted:
            escaped = True
        elif character == '"' and (quoted or word == '"' or word.endswith(':"')):
            quoted = not quoted
    if quoted:
        raise _wrong(word, f"{word} has a quote that is not closed")
    if word:
        yield word


def _unquoted(value: str, word: str) -> str:
    if not value.startswith('"'):
        return value
    if len(value) < 2 or not value.endswith('"'):
        raise _wrong(word, f"{word} goes on after its quotes; put a space there")
    return re.sub(r"\\(.)", r"\1", value[1:-1], flags=re.DOTALL)


def _as_value(value: str) -> str:
    if re.fullmatch(r'[^\s"\\]+', value):
        return value
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _as_free(text: str) -> str:
    """The words as they are where that reads the same, else all of them in quotes."""
    if all(_PLAIN.fullmatch(word) for word in text.split(" ")):
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _known(name: str, word: str) -> tuple[str, Callable[[str, str, datetime], Any]]:
    if name not in _FILTERS:
        raise _wrong(
            word,
            f"Unknown filter {name[:40]}: in {word[:80]}. Use one of {', '.join(_FILTERS)}, or put"
            " the word in quotes to look for it",
        )
    return _FILTERS[name]


def _say_once(found: dict[str, Any], field: str, value: Any, word: str) -> None:
    if field in found:
        raise _wrong(word, f"{word[:80]}: the same filter is there twice")
    found[field] = value


def _text(value: str, _word: str, _clock: datetime) -> str:
    return value


def _one_of(words: Mapping[str, str]) -> Callable[[str, str, datetime], str]:
    def read(value: str, word: str, _clock: datetime) -> str:
        if value.lower() not in words:
            raise _wrong(word, f"{word[:80]}: must be one of {', '.join(words)}")
        return words[value.lower()]

    return read


def _words_of(kind: type[StrEnum]) -> Mapping[str, str]:
    return {word.value: word.value for word in kind}


def _row_id(value: str, word: str, _clock: datetime) -> int:
    if not re.fullmatch(r"[1-9][0-9]{0,17}", value):
        raise _wrong(word, f"{word[:80]}: must be the number of an output")
    return int(value)


def _moment(value: str, word: str, clock: datetime) -> datetime:
    """A time ago (`2h`), a day (`2026-01-31`, in UTC) or a moment (RFC 3339; UTC if unsaid)."""
    ago = _AGO.fullmatch(value)
    try:
        if ago:
            return clock - timedelta(seconds=int(ago[1]) * _SECONDS[ago[2]])
        moment = datetime.fromisoformat(value)
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        if not 1970 <= moment.astimezone(UTC).year <= 9998:
            raise ValueError
        return moment
    except (ValueError, OverflowError):
        raise _wrong(
            word, f"{word[:80]}: must be a time ago (30m, 2h, 7d), a day or a moment (RFC 3339)"
        ) from None


def _wrong(word: str, sentence: str) -> InvalidParameter:
    return InvalidParameter(sentence, pointer="/q", word=word[:200])


_FILTERS: Mapping[str, tuple[str, Callable[[str, str, datetime], Any]]] = {
    "status": ("status", _one_of(_words_of(Status))),
    "model": ("model", _text),
    "template": ("template", _text),
    "format": ("format", _one_of(_words_of(Format))),
    "queue": ("queue", _one_of(_words_of(Queue))),
    "user": ("user", _text),
    "feedback": ("feedback", _one_of({verdict.word: verdict.word for verdict in Feedback})),
    "error": ("error_code", _text),
    "since": ("created_after", _moment),
    "before": ("created_before", _moment),
    "parent": ("parent_id", _row_id),
}
"""A filter's name in the box → the field it fills, and how its value is read."""
