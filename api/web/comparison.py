"""Two outputs side by side: what was asked differently, and what came of it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from api.web.masks import masked
from app import diffs
from app.diffs import TextDiff, ValueDiff
from app.prompts.definition import Definition, from_json

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Section:
    """One thing compared: as words of a `text`, or as places of a `value`."""

    title: str
    text: TextDiff | None = None
    value: ValueDiff | None = None

    @property
    def differs(self) -> bool:
        return any(found.differs for found in (self.text, self.value) if found)


def compared(before: Row, after: Row) -> list[Section]:
    """What was asked and what came of it, in the order people read it."""
    return [
        Section("Template", text=diffs.of_texts(_template(before), _template(after))),
        Section("System", text=diffs.of_texts(before["system"] or "", after["system"] or "")),
        Section("Context", value=_values(masked(before["context"]), masked(after["context"]))),
        *_work_items(before, after),
        Section("Model", text=diffs.of_texts(before["model_name"], after["model_name"])),
        Section("Options", value=_values(before["options"], after["options"])),
        _result(before, after),
    ]


def asked_differently(before: Row, after: Row) -> list[Section]:
    """Only what was asked, and of that only what differs."""
    return [section for section in compared(before, after)[:-1] if section.differs]


def _result(before: Row, after: Row) -> Section:
    if all(row["format"] == "json" and _structured(row) for row in (before, after)):
        return Section(
            "Result", value=diffs.of_values(before["parsed_output"], after["parsed_output"])
        )
    return Section("Result", text=diffs.of_texts(_answer(before), _answer(after)))


def _structured(row: Row) -> bool:
    return isinstance(row["parsed_output"], (dict, list))


def _answer(row: Row) -> str:
    return row["raw_response"] or ""


def _work_items(before: Row, after: Row) -> list[Section]:
    """Only of definitions; other jobs have none."""
    if not before["workitem"] and not after["workitem"]:
        return []
    value = _values(masked(before["workitem"]), masked(after["workitem"]))
    return [Section("Work item", value=value)]


def _template(row: Row) -> str:
    if row["definition"]:
        return _written(from_json(row["definition"]))
    if not row["messages"]:
        return str(row["template_name"])
    return "\n\n".join(f"{message['role']}: {message['content']}" for message in row["messages"])


def _written(definition: Definition) -> str:
    """Every message of a definition: its name says less than they do."""
    messages = [*definition.task_messages, *(m for step in definition.steps for m in step.messages)]
    return "\n\n".join(f"{message.role}: {message.content}" for message in messages)


def _values(before: Any, after: Any) -> ValueDiff:
    return diffs.of_values(before or {}, after or {})
