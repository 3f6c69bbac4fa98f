"""Which values of an item stand in a text, and how each is written."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from typing import Any

from app.prompts.templating import spell
from app.prompts.text_adapters import java_dates, java_numbers, locales
from app.prompts.text_adapters.scope import SHOWN_LENGTH, Scope


@dataclass(frozen=True, slots=True)
class Choice:
    """Which values of an item stand in the text: the first; or all with a separator between them;
    or, asked for by `position`, the first or the last as it is.
    """

    separator: str | None
    last: bool | None

    @classmethod
    def of(cls, attributes: Mapping[str, str]) -> Choice:
        separator, position = attributes.get("separator"), attributes.get("position")
        return cls(
            None if separator is None else unescaped(separator),
            position.lower() == "last" if position else None,
        )

    def pieces(
        self, item: str, scope: Scope, *, spelled: Callable[[Any], str], bare: Callable[[Any], str]
    ) -> Iterator[str]:
        """`spelled` writes a value, `bare` one without any format."""
        values = scope.values(item)
        if not values:
            return
        if self.last is not None:
            yield bare(values[-1 if self.last else 0])
            return
        yield spelled(values[0])
        for value in values[1:] if self.separator is not None else ():
            scope.rendering.step()
            yield self.separator or ""
            yield spelled(value)


@dataclass(frozen=True, slots=True)
class Format:
    """How a value is written: by Java's patterns for dates and, when it has a `#`, for numbers.

    A text in ISO 8601 is a date only where a pattern asks for one: a work item of JSON has no
    dates, and a text that happens to look like one must come out as it is.
    """

    dates: java_dates.DateFormat | None = None
    numbers: java_numbers.NumberFormat | None = None
    warning: str = ""

    @classmethod
    def of(cls, attributes: Mapping[str, str]) -> Format:
        pattern, locale = attributes.get("format", ""), attributes.get("locale", "").strip()
        if not pattern:
            return cls()
        warning = "" if locales.is_known(locale or locales.DEFAULT) else _unknown_locale(locale)
        locale = locale or locales.DEFAULT
        try:
            if "#" in pattern:
                numbers = java_numbers.number_format(pattern, locale=locale)
                return cls(numbers=numbers, warning=warning)
            return cls(java_dates.date_format(pattern, locale=locale), warning=warning)
        except ValueError as problem:
            shown = pattern[:SHOWN_LENGTH]
            return cls(warning=f"The format {shown!r} is not used: {problem}")

    def spell(self, value: Any, item: str) -> str:
        if self.dates and (moment := java_dates.as_date(value)):
            with suppress(ValueError):  # the last week of 9999 belongs to a year that is none
                return self.dates.format(moment)
        if self.numbers and value != "" and not isinstance(value, date):
            number = java_numbers.as_number(value)
            return "0" if number is None else self.numbers.format(number)
        return bare(value, item)


def unescaped(text: str) -> str:
    r"""A separator with `\n` and `\t` as a line break and a tab."""
    return text.replace("\\n", "\n").replace("\\t", "\t")


def bare(value: Any, item: str) -> str:
    """A value without a format: JSON, but for texts, dates and doubles, which are as in Java."""
    if isinstance(value, float):
        return java_numbers.spell_double(value)
    if isinstance(value, date):
        return java_dates.spell_date(value)
    return spell(item, value, pointer="/workitem")


def _unknown_locale(word: str) -> str:
    return f"The locale {word[:SHOWN_LENGTH]!r} is unknown; English is used"
