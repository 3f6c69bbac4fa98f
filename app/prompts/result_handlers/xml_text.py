"""Finds the XML in what a model wrote and reads it as it was meant: text needs no escapes.

A `<` that begins no tag and an `&` that begins no reference are text, so `GmbH & Co. KG` and
`a < b` survive. Tags must match. There are no entities but XML's five and characters by number: a
document type is refused, nothing is ever fetched or expanded. One pass, in time proportional to
the text.
"""

from __future__ import annotations

import html
import re
from dataclasses import dataclass, field

from app.prompts.hooks import AnswerUnreadable

MAX_CHARACTERS = 1024 * 1024
MAX_DEPTH = 64

# Linear: no part of a tag goes past the next `<`, and what was consumed is never given back.
_NAME = r"[^\W\d][\w.:-]*+"
_VALUE = r"""(?:"[^"<]*+"|'[^'<]*+'|[^\s"'<>=/]++)"""
_ATTRIBUTE = re.compile(rf"({_NAME})\s*+=\s*+({_VALUE})")
_OPEN = re.compile(rf"<({_NAME})((?:\s++{_NAME}\s*+=\s*+{_VALUE})*+)\s*+(/?)>")
_CLOSE = re.compile(rf"</({_NAME})\s*+>")
_DOCTYPE = re.compile(r"<!(?:doctype|entity)", re.IGNORECASE)
_REFERENCE = re.compile(r"&(?:amp|lt|gt|quot|apos|#[0-9]{1,7}|#x[0-9a-fA-F]{1,6});")
_MARK = re.compile(r"<(?=[\w/?]|!(?:--|\[CDATA\[|(?i:doctype|entity)))")


@dataclass(slots=True)
class Element:
    """An element: `text` is what stands in it directly, attributes' names are in lower case."""

    name: str
    attributes: dict[str, str]
    children: list[Element] = field(default_factory=list)
    pieces: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        return "".join(self.pieces)


def read_xml(text: str) -> Element | None:
    """The root of what stands between the first opening tag and the last closing one; None when
    there are no such tags.

    Raises AnswerUnreadable with a sentence when the XML is longer than `MAX_CHARACTERS`, deeper
    than `MAX_DEPTH`, has a document type, tags that do not match, or more than one root.
    """
    xml = _cut(text)
    if xml is None:
        return None
    if len(xml) > MAX_CHARACTERS:
        raise AnswerUnreadable(f"The XML is longer than {MAX_CHARACTERS:,} characters")
    return _Reader(xml).root()


def _cut(text: str) -> str | None:
    first = _OPEN.search(text)
    end = max((match.end() for match in _CLOSE.finditer(text)), default=0)
    if first is None or end <= first.start():
        return None
    if _DOCTYPE.search(text, 0, first.start()):
        raise _no_doctype()
    return text[first.start() : end]


class _Reader:
    """One pass over the text, with the elements that are open."""

    def __init__(self, xml: str) -> None:
        self._xml = xml
        self._top = Element("", {})
        self._open = [self._top]

    def root(self) -> Element:
        position = 0
        while match := _MARK.search(self._xml, position):
            self._text(self._xml[position : match.start()])
            position = self._tag(match.start())
        if len(self._open) > 1:
            raise AnswerUnreadable(f"The tag {_shown(self._open[-1].name)} is never closed")
        if len(self._top.children) != 1:
            raise AnswerUnreadable("The XML must have one root element around all others")
        return self._top.children[0]

    def _tag(self, mark: int) -> int:
        """Read what begins at a `<`; the position behind it."""
        if match := _OPEN.match(self._xml, mark):
            self._begin(match)
            return match.end()
        if match := _CLOSE.match(self._xml, mark):
            self._end(match[1])
            return match.end()
        if self._xml.startswith("<!--", mark):
            return self._until("-->", mark + 4)
        if self._xml.startswith("<?", mark):
            return self._until("?>", mark + 2)
        if self._xml.startswith("<![CDATA[", mark):
            end = self._until("]]>", mark + 9)
            self._open[-1].pieces.append(self._xml[mark + 9 : end - 3])
            return end
        if _DOCTYPE.match(self._xml, mark):
            raise _no_doctype()
        self._text("<")
        return mark + 1

    def _begin(self, match: re.Match[str]) -> None:
        if len(self._open) > MAX_DEPTH:
            raise AnswerUnreadable(f"The XML has more than {MAX_DEPTH} levels")
        element = Element(match[1], _attributes(match[2]))
        self._open[-1].children.append(element)
        if not match[3]:
            self._open.append(element)

    def _end(self, name: str) -> None:
        opened = self._open.pop() if len(self._open) > 1 else None
        if opened is None or opened.name != name:
            began = f"closes {_shown(opened.name)}" if opened else "closes nothing"
            raise AnswerUnreadable(f"The tag {_shown(name, closing=True)} {began}")

    def _until(self, end: str, position: int) -> int:
        found = self._xml.find(end, position)
        if found < 0:
            raise AnswerUnreadable(f"The XML has a part that must end in {end} and does not")
        return found + len(end)

    def _text(self, text: str) -> None:
        if text:
            self._open[-1].pieces.append(_decoded(text))


def _attributes(text: str) -> dict[str, str]:
    if not text:
        return {}
    return {
        match[1].lower(): _decoded(match[2].strip("\"'")) for match in _ATTRIBUTE.finditer(text)
    }


def _decoded(text: str) -> str:
    """References as the characters they mean; any other `&` is one."""
    return _REFERENCE.sub(lambda match: html.unescape(match[0]), text) if "&" in text else text


def _shown(name: str, *, closing: bool = False) -> str:
    return f"<{'/' if closing else ''}{name[:80]}>"


def _no_doctype() -> AnswerUnreadable:
    return AnswerUnreadable("The XML must not have a document type (<!DOCTYPE …>)")
