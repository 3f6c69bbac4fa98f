"""What is attached to a request: logs and data, told to the model beside the words, never in them.

Nothing of it is cut: too much of it is refused with the name of the largest, and nothing of its
content. It is in no history.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from app.prompts.templating import spell
from app.services.problems import ServiceError, bad_request

FIELDS: Mapping[str, str] = {
    "log": "log",
    "input_dataclip": "input",
    "run_input": "input",
    "output_dataclip": "output",
    "run_output": "output",
}
"""The part of the context that each type is."""


@dataclass(frozen=True, slots=True)
class Attached:
    """Attachments that were read: their types and texts, and what is odd."""

    texts: tuple[tuple[str, str], ...] = ()
    warnings: tuple[str, ...] = ()

    def check(self, most_characters: int) -> None:
        """Raises ServiceError when they are longer than that together."""
        total = sum(len(text) for _, text in self.texts)
        if total <= most_characters:
            return
        type, largest = max(self.texts, key=lambda one: len(one[1]))
        details = {
            "total_characters": total,
            "limit_characters": most_characters,
            "largest_attachment": {"type": type, "characters": len(largest)},
        }
        raise ServiceError(
            400,
            "ATTACHMENT_TOO_LARGE",
            f"The attachments have {total:,} characters; {most_characters:,} are allowed."
            f" The largest is {type}.",
            details,
        )

    @property
    def context(self) -> dict[str, str]:
        """The parts of the context; of two in one, each is named."""
        parts: dict[str, list[tuple[str, str]]] = {}
        for type, text in self.texts:
            parts.setdefault(FIELDS[type], []).append((type, text))
        return {
            name: found[0][1] if len(found) == 1 else "\n\n".join(f"{t}:\n{x}" for t, x in found)
            for name, found in parts.items()
        }


def read(payload: Mapping[str, Any]) -> Attached:
    """The attachments of a request. Raises ServiceError for what is none."""
    sent = payload.get("attachments")
    if sent is not None and not isinstance(sent, list):
        raise bad_request("'attachments' must be a list")
    texts, warnings = [], []
    for number, one in enumerate(sent or []):
        type = one.get("type") if isinstance(one, dict) else None
        if not isinstance(type, str):
            raise bad_request(f"'attachments[{number}]' must have a type and a content")
        if type in FIELDS:
            texts.append((type, _text(type, one.get("content"))))
        else:
            warnings.append(f"An attachment of the unknown type {type[:80]!r} was left out")
    return Attached(tuple(texts), tuple(warnings))


def _text(type: str, content: Any) -> str:
    """Lists line by line, objects as JSON."""
    if isinstance(content, list):
        return "\n".join(spell(type, one) for one in content)
    return spell(type, content)
