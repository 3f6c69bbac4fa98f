"""A chat's title: the first words of its first message."""

from __future__ import annotations

NEW_CHAT = "New chat"

_TRAILING = ".!?,;:"


def title_of(content: str, *, longest: int) -> str:
    """At most `longest` characters, cut between words, without one mark at the end.

    A word that is longer by itself is cut, also where more words follow it.
    """
    words = content.split()
    title = ""
    for word in words:
        longer = f"{title} {word}" if title else word
        if len(longer) > longest:
            break
        title = longer
    title = title or (words[0][:longest] if words else "")
    if title.endswith(tuple(_TRAILING)):
        title = title[:-1].rstrip()
    return title or NEW_CHAT
