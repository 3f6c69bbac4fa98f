"""Makes text storable: PostgreSQL refuses NUL, UTF-8 refuses lone surrogates.

Both are replaced by U+FFFD, in this one place, before anything is bound to a statement.
"""

from __future__ import annotations

import re
from typing import Any

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def clean_text(value: str) -> str:
    """The same text with each NUL and each lone surrogate replaced by U+FFFD."""
    return _UNSTORABLE.sub("\ufffd", value) if _UNSTORABLE.search(value) else value


def deep_clean(value: Any) -> Any:
    """The same JSON-like value with every text in it, keys included, cleaned."""
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, dict):
        return {deep_clean(key): deep_clean(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [deep_clean(item) for item in value]
    return value
