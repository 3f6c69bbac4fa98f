"""Template text: `{{name}}` and `{{user.name}}` replaced by values, in one pass, and nothing else.

No code runs here. A name is looked up as a dictionary key and never as an attribute, an inserted
value is never scanned again, and there are no sections, partials, filters or escapes. What to do
about a name without a value (warn, or refuse) is the caller's business: it stays as written and is
reported. Other template languages live beside this room, not in it.

A tag is `{{`, a name, `}}`. What cannot be a name is ordinary text: nothing, more than 255
characters, or something with a brace, a quote or a line break in it. So pasted JSON, JSX and LaTeX
survive, and `{"a": {{x}}}` or `{{{x}}}` put the value between single braces.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from app.errors import TemplateSyntaxError, Unprocessable

MAX_OUTPUT_BYTES = 1024 * 1024
MAX_NAME_LENGTH = 255

CACHED_TEMPLATES = 512
CACHED_LENGTH = 20_000  # longer texts are parsed each time, so the cache stays below 20 MB
_EXCERPT_LENGTH = 40

# Linear: a name stops at the next brace, and the possessive `*+` never gives back.
_TAG = re.compile(r"\{\{([^{}]*+)\}\}")
_BRACE_PAIR = re.compile(r"\{\{|\}\}")
_NEVER_IN_A_NAME = re.compile("[\"'\x00-\x1f\x7f-\x9f\u2028\u2029]")
_ABSENT = object()


@dataclass(frozen=True, slots=True)
class Tag:
    """One place for a value: the name, and the tag exactly as it was written."""

    name: str
    source: str


@dataclass(frozen=True, slots=True)
class Rendered:
    """A finished text, and the names that had no value, in the order of the template."""

    text: str
    missing: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Template:
    """A parsed text: literal pieces and tags in turn, and each name once, in order."""

    parts: tuple[str | Tag, ...]
    names: tuple[str, ...]

    def render(self, context: Mapping[str, Any]) -> Rendered:
        """The text with every known name replaced by its value.

        A name is first looked up whole, then, if it has dots, key by key. Text goes in as it is,
        None as nothing, anything else as compact JSON.

        Raises Unprocessable when a value cannot be written as JSON, or when the text would be
        longer than `MAX_OUTPUT_BYTES` in UTF-8.
        """
        values = spelled_values(self.names, context)
        return Rendered(
            text=join(self._pieces(values)),
            missing=tuple(name for name in self.names if name not in values),
        )

    def _pieces(self, values: Mapping[str, str]) -> Iterator[str]:
        for part in self.parts:
            yield values.get(part.name, part.source) if isinstance(part, Tag) else part


def parse(text: str) -> Template:
    """Read a template. Short ones are remembered, so parsing again costs a look-up.

    Raises TemplateSyntaxError with line and column of a `{{` that is never closed.
    """
    return _parse_once(text) if len(text) <= CACHED_LENGTH else _parse(text)


@lru_cache(maxsize=CACHED_TEMPLATES)
def _parse_once(text: str) -> Template:
    return _parse(text)


def _parse(text: str) -> Template:
    parts: list[str | Tag] = []
    unclosed: list[int] = []
    end = 0
    for match in _TAG.finditer(text):
        watch_braces(text, end, match.start(), unclosed)
        name = variable_name(match[1])
        parts += [text[end : match.start()], Tag(name, match[0]) if name else match[0]]
        end = match.end()
    watch_braces(text, end, len(text), unclosed)
    if unclosed:
        raise unclosed_tag(text, unclosed[0])
    parts.append(text[end:])
    names = dict.fromkeys(part.name for part in parts if isinstance(part, Tag))
    return Template(tuple(part for part in parts if part), tuple(names))


def watch_braces(text: str, start: int, end: int, unclosed: list[int]) -> None:
    """Note each `{{` of a literal piece; a later `}}` outside the tags takes the last one back."""
    for pair in _BRACE_PAIR.finditer(text, start, end):
        if pair[0] == "{{":
            unclosed.append(pair.start())
        elif unclosed:
            unclosed.pop()


def variable_name(content: str) -> str:
    """The name a tag holds between its braces, or nothing if this cannot be one."""
    name = content.strip()
    if len(name) > MAX_NAME_LENGTH or _NEVER_IN_A_NAME.search(name):
        return ""
    return name


def unclosed_tag(text: str, position: int, *, pointer: str = "/template") -> TemplateSyntaxError:
    """The error about a `{{` at this position that is never closed."""
    line, column = place(text, position)
    excerpt = text[position : position + _EXCERPT_LENGTH]
    return TemplateSyntaxError(
        f"Unclosed tag {excerpt!r} at line {line}, column {column}: close it with '}}}}'",
        pointer=pointer,
        line=line,
        column=column,
    )


def place(text: str, position: int) -> tuple[int, int]:
    """Line and column of a position, as people count: from one."""
    return text.count("\n", 0, position) + 1, position - text.rfind("\n", 0, position)


def spelled_values(names: Iterable[str], context: Mapping[str, Any]) -> dict[str, str]:
    """Each name that has a value, and the value as text. Raises Unprocessable as `spell` does."""
    found = {name: _look_up(context, name) for name in names}
    return {name: spell(name, value) for name, value in found.items() if value is not _ABSENT}


def _look_up(context: Mapping[str, Any], name: str) -> Any:
    if name in context:
        return context[name]
    node: Any = context
    for key in name.split("."):
        if not isinstance(node, Mapping) or key not in node:
            return _ABSENT
        node = node[key]
    return node


def spell(name: str, value: Any, *, pointer: str = "/context") -> str:
    """A value as the text that stands in the prompt: compact JSON, but for a text and None.

    Raises Unprocessable when JSON cannot say it; `name` is what the value is called.
    """
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError) as error:
        raise Unprocessable(
            f"The value of {name!r} cannot be written as JSON: {error}", pointer=pointer
        ) from None


def join(pieces: Iterable[str], *, pointer: str = "/template") -> str:
    """The pieces as one text; stops at the cap, before a small request becomes gigabytes.

    Raises Unprocessable when the text would be longer than `MAX_OUTPUT_BYTES` in UTF-8.
    """
    kept: list[str] = []
    length = 0
    for piece in pieces:
        length += len(piece)
        if length > MAX_OUTPUT_BYTES:
            raise _too_long(pointer)
        kept.append(piece)
    text = "".join(kept)
    if len(text.encode("utf-8", "surrogatepass")) > MAX_OUTPUT_BYTES:
        raise _too_long(pointer)
    return text


def _too_long(pointer: str) -> Unprocessable:
    return Unprocessable(
        f"The rendered template is longer than {MAX_OUTPUT_BYTES:,} bytes: use shorter values",
        pointer=pointer,
    )
