"""What is found out about a definition before it is stored: its templates, and what is doubtful.

A template that cannot be read is refused here, not in a worker.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from app.accounts.caller import Caller
from app.errors import (
    InvalidParameter,
    MissingParameter,
    NotFound,
    PromptParameterInvalid,
    PromptTemplateInvalid,
    TemplateSyntaxError,
)
from app.prompts.definition import Definition, check_name, from_json
from app.prompts.hooks import known_result_event
from app.prompts.library.finding import find
from app.prompts.text_adapters import AdaptedTemplate, few_patterns, parse
from app.text import deep_clean

MOST_DEFINITIONS = 100
"""So many a document may hold: an import is one transaction."""


@dataclass(frozen=True, slots=True)
class Placeholders:
    """What a definition reads: names of variables, work item's items and properties, and the
    patterns files are looked for by; each once, in order."""

    variables: tuple[str, ...]
    items: tuple[str, ...]
    properties: tuple[str, ...]
    file_patterns: tuple[str, ...]


def checked(definitions: Sequence[Definition]) -> list[Definition]:
    """The definitions as they may be stored: named, each name once, every template readable.

    Raises MissingParameter, InvalidParameter, PromptRefused with pointer, line and column.
    """
    if not 0 < len(definitions) <= MOST_DEFINITIONS:
        raise InvalidParameter(
            f"Send 1 to {MOST_DEFINITIONS} definitions, not {len(definitions)}", pointer=""
        )
    ready: list[Definition] = []
    names: set[str] = set()
    for number, sent in enumerate(definitions):
        pointer = f"/{number}" if len(definitions) > 1 else ""
        definition = _storable(sent, pointer)
        _check_name(definition.name, names, pointer)
        ready.append(definition)
        for _ in few_patterns(templates(definition, pointer=pointer)):
            pass
    return ready


def placeholders(definition: Definition) -> Placeholders:
    """What a definition reads."""
    parsed = list(templates(definition))

    def each(attribute: str) -> tuple[str, ...]:
        names = (name for template in parsed for name in getattr(template, attribute))
        return tuple(dict.fromkeys(names))

    return Placeholders(each("variables"), each("items"), each("properties"), each("file_patterns"))


def templates(definition: Definition, *, pointer: str = "") -> Iterator[AdaptedTemplate]:
    """Every text of a definition that is rendered, parsed. Raises PromptTemplateInvalid, whose
    pointer leads to the text from `pointer` on.
    """
    several = len(definition.steps) > 1
    for number, step in enumerate(definition.steps):
        place = f"{pointer}/steps/{number}" if several else pointer
        for index, message in enumerate(step.messages):
            yield _parsed(message.content, f"{place}/messages/{index}/content")
        if step.endpoint:
            yield _parsed(step.endpoint, f"{place}/endpoint")
    for index, message in enumerate(definition.task_messages):
        yield _parsed(message.content, f"{pointer}/task_messages/{index}/content")


def doubts(session: Session, caller: Caller, definition: Definition) -> tuple[str, ...]:
    """What a job of this definition would be refused for now, but perhaps not later."""
    found = [
        f"Prompt {definition.name}: no handler for the result event {step.result_event} is"
        " installed here"
        for step in definition.steps
        if step.result_event and not known_result_event(step.result_event)
    ]
    if definition.task:
        try:
            find(session, caller, definition.task.partition("@")[0])
        except NotFound:
            found.append(f"Prompt {definition.name}: its task {definition.task} is unknown here")
    return tuple(dict.fromkeys(found))


def same(stored: Any, written: Any) -> bool:
    """Whether two definitions say the same. Numbers are equal however they are spelled (0, 0.0);
    true is not 1.
    """
    return bool(_comparable(stored) == _comparable(written))


def _comparable(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _comparable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_comparable(item) for item in value]
    return ("bool", value) if isinstance(value, bool) else value


def _storable(definition: Definition, pointer: str) -> Definition:
    """The definition without what databases refuse: NUL and surrogates come along in YAML."""
    written = deep_clean(definition.to_json())
    try:
        json.dumps(written, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise PromptParameterInvalid(
            f"Prompt {definition.name} cannot be written as JSON: {error}", pointer=pointer or None
        ) from None
    return from_json(written, pointer=pointer)


def _check_name(name: str, names: set[str], pointer: str) -> None:
    if not name:
        error = MissingParameter("name")
        error.pointer = f"{pointer}/name"
        raise error
    check_name(name, pointer=f"{pointer}/name")
    if name in names:
        raise InvalidParameter(f"Two definitions are named {name}", pointer=f"{pointer}/name")
    names.add(name)


def _parsed(text: str, pointer: str) -> AdaptedTemplate:
    """Raises PromptTemplateInvalid saying which text it is; an open `{{` has the same code."""
    try:
        return parse(text)
    except (PromptTemplateInvalid, TemplateSyntaxError) as error:
        raise PromptTemplateInvalid(error.message, pointer=pointer, **error.details) from None
