"""Finds the prompt definitions in a BPMN model made with Imixs: at its events, in data objects.

An event's result configuration holds `<imixs-ai>` blocks, a data object's documentation the
prompts; an association, in whichever direction it was drawn, ties them. A task's data object says
who an assistant is. Modellers differ in prefixes and in whether a data object is referred to, so
elements are told by their local names. Not here: anything else a model says.
"""

from __future__ import annotations

import re
from collections import defaultdict, deque
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from app.errors import PromptRefused, PromptTemplateInvalid
from app.prompts.definition import Definition, Mode, as_name, from_json
from app.prompts.imixs.blocks import TEMPLATES, from_blocks, from_template, is_known
from app.prompts.imixs.markup import Element, parse

MOST_BYTES = 1024 * 1024
MOST_DEFINITIONS = 100

_RESULT_ITEMS = ("workflow.result", "txtactivityresult")
_BLOCK = re.compile(r"<imixs-ai(?=[\s>/])")
_BLOCK_END = "</imixs-ai>"
_TEMPLATE = re.compile(rf"<(?:{'|'.join(TEMPLATES)})[\s>]")


@dataclass(frozen=True, slots=True)
class Found:
    """A definition of the model: what to call it, itself, and of an assistant's event the position
    of its task's definition among all that were found.
    """

    title: str
    definition: Definition
    task: int | None = None


@dataclass(frozen=True, slots=True, eq=False)
class _DataObject:
    id: str
    name: str
    template: Element


@dataclass(frozen=True, slots=True, eq=False)
class _Carrier:
    """An event, or a flow with a condition, whose configuration has blocks for us."""

    id: str
    name: str
    config: Element


@dataclass(slots=True)
class _Model:
    """What of a model matters here, each kind in the order of the document."""

    data: dict[str, _DataObject] = field(default_factory=dict)
    carriers: list[_Carrier] = field(default_factory=list)
    tasks: list[str] = field(default_factory=list)
    flows: list[tuple[str, str]] = field(default_factory=list)
    linked: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))


def read_bpmn(document: str | bytes, warnings: list[str]) -> list[Found]:
    """The definitions of a model: data objects that stand alone or belong to a task, then events.

    Raises PromptTemplateInvalid when there is none, or one cannot be read (which one, it says).
    """
    model = _model(parse(document, most_bytes=MOST_BYTES))
    chosen = {carrier.id: _chosen(model, carrier.id, warnings) for carrier in model.carriers}
    of_tasks = {task: data for task in model.tasks if (data := _chosen(model, task, warnings))}
    of_events = {data.id for data in chosen.values() if data}
    layered = {data.id for data in of_tasks.values()}
    alone = [d for d in model.data.values() if d.id in layered or d.id not in of_events]
    _check_count(len(alone) + len(model.carriers))
    found = [_of_data_object(data, warnings) for data in alone]
    place = {data.id: number for number, data in enumerate(alone)}
    layers = _layers(model, {task: place[data.id] for task, data in of_tasks.items()})
    return found + [
        _of_carrier(carrier, chosen[carrier.id], layers.get(carrier.id), warnings)
        for carrier in model.carriers
    ]


def _check_count(count: int) -> None:
    if not count:
        raise PromptTemplateInvalid(
            "The model has no event with an <imixs-ai> block and no data object with a"
            " <PromptDefinition>",
            line=1,
            column=1,
        )
    if count > MOST_DEFINITIONS:
        raise _too_many()


def _check_early(model: _Model) -> None:
    """Refuse what can only be too much before all of it is read: each one is parsed by itself.
    Of the data objects, as many as there are events may be theirs.
    """
    if max(len(model.carriers), len(model.data) - MOST_DEFINITIONS) > MOST_DEFINITIONS:
        raise _too_many()


def _too_many() -> PromptTemplateInvalid:
    return PromptTemplateInvalid(
        f"The model has more than {MOST_DEFINITIONS} definitions: so many are read at once"
    )


# --- from what was found to definitions -----------------------------------------------------------


def _of_data_object(data: _DataObject, warnings: list[str]) -> Found:
    try:
        definition = from_json(from_template(data.template, warnings))
    except PromptRefused as error:
        raise _in(f"data object {data.name or data.id}", error) from None
    return Found(data.name or data.id, definition)


def _of_carrier(
    carrier: _Carrier, data: _DataObject | None, layer: int | None, warnings: list[str]
) -> Found:
    name = carrier.name or carrier.id
    template = data.template if data else None
    try:
        definition = from_json(from_blocks(carrier.config, warnings, template=template))
    except PromptRefused as error:
        raise _in(f"event {name}", error) from None
    assists = any(step.mode is Mode.ASSISTANT for step in definition.steps)
    names = (as_name(data.name or data.id) if data else "", as_name(name))
    return Found("-".join(filter(None, names)), definition, task=layer if assists else None)


def _in(where: str, error: PromptRefused) -> PromptRefused:
    message = f"In {where[:120]}: {error.message}"
    return type(error)(message, pointer=error.pointer, **error.details)


def _chosen(model: _Model, node: str, warnings: list[str]) -> _DataObject | None:
    """The first data object with a definition among those tied to a node."""
    tied = [model.data[other] for other in model.linked.get(node, ()) if other in model.data]
    if len({data.id for data in tied}) > 1 and len(warnings) < MOST_DEFINITIONS:
        warnings.append(f"Several definitions are tied to {node[:100]}: {tied[0].name} is used")
    return tied[0] if tied else None


