"""Makes text storable: PostgreSQL refuses NUL, UTF-8 refuses lone surrogates.

Both become U+FFFD, in this one place, before anything is bound to a statement or sent. A pair of
surrogates that arrived in two pieces (each half escaped by itself in a stream) is one character
cut in two, so it is joined. Not here: what may be in a request; that is checked where it comes in.
"""

from __future__ import annotations

import re
from typing import Any

_NUL_OR_SURROGATE = re.compile("[\x00\ud800-\udfff]")
_REPLACEMENT = "\ufffd"


def clean_text(value: str) -> str:
    """The same text with each NUL and each lone surrogate replaced by U+FFFD."""
    if not _NUL_OR_SURROGATE.search(value):
        return value
    paired = value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return paired.replace("\x00", _REPLACEMENT)


def deep_clean(value: Any) -> Any:
    """The same JSON-like value with every text in it, keys included, cleaned.

    Tuples become lists, as they do in JSON. Where two keys become equal the later one wins. Depth
    is no matter: a model decides how deep its answers are, so this must not recurse.
    """
    top = [value]
    waiting: list[list[Any] | dict[Any, Any]] = [top]
    while waiting:
        container = waiting.pop()
        places = container.items() if isinstance(container, dict) else enumerate(container)
        for place, item in list(places):
            clean = _own_copy(item)
            container[place] = clean
            if isinstance(clean, (dict, list)):
                waiting.append(clean)
    return top[0]


def _own_copy(item: Any) -> Any:
    """Cleaned, or for a container: a copy of the outermost level, with its keys cleaned."""
    if isinstance(item, str):
        return clean_text(item)
    if isinstance(item, dict):
        return {_own_key(key): inner for key, inner in item.items()}
    if isinstance(item, (list, tuple)):
        return list(item)
    return item


def _own_key(key: Any) -> Any:
    return clean_text(key) if isinstance(key, str) else key
