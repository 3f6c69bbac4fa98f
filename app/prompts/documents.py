"""The ways to write a prompt definition, one door to all: JSON, YAML and XML, in and out; BPMN in.

Whichever was used, the definition is the same object: `read(write(d, way), way)` gives `d`. Not
here: storing it, or what it means to run it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from app.errors import PayloadTooLarge, PromptParameterInvalid, PromptTemplateInvalid
from app.prompts.definition import LONGEST_NAME, Definition, as_name, from_json
from app.prompts.imixs import blocks, bpmn, markup, writing
from app.prompts.notation import invalid, json_value, write_yaml, yaml_values

MOST_BYTES = 1024 * 1024
"""Of JSON and YAML; `markup` and `bpmn` have limits of their own."""
MOST_DEFINITIONS = bpmn.MOST_DEFINITIONS


class Source(StrEnum):
    """A way to write a definition. BPMN is only read."""

    JSON = "json"
    YAML = "yaml"
    XML = "xml"
    BPMN = "bpmn"


@dataclass(frozen=True, slots=True)
class Read:
    """What a document held, in its order; a definition that is another's `task` comes before it.
    `warnings` are sentences about what was left out.
    """

    definitions: tuple[Definition, ...]
    warnings: tuple[str, ...] = ()


def read(text: str | bytes, source: Source, *, name: str = "") -> Read:
    """Every definition of a document. `name` is for those that have none, such as a file's name.

    Raises PromptTemplateInvalid (not readable, nothing asked; details give `line` and `column`
    where they are known), PromptParameterInvalid (a wrong word or type) or PayloadTooLarge.
    """
    warnings: list[str] = []
    if source is Source.BPMN:
        definitions = _of_model(bpmn.read_bpmn(text, warnings))
    else:
        definitions = _named(_from_documents(_values(text, source, warnings)), as_name(name))
    return Read(tuple(definitions), tuple(warnings))


def write(definition: Definition, target: Source) -> str:
    """The definition as a document of one. Raises PromptParameterInvalid for BPMN."""
    if target not in _WRITERS:
        raise PromptParameterInvalid(
            f"A definition cannot be written as {target}: choose {', '.join(_WRITERS)}"
        )
    return _WRITERS[target](definition)


def _values(text: str | bytes, source: Source, warnings: list[str]) -> list[Any]:
    """The documents as JSON-like values, of which each should be a definition."""
    if source is Source.XML:
        return list(blocks.documents(markup.parse(text), warnings))
    words = _decoded(text)
    values = [json_value(words)] if source is Source.JSON else yaml_values(words)
    return values[0] if len(values) == 1 and isinstance(values[0], list) else values


def _from_documents(values: Sequence[Any]) -> list[Definition]:
    if not values:
        raise invalid("The document holds no prompt definition", 1, 1)
    _check_count(len(values))
    if len(values) == 1:
        return [from_json(values[0])]
    return [from_json(value, pointer=f"/{number}") for number, value in enumerate(values)]


def _check_count(count: int) -> None:
    if count > MOST_DEFINITIONS:
        raise PromptTemplateInvalid(
            f"The document has {count:,} definitions; at most {MOST_DEFINITIONS} are read at once"
        )


def _named(definitions: list[Definition], name: str) -> list[Definition]:
    """Those without a name get this one, numbered from the second on."""
    taken = {definition.name for definition in definitions if definition.name}
    return [d if d.name or not name else d.named(_free(name, taken)) for d in definitions]


def _of_model(found: Sequence[bpmn.Found]) -> list[Definition]:
    """The definitions of a model under their titles, each assistant with its task's name."""
    taken: set[str] = set()
    names = [_free(as_name(each.title) or "definition", taken) for each in found]
    return [
        replace(
            each.definition,
            name=name,
            task=each.definition.task if each.task is None else names[each.task],
        )
        for each, name in zip(found, names, strict=True)
    ]


def _free(name: str, taken: set[str]) -> str:
    """The name, or with the lowest number that makes it nobody's; it is taken from then on."""
    free, number = name, 1
    while free in taken:
        number += 1
        suffix = f"-{number}"
        free = name[: LONGEST_NAME - len(suffix)] + suffix
    taken.add(free)
    return free


def _decoded(text: str | bytes) -> str:
    raw = text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")
    if len(raw) > MOST_BYTES:
        raise PayloadTooLarge(
            f"The document has {len(raw):,} bytes; at most {MOST_BYTES:,} are read",
            max_bytes=MOST_BYTES,
        )
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise invalid(
            f"The document is not valid UTF-8 at byte {error.start + 1}", line, 1
        ) from None


def _json(definition: Definition) -> str:
    return json.dumps(definition.to_json(), ensure_ascii=False, indent=2, allow_nan=False) + "\n"


_WRITERS: dict[Source, Callable[[Definition], str]] = {
    Source.JSON: _json,
    Source.YAML: lambda definition: write_yaml(definition.to_json()),
    Source.XML: writing.write_xml,
}