def _layers(model: _Model, tasks: dict[str, int]) -> dict[str, int]:
    """For each node the definition of the task it is reached from, over events and gateways.

    A node nothing leads to (Imixs draws an event that stays in its task so) belongs to the task it
    leads to. Each node is visited once: the first task, in the order of the document, has it.
    """
    of_model = set(model.tasks)
    following: dict[str, list[str]] = defaultdict(list)
    for source, target in model.flows:
        following[source].append(target)
    layers: dict[str, int] = {}
    waiting = deque(tasks.items())
    while waiting:
        node, layer = waiting.popleft()
        for target in following[node]:
            if target not in of_model and target not in layers:
                layers[target] = layer
                waiting.append((target, layer))
    led_to = {target for _, target in model.flows}
    for source, target in model.flows:
        if source not in led_to and target in tasks:
            layers.setdefault(source, tasks[target])
    return layers


# --- from XML to the model ------------------------------------------------------------------------


def _model(root: Element) -> _Model:
    model = _Model()
    references: dict[str, Element] = {}
    for element in _every(root):
        name, id = element.name, element.attributes.get("id", "")
        if name in ("dataObject", "dataObjectReference"):
            if template := _template(element):
                model.data[id] = _DataObject(id, element.attributes.get("name", ""), template)
            elif "dataObjectRef" in element.attributes:
                references[id] = element
        elif name == "sequenceFlow":
            model.flows.append(_ends(element))
        elif name == "boundaryEvent":
            model.flows.append((element.attributes.get("attachedToRef", ""), id))
        elif name == "task" or name.endswith("Task"):
            model.tasks.append(id)
        for one, other in _ties(element, id):
            model.linked[one].append(other)
            model.linked[other].append(one)
        if config := _config(element):
            model.carriers.append(_Carrier(id, element.attributes.get("name", ""), config))
        _check_early(model)
    return _resolved(model, references)


def _resolved(model: _Model, references: dict[str, Element]) -> _Model:
    """The model with each tie to a reference led to its data object, which may be nameless."""
    meant = {id: element.attributes["dataObjectRef"] for id, element in references.items()}
    for id, element in references.items():
        data = model.data.get(meant[id])
        if data and not data.name:
            model.data[data.id] = replace(data, name=element.attributes.get("name", ""))
    for node, others in model.linked.items():
        model.linked[node] = [meant.get(other, other) for other in others]
    return model


def _every(root: Element) -> Iterator[Element]:
    waiting = root.elements[::-1]
    while waiting:
        element = waiting.pop()
        yield element
        waiting += element.elements[::-1]


def _ends(element: Element) -> tuple[str, str]:
    return element.attributes.get("sourceRef", ""), element.attributes.get("targetRef", "")


def _ties(element: Element, id: str) -> list[tuple[str, str]]:
    """An association's two ends; or an event or task and what its own data associations name."""
    if element.name == "association":
        return [_ends(element)]
    return [
        (id, end.content.strip())
        for association in element.elements
        if association.name in ("dataInputAssociation", "dataOutputAssociation")
        for end in association.elements
        if end.name in ("sourceRef", "targetRef")
    ]


def _template(data_object: Element) -> Element | None:
    """The definition in the documentation of a data object, if it holds one."""
    documentation = data_object.child("documentation")
    if documentation is None or not _TEMPLATE.search(documentation.content):
        return None
    name = data_object.attributes.get("name") or data_object.attributes.get("id", "")
    root = _parsed(documentation, f"data object {name}")
    return next(root.below(*TEMPLATES), None)


def _config(element: Element) -> Element | None:
    """The configuration of an event or a conditional flow, if it has a block for us."""
    holder = None
    if element.name.endswith("Event"):
        holder = _result(element)
    elif element.name == "sequenceFlow":
        holder = element.child("conditionExpression")
    if holder is None or not _BLOCK.search(holder.content):
        return None
    name = element.attributes.get("name") or element.attributes.get("id", "")
    root = _parsed(holder, f"event {name}")
    return root if any(is_known(block) for block in root.below("imixs-ai")) else None


def _result(event: Element) -> Element | None:
    """The value of the event's item that says what is done when it happens."""
    extension = event.child("extensionElements")
    items = {
        item.attributes.get("name", "").lower(): item
        for item in (extension.elements if extension else ())
        if item.name == "item"
    }
    item = next((items[name] for name in _RESULT_ITEMS if name in items), None)
    return item.child("value") if item else None


def _parsed(holder: Element, where: str) -> Element:
    """The XML inside a text. What stands beside the blocks is Imixs's and may not be well-formed:
    then the blocks alone are read.
    """
    line = holder.text_line or holder.line
    try:
        try:
            return parse(holder.content, most_bytes=MOST_BYTES, line=line)
        except PromptTemplateInvalid:
            if not (blocks := _blocks_alone(holder.content)):
                raise
            return parse(blocks, most_bytes=MOST_BYTES, line=line)
    except PromptTemplateInvalid as error:
        raise _in(where, error) from None


def _blocks_alone(text: str) -> str:
    """The blocks of a text, on the lines where they were."""
    kept, end = [], 0
    for match in _BLOCK.finditer(text):
        if match.start() < end:
            continue
        close = text.find(_BLOCK_END, match.start())
        if close < 0:
            break
        kept.append("\n" * text.count("\n", end, match.start()))
        end = close + len(_BLOCK_END)
        kept.append(text[match.start() : end])
    return "".join(kept)
