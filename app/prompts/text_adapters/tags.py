"""What each tag of the text adapters stands for: one class per tag, and one table of them.

A tag is made from its attributes and content while a text is parsed, so that what is wrong with it
is said before anything runs (as a ValueError with the tag as its subject). When the text is
rendered it gives its pieces; they go in raw, and nobody looks at them again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from app.errors import PromptRefused
from app.prompts.templating import MAX_NAME_LENGTH, Tag
from app.prompts.text_adapters.reads import Reads
from app.prompts.text_adapters.scope import SHOWN_LENGTH, Scope
from app.prompts.text_adapters.tokens import BLOCKS, Element, TagName
from app.prompts.text_adapters.values import Choice, Format, bare, unescaped

_WEIGHT_OF_FORMATS = 7
NO_FILE_CONTEXT = "No File Context found in current workitem"


class Part(Protocol):
    """A part of a parsed text."""

    def pieces(self, scope: Scope) -> Iterator[str]:
        """What stands in its place."""
        ...


# --- text, and the variables of templates -------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Text:
    """Plain text, as it was written."""

    text: str

    def pieces(self, scope: Scope) -> Iterator[str]:
        yield self.text


@dataclass(frozen=True, slots=True)
class Variable:
    """`{{name}}`: a value of the context; without one it stays as it was written."""

    tag: Tag

    def pieces(self, scope: Scope) -> Iterator[str]:
        yield scope.rendering.values.get(self.tag.name, self.tag.source)


@dataclass(frozen=True, slots=True)
class Unanswered:
    """A tag that asks for what is not here: nothing, and a warning."""

    warning: str

    def pieces(self, scope: Scope) -> Iterator[str]:
        scope.rendering.warn(self.warning)
        return iter(())


# --- items --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ItemValue:
    """`<itemvalue>`: the values of an item."""

    item: str
    choice: Choice
    format: Format

    def pieces(self, scope: Scope) -> Iterator[str]:
        if self.format.warning:
            scope.rendering.warn(self.format.warning)
        return self.choice.pieces(
            self.item,
            scope,
            spelled=partial(self._spelled, scope),
            bare=lambda value: bare(value, self.item),
        )

    def _spelled(self, scope: Scope, value: Any) -> str:
        if self.format.dates or self.format.numbers:
            scope.rendering.step(_WEIGHT_OF_FORMATS)
        return self.format.spell(value, self.item)


@dataclass(frozen=True, slots=True)
class UserName:
    """`<username>`: the display names of the users an item names; an unknown id stays as it is."""

    item: str
    choice: Choice

    def pieces(self, scope: Scope) -> Iterator[str]:
        def display_name(value: Any) -> str:
            user = bare(value, self.item)
            return scope.rendering.material.names.get(user, user)

        return self.choice.pieces(self.item, scope, spelled=display_name, bare=display_name)


@dataclass(frozen=True, slots=True)
class PropertyValue:
    """`<propertyvalue>`: a configuration value, of those the material allows."""

    name: str

    def pieces(self, scope: Scope) -> Iterator[str]:
        value = scope.rendering.material.properties.get(self.name)
        if value is None:
            scope.rendering.warn(f"There is no property {self.name[:SHOWN_LENGTH]!r}")
        else:
            yield value


# --- files --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class FileContext:
    """`<FILECONTEXT>`: the text of every file whose name the pattern finds, without blank lines
    (runs of them send small models into endless answers). Without any text there is no prompt.
    """

    pattern: str

    def pieces(self, scope: Scope) -> Iterator[str]:
        texts = scope.rendering.compact_file_texts(self.pattern)
        if not texts:
            raise PromptRefused(
                f"{NO_FILE_CONTEXT}: no file with text has a name that"
                f" {self.pattern[:SHOWN_LENGTH]!r} finds",
                pointer="/files",
            )
        return _joined(texts, "\n")


@dataclass(frozen=True, slots=True)
class FileData:
    """`<filedata>`: the same with the texts as they are, and nothing where there are none."""

    pattern: str
    separator: str

    def pieces(self, scope: Scope) -> Iterator[str]:
        texts = scope.rendering.file_texts(self.pattern)
        if not texts:
            shown = self.pattern[:SHOWN_LENGTH]
            scope.rendering.warn(f"No file with text has a name that {shown!r} finds")
        return _joined(texts, self.separator)


def _joined(texts: tuple[str, ...], separator: str) -> Iterator[str]:
    for number, text in enumerate(texts):
        if number:
            yield separator
        yield text


# --- blocks -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ForEachValue:
    """`<for-each-value item="…">`: its body once for each value, which is then the item's only
    one. The other items are there as well.
    """

    item: str
    body: tuple[Part, ...]

    def pieces(self, scope: Scope) -> Iterator[str]:
        for value in scope.values(self.item):
            yield from all_pieces(self.body, scope.narrow(self.item, value))


@dataclass(frozen=True, slots=True)
class ForEachChild:
    """`<for-each-child item="…">`: its body once for each embedded object, which is then the work
    item.
    """

    item: str
    body: tuple[Part, ...]

    def pieces(self, scope: Scope) -> Iterator[str]:
        for value in scope.values(self.item):
            if isinstance(value, Mapping):
                yield from all_pieces(self.body, scope.rendering.child(value))
            else:
                scope.rendering.step()
                scope.rendering.warn(
                    f"A value of the item {self.item[:SHOWN_LENGTH]!r} is no object: for-each-child"
                    " leaves it out, for-each-value would show it"
                )


def all_pieces(body: tuple[Part, ...], scope: Scope) -> Iterator[str]:
    """The pieces of parts that stand one after the other."""
    scope.rendering.step()
    for part in body:
        scope.rendering.step()
        yield from part.pieces(scope)


# --- making them --------------------------------------------------------------------------------


def made(element: Element, reads: Reads) -> Part:
    """The part a tag stands for. Raises ValueError with a sentence that has the tag as subject."""
    if element.name in BLOCKS:
        return block(element, item_of(element, reads), ())
    if element.attributes.get("ref", "").strip() and element.name in _MAY_REFER:
        return Unanswered(f"<{element.name} ref=…> stays empty: there is one work item here only")
    return _MAKERS[element.name](element, reads)


def block(element: Element, item: str, body: tuple[Part, ...]) -> Part:
    """The part a for-each stands for, once its content has been read."""
    return _BLOCKS[element.name](item, body)


def item_of(element: Element, reads: Reads) -> str:
    """The item a for-each goes through. Raises ValueError when it names none."""
    item = _name(element.attributes.get("item", ""))
    if not item:
        raise ValueError('it has no item; write item="…"')
    reads.item(item)
    return item


def _item_value(element: Element, reads: Reads) -> Part:
    item = _name(element.content)
    reads.item(item)
    if element.attributes.get("format") and (locale := element.attributes.get("locale")):
        reads.locale(locale)
    return ItemValue(item, Choice.of(element.attributes), Format.of(element.attributes))


def _user_name(element: Element, reads: Reads) -> Part:
    item = _name(element.content)
    reads.user_item(item)
    return UserName(item, Choice.of(element.attributes))


def _property_value(element: Element, reads: Reads) -> Part:
    name = _name(element.content)
    if name:
        reads.properties[name] = None
    return PropertyValue(name)


def _file_context(element: Element, reads: Reads) -> Part:
    pattern = (element.content or "").strip()
    reads.file_pattern(pattern)
    return FileContext(pattern)


def _file_data(element: Element, reads: Reads) -> Part:
    pattern = (element.content or "").strip()
    reads.file_pattern(pattern)
    return FileData(pattern, unescaped(element.attributes.get("separator", "\\n\\n")))


def _name(content: str | None) -> str:
    name = (content or "").strip()
    if "{{" in name or "<" in name:
        raise ValueError("it takes a name as it is; nothing in it is replaced, so write the name")
    if len(name) > MAX_NAME_LENGTH or "\n" in name:
        raise ValueError(f"its name has a line break or more than {MAX_NAME_LENGTH} characters")
    return name


_MAKERS: dict[TagName, Callable[[Element, Reads], Part]] = {
    TagName.ITEMVALUE: _item_value,
    TagName.USERNAME: _user_name,
    TagName.PROPERTYVALUE: _property_value,
    TagName.FILECONTEXT: _file_context,
    TagName.FILEDATA: _file_data,
}
_BLOCKS: dict[TagName, Callable[[str, tuple[Part, ...]], Part]] = {
    TagName.FOR_EACH_VALUE: ForEachValue,
    TagName.FOR_EACH_CHILD: ForEachChild,
}
_MAY_REFER = frozenset({TagName.ITEMVALUE, TagName.FILEDATA})
