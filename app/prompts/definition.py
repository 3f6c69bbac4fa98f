"""A prompt definition: what is asked of a model, and what becomes of the answer. Values only.

One definition is one or more steps, each one call: messages with roles, options, an endpoint, and
where the answer goes. JSON, YAML and XML are ways to write the same object (`documents`, `imixs`);
its canonical form is the dict of `to_json`, which is what is stored, compared and exported.

    {"name": "categorize", "mode": "PROMPT", "messages": [{"role": "user", "content": "…"}],
     "options": {"temperature": 0}, "result_item": "category", "result_event": "JSON"}

A definition of several steps has `steps`, a list of such objects, in place of the step's fields.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Protocol, TypeVar

from app.errors import PromptParameterInvalid, PromptTemplateInvalid
from models import Format

ROLES = ("system", "user", "assistant")
MOST_STEPS = 20
MOST_MESSAGES = 200
LONGEST_NAME = 100
LONGEST_WORD = 255
LONGEST_CONTENT = 256 * 1024


class _HasRole(Protocol):
    @property
    def role(self) -> str: ...


Spoken = TypeVar("Spoken", bound=_HasRole)

_NAME = re.compile(rf"[A-Za-z0-9][A-Za-z0-9._-]{{0,{LONGEST_NAME - 1}}}", re.ASCII)
_NO_NAME = re.compile(r"[^A-Za-z0-9._-]+", re.ASCII)


class Mode(StrEnum):
    """How a step talks to its model (`spec`: the word in `<imixs-ai name="…">`).

    A `prompt` sends its messages; an `assistant` sends them after a task's and a kept conversation;
    a `condition` asks for true or false in fixed words of our own.
    """

    PROMPT = "PROMPT"
    ASSISTANT = "ASSISTANT"
    CONDITION = "CONDITION"


@dataclass(frozen=True, slots=True)
class PromptMessage:
    """A message as it is written: `content` holds `{{variables}}` and text adapters' tags."""

    role: str
    content: str

    def to_json(self) -> dict[str, str]:
        return {"role": self.role, "content": self.content}


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One call. What is None or empty was not said.

    `endpoint` is the name or URL of a registered endpoint, `model` what is asked of it (or a model
    of any provider). `result_item` names the item the answer is stored in, `result_event` the
    handler that reads it. An assistant's conversation is kept in `context_item`.
    """

    mode: Mode = Mode.PROMPT
    messages: tuple[PromptMessage, ...] = ()
    options: Mapping[str, Any] | None = None
    endpoint: str | None = None
    model: str | None = None
    format: str | None = None
    response_schema: Mapping[str, Any] | None = None
    result_item: str | None = None
    result_event: str | None = None
    context_item: str | None = None

    def to_json(self) -> dict[str, Any]:
        """What was said, in the order of the fields; `mode` always."""
        written: dict[str, Any] = {"mode": str(self.mode)}
        if self.messages:
            written["messages"] = [message.to_json() for message in self.messages]
        for name in _STEP_WORDS:
            if (value := getattr(self, name)) is not None:
                written[name] = dict(value) if isinstance(value, Mapping) else value
        return written


@dataclass(frozen=True, slots=True)
class Suggest:
    """Items a form may offer help for: their names, and whether it is `ON` or `OFF`."""

    items: tuple[str, ...]
    mode: str = "OFF"

    def to_json(self) -> dict[str, Any]:
        return {"items": list(self.items), "mode": self.mode}


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """A definition. `task` is another definition that says who an assistant is: a reference
    (`name`, `name@3`, `name@label`) until it is resolved into `task_messages`.
    """

    name: str = ""
    description: str = ""
    steps: tuple[Step, ...] = ()
    suggest: Suggest | None = None
    task: str | None = None
    task_messages: tuple[PromptMessage, ...] = ()
    debug: bool = False

    @property
    def first(self) -> Step:
        """The first step; an empty one where there is none (a definition that only suggests)."""
        return self.steps[0] if self.steps else Step()

    def named(self, name: str) -> Definition:
        return replace(self, name=name)

    def to_json(self) -> dict[str, Any]:
        """The canonical form: what was said, nothing else; one step's fields stand at the top."""
        written: dict[str, Any] = {}
        if self.name:
            written["name"] = self.name
        if self.description:
            written["description"] = self.description
        if len(self.steps) == 1:
            written |= self.steps[0].to_json()
        elif self.steps:
            written["steps"] = [step.to_json() for step in self.steps]
        if self.suggest:
            written["suggest"] = self.suggest.to_json()
        if self.task:
            written["task"] = self.task
        if self.task_messages:
            written["task_messages"] = [message.to_json() for message in self.task_messages]
        if self.debug:
            written["debug"] = True
        return written


