"""A file as a request brought it, and the rules for its name. Its content is not looked at here."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from app.errors import InvalidParameter

MAX_FILE_BYTES = 10 * 1024 * 1024
MAX_NAME_LENGTH = 255

_NEVER_IN_A_NAME = frozenset({"Cc", "Cs", "Zl", "Zp"})  # controls, surrogates, line separators
_TURNS_TEXT_ROUND = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


@dataclass(frozen=True, slots=True)
class SentFile:
    """One file: its name, and either its `text` or its `data`, the bytes of any kind of file."""

    name: str
    text: str | None = None
    data: bytes | None = None

    @property
    def content(self) -> bytes:
        """The bytes; those of a text are its UTF-8."""
        return self.data if self.data is not None else (self.text or "").encode("utf-8", "replace")

    @property
    def sha256(self) -> str:
        """What tells this content from any other, in 64 hexadecimal digits."""
        return hashlib.sha256(self.content).hexdigest()


def check_names(files: Sequence[SentFile]) -> None:
    """Refuse a name that could mislead a person or a program, and one that comes twice.

    Raises InvalidParameter with the pointer of the name.
    """
    seen: set[str] = set()
    for number, file in enumerate(files):
        fault = _fault(file.name) or ("it is given twice" if file.name in seen else "")
        if fault:
            raise InvalidParameter(
                f"Invalid file name {file.name[:80]!r}: {fault}", pointer=f"/files/{number}/name"
            )
        seen.add(file.name)


def _fault(name: str) -> str:
    """What is wrong with a name, or nothing."""
    if not name.strip() or name in (".", ".."):
        return "it must name something"
    if len(name) > MAX_NAME_LENGTH:
        return f"it has {len(name):,} characters; at most {MAX_NAME_LENGTH} are allowed"
    if "/" in name or "\\" in name:
        return "it must be a name alone, without a directory"
    if not _NEVER_IN_A_NAME.isdisjoint(map(unicodedata.category, name)):
        return "it must not have control characters, line breaks or halves of characters"
    if not _TURNS_TEXT_ROUND.isdisjoint(name):
        return "it must not have characters that change the direction of text"
    return ""
