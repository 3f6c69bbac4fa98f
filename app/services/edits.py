"""Changes of a step's code, as a model proposes them after its words, and as they are applied.

The model is asked for prose first, then one block `<code_edits>[…]</code_edits>` with JSON: so
words can be shown while they are written, by any model, with or without tools. Where it may change
several steps, each has a block that names it: `<code_edits step="load">[…]</code_edits>`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from app.formats.json_text import read_json

OPENS = "<code_edits"
"""What no reader is ever shown, nor anything after it."""

FORMS = """\
{"action": "replace", "old_code": "a piece of the code as it is; it occurs once", "new_code": ""}
{"action": "rewrite", "new_code": "the whole new code"}"""

INSTRUCTION = f"""\
Answer in prose first; without the whole code in it. Only when the code shall change, end with
<code_edits>[edits]</code_edits>, edits being JSON objects of one of these forms:
{FORMS}
They are applied in their order. Nothing comes after them, and no edits when nothing changes."""

CONFIRMATION = "I have suggested a change of the code."
"""Said where a model proposed edits without a word."""

_MISFIT = "{}. Send the whole block once more, in the same way, with edits that fit the code."
_BLOCK = re.compile(
    r"""<code_edits (?: \s+ step=["']? ([^"'>]*) ["']? )? \s* > (.*?) (?: </code_edits> | \Z )""",
    re.S | re.X,
)


@dataclass(frozen=True, slots=True)
class Block:
    """The edits of one step, or of the only one there is; none where they could not be read."""

    step: str
    edits: Sequence[Any]


@dataclass(frozen=True, slots=True)
class Applied:
    """The code after the edits, None where none could be applied; how many were; what is odd.

    `fits` is whether all of them could be.
    """

    code: str | None
    patches: int
    warnings: tuple[str, ...] = ()
    fits: bool = True

    def to_diff(self) -> dict[str, Any]:
        """As the answer's `diff`."""
        told: dict[str, Any] = {"patches_applied": self.patches}
        return told | ({"warning": ". ".join(self.warnings)} if self.warnings else {})

    def correction(self) -> str:
        """What the model is told of edits that do not fit."""
        return _MISFIT.format(". ".join(self.warnings))


class _NotApplied(Exception):
    """Why an edit changes nothing."""


def blocks(answer: str) -> list[Block]:
    """The edits in an answer, block by block."""
    return [Block(step or "", _read(text)) for step, text in _BLOCK.findall(answer)]


def split(answer: str) -> tuple[str, Sequence[Any] | None]:
    """The words of an answer, and its edits; None where it has none."""
    words, opened, _ = answer.partition(OPENS)
    found = blocks(answer)
    return words.strip(), found[0].edits if found else [] if opened else None


def apply(code: str | None, edits: Sequence[Any], *, corrected: bool = False) -> Applied:
    """Apply edits in their order, each to what the one before it left.

    A step without code takes `new_code` whatever the action. A `replace` whose `old_code` is not
    there, or there more than once, is not applied and said; of edits the model has `corrected`
    already, the first place is changed.
    """
    now, patches, warnings, fits = code or "", 0, [], bool(edits)
    for number, edit in enumerate(edits, 1):
        try:
            now, odd = _applied(now, edit, corrected=corrected)
        except _NotApplied as why:
            fits = False
            warnings.append(f"Edit {number} was not applied: {why}")
        else:
            patches += 1
            if odd:
                warnings.append(f"Edit {number}: {odd}")
    if not edits:
        warnings.append("The suggested edits could not be read")
    return Applied(now if patches else None, patches, tuple(warnings), fits)


def _read(text: str) -> Sequence[Any]:
    try:
        found = read_json(text)
    except ValueError:
        return []
    return found if isinstance(found, list) else [found]


def _applied(code: str, edit: Any, *, corrected: bool) -> tuple[str, str]:
    """The code after an edit, and what is odd about it. Raises _NotApplied."""
    if not isinstance(edit, dict):
        raise _NotApplied("it is no object")
    new, old = edit.get("new_code"), edit.get("old_code")
    if not code.strip() and isinstance(new, str) and new.strip():
        return new, ""
    match edit.get("action"):
        case "rewrite":
            if not isinstance(new, str) or not new.strip():
                raise _NotApplied("there is no new code")
            return new, ""
        case "replace":
            if not isinstance(old, str) or not old or not isinstance(new, str):
                raise _NotApplied("it needs old_code and new_code")
            return _replaced(code, old, new, corrected=corrected)
    raise _NotApplied(f"unknown action {edit.get('action')!r}")


def _replaced(code: str, old: str, new: str, *, corrected: bool) -> tuple[str, str]:
    found = code.count(old)
    if found == 0:
        raise _NotApplied("old_code is not there")
    if found > 1 and not corrected:
        raise _NotApplied(f"old_code occurs {found} times")
    odd = f"old_code occurs {found} times; the first was changed" if found > 1 else ""
    return code.replace(old, new, 1), odd
