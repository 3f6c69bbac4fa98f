"""Texts as a statement may carry them: cleaned (`app.text`), and cheaply so where nothing is wrong.

A batch carries thousands of texts that need nothing, so each is searched once, in C, before it is
taken apart.
"""

from __future__ import annotations

import re
from typing import Any

from app.text import clean_text, deep_clean
from models.batch import json_text

_SUSPICIOUS = re.compile("\\\\u0000|[\ud800-\udfff]")
"""An escaped NUL, or half a pair, in JSON text. What merely looks like one is cleaned in vain."""


def stored(text: str | None) -> str | None:
    """A text without NUL and lone surrogates."""
    return None if text is None else clean_text(text)


def stored_json(value: Any) -> str | None:
    """A value as JSON text without NUL and lone surrogates in any text of it; None stays null."""
    written = json_text(value)
    if written is None or not _SUSPICIOUS.search(written):
        return written
    return json_text(deep_clean(value))


def cut(text: str | None, length: int) -> str | None:
    """As much of a text as its column holds."""
    return None if text is None else clean_text(text)[:length]
