"""Reasons for a thumb: words one can tick, kept as the first line of the comment. Pure.

A row has one text for what somebody thought of it; so the API shows reasons too, and a client that
knows nothing of them loses nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

FOR = {
    "thumbs_up": ("Accurate", "Well written", "Complete", "Saved me time"),
    "thumbs_down": (
        "Wrong facts",
        "Not what I asked",
        "Too long",
        "Too short",
        "Bad format",
        "Unsafe",
    ),
}
"""Verdict → what may be ticked beside it."""

_START = "Reasons: "
_KNOWN = frozenset(reason for reasons in FOR.values() for reason in reasons)


@dataclass(frozen=True, slots=True)
class Opinion:
    """A stored comment taken apart."""

    reasons: tuple[str, ...] = ()
    text: str = ""


def joined(reasons: Iterable[str], text: str) -> str:
    """The comment to store. Words that are no reason of ours are left out."""
    kept = [reason for reason in dict.fromkeys(reasons) if reason in _KNOWN]
    lines = [_START + ", ".join(kept)] if kept else []
    return "\n".join([*lines, text.strip()]).strip()


def taken_apart(comment: str | None) -> Opinion:
    """What `joined` was given; a comment written elsewhere is all text."""
    first, _, rest = (comment or "").partition("\n")
    words = first.removeprefix(_START).split(", ") if first.startswith(_START) else []
    if words and all(word in _KNOWN for word in words):
        return Opinion(tuple(words), rest)
    return Opinion((), comment or "")
