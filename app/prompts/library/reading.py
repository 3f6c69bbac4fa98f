"""Lists of prompts and of versions, and how each is told to a client."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import and_, exists, or_, select
from sqlalchemy.orm import Session, defer

from app.accounts.caller import Caller
from app.errors import Forbidden, InvalidParameter
from app.paging import DEFAULT_LIMIT, Page, newest_first
from app.prompts.definition import from_json
from app.prompts.library.checking import placeholders
from app.prompts.library.finding import (
    RESERVED,
    Found,
    find,
    is_label,
    may_change,
    visible,
)
from models import Prompt, PromptLabel, PromptVersion, User

LONGEST_QUERY = 200

#: The version a list tells of: the newest published one, or else the draft.
_SHOWN = and_(
    PromptVersion.prompt_id == Prompt.id,
    or_(
        PromptVersion.version == Prompt.latest,
        and_(Prompt.latest.is_(None), PromptVersion.published_at.is_(None)),
    ),
)
_DESCRIPTION = PromptVersion.definition["description"].as_string()


def list_prompts(
    session: Session,
    caller: Caller,
    *,
    q: str | None = None,
    shared: bool | None = None,
    label: str | None = None,
    all_users: bool = False,
    user_id: int | None = None,
    limit: int = DEFAULT_LIMIT,
    after: str | None = None,
) -> Page[Prompt]:
    """One's own prompts and the shared ones, newest first; with `all_users` everybody's
    (administrators). `q` is looked for in names and descriptions, in any case.

    Raises Forbidden, InvalidParameter naming the filter.
    """
    query = select(Prompt).where(Prompt.archived_at.is_(None))
    if all_users and not caller.is_admin:
        raise Forbidden("Only an administrator may see other users' prompts")
    if not all_users and user_id is None:
        query = query.where(or_(Prompt.user_id == caller.user_id, Prompt.shared))
    query = query.where(visible(caller))
    if user_id is not None:
        query = query.where(Prompt.user_id == user_id)
    if shared is not None:
        query = query.where(Prompt.shared.is_(shared))
    if label is not None:
        query = query.where(_has_label(label))
    if q is not None:
        query = query.where(_says(q))
    return newest_first(session, query, Prompt.id, limit=limit, after=after)


def list_versions(
    session: Session,
    caller: Caller,
    name: str,
    *,
    user_id: int | None = None,
    limit: int = DEFAULT_LIMIT,
    after: str | None = None,
) -> Page[PromptVersion]:
    """The versions of a prompt, newest first; its draft for those who may change it.

    Raises NotFound for an unknown one.
    """
    prompt = find(session, caller, name, user_id=user_id)
    query = (
        select(PromptVersion)
        .where(PromptVersion.prompt_id == prompt.id)
        .options(defer(PromptVersion.definition))  # up to a megabyte each
    )
    if not may_change(caller, prompt):
        query = query.where(PromptVersion.published_at.is_not(None))
    return newest_first(session, query, PromptVersion.id, limit=limit, after=after)


def describe(session: Session, caller: Caller, found: Found) -> dict[str, Any]:
    """A prompt and one version of it, with everything its definition reads."""
    prompt, version = found.prompt, found.version
    facts = _facts_of(session, [prompt], [version])
    reads = placeholders(from_json(version.definition))
    return {
        "name": prompt.name,
        "version": version.version,
        "description": version.definition.get("description", ""),
        "definition": version.definition,
        "variables": reads.variables,
        "items": reads.items,
        "properties": reads.properties,
        "file_patterns": reads.file_patterns,
        "labels": facts.labels.get(prompt.id, {}),
        "latest": prompt.latest,
        "draft": facts.draft(caller, prompt),
        "shared": prompt.shared,
        "owner": facts.person(prompt.user_id),
        "author": facts.person(version.user_id),
        "created_at": version.created_at,
        "updated_at": version.updated_at,
        "published_at": version.published_at,
    }


def describe_many(
    session: Session, caller: Caller, prompts: Sequence[Prompt]
) -> list[dict[str, Any]]:
    """Prompts as a list tells them, in a few queries however many there are."""
    facts = _facts_of(session, prompts, ())
    shown = {
        row.prompt_id: row
        for row in session.execute(
            select(
                PromptVersion.prompt_id,
                PromptVersion.version,
                _DESCRIPTION.label("description"),
            )
            .join(Prompt, _SHOWN)
            .where(Prompt.id.in_([prompt.id for prompt in prompts]))
        )
    }
    return [
        {
            "name": prompt.name,
            "version": shown[prompt.id].version if prompt.id in shown else None,
            "description": (shown[prompt.id].description or "") if prompt.id in shown else "",
            "labels": facts.labels.get(prompt.id, {}),
            "latest": prompt.latest,
            "draft": facts.draft(caller, prompt),
            "shared": prompt.shared,
            "owner": facts.person(prompt.user_id),
            "created_at": prompt.created_at,
            "updated_at": prompt.updated_at,
        }
        for prompt in prompts
    ]


def describe_versions(session: Session, versions: Sequence[PromptVersion]) -> list[dict[str, Any]]:
    """Versions of one prompt as their list tells them."""
    descriptions = {
        row.id: row.description or ""
        for row in session.execute(
            select(PromptVersion.id, _DESCRIPTION.label("description")).where(
                PromptVersion.id.in_([version.id for version in versions])
            )
        )
    }
    people = _people(session, {version.user_id for version in versions})
    labels = _labels(session, {version.prompt_id for version in versions})
    return [
        {
            "version": version.version,
            "draft": version.published_at is None,
            "labels": [
                label
                for label, number in labels.get(version.prompt_id, {}).items()
                if number == version.version
            ],
            "description": descriptions[version.id],
            "author": people.get(version.user_id),
            "created_at": version.created_at,
            "updated_at": version.updated_at,
            "published_at": version.published_at,
        }
        for version in versions
    ]


def describe_label(label: PromptLabel) -> dict[str, Any]:
    """A label, what it means, and what it meant before."""
    return {
        "label": label.label,
        "version": label.version,
        "previous": label.previous,
        "updated_at": label.updated_at,
    }


@dataclass(frozen=True, slots=True)
class _Facts:
    """What stands in other tables about some prompts."""

    labels: Mapping[int, Mapping[str, int]]
    drafts: Mapping[int, int]
    people: Mapping[int | None, Mapping[str, Any]]

    def draft(self, caller: Caller, prompt: Prompt) -> int | None:
        """The draft's number, for those who may change the prompt."""
        return self.drafts.get(prompt.id) if may_change(caller, prompt) else None

    def person(self, user_id: int | None) -> Mapping[str, Any] | None:
        return self.people.get(user_id)


