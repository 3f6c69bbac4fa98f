"""Changes of a step's code, as a model proposes them after its words, and as they are applied.

The model is asked for prose first, then one block `<code_edits>[…]</code_edits>` with JSON: so
words can be shown while they are written, by any model, with or without tools.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from app.formats.json_text import read_json

OPENS = "<code_edits>"
_CLOSES = "</code_edits>"

INSTRUCTION = f"""\
Answer in prose first; without the whole code in it. Only when the code shall change, end with
{OPENS}[edits]{_CLOSES}, edits being JSON objects of one of these forms:
{{"action": "replace", "old_code": "a piece of the code as it is; it occurs once", "new_code": ""}}
{{"action": "rewrite", "new_code": "the whole new code"}}
They are applied in their order. Nothing comes after them, and no edits when nothing changes."""

CONFIRMATION = "I have suggested a change of the code."
"""Said where a model proposed edits without a word."""


@dataclass(frozen=True, slots=True)
class Applied:
    """The code after the edits, None where none could be applied; how many were; what is odd."""

    code: str | None
    patches: int
    warnings: tuple[str, ...] = ()

    def to_diff(self) -> dict[str, Any]:
        """As the answer's `diff`."""
        told: dict[str, Any] = {"patches_applied": self.patches}
        return told | ({"warning": ". ".join(self.warnings)} if self.warnings else {})


def split(answer: str) -> tuple[str, list[Any] | None]:
    """The words of an answer, and its edits; None where it has none."""
    words, opened, rest = answer.partition(OPENS)
    if not opened:
        return answer.strip(), None
    try:
        found = read_json(rest.partition(_CLOSES)[0])
    except ValueError:
        return words.strip(), []
    return words.strip(), found if isinstance(found, list) else [found]


def apply(code: str | None, edits: Sequence[Any]) -> Applied:
    """Apply edits in their order, each to what the one before it left.

    A step without code takes `new_code` whatever the action. A `replace` whose `old_code` is not
    there, or there more than once, is not applied and said.
    """
    now, patches, warnings = code or "", 0, []
    for number, edit in enumerate(edits, 1):
        changed = _one(now, edit)
        if isinstance(changed, str):
            now, patches = changed, patches + 1
        else:
            warnings.append(f"Edit {number} was not applied: {changed[0]}")
    if not edits:
        warnings.append("The suggested edits could not be read")
    return Applied(now if patches else None, patches, tuple(warnings))


def _one(code: str, edit: Any) -> str | tuple[str]:
    """The code after an edit, or why it cannot be applied."""
    if not isinstance(edit, dict):
        return ("it is no object",)
    new, old = edit.get("new_code"), edit.get("old_code")
    if not code.strip() and isinstance(new, str) and new.strip():
        return new
    match edit.get("action"):
        case "rewrite":
            return new if isinstance(new, str) and new.strip() else ("there is no new code",)
        case "replace":
            if not isinstance(old, str) or not old or not isinstance(new, str):
                return ("it needs old_code and new_code",)
            found = code.count(old)
            if found != 1:
                return (f"old_code occurs {found} times" if found else "old_code is not there",)
            return code.replace(old, new)
    return (f"unknown action {edit.get('action')!r}",)
