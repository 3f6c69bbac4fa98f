"""Where somebody is in an application, as the model is told: a prefix before their words.

The page is stored as it came; the prefix is made for the model only and never stored.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_PARTS = (("type",), ("name",), ("adaptor", "resource"))


def with_page(content: str, page: Mapping[str, Any] | None) -> str:
    """`[pg:type/name/adaptor] content`, of as many parts as there are; without a page unchanged."""
    parts = (
        [next((page[n] for n in names if page.get(n)), None) for names in _PARTS] if page else []
    )
    told = "/".join(_harmless(str(part)) for part in parts if part)
    return f"[pg:{told}] {content}" if told else content


def _harmless(part: str) -> str:
    """A bracket or a line's end in a name would end the prefix early."""
    return " ".join(part.replace("[", "%5B").replace("]", "%5D").split())
