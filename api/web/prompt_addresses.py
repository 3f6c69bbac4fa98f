"""Which prompt an address means, and where a prompt's page is.

A name is one's own or shared; of others' prompts, for administrators, `user_id` says whose.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from api.schemas.common import LARGEST_ID
from api.web import render
from api.web.visit import Visit
from app.errors import NotFound

_TAKEN = frozenset({"new", "import"})
"""Pages beside those of prompts: a prompt of such a name is found by `name@latest`."""


def whose(visit: Visit) -> int | None:
    """The user the address names, if it names one. Raises NotFound for what is no number of one."""
    text = visit.query.get("user_id", "")
    if not text:
        return None
    if not (text.isascii() and text.isdigit()) or len(text) > 19 or int(text) > LARGEST_ID:
        raise NotFound("Unknown user")
    return int(text)


def reference_of(shown: Mapping[str, Any]) -> str:
    """How a job names exactly this version."""
    return f"{shown['name']}@{shown['version']}"


def address_of(name: str, *, user_id: int | None = None, version: Any = None) -> str:
    """Where a prompt's page is."""
    if name in _TAKEN:
        name, version = f"{name}@{version or 'latest'}", None
    return render.address("prompt", name=name, version=version, user_id=user_id)