def _facts_of(
    session: Session, prompts: Sequence[Prompt], versions: Sequence[PromptVersion]
) -> _Facts:
    ids = {prompt.id for prompt in prompts}
    drafts = session.execute(
        select(PromptVersion.prompt_id, PromptVersion.version).where(
            PromptVersion.prompt_id.in_(ids), PromptVersion.published_at.is_(None)
        )
    )
    users = {prompt.user_id for prompt in prompts} | {version.user_id for version in versions}
    return _Facts(
        _labels(session, ids),
        {row.prompt_id: row.version for row in drafts},
        _people(session, users),
    )


def _labels(session: Session, prompt_ids: Collection[int]) -> dict[int, dict[str, int]]:
    """Prompt → label → version."""
    found: dict[int, dict[str, int]] = {}
    rows = session.scalars(
        select(PromptLabel).where(PromptLabel.prompt_id.in_(prompt_ids)).order_by(PromptLabel.label)
    )
    for row in rows:
        found.setdefault(row.prompt_id, {})[row.label] = row.version
    return found


def _people(
    session: Session, user_ids: Collection[int | None]
) -> dict[int | None, Mapping[str, Any]]:
    """Who they are, by the names they have here; an address is nobody else's business."""
    rows = session.execute(
        select(User.id, User.name).where(
            User.id.in_([user_id for user_id in user_ids if user_id is not None])
        )
    )
    return {row.id: {"id": row.id, "name": row.name} for row in rows}


def _has_label(label: str) -> Any:
    if not is_label(label) or label in RESERVED:
        raise InvalidParameter(
            f"Invalid label: {label[:80]!r}. Must be one that can be given", pointer="/label"
        )
    return exists().where(PromptLabel.prompt_id == Prompt.id, PromptLabel.label == label)


def _says(q: str) -> Any:
    if len(q) > LONGEST_QUERY:
        raise InvalidParameter(
            f"Invalid q. Must be at most {LONGEST_QUERY} characters", pointer="/q"
        )
    described = exists().where(_SHOWN, _DESCRIPTION.icontains(q, autoescape=True))
    return or_(Prompt.name.icontains(q, autoescape=True), described)
