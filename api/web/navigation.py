"""What stands in the navigation: only pages that exist, only for those who may see them."""

from __future__ import annotations

from dataclasses import dataclass

from flask import current_app, request, url_for

from app.accounts import Caller


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the navigation. `key` follows `g` on the keyboard."""

    label: str
    icon: str
    address: str
    key: str
    current: bool


@dataclass(frozen=True, slots=True)
class _Line:
    label: str
    icon: str
    page: str
    key: str
    for_administrators: bool = False


_LINES = (
    _Line("Outputs", "list", "outputs", "o"),
    _Line("Submit", "plus", "submit", "n"),
    _Line("Prompts", "book", "prompts", "p"),
    _Line("Chats", "chat", "chats_page", "c"),
    _Line("Quality", "chart", "quality_page", "q"),
    _Line("Queues", "layers", "queues", "u", for_administrators=True),
    _Line("Admin", "shield", "admin", "a", for_administrators=True),
)


def entries(caller: Caller | None) -> list[Entry]:
    """The navigation of somebody who is signed in; of nobody, nothing."""
    if caller is None:
        return []
    lines = [(line, url_for(f"page_{line.page}")) for line in _LINES if _for(line, caller)]
    here = max((address for _, address in lines if _is_below(address)), key=len, default="")
    return [Entry(ln.label, ln.icon, address, ln.key, address == here) for ln, address in lines]


def _for(line: _Line, caller: Caller) -> bool:
    exists = f"page_{line.page}" in current_app.view_functions
    return exists and (caller.is_admin or not line.for_administrators)


def _is_below(address: str) -> bool:
    """Whether the current page is this one or below it; the longest such address is current."""
    return request.path == address or request.path.startswith(address.rstrip("/") + "/")