_STEP_WORDS = (
    "options",
    "endpoint",
    "model",
    "format",
    "response_schema",
    "result_item",
    "result_event",
    "context_item",
)
_STEP_FIELDS = frozenset({"mode", "messages", *_STEP_WORDS})
_FIELDS = frozenset({"name", "description", "suggest", "task", "task_messages", "debug"})


def from_json(document: Any, *, pointer: str = "") -> Definition:
    """Read a definition from JSON-like values: the canonical form, or a person's spelling of it.

    Raises PromptParameterInvalid for an unknown field, a wrong type or word (a role that is none),
    PromptTemplateInvalid when nothing is asked at all; `pointer` is where the document stands.
    """
    fields = _object(document, pointer, _FIELDS | _STEP_FIELDS | {"steps"})
    name = _word(fields, "name", pointer) or ""
    if name:
        check_name(name, pointer=f"{pointer}/name")
    suggest = _suggest(fields.get("suggest"), f"{pointer}/suggest")
    steps = _steps(fields, pointer, may_be_none=suggest is not None)
    debug = fields.get("debug", False)
    if not isinstance(debug, bool):
        raise _invalid("debug must be true or false", f"{pointer}/debug")
    return Definition(
        name=name,
        description=_word(fields, "description", pointer, longest=2000) or "",
        steps=steps,
        suggest=suggest,
        task=_word(fields, "task", pointer),
        task_messages=_messages(fields.get("task_messages"), f"{pointer}/task_messages"),
        debug=debug,
    )


def check_name(name: str, *, pointer: str = "/name") -> None:
    """Refuse what cannot be a definition's name. Raises PromptParameterInvalid."""
    if not _NAME.fullmatch(name):
        raise _invalid(
            f"Invalid name {name[:LONGEST_NAME]!r}: use up to {LONGEST_NAME} letters, digits, dots,"
            " dashes and underscores, beginning with a letter or digit",
            pointer,
        )


def as_name(text: str) -> str:
    """What somebody called a thing, as a definition's name; empty when nothing is left of it."""
    return _NO_NAME.sub("-", text.strip()).strip("-._")[:LONGEST_NAME].rstrip("-._")


def from_system_on(messages: Sequence[Spoken]) -> tuple[Spoken, ...]:
    """The messages that are sent: a system message clears everything before it (Imixs-AI)."""
    last = max((n for n, m in enumerate(messages) if m.role == "system"), default=0)
    return tuple(messages[last:])


def _steps(fields: Mapping[str, Any], pointer: str, *, may_be_none: bool) -> tuple[Step, ...]:
    if "steps" not in fields:
        own = {name: value for name, value in fields.items() if name in _STEP_FIELDS}
        mode = _mode(own.get("mode", Mode.PROMPT), f"{pointer}/mode")
        if may_be_none and own.keys() <= {"mode"} and mode is not Mode.CONDITION:
            return ()
        return (_step(own, pointer),)
    if both := sorted(fields.keys() & _STEP_FIELDS):
        raise _invalid(f"Send steps, or the fields of one ({', '.join(both)})", f"{pointer}/steps")
    steps = fields["steps"]
    if not isinstance(steps, list) or not 0 < len(steps) <= MOST_STEPS:
        raise _invalid(f"steps must be a list of 1 to {MOST_STEPS}", f"{pointer}/steps")
    return tuple(_step(step, f"{pointer}/steps/{number}") for number, step in enumerate(steps))


