"""The locales of a definition's patterns (`de`, `de_DE`, `en_EN`), as Babel knows them.

Babel reads the same data (CLDR) as Java, so names, signs and weeks are those a definition's author
saw in Imixs.
"""

from __future__ import annotations

import re
from functools import lru_cache

from babel import Locale, UnknownLocaleError, localedata

DEFAULT = "en"
"""Where nothing is said. Imixs takes the server's, which a prompt should not depend on."""

_REMEMBERED = 32
_WORD = re.compile(r"([A-Za-z]{2,3})(?:[_-]([A-Za-z]{2}|[0-9]{3}))?", re.ASCII)


def is_known(word: str) -> bool:
    """Whether values can be written in this locale, or at least in its language."""
    return _babel(word) is not None


def locale(word: str) -> Locale:
    """Babel's locale for a word of a definition; the default for what is none."""
    return _babel(word) or _babel(DEFAULT) or Locale(DEFAULT)


def _babel(word: str) -> Locale | None:
    found = _WORD.fullmatch(word)
    return _load(found[1].lower(), (found[2] or found[1]).upper()) if found else None


@lru_cache(maxsize=_REMEMBERED)
def _load(language: str, territory: str) -> Locale | None:
    """A language in a territory, else (`en_EN`) the language alone. Java reads `de` as `de_DE`."""
    localedata.clear_caches()  # or Babel would keep half a megabyte for each of 1,100 locales
    for name in (f"{language}_{territory}", language):
        try:
            return Locale.parse(name)
        except (UnknownLocaleError, ValueError):
            continue
    return None
