"""A definition as XML: Imixs's own elements where it has one, ours beside them where it has not.

Each step is an `<imixs-ai>` block that Imixs-AI can run as it stands; around them is an element
`<definition>` with what only we keep. `blocks` reads it back to the same definition.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from app.prompts.definition import Definition, PromptMessage, Step, Suggest
from app.prompts.imixs.markup import written

_PLAIN_ITEM = re.compile(r"[\w.$-]+")


def write_xml(definition: Definition) -> str:
    """The document, with every text exactly as it is."""
    lines = ['<?xml version="1.0" encoding="UTF-8"?>', "<definition>"]
    lines += _indented(_inside(definition))
    return "\n".join([*lines, "</definition>", ""])


def _inside(definition: Definition) -> Iterator[str]:
    for name in ("name", "description", "task"):
        if value := getattr(definition, name):
            yield written(name, value)
    if definition.task_messages:
        yield from _element("task-messages", _prompts(definition.task_messages))
    for step in definition.steps:
        inside = _step(step, debug=definition.debug)
        yield from _element("imixs-ai", inside, attributes=f' name="{step.mode}"')
    if definition.suggest:
        inside = _suggest(definition.suggest, debug=definition.debug)
        yield from _element("imixs-ai", inside, attributes=' name="SUGGEST"')


def _step(step: Step, *, debug: bool) -> Iterator[str]:
    for name in ("endpoint", "model", "format", "result_item", "result_event", "context_item"):
        if value := getattr(step, name):
            yield written(name.replace("_", "-"), value)
    if step.response_schema:
        yield written("response-schema", _json(step.response_schema))
    if debug:
        yield "<debug>true</debug>"
    if step.options or step.messages:
        yield from _element(
            "prompt-template", _element("PromptDefinition", _prompt_definition(step))
        )


def _prompt_definition(step: Step) -> Iterator[str]:
    if step.options:
        yield written("options", _json(step.options))
    yield from _prompts(step.messages)


def _prompts(messages: Sequence[PromptMessage]) -> Iterator[str]:
    for message in messages:
        yield written("prompt", message.content, attributes=f' role="{message.role}"')


def _suggest(suggest: Suggest, *, debug: bool) -> Iterator[str]:
    if all(_PLAIN_ITEM.fullmatch(name) for name in suggest.items):
        yield written("items", ",".join(suggest.items))
    else:
        yield written("items", json.dumps(suggest.items), attributes=' encoding="json"')
    yield written("mode", suggest.mode)
    if debug:
        yield "<debug>true</debug>"


def _element(tag: str, inside: Iterator[str], *, attributes: str = "") -> Iterator[str]:
    yield f"<{tag}{attributes}>"
    yield from _indented(inside)
    yield f"</{tag}>"


def _indented(lines: Iterator[str]) -> Iterator[str]:
    """Only the first line of a text of several: the others are the text's own."""
    return (f"  {line}" for line in lines)


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(dict(value), ensure_ascii=False)