def _step(value: Any, pointer: str) -> Step:
    fields = _object(value, pointer, _STEP_FIELDS)
    mode = _mode(fields.get("mode", Mode.PROMPT), f"{pointer}/mode")
    messages = _messages(fields.get("messages"), f"{pointer}/messages")
    if not messages and mode is not Mode.CONDITION:
        raise PromptTemplateInvalid(
            "At least one message ('prompt' tag) is expected", pointer=f"{pointer}/messages"
        )
    format = _word(fields, "format", pointer)
    if format is not None and format not in list(Format):
        raise _invalid(f"format must be one of: {', '.join(Format)}", f"{pointer}/format")
    schema = _object_or_none(fields, "response_schema", pointer)
    if schema is not None and format != Format.JSON:
        raise _invalid("response_schema needs the format json", f"{pointer}/response_schema")
    return Step(
        mode=mode,
        messages=messages,
        options=_object_or_none(fields, "options", pointer),
        endpoint=_word(fields, "endpoint", pointer, longest=2000),
        model=_word(fields, "model", pointer),
        format=format,
        response_schema=schema,
        result_item=_word(fields, "result_item", pointer),
        result_event=_word(fields, "result_event", pointer),
        context_item=_word(fields, "context_item", pointer),
    )


def _mode(value: Any, pointer: str) -> Mode:
    word = str(value).upper() if isinstance(value, str) else ""
    word = "ASSISTANT" if word == "ASSIST" else word
    if word not in list(Mode):
        raise _invalid(f"mode must be one of: {', '.join(Mode)}", pointer)
    return Mode(word)


def _messages(value: Any, pointer: str) -> tuple[PromptMessage, ...]:
    if value is None:
        return ()
    if not isinstance(value, list) or len(value) > MOST_MESSAGES:
        raise _invalid(f"messages must be a list of at most {MOST_MESSAGES}", pointer)
    return tuple(_message(item, f"{pointer}/{number}") for number, item in enumerate(value))


def _message(value: Any, pointer: str) -> PromptMessage:
    fields = _object(value, pointer, frozenset({"role", "content"}))
    role, content = fields.get("role", "user"), fields.get("content")
    if role not in ROLES:
        raise _invalid(
            f"Invalid role {str(role)[:LONGEST_NAME]!r}. Must be one of: {', '.join(ROLES)}",
            f"{pointer}/role",
        )
    if not isinstance(content, str):
        raise _invalid("content must be a text", f"{pointer}/content")
    if len(content) > LONGEST_CONTENT:
        raise _invalid(
            f"content must be at most {LONGEST_CONTENT:,} characters", f"{pointer}/content"
        )
    return PromptMessage(role, content)


def _suggest(value: Any, pointer: str) -> Suggest | None:
    if value is None:
        return None
    fields = _object(value, pointer, frozenset({"items", "mode"}))
    items = fields.get("items", [])
    if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
        raise _invalid("items must be a list of item names", f"{pointer}/items")
    mode = str(fields.get("mode", "OFF")).strip().upper()
    return Suggest(
        tuple(item.strip() for item in items if item.strip()), mode if mode == "ON" else "OFF"
    )


def _object(value: Any, pointer: str, known: frozenset[str]) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise _invalid("A prompt definition must be an object", pointer)
    if unknown := sorted(str(name) for name in value if name not in known):
        raise _invalid(
            f"Unknown field: {unknown[0][:LONGEST_NAME]}. Known: {', '.join(sorted(known))}",
            f"{pointer}/{unknown[0][:LONGEST_NAME]}",
        )
    return {name: item for name, item in value.items() if item is not None}


def _object_or_none(fields: Mapping[str, Any], name: str, pointer: str) -> Mapping[str, Any] | None:
    value = fields.get(name)
    if value is not None and not isinstance(value, Mapping):
        raise _invalid(f"{name} must be an object", f"{pointer}/{name}")
    return value or None


def _word(
    fields: Mapping[str, Any], name: str, pointer: str, *, longest: int = LONGEST_WORD
) -> str | None:
    """A text, stripped; None when it is blank or was not said."""
    value = fields.get(name)
    if value is None:
        return None
    if not isinstance(value, str) or len(value) > longest:
        raise _invalid(
            f"{name} must be a text of at most {longest:,} characters", f"{pointer}/{name}"
        )
    return value.strip() or None


def _invalid(problem: str, pointer: str) -> PromptParameterInvalid:
    return PromptParameterInvalid(problem, pointer=pointer or None)
