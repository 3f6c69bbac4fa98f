"""From a message's text to what is sent: parsed once, rendered for each job, scanned never again.

Imixs' adapters run one after the other over the same text, so there a value that holds a tag is
expanded by the next one. Here all places are known before the first value is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TypeVar

from app.errors import PromptTemplateInvalid
from app.prompts.material import Material
from app.prompts.templating import CACHED_LENGTH, CACHED_TEMPLATES, Tag, join
from app.prompts.text_adapters.reads import MOST_PATTERNS, Reads
from app.prompts.text_adapters.scope import Rendering, Scope
from app.prompts.text_adapters.tags import (
    Part,
    Text,
    Variable,
    all_pieces,
    block,
    item_of,
    made,
)
from app.prompts.text_adapters.tokens import (
    POINTER,
    Closing,
    Element,
    TagName,
    Token,
    invalid,
    not_closed,
    tokens,
)

MOST_NESTED = 8

Made = TypeVar("Made")


@dataclass(frozen=True, slots=True)
class Adapted:
    """A finished text, the variables that had no value (they stay as written), and warnings."""

    text: str
    missing: tuple[str, ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AdaptedTemplate:
    """A parsed text, and what it reads: each name once, in order, as it was first written.

    `items` are the work item's, without those that are read from an embedded object; `user_items`
    are all items whose values are ids of users, those of embedded objects among them.
    """

    parts: tuple[Part, ...]
    variables: tuple[str, ...]
    items: tuple[str, ...]
    properties: tuple[str, ...]
    user_items: tuple[str, ...]
    file_patterns: tuple[str, ...]

    def render(self, material: Material) -> Adapted:
        """The text with every place filled; values go in as they are.

        Raises PromptRefused when no file answers a FILECONTEXT, and Unprocessable when a value
        cannot be written as JSON, when the text would be longer than `MAX_OUTPUT_BYTES` in UTF-8,
        or when it is more than the material's `work` allows.
        """
        rendering = Rendering(material, self.variables)
        pieces = all_pieces(self.parts, Scope(rendering, material.workitem))
        text = join(pieces, pointer=POINTER)
        material.work.write(len(text))
        return Adapted(
            text=text,
            missing=tuple(name for name in self.variables if name not in rendering.values),
            warnings=rendering.warnings,
        )


def few_patterns(templates: Iterable[AdaptedTemplate]) -> Iterator[AdaptedTemplate]:
    """The templates of one definition, as long as their file patterns are few enough: compiling one
    may take milliseconds, and a megabyte holds thousands. Raises PromptTemplateInvalid.
    """
    patterns: set[str] = set()
    for template in templates:
        patterns.update(template.file_patterns)
        if len(patterns) > MOST_PATTERNS:
            raise PromptTemplateInvalid(
                f"A definition may hold at most {MOST_PATTERNS} different file patterns",
                pointer=POINTER,
            )
        yield template


def parse(text: str) -> AdaptedTemplate:
    """Read a message's text. Short ones are remembered, so parsing again costs a look-up.

    Raises PromptTemplateInvalid for a tag that is not closed or cannot work, TemplateSyntaxError
    for a `{{` that is never closed; both with line and column.
    """
    return _parse_once(text) if len(text) <= CACHED_LENGTH else _parse(text)


@lru_cache(maxsize=CACHED_TEMPLATES)
def _parse_once(text: str) -> AdaptedTemplate:
    return _parse(text)


def _parse(text: str) -> AdaptedTemplate:
    reading = _Reading(text)
    for token in tokens(text):
        reading.take(token)
    return reading.finished()


@dataclass(frozen=True, slots=True)
class _Block:
    """A block that is open: its tag, the item it goes through, its parts so far."""

    element: Element
    item: str
    body: list[Part] = field(default_factory=list)


class _Reading:
    """A text that is being read: its parts, the blocks that are open, and what it reads."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._parts: list[Part] = []
        self._open: list[_Block] = []
        self._reads = Reads()

    def take(self, token: Token) -> None:
        match token:
            case Closing():
                self._close(token)
            case Element(content=None):
                self._begin(token)
            case Element():
                self._add(self._checked(made, token))
            case Tag():
                self._reads.variables[token.name] = None
                self._add(Variable(token))
            case _ if token:
                self._add(Text(token))

    def finished(self) -> AdaptedTemplate:
        if self._open:
            raise self._unclosed(self._open[-1])
        return AdaptedTemplate(
            parts=tuple(self._parts),
            variables=tuple(self._reads.variables),
            items=tuple(self._reads.items.values()),
            properties=tuple(self._reads.properties),
            user_items=tuple(self._reads.user_items.values()),
            file_patterns=tuple(self._reads.file_patterns),
        )

    def _add(self, part: Part) -> None:
        (self._open[-1].body if self._open else self._parts).append(part)

    def _begin(self, element: Element) -> None:
        if len(self._open) == MOST_NESTED:
            raise invalid(
                self._text,
                element.position,
                problem=f"A <{element.name}>",
                mend=f"at most {MOST_NESTED} for-each tags may stand within each other",
            )
        self._open.append(_Block(element, self._checked(item_of, element)))
        self._look_into_children()

    def _close(self, closing: Closing) -> None:
        """End the innermost block; where none of that name is open, it is plain text."""
        if all(block.element.name != closing.name for block in self._open):
            self._add(Text(closing.source))
            return
        ended = self._open.pop()
        if ended.element.name != closing.name:
            raise self._unclosed(ended)
        self._look_into_children()
        self._add(block(ended.element, ended.item, tuple(ended.body)))

    def _look_into_children(self) -> None:
        self._reads.of_child = any(
            opened.element.name is TagName.FOR_EACH_CHILD for opened in self._open
        )

    def _checked(self, make: Callable[[Element, Reads], Made], element: Element) -> Made:
        """What is made of a tag. Raises PromptTemplateInvalid with its place when it cannot be."""
        try:
            return make(element, self._reads)
        except ValueError as problem:
            raise invalid(
                self._text,
                element.position,
                problem=f"Invalid <{element.name}>",
                mend=str(problem),
            ) from None

    def _unclosed(self, opened: _Block) -> PromptTemplateInvalid:
        element = opened.element
        return not_closed(self._text, element.position, mend=f"close it with '</{element.name}>'")
