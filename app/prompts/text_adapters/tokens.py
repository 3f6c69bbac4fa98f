"""The one reading of a message's text: plain text, `{{variables}}` and adapters' tags, in turn.

Every place that will be filled is found here, once, before any value is known; so what a value
holds can never become a place. What the tags mean is said in `tags`, how they nest in `template`.

Tag and attribute names are of any case, an attribute is quoted by either quote or by none, and a
self-closing tag has no content. Unknown tags are plain text. In a CDATA section and in a comment
tags are plain text too; `{{variables}}` are not, since their language knows neither.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from app.errors import PromptTemplateInvalid
from app.prompts.templating import Tag, place, unclosed_tag, variable_name, watch_braces

POINTER = "/messages"

_EXCERPT_LENGTH = 40


class TagName(StrEnum):
    """The tags of Imixs-Workflow's text adapters, and Imixs-AI's FILECONTEXT."""

    ITEMVALUE = "itemvalue"
    PROPERTYVALUE = "propertyvalue"
    USERNAME = "username"
    FILEDATA = "filedata"
    FILECONTEXT = "filecontext"
    FOR_EACH_VALUE = "for-each-value"
    FOR_EACH_CHILD = "for-each-child"


BLOCKS = frozenset({TagName.FOR_EACH_VALUE, TagName.FOR_EACH_CHILD})
"""Tags whose content is a template of its own. The content of any other is one word."""


@dataclass(frozen=True, slots=True)
class Element:
    """A tag. `content` is None for a block: what it holds follows, up to its `Closing`."""

    name: TagName
    attributes: Mapping[str, str]
    position: int
    content: str | None


@dataclass(frozen=True, slots=True)
class Closing:
    """The end of a block, or what looks like one and is plain text."""

    name: TagName
    source: str


Token = str | Tag | Element | Closing


# Each is linear: a variable stops at the next brace, possessive quantifiers never give back, and a
# tag that is not closed ends the reading instead of being tried again further on.
_VARIABLE = r"\{\{(?P<variable>[^{}]*+)\}\}"
_ANYWHERE = re.compile(
    rf"{_VARIABLE}|(?P<cdata><!\[CDATA\[)|(?P<comment><!--)"
    rf"|</(?P<closing>(?i:{'|'.join(sorted(BLOCKS))}))\s*+>"
    rf"|<(?P<tag>(?i:{'|'.join(TagName)}))(?=[\s/>]|\Z)",
    re.ASCII,
)
_SECTIONS = {
    "cdata": re.compile(rf"{_VARIABLE}|(?P<end>\]\]>)"),
    "comment": re.compile(rf"{_VARIABLE}|(?P<end>-->)"),
    "end": _ANYWHERE,
}
_ATTRIBUTE = re.compile(
    r"\s*+(?P<name>[^\s=<>/\"']++)"
    r"(?:\s*+=\s*+(?:\"(?P<double>[^\"]*+)\"|'(?P<single>[^']*+)'|(?P<bare>[^\s<>\"'][^\s<>]*+)))?+"
)
_START_END = re.compile(r"\s*+(/?+)>")
_CONTENT_END = {
    name: re.compile(rf"(?i:</{name}\s*+>|(?P<again><{name}(?=[\s/>])))", re.ASCII)
    for name in TagName
}


def tokens(text: str) -> Iterator[Token]:
    """The text's parts in their order; joined as they were written they are the text.

    Raises PromptTemplateInvalid for a tag and TemplateSyntaxError for a `{{` that is never closed,
    with line and column. A block that is not closed is for the reader of the tokens to see.
    """
    unclosed: list[int] = []
    plain = position = 0  # where the plain text before the next token began; where to look on
    section = _ANYWHERE
    while found := section.search(text, position):
        kind, position = found.lastgroup or "", found.end()
        if kind in _SECTIONS:
            section = _SECTIONS[kind]
            continue
        token, end = _token(text, found)
        if token is None:
            position = found.start() + 2  # no name between these braces; perhaps a tag
            continue
        watch_braces(text, plain, found.start(), unclosed)
        yield text[plain : found.start()]
        yield token
        plain = position = end
    watch_braces(text, plain, len(text), unclosed)
    if unclosed:
        raise unclosed_tag(text, unclosed[0], pointer=POINTER)
    yield text[plain:]


def _token(text: str, found: re.Match[str]) -> tuple[Token | None, int]:
    """What was found, None if it is plain text after all; and where it ends."""
    if found["variable"] is not None:
        name = variable_name(found["variable"])
        return Tag(name, found[0]) if name else None, found.end()
    if found["closing"] is not None:
        return Closing(TagName(found["closing"].lower()), found[0]), found.end()
    return _element(text, found)


def _element(text: str, found: re.Match[str]) -> tuple[Element, int]:
    name, start = TagName(found["tag"].lower()), found.start()
    attributes, end = _attributes(text, found.end())
    closed = _START_END.match(text, end)
    if closed is None:
        raise not_closed(text, start, mend="close it with '>'")
    if closed[1] or text[closed.end() - 2] == "/":
        return Element(name, attributes, start, ""), closed.end()
    if name in BLOCKS:
        return Element(name, attributes, start, None), closed.end()
    last = _CONTENT_END[name].search(text, closed.end())
    if last is None or last["again"]:
        raise not_closed(text, start, mend=f"close it with '</{name}>'")
    return Element(name, attributes, start, text[closed.end() : last.start()]), last.end()


def _attributes(text: str, position: int) -> tuple[dict[str, str], int]:
    attributes: dict[str, str] = {}
    while found := _ATTRIBUTE.match(text, position):
        value = next((v for v in found.group("double", "single", "bare") if v is not None), "")
        attributes[found["name"].lower()] = value
        position = found.end()
    return attributes, position


def not_closed(text: str, position: int, *, mend: str) -> PromptTemplateInvalid:
    """The error about a tag at this position that has no end."""
    excerpt = text[position : position + _EXCERPT_LENGTH]
    return invalid(text, position, problem=f"Unclosed tag {excerpt!r}", mend=mend)


def invalid(text: str, position: int, *, problem: str, mend: str) -> PromptTemplateInvalid:
    """The error about the tag at this position: what is wrong, where, and what would be right."""
    line, column = place(text, position)
    return PromptTemplateInvalid(
        f"{problem} at line {line}, column {column}: {mend}",
        pointer=POINTER,
        line=line,
        column=column,
    )
