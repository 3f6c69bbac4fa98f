"""Result items as fields of a form: values as people type them, and typed texts as values. Pure.

A field holds one text, or one value on each line, as words or as JSON. Conversations are read, not
typed; they and what a form is to suggest stay as they are when the others are corrected.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from werkzeug.datastructures import MultiDict

from app import diffs
from app.diffs import ValueDiff
from app.errors import RequestError
from app.jobs.items import SUGGEST_ITEMS, SUGGEST_MODE, Review
from app.prompts.conversation_items import Conversation

Items = Mapping[str, list[Any]]

MOST_COMPARED = 20
"""Reviews of a history whose changes are told."""

_ABOUT_FORMS = (SUGGEST_ITEMS, SUGGEST_MODE)


class Notation(StrEnum):
    """How the values of an item are written."""

    LINES = "lines"
    TEXT = "text"
    JSON = "json"


@dataclass(frozen=True, slots=True)
class Field:
    """An item of the form. `said` is what the model gave, in the same hand; None when it gave
    nothing. `suggests`: words of the job's files are offered for it.
    """

    name: str = ""
    text: str = ""
    notation: Notation = Notation.LINES
    said: str | None = None
    changed: bool = False
    suggests: bool = False
    error: str = ""


@dataclass(frozen=True, slots=True)
class Typed:
    """A form that was sent: its fields, the new one, and what the items are then."""

    fields: list[Field]
    new: Field
    items: dict[str, list[Any]]

    @property
    def is_readable(self) -> bool:
        return not any(one.error for one in (*self.fields, self.new))


@dataclass(frozen=True, slots=True)
class Past:
    """A review, and what it changed of what was there before; None where that is not told."""

    review: Review
    diff: ValueDiff | None


def current(row: Mapping[str, Any]) -> dict[str, list[Any]]:
    """The items of a described row: as people left them last, else the model's."""
    return dict(row["review"]["items"] if row["review"] else row["result_items"] or {})


def conversations(items: Items) -> dict[str, Conversation]:
    """Those of the items that are conversations."""
    found = {name: _conversation(values) for name, values in items.items()}
    return {name: conversation for name, conversation in found.items() if conversation}


def opened(row: Mapping[str, Any]) -> list[Field]:
    """The fields as the form opens: the model's items, those people added, and those it may help
    with.
    """
    said, now = row["result_items"] or {}, current(row)
    wanted = said.get(SUGGEST_ITEMS) or []
    helps = {str(name) for name in wanted} if said.get(SUGGEST_MODE) == ["ON"] else set()
    passed_by = {*_ABOUT_FORMS, *conversations(said), *conversations(now)}
    names = dict.fromkeys([*said, *now, *map(str, wanted)])
    return [
        _opened(name, said, now, suggests=name in helps) for name in names if name not in passed_by
    ]


def typed(form: MultiDict[str, str], row: Mapping[str, Any]) -> Typed:
    """What was typed, over the items there are. A field that was left as it opened keeps its values
    to the letter; an empty one takes its item away.
    """
    now, items = current(row), {}
    fields = []
    by_name = {one.name: one for one in opened(row)}
    for number, name in enumerate(_names(form)):
        before = by_name.get(name, Field(name))
        one = _sent(form, str(number), before)
        if (one.text, one.notation) == (before.text, before.notation):
            values, fault = now.get(name, []), ""
        else:
            values, fault = _values(one)
        fields.append(replace(one, error=fault))
        if values:
            items[name] = values
    shown = {one.name for one in fields}
    kept = {name: values for name, values in now.items() if name not in shown}
    new = _new(form, {*items, *kept})
    if new.name and not new.error:
        items[new.name] = _values(new)[0]
    return Typed(fields, new, {**kept, **items})


def history(said: Items, reviews: Sequence[Review]) -> list[Past]:
    """Reviews, newest first, each with what it changed of the one before it or of the model's."""
    before = [*(review.items for review in reviews[1:]), said]
    return [
        Past(review, diffs.of_values(dict(old), review.items) if number < MOST_COMPARED else None)
        for number, (review, old) in enumerate(zip(reviews, before, strict=False))
    ]


def written(values: Sequence[Any]) -> tuple[str, Notation]:
    """Values as a person reads and types them: `read` gives the same back."""
    if len(values) == 1 and isinstance(values[0], str) and "\n" in values[0] and _stays(values[0]):
        return values[0], Notation.TEXT
    if all(isinstance(value, str) and _is_a_line(value) for value in values):
        return "\n".join(values), Notation.LINES
    lines = (json.dumps(value, ensure_ascii=False) for value in values)
    return "\n".join(lines), Notation.JSON


def read(text: str, notation: Notation) -> list[Any]:
    """The values of a field. Raises ValueError with a sentence."""
    if notation is Notation.TEXT:
        return [text] if text.strip() else []
    lines = [(number, line.strip()) for number, line in enumerate(text.split("\n"), 1)]
    filled = [(number, line) for number, line in lines if line]
    if notation is Notation.LINES:
        return [line for _, line in filled]
    return [_json(line, number) for number, line in filled]


def _opened(name: str, said: Items, now: Items, *, suggests: bool) -> Field:
    text, notation = written(now.get(name, []))
    return Field(
        name=name,
        text=text,
        notation=notation,
        said=written(said[name])[0] if name in said else None,
        changed=diffs.of_values(said.get(name, []), now.get(name, [])).differs,
        suggests=suggests,
    )


def _names(form: MultiDict[str, str]) -> list[str]:
    """The items the form showed, in its order: it says so itself, in JSON, for browsers change line
    ends in the names of fields.
    """
    try:
        names = json.loads(form.get("names", "[]"))
    except (ValueError, RecursionError):
        return []
    return [name for name in names if isinstance(name, str)] if isinstance(names, list) else []


def _sent(form: MultiDict[str, str], number: str, before: Field) -> Field:
    text = form.get(f"value:{number}", "").replace("\r\n", "\n")
    word = form.get(f"as:{number}", "")
    notation = Notation(word) if word in list(Notation) else Notation.LINES
    return replace(before, text=text, notation=notation)


def _new(form: MultiDict[str, str], taken: set[str]) -> Field:
    one = _sent(form, "new", Field(form.get("new_name", "").strip()))
    values, fault = _values(one)
    if values and not one.name:
        fault = "Give it a name"
    elif one.name in taken:
        fault = "There is an item of this name already"
    elif one.name and not values and not fault:
        fault = "Give it a value"
    return replace(one, error=fault)


def _values(one: Field) -> tuple[list[Any], str]:
    try:
        return read(one.text, one.notation), ""
    except ValueError as fault:
        return [], str(fault)


def _json(line: str, number: int) -> Any:
    problem = f"Line {number} is not JSON. Texts stand in quotes there"
    try:
        value = json.loads(line)
        json.dumps(value, allow_nan=False)  # 1e999 reads as no number at all
    except (ValueError, RecursionError):
        raise ValueError(problem) from None
    return value


def _stays(text: str) -> bool:
    """Whether a browser sends a text back as it was."""
    return bool(text.strip()) and "\r" not in text


def _is_a_line(text: str) -> bool:
    return bool(text) and text == text.strip() and "\n" not in text and "\r" not in text


def _conversation(values: Any) -> Conversation | None:
    try:
        found = Conversation.from_items(values)
    except RequestError:
        return None
    return found if found.turns else None
