"""What texts and questions are looked up by: words, the same on both databases.

A database's own reading of a text depends on which it is and on how its server was set up: to
PostgreSQL `util.get` is the name of a host, and neither finds a word of Japanese inside a sentence
of it. So texts are taken apart here, before they are stored and before they are looked for:

- small letters without accents: `Café` is `cafe`;
- names in code whole and in their parts: `getPatients` is `getpatients get patients`;
- scripts without spaces as single signs and overlapping pairs, spelled in letters that every
  database takes for one word: two signs are the shortest question that PostgreSQL's `pg_trgm` and
  SQLite's `trigram` do not answer, and the commonest length of a Chinese word.

What comes out is letters and digits only, so no question can mean something to a database's query
language. Stemming and stop words are left to the databases, except that questions leave the
commonest words out.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

LONGEST_WORD = 64
"""Characters; what is longer is cut: an encoded picture is not looked for."""

MOST_TERMS = 32
LONGEST_QUESTION = 8_000
"""Of a question: how many different words are looked for, in how many of its characters."""

_MARKS = "".join(chr(n) for n in range(0x300, 0x2100) if unicodedata.category(chr(n))[0] == "M")
_UNSPACED = (
    "\u0e00-\u0eff"  # Thai, Lao
    "\u0f00-\u0fff\u1000-\u109f\u1780-\u17ff"  # Tibetan, Burmese, Khmer
    "\u3040-\u30ff\u31f0-\u31ff\uff66-\uff9f"  # Japanese syllables
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"  # Chinese signs
    "\uac00-\ud7af"  # Korean: with spaces, but words grow endings
)
_RUN = re.compile(rf"(?P<unspaced>[{_UNSPACED}]+)|(?P<word>(?:[^\W_{_UNSPACED}]|[{_MARKS}])+)")
_ACCENTS = re.compile("[\u0300-\u036f]")
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")

_COMMON_WORDS = """
    a about an and any are as at be been but by can could did do does for from get had has have how
    i if in into is it its just like me my no not of on or our please should so some than that the
    their them then there these they this to us use was we were what when where which who why will
    with would you your
"""
_COMMON = frozenset(_COMMON_WORDS.split())
"""Left out of questions, unless there is nothing else in them."""


def words_of(text: str) -> str:
    """All words of a text in their order, between spaces."""
    return " ".join(word for run, unspaced in _runs(text) for word in _indexed(run, unspaced))


def terms_of(question: str) -> list[str]:
    """The different words to look for, in their order; none of a question without words."""
    found: dict[str, None] = {}
    for run, unspaced in _runs(question[:LONGEST_QUESTION]):
        found.update(dict.fromkeys(_asked(run, unspaced)))
    telling = [word for word in found if word not in _COMMON] or list(found)
    return telling[:MOST_TERMS]


def _runs(text: str) -> Iterator[tuple[str, bool]]:
    """Each run of letters and digits, and whether it is of a script without spaces."""
    for run in _RUN.finditer(unicodedata.normalize("NFKC", text)):
        yield run[0], run["unspaced"] is not None


def _indexed(run: str, unspaced: bool) -> list[str]:
    if unspaced:
        return [*map(_spelled, run), *_pairs(run)]
    return _forms(run)


def _asked(run: str, unspaced: bool) -> list[str]:
    if unspaced:
        return _pairs(run) or [_spelled(run)]
    return _forms(run)


def _forms(run: str) -> list[str]:
    """A word, and its parts where capitals stand inside."""
    parts = _HUMP.split(run[:LONGEST_WORD])
    forms = ["".join(parts), *parts] if len(parts) > 1 else parts
    return [plain for form in forms if (plain := _plain(form))]


def _plain(word: str) -> str:
    decomposed = unicodedata.normalize("NFD", word.casefold())
    return unicodedata.normalize("NFC", _ACCENTS.sub("", decomposed))


def _pairs(run: str) -> list[str]:
    return [_spelled(run[at : at + 2]) for at in range(len(run) - 1)]


def _spelled(signs: str) -> str:
    """Signs by their numbers, so that nothing depends on what a server takes for a letter."""
    return "z" + "z".join(f"{ord(sign):x}" for sign in signs)
