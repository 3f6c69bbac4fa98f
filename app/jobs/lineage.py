"""Where an output came from and what came of it: the tree of its re-runs and regenerations.

Bounded: of a very large family the oldest members are shown, and that there are more is said.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import or_, select
from sqlalchemy.orm import Session, defer

from app.accounts import Caller
from models import LLMOutput, User

MOST = 100

_COMPARED = {
    "template_name": "template",
    "system": "system text",
    "model_name": "model",
    "context": "context",
    "options": "options",
    "queue": "queue",
}
"""Column → what people call it; what a regeneration may change."""


_LARGE = (LLMOutput.prompt, LLMOutput.raw_response, LLMOutput.parsed_output, LLMOutput.result_items)
"""Not read of relatives."""


@dataclass(frozen=True, slots=True)
class Relative:
    """One member. `changed` names what differs from its parent; `depth` is 0 at the root."""

    id: int
    parent_id: int | None
    derivation: str | None
    status: str
    model: str
    feedback: str
    created_at: datetime
    owner: str
    changed: tuple[str, ...] = ()
    depth: int = 0


@dataclass(frozen=True, slots=True)
class Family:
    """The members in the order of the tree: each after its parent, siblings by age."""

    members: tuple[Relative, ...]
    cut: bool = False


def lineage(session: Session, caller: Caller, output: LLMOutput) -> Family:
    """The family of a row the caller sees; other people's members are left out."""
    root = output.root_id or output.id
    query = (
        select(LLMOutput)
        .where(or_(LLMOutput.id == root, LLMOutput.root_id == root))
        .options(*(defer(column) for column in _LARGE))
        .order_by(LLMOutput.id)
        .limit(MOST + 1)
    )
    found = [row for row in session.scalars(query) if caller.sees(row.user_id)]
    rows = {row.id: row for row in [*found[:MOST], output]}
    owners = _owners(session, {row.user_id for row in rows.values()})
    members = [_member(row, rows, owners) for _, row in sorted(rows.items())]
    return Family(tuple(_as_tree(members)), cut=len(found) > MOST)


def _member(
    row: LLMOutput, rows: Mapping[int, LLMOutput], owners: Mapping[int | None, str]
) -> Relative:
    parent = rows.get(row.parent_id) if row.parent_id else None
    return Relative(
        row.id,
        row.parent_id,
        row.derivation,
        row.status,
        row.model_name,
        row.feedback_word,
        row.created_at,
        owners.get(row.user_id, "nobody"),
        _changed(parent, row) if parent else (),
    )


def _changed(parent: LLMOutput, row: LLMOutput) -> tuple[str, ...]:
    """Erased rows have nothing left to compare."""
    if parent.erased_at or row.erased_at:
        return ()
    return tuple(
        word
        for column, word in _COMPARED.items()
        if (getattr(parent, column) or None) != (getattr(row, column) or None)
    )


def _owners(session: Session, ids: set[int | None]) -> dict[int | None, str]:
    query = select(User.id, User.name, User.email).where(User.id.in_([i for i in ids if i]))
    return {row.id: row.name or row.email for row in session.execute(query)}


def _as_tree(members: Sequence[Relative]) -> Iterator[Relative]:
    """Depth first, without recursion: a family may be a long chain."""
    known = {member.id for member in members}
    children: defaultdict[int | None, list[Relative]] = defaultdict(list)
    for member in members:
        children[member.parent_id if member.parent_id in known else None].append(member)
    waiting = list(reversed(children[None]))
    while waiting:
        member = waiting.pop()
        yield member
        below = [replace(child, depth=member.depth + 1) for child in children[member.id]]
        waiting.extend(reversed(below))
