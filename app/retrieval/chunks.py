"""Cuts a text into pieces along its headings: pure, and the same text gives the same pieces.

Markdown is read as far as that takes: headings (`#`), fenced code, paragraphs. Nothing is lost: the
pieces, one after the other, are the text but for blank lines and the fences of code that was cut.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

USUAL = 1_500
"""Characters of a piece; it is closed before a paragraph that would make it longer."""

LARGEST = 3_000
"""Characters. Code up to this size stays whole; whatever is larger is cut."""

LONGEST_SECTION = 500

_HEADING = re.compile(r" {0,3}(#{1,6})\s+(.*?)\s*#*\s*")
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})(.*)")
_ROOM = 120
"""Left for the fences that are put around each part of code that was cut."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of a text; `section` are the headings it stands under: `Install › On Debian`."""

    section: str
    text: str


@dataclass(slots=True)
class _Block:
    """A heading (`level` 1 … 6), a paragraph or a piece of code (`fence` is its first line)."""

    lines: list[str] = field(default_factory=list)
    level: int = 0
    title: str = ""
    fence: str = ""

    @property
    def text(self) -> str:
        return "\n".join(self.lines)


def chunks_of(text: str) -> list[Chunk]:
    """The pieces of a text in their order; none of a blank one."""
    made: list[Chunk] = []
    path: list[tuple[int, str]] = []
    section, kept = "", ""
    for block in _blocks(text):
        if block.level:
            if not _only_headings(kept):
                made.append(Chunk(section, kept))
                kept = ""
            path = [*(one for one in path if one[0] < block.level), (block.level, block.title)]
            section = " › ".join(title for _, title in path if title)[:LONGEST_SECTION]
        for part in _parts(block):
            if kept and len(kept) + 2 + len(part) > (LARGEST if _only_headings(kept) else USUAL):
                made.append(Chunk(section, kept))
                kept = ""
            kept = f"{kept}\n\n{part}" if kept else part
    if kept:
        made.append(Chunk(section, kept))
    return made


def _only_headings(text: str) -> bool:
    return all(_HEADING.fullmatch(line) for line in text.splitlines() if line)


def _blocks(text: str) -> Iterator[_Block]:
    block = _Block()
    for raw in text.replace("\r\n", "\n").replace("\r", "\n").split("\n"):
        line = raw.rstrip()
        fence = _FENCE.fullmatch(line)
        if block.fence:
            block.lines.append(line)
            if fence and fence[1].startswith(block.fence) and not fence[2].strip():
                yield block
                block = _Block()
        elif fence:
            if block.lines:
                yield block
            block = _Block([line], fence=fence[1])
        elif heading := _HEADING.fullmatch(line):
            if block.lines:
                yield block
            yield _Block([line], level=len(heading[1]), title=heading[2])
            block = _Block()
        elif line.strip():
            block.lines.append(line)
        elif block.lines:
            yield block
            block = _Block()
    if block.lines:
        yield block


def _parts(block: _Block) -> Iterator[str]:
    """A block whole where it fits; code that does not is fenced in each of its parts."""
    text = block.text
    if len(text) <= LARGEST:
        yield text
        return
    first, closing = block.lines[0], f"\n{block.fence}"
    if not block.fence or len(first) + len(closing) + 1 > _ROOM:
        yield from _cut(text, USUAL)
        return
    closed = _FENCE.fullmatch(block.lines[-1]) is not None
    inside = "\n".join(block.lines[1:-1] if closed else block.lines[1:])
    for part in _cut(inside, LARGEST - _ROOM):
        yield f"{first}\n{part}{closing}"


def _cut(text: str, size: int) -> Iterator[str]:
    """At the last line's end that fits, else at the last sentence's, the last space's, anywhere."""
    while len(text) > size:
        ends = (text.rfind(mark, size // 2, size) + len(mark) for mark in ("\n", ". ", "。", " "))
        at = next((end for end in ends if end > size // 2), size)
        if part := text[:at].strip("\n"):
            yield part
        text = text[at:]
    if text.strip():
        yield text.strip("\n")
