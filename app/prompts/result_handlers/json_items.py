"""Items from the JSON object in an answer: its members, whatever stands around it.

An object that is JSON is taken as it is. One that is not is mended in two places only, outside its
strings: a bare number with thousands separators, and a bare N/A. Anything else is asked for again.
"""

from __future__ import annotations

import re
from typing import Any

from app.formats.json_text import decode
from app.prompts.hooks import AnswerUnreadable, ResultItems
from app.prompts.result_handlers.values import iso_date, named
from app.text import clean_text, deep_clean

# A string, so that nothing in it is seen; a member's number with separators (in a list a comma may
# stand between two numbers); N/A. Linear: what was consumed is never given back.
_TOKEN = re.compile(
    r"""
      "(?:[^"\\]++|\\.?+)*+(?:"|\Z)
    | (?P<colon>:\s*+)(?P<number>-?[1-9][0-9]{0,2}
        (?: (?:,[0-9]{3})++(?:\.[0-9]++)?+ | (?:\.[0-9]{3})++,[0-9]++ | (?:\.[0-9]{3}){2,}+ )
      )(?=\s*+[,}])
    | (?<![^\s:,\[])(?P<absent>[Nn]/[Aa])(?=\s*+[,\]}])
    """,
    re.VERBOSE | re.DOTALL,
)


def json_items(text: str) -> ResultItems:
    """The members of the object between the first `{` and the last `}`.

    A list is an item's values; ISO dates become `YYYY-MM-DD`. Members that are null or an object
    are left out, with a warning. Raises AnswerUnreadable, and nothing else.
    """
    members, mended = _object(_cut(clean_text(text)))
    ignored = _Ignored()
    items = {
        name: values
        for name, value in members.items()
        if (values := _values(name, value, ignored)) is not None
    }
    mending = ("Bare numbers with thousands separators, or N/A, were mended",) if mended else ()
    return ResultItems(items, mending + ignored.warnings())


def mend(text: str) -> str:
    """The text with bare numbers and bare N/A as JSON writes them. Strings are never touched."""
    return _TOKEN.sub(_mended, text)


def _mended(match: re.Match[str]) -> str:
    if match["absent"]:
        return "null"
    if number := match["number"]:
        return match["colon"] + _plain(number)
    return match[0]


def _plain(number: str) -> str:
    """`4,100.00`, `4.100,00` and `1.234.567` without separators: the first mark is one of them."""
    separator = next(mark for mark in number if mark in ",.")
    return number.replace(separator, "").replace(",", ".")


def _cut(text: str) -> str:
    start, end = text.find("{"), text.rfind("}")
    if start < 0:
        raise AnswerUnreadable("The answer holds no JSON object: there is no { in it")
    if end < start:
        raise AnswerUnreadable("The JSON object of the answer has no end: there is no } in it")
    return text[start : end + 1]


def _object(text: str) -> tuple[dict[str, Any], bool]:
    """The object, and whether it had to be mended."""
    try:
        return _decoded(text), False
    except ValueError as error:
        problem = f"The answer is not valid JSON: {error}"
    mended = mend(text)
    if mended == text:
        raise AnswerUnreadable(problem)
    try:
        return _decoded(mended), True
    except ValueError:
        raise AnswerUnreadable(problem) from None  # about the text as the model wrote it


def _decoded(text: str) -> dict[str, Any]:
    value: dict[str, Any] = deep_clean(decode(text))
    return value


class _Ignored:
    """Names of members that gave no value, by reason."""

    def __init__(self) -> None:
        self.null: list[str] = []
        self.object: list[str] = []
        self.nameless = False

    def warnings(self) -> tuple[str, ...]:
        sentences = []
        if self.null:
            sentences.append(f"Ignored, because null is no value: {named(self.null)}")
        if self.object:
            sentences.append(
                f"Ignored, because an object within the object is no item: {named(self.object)}"
            )
        if self.nameless:
            sentences.append("Ignored, because it has no name: a member of the object")
        return tuple(sentences)


def _values(name: str, value: Any, ignored: _Ignored) -> list[Any] | None:
    """A member's values; None when it is no item."""
    if not name.strip():
        ignored.nameless = True
        return None
    if isinstance(value, dict):
        ignored.object.append(name)
        return None
    values = value if isinstance(value, list) else [value]
    if None in values:
        ignored.null.append(name)
        values = [one for one in values if one is not None]
        if not values and not isinstance(value, list):
            return None
    return [_dated(one) for one in values]


def _dated(value: Any) -> Any:
    """The value with every ISO date in it as its day."""
    if isinstance(value, str):
        return iso_date(value) or value
    if isinstance(value, dict):
        return {name: _dated(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_dated(inner) for inner in value]
    return value
