"""`DefinitionForm`: a prompt definition as somebody types it, in fields or as YAML.

Fields say what one step can be told; YAML says everything. Whatever was typed goes into the page
again unchanged; what it means, and each fault beside its field, is `read`'s answer.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from werkzeug.datastructures import MultiDict

from app.errors import PromptParameterInvalid, PromptTemplateInvalid, RequestError
from app.prompts import documents
from app.prompts.definition import Definition, from_json
from app.prompts.documents import Source
from app.prompts.library.checking import checked
from app.prompts.notation import json_value

AS_FIELDS, AS_YAML = "fields", "yaml"
"""The words of `written_as`."""

UNNAMED = "unnamed"
"""What a definition is called for as long as nobody has named it."""

_STEP_TEXTS = ("endpoint", "model", "format", "result_item", "result_event", "context_item")
_STEP_OBJECTS = ("options", "response_schema")
_DEFAULTS = {
    "written_as": AS_FIELDS,
    "name": "",
    "description": "",
    "mode": "PROMPT",
    "debug": "",
    "yaml": "",
    **dict.fromkeys(_STEP_TEXTS, ""),
    **dict.fromkeys(_STEP_OBJECTS, ""),
}
FIELDS = frozenset(_DEFAULTS)


@dataclass(frozen=True, slots=True)
class TypedMessage:
    """One message as it stands in its fields."""

    role: str = "user"
    content: str = ""


@dataclass(frozen=True, slots=True)
class DefinitionForm:
    """A form: `texts` has every field of `_DEFAULTS`."""

    texts: Mapping[str, str] = field(default_factory=lambda: dict(_DEFAULTS))
    messages: tuple[TypedMessage, ...] = (TypedMessage(),)

    def __getitem__(self, name: str) -> str:
        """The text of a field."""
        return self.texts[name]

    @property
    def as_yaml(self) -> bool:
        return self["written_as"] == AS_YAML

    def having(self, **texts: str) -> DefinitionForm:
        """The same form with other texts in these fields."""
        return replace(self, texts={**self.texts, **texts})

    def with_message(self) -> DefinitionForm:
        """With one message more, of whoever speaks next."""
        last = self.messages[-1].role if self.messages else "assistant"
        role = "assistant" if last == "user" else "user"
        return replace(self, messages=(*self.messages, TypedMessage(role)))

    def without_message(self, number: int) -> DefinitionForm:
        """Without the message of this number."""
        kept = (m for n, m in enumerate(self.messages) if n != number)
        return replace(self, messages=tuple(kept))


def sent(form: MultiDict[str, str]) -> DefinitionForm:
    """The form that was sent. Unknown fields are left out."""
    texts = {name: _text(form.get(name, default)) for name, default in _DEFAULTS.items()}
    pairs = zip(form.getlist("role"), form.getlist("content"), strict=False)
    return DefinitionForm(texts, tuple(TypedMessage(role, _text(said)) for role, said in pairs))


def of_definition(definition: Definition) -> DefinitionForm:
    """A form that says what a definition says: in fields if they can, else as YAML."""
    if not fits_fields(definition):
        return DefinitionForm().having(
            written_as=AS_YAML, yaml=yaml_of(definition), name=definition.name
        )
    step = definition.first
    form = DefinitionForm(
        messages=tuple(TypedMessage(m.role, m.content) for m in step.messages)
    ).having(
        name=definition.name,
        description=definition.description,
        mode=str(step.mode),
        debug="yes" if definition.debug else "",
        **{name: getattr(step, name) or "" for name in _STEP_TEXTS},
        **{name: _as_json(getattr(step, name)) for name in _STEP_OBJECTS},
    )
    return form if form.messages else form.with_message()


def yaml_of(definition: Definition) -> str:
    """The definition as it is written in the one field of YAML."""
    return documents.write(definition, Source.YAML)


def fits_fields(definition: Definition) -> bool:
    """Whether the fields can say all that a definition says."""
    more = definition.suggest or definition.task or definition.task_messages
    return len(definition.steps) == 1 and not more


def read(form: DefinitionForm, *, name: str = "") -> tuple[Definition | None, dict[str, str]]:
    """What the form says, or each fault by its field ("" is the form as a whole; a message's is
    `content-<n>`). `name` is the name it has anyway.
    """
    if form.as_yaml:
        return _checked(lambda: _of_yaml(form["yaml"], name), form)
    faults: dict[str, str] = {}
    written: dict[str, Any] = {
        "mode": form["mode"],
        "messages": [{"role": m.role, "content": m.content} for m in form.messages if m.content],
        "debug": form["debug"] == "yes",
        "name": name or form["name"].strip(),
        "description": form["description"],
    }
    written |= {key: form[key] for key in _STEP_TEXTS if form[key].strip()}
    for key in _STEP_OBJECTS:
        try:
            written |= {key: json_value(form[key], what="This")} if form[key].strip() else {}
        except RequestError as error:
            faults[key] = error.message
    if faults:
        return None, faults
    return _checked(lambda: from_json(written), form)


def fault_of(error: RequestError, form: DefinitionForm) -> dict[str, str]:
    """The error's sentence by the field it is about."""
    return {_field_of(error.pointer or "", form): _sentence(error)}


def _checked(
    read_one: Callable[[], Definition], form: DefinitionForm
) -> tuple[Definition | None, dict[str, str]]:
    """The definition with every template readable. One without a name is read all the same."""
    try:
        definition = read_one()
        (ready,) = checked([definition if definition.name else definition.named(UNNAMED)])
    except RequestError as error:
        return None, fault_of(error, form)
    return ready.named(definition.name), {}


def _of_yaml(text: str, name: str) -> Definition:
    found = documents.read(text, Source.YAML, name=name).definitions
    if len(found) != 1:
        raise PromptTemplateInvalid(f"Write one definition here, not {len(found)}")
    if name and found[0].name != name:
        raise PromptParameterInvalid(
            f"The name stays {name}: a prompt cannot be renamed", pointer="/name"
        )
    return found[0]


def _field_of(pointer: str, form: DefinitionForm) -> str:
    if form.as_yaml:
        return "yaml"
    top, _, rest = pointer.removeprefix("/").partition("/")
    if top == "messages":
        number = rest.partition("/")[0]
        place = _place_of(int(number), form) if number.isdigit() else 0
        return f"content-{place}"
    return top if top in FIELDS else ""


def _place_of(number: int, form: DefinitionForm) -> int:
    """Where the message of this number stands in the form: empty ones are not sent."""
    said = [place for place, message in enumerate(form.messages) if message.content]
    return said[number] if number < len(said) else 0


def _sentence(error: RequestError) -> str:
    """With the place in the text, where it is known and the words do not give it."""
    line, column = error.details.get("line"), error.details.get("column")
    if line is None or "line " in error.message:
        return error.message
    return f"{error.message} (line {line}{f', column {column}' if column else ''})"


def _text(typed: str) -> str:
    """As it was typed: browsers send each line's end as two characters."""
    return typed.replace("\r\n", "\n")


def _as_json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) if value else ""
