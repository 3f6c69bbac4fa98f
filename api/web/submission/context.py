"""A context in its two spellings: one field for each variable of the template, or JSON as a whole.

`shown` keeps them in step whenever a page is made; the page's script (`submit.js`) does the same
while somebody types. A blank field is a variable without a value; an empty text is `""` as JSON.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from api import body
from api.web.submission.form import AS_JSON, JobForm, Typed
from app.errors import InvalidContext, InvalidRequest, RequestError
from app.prompts.templating import parse

MOST_FIELDS = 100
"""More variables than this have no fields of their own: they are written as JSON."""

_ABSENT = object()


@dataclass(frozen=True, slots=True)
class Variable:
    """One variable of the template and what stands in its field."""

    name: str
    typed: Typed


@dataclass(frozen=True, slots=True)
class Fields:
    """The variables that have fields, and how many have none."""

    variables: tuple[Variable, ...] = ()
    more: int = 0


def names_in(form: JobForm) -> tuple[str, ...]:
    """The variables of the chosen prompt, or of template and messages, in order; of an unknown
    prompt or an unreadable template, as sent.
    """
    if form.picked:
        return form.reads.variables if form.reads else tuple(form.values)
    found: dict[str, None] = {}
    try:
        for text in (form["template"], *_contents(form["messages"])):
            found |= dict.fromkeys(parse(text).names)
    except RequestError:
        return tuple(form.values)
    return tuple(found)


def context_of(form: JobForm, names: Iterable[str]) -> dict[str, Any]:
    """What the fields or the JSON say. Raises InvalidRequest whose pointer says where."""
    context = json_of(form["context"], "/context") if form["context"].strip() else {}
    if not isinstance(context, dict):
        raise InvalidContext
    if form["context_as"] == AS_JSON:
        return context
    typed = {name: form.values[name] for name in names if name in form.values}
    for name in typed:
        _remove(context, name)
    for name, value in typed.items():
        if value.text.strip() or value.is_json:
            _place(context, name, _value(name, value))
    return context


def shown(form: JobForm) -> tuple[JobForm, Fields]:
    """The form with both spellings in step, and its fields. What cannot be read stays as typed."""
    names = names_in(form)
    with_fields = names[:MOST_FIELDS]
    try:
        context = context_of(form, names)
    except RequestError:
        variables = tuple(Variable(name, form.values.get(name, Typed())) for name in with_fields)
        if not _is_object(form["context"]):
            form = form.having(context_as=AS_JSON)
        return form, Fields(variables, len(names) - len(with_fields))
    variables = tuple(Variable(name, _typed(form, context, name)) for name in with_fields)
    if form["context_as"] != AS_JSON:
        form = form.having(context=json.dumps(context, indent=2, ensure_ascii=False))
    return form, Fields(variables, len(names) - len(with_fields))


def unused(context: Mapping[str, Any], names: Iterable[str]) -> list[str]:
    """Keys of the context that no variable asks for: whole, or as what stands before its dot."""
    wanted = {word for name in names for word in (name, name.partition(".")[0])}
    return [key for key in context if key not in wanted]


def json_of(text: str, pointer: str) -> Any:
    """A typed JSON text as a value that can be stored. Raises InvalidRequest at `pointer`."""
    try:
        value = body.parse(text.encode("utf-8", "replace"))
        body.check(value)
    except InvalidRequest as error:
        said = error.message.replace("Malformed JSON: ", "This is not JSON: ")
        where = error.pointer or ""
        raise InvalidRequest(
            f"{said}{f' (at {where[:120]})' if where else ''}", pointer=pointer
        ) from None
    return value


def _value(name: str, typed: Typed) -> Any:
    return json_of(typed.text, f"/context/{name}") if typed.is_json else typed.text


def _typed(form: JobForm, context: Mapping[str, Any], name: str) -> Typed:
    value = _look_up(context, name)
    before = form.values.get(name, Typed())
    if form["context_as"] != AS_JSON and name in form.values:
        return before
    if value is _ABSENT:
        return replace(before, text="")
    if isinstance(value, str) and not (before.is_json or value.strip() == ""):
        return Typed(value)
    return Typed(json.dumps(value, ensure_ascii=False), is_json=True)


def _is_object(text: str) -> bool:
    try:
        return not text.strip() or isinstance(json_of(text, "/context"), dict)
    except InvalidRequest:
        return False


def _contents(messages: str) -> list[str]:
    if not messages.strip():
        return []
    found = json_of(messages, "/messages")
    listed = found if isinstance(found, list) else []
    texts = [message.get("content") for message in listed if isinstance(message, dict)]
    return [text for text in texts if isinstance(text, str)]


def _look_up(context: Mapping[str, Any], name: str) -> Any:
    """As a template looks it up: whole first, then key by key."""
    if name in context:
        return context[name]
    node: Any = context
    for key in name.split("."):
        if not isinstance(node, Mapping) or key not in node:
            return _ABSENT
        node = node[key]
    return node


def _place(context: dict[str, Any], name: str, value: Any) -> None:
    """Put a value where a template finds it: below its dots, or whole if a text is in the way."""
    *parents, last = name.split(".")
    node = context
    for key in parents:
        below = node.setdefault(key, {})
        if not isinstance(below, dict):
            context[name] = value
            return
        node = below
    node[last] = value


def _remove(context: dict[str, Any], name: str) -> None:
    if name in context:
        del context[name]
        return
    *parents, last = name.split(".")
    node: Any = context
    for key in parents:
        node = node.get(key) if isinstance(node, dict) else None
    if isinstance(node, dict):
        node.pop(last, None)
