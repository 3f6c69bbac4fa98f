"""What Imixs-AI's elements say, as the canonical form of a prompt definition.

Three generations are read: `<PromptData>` with a `<model_id>`, `<PromptDefinition>` with
`<prompt_options>`, and `<PromptDefinition>` with `<options>`; alone, or inside `<imixs-ai>` blocks
that say what is to be done with it. Beside Imixs's own elements stand ours, which `writing` uses.
Not here: whether the other words are allowed (`app.prompts.definition.from_json`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from app.errors import PromptParameterInvalid, PromptTemplateInvalid
from app.prompts.definition import MOST_STEPS, ROLES, Mode
from app.prompts.imixs.markup import Element, json_in, parse, said
from app.prompts.notation import MAX_DEPTH

TEMPLATES = ("PromptDefinition", "PromptData")
WRAPPER = "definition"
SUGGEST = "SUGGEST"
MOST_WARNINGS = 20

MODES = {
    "PROMPT": Mode.PROMPT,
    "ASSIST": Mode.ASSISTANT,
    "ASSISTANT": Mode.ASSISTANT,
    "CONDITION": Mode.CONDITION,
}
_NAMES = ", ".join((*MODES, SUGGEST))

_WORDS = {
    "endpoint": "endpoint",
    "model": "model",
    "format": "format",
    "result-item": "result_item",
    "result-event": "result_event",
    "context-item": "context_item",
}
_OPTIONS = ("options", "prompt_options")
_IN_BLOCK = {*_WORDS, *_OPTIONS, *TEMPLATES, "prompt-template", "response-schema", "debug"}
_IN_TEMPLATE = {*_OPTIONS, "prompt", "model_id"}
_LEFT_OUT = {
    "tools": "<tools> is left out: tools are not run here",
    "loglevel": "<loglevel> is left out: use debug",
}
_JSON_DEPTH = MAX_DEPTH - 3
"""An object in XML may stand three levels deeper in the same definition written as JSON."""


def documents(root: Element, warnings: list[str]) -> list[dict[str, Any]]:
    """The definitions of an XML document: one for each `<definition>` of our own; else one of all
    `<imixs-ai>` blocks, in order; else one for each definition that stands alone.

    Raises PromptTemplateInvalid when there is none, or one cannot be read.
    """
    if wrappers := list(root.below(WRAPPER)):
        return [from_blocks(wrapper, warnings) for wrapper in wrappers]
    if next(root.below("imixs-ai"), None):
        return [from_blocks(root, warnings)]
    if alone := list(root.below(*TEMPLATES)):
        return [from_template(template, warnings) for template in alone]
    raise PromptTemplateInvalid(
        "The XML has no <PromptDefinition> and no <imixs-ai> block in it (a BPMN model is sent as a"
        " .bpmn file)",
        line=1,
        column=1,
    )


def from_template(template: Element, warnings: list[str]) -> dict[str, Any]:
    """A definition that stands alone: one prompt, its answer kept nowhere but in the output."""
    return {"steps": [_messages_and_options(template, Mode.PROMPT, warnings)]}


def from_blocks(
    carrier: Element, warnings: list[str], *, template: Element | None = None
) -> dict[str, Any]:
    """The one definition that the `<imixs-ai>` blocks below `carrier` say.

    Each PROMPT, ASSISTANT or CONDITION is a step; of several SUGGEST the first counts. `template`
    holds the prompts of the blocks that have none of their own: in BPMN the data object's, else a
    definition that stands beside them.
    """
    template = template or next(carrier.below(*TEMPLATES, but=("prompt", "imixs-ai")), None)
    found: dict[str, Any] = _about(carrier) if carrier.name == WRAPPER else {}
    blocks = _known_blocks(carrier, warnings)
    steps = [block for block in blocks if _word(block) in MODES]
    suggests = [block for block in blocks if _word(block) == SUGGEST]
    if len(steps) > MOST_STEPS:
        raise carrier.error(f"{len(steps)} <imixs-ai> blocks are too many: at most {MOST_STEPS}")
    if steps:
        found["steps"] = [_step(block, warnings, template=template) for block in steps]
    if suggests:
        found["suggest"] = _suggest(suggests[0])
    if len(suggests) > 1:
        _warn("Of several SUGGEST blocks the first is used", warnings)
    if any(_debugs(block) for block in blocks):
        found["debug"] = True
    if not blocks:
        if template is None:
            raise carrier.error(f"There is no <imixs-ai> block of the names {_NAMES}")
        found |= from_template(template, warnings)
    return found


def _known_blocks(carrier: Element, warnings: list[str]) -> list[Element]:
    known = []
    for block in carrier.below("imixs-ai"):
        if is_known(block):
            known.append(block)
        else:
            name = block.attributes.get("name", "")[:40]
            _warn(f"<imixs-ai name={name!r}> is left out: the names known are {_NAMES}", warnings)
    return known


def is_known(block: Element) -> bool:
    """Whether a block is for us; Imixs has others, such as SKILL."""
    return _word(block) in MODES or _word(block) == SUGGEST


def _word(block: Element) -> str:
    return block.attributes.get("name", "").strip().upper()


def _about(wrapper: Element) -> dict[str, Any]:
    """What only our own element says: what the definition is called, and who its assistant is."""
    found: dict[str, Any] = {}
    for name in ("name", "description", "task"):
        if element := wrapper.child(name):
            found[name] = said(element)
    if task := wrapper.child("task-messages"):
        found["task_messages"] = _messages(task)
    return found


def _step(block: Element, warnings: list[str], *, template: Element | None) -> dict[str, Any]:
    mode = MODES[_word(block)]
    own = _own_template(block) or template
    if own is None and mode is not Mode.CONDITION:
        raise _no_prompt(block)
    inner: dict[str, Any] = {"mode": mode}
    if own:
        inner = _messages_and_options(own, mode, warnings)
    _warn_of_unknown(block, _IN_BLOCK | ({"prompt"} if own is block else set()), warnings)
    step: dict[str, Any] = {
        word: said(element) for name, word in _WORDS.items() if (element := block.child(name))
    }
    if options := (_options(block.elements, warnings) or {}) | (inner.get("options") or {}):
        step["options"] = options
    if schema := block.child("response-schema"):
        step["response_schema"] = _json_object(schema)
    return {**inner, **step}


def _own_template(block: Element) -> Element | None:
    """Where the prompts of a block stand: in a definition inside it, or plainly in it.

    A definition may be written into `<prompt-template>` as elements or as one text (CDATA).
    """
    if template := next(block.below(*TEMPLATES), None):
        return template
    holder = block.child("prompt-template")
    if holder and not holder.elements and holder.content.strip():
        return next(parse(holder.content, line=holder.text_line).below(*TEMPLATES), None)
    return block if next(block.below("prompt", but=()), None) else None


def _messages_and_options(template: Element, mode: Mode, warnings: list[str]) -> dict[str, Any]:
    found: dict[str, Any] = {"mode": mode, "messages": _messages(template)}
    if not found["messages"] and mode is not Mode.CONDITION:
        raise _no_prompt(template)
    if template.name not in TEMPLATES:  # a block that holds its prompts itself
        return found
    _warn_of_unknown(template, _IN_TEMPLATE, warnings)
    if options := _options(list(template.below(*_OPTIONS)), warnings):
        found["options"] = options
    if model := next(template.below("model_id"), None):
        found["model"] = said(model)
    return found


def _messages(template: Element) -> list[dict[str, str]]:
    """Every prompt in document order, with its text as it stands."""
    return [
        {"role": _role(prompt), "content": said(prompt)}
        for prompt in template.below("prompt", but=())
    ]


def _role(prompt: Element) -> str:
    """Who speaks; a prompt without a role is the user's."""
    role = prompt.attributes.get("role", "").strip() or "user"
    if role not in ROLES:
        raise PromptParameterInvalid(
            f"Invalid role {role[:100]!r} (line {prompt.line}, column {prompt.column}). Must be one"
            f" of: {', '.join(ROLES)}",
            line=prompt.line,
            column=prompt.column,
        )
    return role


