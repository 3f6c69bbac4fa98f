"""New versions and drafts of prompts; publishing, sharing and archiving them.

Every change of a prompt holds the lock of its row, so that numbers of versions follow each other.
A draft keeps its number while it is rewritten; a number that was given once is never given again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app import audit
from app.accounts.caller import Caller
from app.audit import Action
from app.errors import (
    Conflict,
    Forbidden,
    InvalidParameter,
    MissingParameter,
    NotFound,
    Unavailable,
)
from app.lookup import row_by_id
from app.prompts.definition import Definition
from app.prompts.library.checking import checked, doubts, same
from app.prompts.library.finding import changeable, draft_of, numbered
from models import Prompt, PromptVersion, User
from models.types import now

_TRIES = 5


@dataclass(frozen=True, slots=True)
class Stored:
    """Where a definition is now. `unchanged`: it said what was there already; `warnings` are
    sentences about it."""

    prompt: Prompt
    version: PromptVersion
    unchanged: bool = False
    warnings: tuple[str, ...] = ()


def store(
    session: Session,
    caller: Caller,
    definitions: Sequence[Definition],
    *,
    publish: bool = True,
    user_id: int | None = None,
) -> list[Stored]:
    """Add each definition as the next version of the caller's own prompt of that name; where there
    is none it is made. Not to `publish` writes drafts. Administrators may name another's `user_id`.

    Raises PromptRefused for a definition or a template that cannot be read, InvalidParameter for a
    name given twice, MissingParameter for none; nothing is stored then.
    """
    owner = _owner(session, caller, user_id)
    ready = checked(definitions)
    # In the order of the names: two imports of the same prompts then never wait for each other.
    prompts = {name: _own_prompt(session, owner, name) for name in sorted(d.name for d in ready)}
    return [
        _add(session, caller, prompts[definition.name], definition, publish=publish)
        for definition in ready
    ]


def replace(
    session: Session,
    caller: Caller,
    name: str,
    *,
    definition: Definition,
    publish: bool = True,
    user_id: int | None = None,
) -> Stored:
    """Add a version to a prompt that is there, or write its draft.

    Raises NotFound for an unknown prompt, Forbidden for another's, InvalidParameter for a
    definition of another name, PromptRefused as `store` does.
    """
    prompt = changeable(session, caller, name, user_id=user_id)
    if definition.name not in ("", name):
        raise InvalidParameter(
            f"The definition is named {definition.name}, not {name}: a prompt cannot be renamed",
            pointer="/name",
        )
    (ready,) = checked([definition.named(name)])
    return _add(session, caller, prompt, ready, publish=publish)


def publish(session: Session, caller: Caller, name: str, *, user_id: int | None = None) -> Stored:
    """Make the draft the newest version. If others were published since it was begun, it gets a
    new number. Raises NotFound, Forbidden, Conflict without a draft.
    """
    prompt = changeable(session, caller, name, user_id=user_id)
    return Stored(prompt, _published_draft(session, prompt, _draft(session, prompt)))


def discard_draft(
    session: Session, caller: Caller, name: str, *, user_id: int | None = None
) -> None:
    """Take the draft away. Raises NotFound, Forbidden, Conflict without a draft."""
    prompt = changeable(session, caller, name, user_id=user_id)
    draft = _draft(session, prompt)
    session.delete(draft)
    _touch(session, prompt)


def share(
    session: Session, caller: Caller, name: str, *, shared: bool, user_id: int | None = None
) -> Prompt:
    """Let everybody use a prompt, or keep it to its author again.

    Raises NotFound, Forbidden, Conflict when another shared prompt has the name.
    """
    prompt = changeable(session, caller, name, user_id=user_id)
    if prompt.shared == shared:
        return prompt
    try:
        with session.begin_nested():
            prompt.shared = shared
            session.flush()
    except IntegrityError:
        raise Conflict(
            f"A shared prompt is named {name} already: import this one under another name",
            pointer="/shared",
        ) from None
    _touch(session, prompt)
    told(session, caller, Action.PROMPT_SHARED, prompt, shared=shared)
    return prompt


def archive(session: Session, caller: Caller, name: str, *, user_id: int | None = None) -> None:
    """Take a prompt out of the library; its name is free. Jobs keep what they ran.

    Raises NotFound, Forbidden.
    """
    prompt = changeable(session, caller, name, user_id=user_id)
    prompt.archived_at = now()
    session.flush()
    told(session, caller, Action.PROMPT_ARCHIVED, prompt, latest=prompt.latest)


def add_version(
    session: Session,
    caller: Caller,
    prompt: Prompt,
    *,
    definition: dict[str, Any],
    publish: bool = True,
) -> PromptVersion:
    """The next version of a locked prompt, published or as its draft. `definition` is canonical."""
    version = PromptVersion(
        prompt_id=prompt.id,
        version=_next_number(prompt),
        definition=definition,
        user_id=caller.user_id,
    )
    session.add(version)
    if publish:
        return _published(session, prompt, version)
    _touch(session, prompt)
    session.refresh(version)
    return version


def told(session: Session, caller: Caller, action: Action, prompt: Prompt, **details: Any) -> None:
    """Leave a trace of an act on a prompt."""
    facts = {"name": prompt.name, "owner": prompt.user_id, **details}
    audit.record(session, caller, action, subject=f"prompt:{prompt.id}", details=facts)


def _owner(session: Session, caller: Caller, user_id: int | None) -> int:
    owner = caller.user_id if user_id is None else user_id
    if owner is None:
        raise MissingParameter("user_id")
    if owner != caller.user_id:
        if not caller.is_admin:
            raise Forbidden("Only an administrator may store prompts for another user")
        if row_by_id(session, User, owner) is None:
            raise NotFound(f"Unknown user: {owner}", pointer="/user_id")
    return owner


def _own_prompt(session: Session, owner: int, name: str) -> Prompt:
    """The owner's prompt of this name, locked; made if there is none.

    Two who make it at once: one inserts, the other waits and finds it.
    """
    found = (
        select(Prompt)
        .where(Prompt.user_id == owner, Prompt.name == name, Prompt.archived_at.is_(None))
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    for _ in range(_TRIES):
        prompt = session.scalar(found)
        if prompt is not None:
            return prompt
        insert = sqlite.insert if session.get_bind().dialect.name == "sqlite" else postgresql.insert
        session.execute(
            insert(Prompt)
            .values(user_id=owner, name=name, shared=False, last_number=0)
            .on_conflict_do_nothing(
                index_elements=["user_id", "name"], index_where=Prompt.archived_at.is_(None)
            )
        )
    raise Unavailable(f"The prompt {name} is archived again and again meanwhile: try once more")


def _add(
    session: Session, caller: Caller, prompt: Prompt, definition: Definition, *, publish: bool
) -> Stored:
    written, warnings = definition.to_json(), doubts(session, caller, definition)
    latest, draft = numbered(session, prompt, prompt.latest), draft_of(session, prompt)
    if not publish and draft is not None:
        unchanged = same(draft.definition, written)
        if not unchanged:
            _rewrite(session, caller, prompt, draft, definition=written)
        return Stored(prompt, draft, unchanged, warnings)
    if latest is not None and same(latest.definition, written):
        return Stored(prompt, latest, unchanged=True, warnings=warnings)
    if draft is not None and same(draft.definition, written):
        return Stored(prompt, _published_draft(session, prompt, draft), warnings=warnings)
    version = add_version(session, caller, prompt, definition=written, publish=publish)
    return Stored(prompt, version, warnings=warnings)


def _rewrite(
    session: Session,
    caller: Caller,
    prompt: Prompt,
    draft: PromptVersion,
    *,
    definition: dict[str, Any],
) -> None:
    draft.definition = definition
    draft.user_id = caller.user_id
    draft.updated_at = now()
    _touch(session, prompt)
    session.refresh(draft)


def _published_draft(session: Session, prompt: Prompt, draft: PromptVersion) -> PromptVersion:
    """The draft as the newest version: where it was overtaken, under a new number and row, so that
    a list of versions is in their order."""
    if prompt.latest is None or draft.version > prompt.latest:
        return _published(session, prompt, draft)
    renumbered = PromptVersion(
        prompt_id=prompt.id,
        version=_next_number(prompt),
        definition=draft.definition,
        user_id=draft.user_id,
        created_at=draft.created_at,
    )
    session.delete(draft)
    session.flush()
    session.add(renumbered)
    return _published(session, prompt, renumbered)


def _published(session: Session, prompt: Prompt, version: PromptVersion) -> PromptVersion:
    version.published_at = now()
    version.updated_at = now()
    prompt.latest = version.version
    _touch(session, prompt)
    session.refresh(version)
    return version


def _draft(session: Session, prompt: Prompt) -> PromptVersion:
    draft = draft_of(session, prompt)
    if draft is None:
        raise Conflict(f"Prompt {prompt.name} has no draft")
    return draft


def _next_number(prompt: Prompt) -> int:
    """A number no version of the (locked) prompt ever had."""
    prompt.last_number += 1
    return prompt.last_number


def _touch(session: Session, prompt: Prompt) -> None:
    prompt.updated_at = now()
    session.flush()
    session.refresh(prompt)
