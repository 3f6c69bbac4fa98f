"""What a form may suggest while somebody types: pieces of a text that begin with the typed words.

Which items get this help is said by a definition (`Suggest`). Nothing here asks a model.
(Imixs-AI's SUGGEST mode.)
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from typing import Any

from app.prompts.definition import Suggest

ITEMS = "ai.suggest.items"
MODE = "ai.suggest.mode"

SHORTEST_QUERY = 2
LONGEST_HIT = 64
MOST_HITS = 12
MOST_PLACES = 20_000

# A stop ends a hit: two spaces, a line break, and a comma or full stop that ends a word.
_STOP = re.compile(r"  |[\r\n]|[,.](?=\s|\Z)")
_WORD_END = re.compile(r" |\Z")


def suggest_items(suggest: Suggest) -> dict[str, list[Any]]:
    """The items that tell a form what it may offer: item names, and `ON` or `OFF`."""
    return {ITEMS: list(suggest.items), MODE: [suggest.mode]}


def suggestions(text: str, query: str) -> list[str]:
    """Pieces of `text` that begin with `query` in any case, in the order they stand there.

    A hit is extended word by word to the next stop, and every extension is a hit: `ca` finds
    `Catalog` and `Catalog of goods`. At most `MOST_HITS`, none longer than `LONGEST_HIT`, none
    twice, none that ends in punctuation; nothing for less than `SHORTEST_QUERY` characters.
    Costs time in proportion to the text; no more than `MOST_PLACES` are looked at.
    """
    query = query.strip()
    if not SHORTEST_QUERY <= len(query) <= LONGEST_HIT:
        return []
    hits: dict[str, None] = {}
    for hit in _hits(text, query):
        if not _ends_in_punctuation(hit):
            hits[hit] = None
        if len(hits) == MOST_HITS:
            break
    return list(hits)


def _hits(text: str, query: str) -> Iterator[str]:
    searched, wanted = _folded(text), _folded(query)
    end = 0
    for _ in range(MOST_PLACES):
        start = searched.find(wanted, end)
        if start < 0:
            return
        end = start + len(query)
        for hit in _extensions(text, start, end):
            yield hit
            end = max(end, start + len(hit))


def _extensions(text: str, start: int, end: int) -> Iterator[str]:
    """The hit to the end of its word, then with each word that fits. A first word that is too long
    is cut.
    """
    window = text[start : start + LONGEST_HIT + 2]  # one more tells whether a stop is one
    stop = _STOP.search(window, end - start)
    rest = window[: stop.start()] if stop else window
    ends = [match.start() for match in _WORD_END.finditer(rest, end - start)]
    for number, word_end in enumerate(ends):
        if word_end <= LONGEST_HIT or number == 0:
            yield rest[: min(word_end, LONGEST_HIT)].rstrip()


def _ends_in_punctuation(hit: str) -> bool:
    """`Software &` and `Total:` are no suggestions; neither is what ends in a symbol."""
    return unicodedata.category(hit[-1])[0] in "PS"


def _folded(text: str) -> str:
    """Lower case with every character in its place: one letter alone would grow, one changes at the
    end of a word.
    """
    return text.replace("İ", "i").lower().replace("ς", "σ")
