"""Reads XML into elements that still know how they were written, and writes texts into XML.

A DTD is refused, so no entity but the five of XML is ever replaced and nothing outside is read.
The text may be a fragment: several elements side by side, words between them. Everything is linear
in the length. Not here: what the elements mean.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from xml.parsers import expat

from app.errors import PayloadTooLarge, PromptTemplateInvalid
from app.prompts.notation import MAX_DEPTH as MAX_JSON_DEPTH
from app.prompts.notation import invalid, json_value

MOST_BYTES = 256 * 1024
MOST_ELEMENTS = 50_000
MAX_DEPTH = 64

_ROOT = b"<fragment>\n"
_DECLARATION = re.compile(r"\s*+<\?xml\s[^>]*?\?>")
_ENCODING = re.compile(r"encoding\s*+=\s*+[\"']([^\"']*+)")
_ENCODINGS = frozenset({"utf-8", "utf8", "us-ascii", "ascii", "utf-16", "utf-16le", "utf-16be"})
_BEGINNINGS = (  # a byte order mark, or a `<` of two bytes
    (b"\xff\xfe", "utf-16-le"),
    (b"\xfe\xff", "utf-16-be"),
    (b"<\x00", "utf-16-le"),
    (b"\x00<", "utf-16-be"),
)
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(slots=True, eq=False)
class Element:
    """An element: `tag` and `opening` as they were written, `line` and `column` where it begins.

    `parts` are its texts, decoded, and the elements in it; `text_line` and `text_column` are where
    the first begins.
    """

    tag: str
    attributes: dict[str, str]
    line: int
    column: int
    parts: list[Element | str] = field(default_factory=list)
    opening: str = ""
    closing: str = ""
    text_line: int = 0
    text_column: int = 1

    @property
    def name(self) -> str:
        """The tag without its prefix: which namespace it is in does not matter here."""
        return self.tag.rpartition(":")[2]

    @property
    def elements(self) -> list[Element]:
        return [part for part in self.parts if isinstance(part, Element)]

    @property
    def content(self) -> str:
        """Everything inside: text decoded and not trimmed, elements as they were written."""
        return "".join(
            part if isinstance(part, str) else part.opening + part.content + part.closing
            for part in self.parts
        )

    def child(self, name: str) -> Element | None:
        """The first of the elements directly inside that has this name."""
        return next((element for element in self.elements if element.name == name), None)

    def below(self, *names: str, but: tuple[str, ...] = ("prompt",)) -> Iterator[Element]:
        """Every outermost element of these names at any depth, in order; not inside those of `but`.

        What stands in a prompt belongs to the prompt, however it is called.
        """
        waiting = self.elements[::-1]
        while waiting:
            element = waiting.pop()
            if element.name in names:
                yield element
            elif element.name not in but:
                waiting += element.elements[::-1]

    def error(self, problem: str) -> PromptTemplateInvalid:
        return invalid(problem, self.line, self.column)


def parse(document: str | bytes, *, most_bytes: int = MOST_BYTES, line: int = 1) -> Element:
    """The elements of a document or fragment, in one nameless root; it begins at `line`.

    Bytes are UTF-8 or UTF-16, by byte order mark or declaration. Raises PayloadTooLarge above
    `most_bytes`, PromptTemplateInvalid for what is not well-formed, has a DTD or is too deep.
    """
    text = document if isinstance(document, str) else _decoded(document, most_bytes)
    try:
        data = _without_declaration(text.removeprefix("\ufeff")).encode()
    except UnicodeEncodeError:
        raise invalid("The XML holds half a surrogate pair", line, 1) from None
    _check_size(len(data), most_bytes)
    return _Reading(_ROOT + data + b"</fragment>", line - 2).root()


def said(element: Element) -> str:
    """The text of an element, which may be written as a JSON string (`escaped` says when)."""
    if element.attributes.get("encoding") != "json":
        return element.content
    value = json_in(element)
    if not isinstance(value, str):
        raise element.error(f'<{element.tag} encoding="json"> must hold a JSON string')
    return value


def json_in(element: Element, text: str | None = None, *, depth: int = MAX_JSON_DEPTH) -> Any:
    """The JSON value that stands in an element, or in its `text` where that was escaped. Raises
    PromptTemplateInvalid with the place in the document.
    """
    return json_value(
        element.content if text is None else text,
        what=f"<{element.tag}>",
        line=element.text_line or element.line,
        column=element.text_column,
        depth=depth,
    )


def written(tag: str, text: str, *, attributes: str = "") -> str:
    """An element that holds exactly this text, whatever is in it.

    A character XML cannot say (most control characters) makes it a JSON string, marked as such.
    """
    if _NOT_XML.search(text):
        text, attributes = json.dumps(text), f'{attributes} encoding="json"'
    return f"<{tag}{attributes}>{_escaped(text)}</{tag}>"


def _escaped(text: str) -> str:
    """A carriage return is the one character that only a reference keeps."""
    if not re.search(r"[<>&]", text):
        return text.replace("\r", "&#13;")
    text = text.replace("]]>", "]]]]><![CDATA[>").replace("\r", "]]>&#13;<![CDATA[")
    return f"<![CDATA[{text}]]>"


def _check_size(size: int, most_bytes: int) -> None:
    if size > most_bytes:
        raise PayloadTooLarge(
            f"The XML has {size:,} bytes; at most {most_bytes:,} are read", max_bytes=most_bytes
        )


def _decoded(raw: bytes, most_bytes: int) -> str:
    _check_size(len(raw), most_bytes)
    encoding = next((each for mark, each in _BEGINNINGS if raw.startswith(mark)), "utf-8")
    try:
        return raw.decode(encoding)
    except UnicodeDecodeError as error:
        problem = f"The XML is not valid {encoding.upper()} at byte {error.start + 1}"
        raise invalid(problem, raw.count(b"\n", 0, error.start) + 1, 1) from None


def _without_declaration(text: str) -> str:
    """The text with blanks for `<?xml … ?>`, so that lines and columns stay what they are."""
    match = _DECLARATION.match(text)
    if not match:
        return text
    named = _ENCODING.search(match[0])
    if named and named[1].lower() not in _ENCODINGS:
        raise invalid(f"Encoding {named[1][:40]!r} is not read: write UTF-8 or UTF-16", 1, 1)
    return re.sub(r"\S", " ", match[0]) + text[match.end() :]


class _Reading:
    """One pass of expat over the data. `above` is what its line 1 is short of the caller's."""

    def __init__(self, data: bytes, above: int) -> None:
        self._data = data
        self._above = above
        self._open: list[Element] = []
        self._elements = 0
        self._root: Element | None = None
        self._unfinished: Element | None = None  # its opening tag ends where the next event begins
        self._started_at = 0
        self._parser = parser = expat.ParserCreate("utf-8")
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text
        parser.StartCdataSectionHandler = self._finish_opening
        parser.CommentHandler = self._skip
        parser.ProcessingInstructionHandler = self._skip
        parser.StartDoctypeDeclHandler = self._refuse_dtd

    def root(self) -> Element:
        try:
            self._parser.Parse(self._data, True)
        except expat.ExpatError as error:
            raise self._not_well_formed(error) from None
        if self._root is None:  # pragma: no cover - expat ends with an error instead
            raise self._error("There is no element")
        self._root.line += 1  # ours stands alone before the document's first
        return self._root

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        self._finish_opening()
        if len(self._open) > MAX_DEPTH:
            raise self._error(f"Elements are nested too deep: at most {MAX_DEPTH} levels are read")
        self._elements += 1
        if self._elements > MOST_ELEMENTS:
            raise self._error(f"More than {MOST_ELEMENTS:,} elements are not read")
        element = Element(tag, attributes, *self._place())
        if self._open:
            self._add(element)
        else:
            self._root = element
        self._open.append(element)
        self._unfinished, self._started_at = element, self._parser.CurrentByteIndex

    def _end(self, tag: str) -> None:
        self._finish_opening()
        element = self._open.pop()
        if not element.opening.endswith("/>"):
            element.closing = f"</{tag}>"

    def _text(self, text: str) -> None:
        self._finish_opening()
        self._add(text)

    def _skip(self, *_: str) -> None:
        self._finish_opening()

    def _add(self, part: Element | str) -> None:
        parent = self._open[-1]
        if not parent.parts:
            parent.text_line, parent.text_column = self._place()
        parent.parts.append(part)

    def _finish_opening(self) -> None:
        if self._unfinished:
            tag = self._data[self._started_at : self._parser.CurrentByteIndex]
            self._unfinished.opening = tag.decode()
            self._unfinished = None

    def _refuse_dtd(self, *_: object) -> None:
        raise self._error("A document type (DTD) is not read")

    def _not_well_formed(self, error: expat.ExpatError) -> PromptTemplateInvalid:
        # Inside our root a `<!DOCTYPE` is a mere syntax error; say what the person did.
        at = self._parser.ErrorByteIndex
        if b"<!doctype" in self._data[max(0, at - 9) : at + 9].lower():
            return self._error("A document type (DTD) is not read")
        reason = "invalid token" if error.code == 4 else expat.ErrorString(error.code)
        return self._error(f"The XML is not well-formed: {reason}")

    def _error(self, problem: str) -> PromptTemplateInvalid:
        return invalid(problem, *self._place())

    def _place(self) -> tuple[int, int]:
        return (
            self._parser.CurrentLineNumber + self._above,
            self._parser.CurrentColumnNumber + 1,
        )
