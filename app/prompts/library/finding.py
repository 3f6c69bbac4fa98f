"""Which prompt and which version a reference means: `name`, `name@3`, `name@label`.

A name is looked for among the caller's own prompts first, then among the shared ones. Drafts, and
prompts that were never published, exist for those only who may change them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from sqlalchemy import ColumnElement, and_, case, func, or_, select, true
from sqlalchemy.orm import Session

from app.accounts.caller import Caller
from app.errors import Forbidden, NotFound
from app.prompts.definition import Definition, from_json
from models import Prompt, PromptLabel, PromptVersion

LATEST = "latest"
DRAFT = "draft"
PRODUCTION = "production"
"""The version a job gets that names no other, if there is one with this label."""

RESERVED = frozenset({LATEST, DRAFT})

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", re.ASCII)
_VERSION = re.compile(r"[0-9]{1,9}", re.ASCII)
_LABEL = re.compile(r"[a-z][a-z0-9._-]{0,63}", re.ASCII)
_SHOWN = 80


@dataclass(frozen=True, slots=True)
class Found:
    """A prompt, and one version of it."""

    prompt: Prompt
    version: PromptVersion


@dataclass(frozen=True, slots=True)
class Resolved:
    """What a job runs: a version's definition, and whose prompt it is."""

    prompt_id: int
    owner_id: int
    name: str
    version: int
    definition: Definition


def resolve(session: Session, caller: Caller, reference: str, *, for_job: bool = True) -> Resolved:
    """The definition a reference means. A bare name means, for a job, the version labelled
    `production` if there is one; otherwise the newest published one.

    Raises NotFound for an unknown prompt, version or label, and for a stranger's draft.
    """
    found = get(session, caller, reference, for_job=for_job, pointer="/prompt")
    return Resolved(
        prompt_id=found.prompt.id,
        owner_id=found.prompt.user_id,
        name=found.prompt.name,
        version=found.version.version,
        definition=from_json(found.version.definition),
    )


def get(
    session: Session,
    caller: Caller,
    reference: str,
    *,
    user_id: int | None = None,
    for_job: bool = False,
    pointer: str | None = None,
) -> Found:
    """The prompt and the version a reference means; for people, a bare name may mean a draft.

    Raises NotFound as `resolve` does.
    """
    name, at, wanted = reference.partition("@")
    prompt = find(session, caller, name, user_id=user_id, pointer=pointer)
    version = (
        pick(session, caller, prompt, wanted)
        if at
        else _usual(session, caller, prompt, for_job=for_job)
    )
    if version is None:
        raise NotFound(_no_version(prompt.name, wanted), pointer=pointer)
    return Found(prompt, version)


def find(
    session: Session,
    caller: Caller,
    name: str,
    *,
    user_id: int | None = None,
    pointer: str | None = None,
) -> Prompt:
    """The prompt of this name: the caller's own, else the shared one; with `user_id`, that user's.

    Raises NotFound for an unknown name and for a stranger's private prompt.
    """
    prompt = None
    if _NAME.fullmatch(name):
        query = select(Prompt).where(Prompt.name == name, Prompt.archived_at.is_(None))
        own = _own(caller)
        if user_id is not None:
            query = query.where(Prompt.user_id == user_id, visible(caller))
        else:
            query = query.where(or_(own, and_(visible(caller), Prompt.shared)))
        prompt = session.scalar(query.order_by(case((own, 0), else_=1)).limit(1))
    if prompt is None:
        raise NotFound(f"Unknown prompt: {name[:_SHOWN]}", pointer=pointer)
    return prompt


def changeable(
    session: Session, caller: Caller, name: str, *, user_id: int | None = None
) -> Prompt:
    """The prompt of this name, locked so that changes of it happen one after another.

    Raises NotFound as `find` does, Forbidden for a shared one of somebody else.
    """
    prompt = find(session, caller, name, user_id=user_id)
    if not may_change(caller, prompt):
        raise Forbidden(f"Only its author and administrators may change the prompt {name}")
    session.refresh(prompt, with_for_update=True)
    if prompt.archived_at is not None:  # while we waited for the lock
        raise NotFound(f"Unknown prompt: {name[:_SHOWN]}")
    return prompt


def may_change(caller: Caller, prompt: Prompt) -> bool:
    """Whether the caller is its author, or an administrator."""
    return caller.sees(prompt.user_id)


def visible(caller: Caller) -> ColumnElement[bool]:
    """The condition of prompts a caller may see and use; archived ones are another matter."""
    if caller.is_admin:
        return true()
    return or_(_own(caller), and_(Prompt.shared, Prompt.latest.is_not(None)))


def pick(session: Session, caller: Caller, prompt: Prompt, wanted: str) -> PromptVersion | None:
    """The version that a number or a label means to the caller, if there is one."""
    if _VERSION.fullmatch(wanted):
        return _shown(caller, prompt, numbered(session, prompt, int(wanted)))
    if wanted == LATEST:
        return numbered(session, prompt, prompt.latest)
    if wanted == DRAFT:
        return _shown(caller, prompt, draft_of(session, prompt))
    label = label_of(session, prompt, wanted)
    return None if label is None else numbered(session, prompt, label.version)


def numbered(session: Session, prompt: Prompt, number: int | None) -> PromptVersion | None:
    """The version of this number."""
    if number is None:
        return None
    return session.scalar(
        select(PromptVersion).where(
            PromptVersion.prompt_id == prompt.id, PromptVersion.version == number
        )
    )


def number_before(session: Session, prompt: Prompt, number: int) -> int | None:
    """The published version before this one."""
    return session.scalar(
        select(func.max(PromptVersion.version)).where(
            PromptVersion.prompt_id == prompt.id,
            PromptVersion.published_at.is_not(None),
            PromptVersion.version < number,
        )
    )


def draft_of(session: Session, prompt: Prompt) -> PromptVersion | None:
    """The one version that is not published yet."""
    return session.scalar(
        select(PromptVersion).where(
            PromptVersion.prompt_id == prompt.id, PromptVersion.published_at.is_(None)
        )
    )


def label_of(session: Session, prompt: Prompt, label: str) -> PromptLabel | None:
    """The label of this name, if the prompt has it. Reserved words are no labels."""
    if label in RESERVED or not is_label(label):
        return None
    return session.get(PromptLabel, (prompt.id, label))


def is_label(text: str) -> bool:
    """Whether this can be a label's name at all."""
    return _LABEL.fullmatch(text) is not None


def _own(caller: Caller) -> ColumnElement[bool]:
    return Prompt.user_id == caller.user_id


def _usual(
    session: Session, caller: Caller, prompt: Prompt, *, for_job: bool
) -> PromptVersion | None:
    if not for_job:
        return pick(session, caller, prompt, LATEST) or pick(session, caller, prompt, DRAFT)
    return pick(session, caller, prompt, PRODUCTION) or pick(session, caller, prompt, LATEST)


def _shown(caller: Caller, prompt: Prompt, version: PromptVersion | None) -> PromptVersion | None:
    """The version, unless it is a draft that the caller may not change."""
    if version is not None and version.published_at is None and not may_change(caller, prompt):
        return None
    return version


def _no_version(name: str, wanted: str) -> str:
    if wanted == DRAFT:
        return f"Prompt {name} has no draft"
    if wanted in ("", LATEST):
        return f"Prompt {name} has no published version"
    kind = "version" if wanted[:1].isdigit() else "label"
    return f"Prompt {name} has no {kind} {wanted[:_SHOWN]}"