def _options(elements: Sequence[Element], warnings: list[str]) -> dict[str, Any] | None:
    """The first `options`; where that is missing or blank, the first `prompt_options`."""
    first: dict[str, Element] = {}
    for element in elements:
        if element.name in _OPTIONS:
            first.setdefault(element.name, element)
    new, old = (first.get(name) for name in _OPTIONS)
    if new and said(new).strip():
        return _json_object(new)
    if new and old and said(old).strip():
        _warn("<prompt_options> is used because <options> is blank: write <options>", warnings)
    return _json_object(old) if old else None


def _json_object(element: Element) -> dict[str, Any] | None:
    text = said(element)
    if not text.strip():
        return None
    value = json_in(element, text, depth=_JSON_DEPTH)
    if not isinstance(value, dict):
        raise element.error(
            f'<{element.tag}> must hold a JSON object, such as {{"temperature": 0}}'
        )
    return value


def _suggest(block: Element) -> dict[str, Any]:
    """A comma list of item names, and ON; any other word of the mode is OFF."""
    items, mode = block.child("items"), block.child("mode")
    word = said(mode).strip().upper() if mode else ""
    return {"items": _items(items) if items else [], "mode": "ON" if word == "ON" else "OFF"}


def _items(element: Element) -> list[str]:
    if element.attributes.get("encoding") == "json":
        items: list[str] = json_in(element)
        return items
    return [name.strip() for name in element.content.split(",") if name.strip()]


def _debugs(block: Element) -> bool:
    debug = block.child("debug")
    return debug is not None and said(debug).strip().lower() == "true"


def _warn_of_unknown(element: Element, known: set[str], warnings: list[str]) -> None:
    for child in element.elements:
        if child.name not in known:
            other = f"<{child.name[:40]}> is left out: it is not known here"
            _warn(_LEFT_OUT.get(child.name, other), warnings)


def _warn(sentence: str, warnings: list[str]) -> None:
    if len(warnings) < MOST_WARNINGS and sentence not in warnings:
        warnings.append(sentence)


def _no_prompt(element: Element) -> PromptTemplateInvalid:
    return element.error(f"<{element.tag}> is incomplete: at least one 'prompt' tag is expected")
