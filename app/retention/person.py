"""erase_person: what somebody has written, and who they were, on an administrator's word.

The user's row stays, under a name that says nothing, because rows of jobs, prices and acts point at
it; so do the numbers: used tokens, costs, statistics. What is shared stays too (prompts, assets,
documents): others use it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from app import audit, jobs
from app.accounts import Caller, get_user, update_user
from app.audit import Action
from app.chats.titles import NEW_CHAT
from app.jobs.erase import ERASED, erase_texts
from app.retention.ageing import MOST_ROWS
from app.runtime import Runtime
from models import (
    ENDED,
    Agent,
    ApiKey,
    AssetGrant,
    AuditEvent,
    Chat,
    ChatGrant,
    ChatMessage,
    ChatRetrieval,
    Document,
    IdempotencyKey,
    LLMOutput,
    Prompt,
    SavedView,
    StoredAsset,
    User,
    WebSession,
)
from models.types import now

_OWN = (SavedView, WebSession, IdempotencyKey, ChatGrant, AssetGrant)
"""What only its user sees or needs, and what others let them into; removed whole."""

_UNLESS_SHARED = (StoredAsset, Document)
"""Others use what is shared, as they do shared prompts: that stays."""


@dataclass(frozen=True, slots=True)
class Erasure:
    """What was erased now. While `running` jobs are left the person is not gone: ask again."""

    texts: int = 0
    chats: int = 0
    prompts: int = 0
    running: int = 0


def erase_person(runtime: Runtime, caller: Caller, user_id: int) -> Erasure:
    """Shut a user out, stop their jobs, and erase every text of theirs and their name.

    Jobs whose model is being called are asked to stop and counted as `running`; asked again once
    they have ended, the rest goes. Doing it again changes nothing. Raises Forbidden unless an
    administrator asks, NotFound, and Conflict for the last active administrator.
    """
    caller.require_administrator()
    with runtime.database.write() as session:
        if get_user(session, caller, user_id).active:
            update_user(session, caller, user_id, active=False)
        chats = _count_removed(session, delete(Chat).where(Chat.user_id == user_id))
    while ids := _not_asked_to_stop(runtime, user_id):
        jobs.cancel_many(runtime, caller, ids=ids)
    texts = 0
    while step := _erase_step(runtime, user_id):
        texts += step
    with runtime.database.write() as session:
        running = _unended(session, user_id)
        if running:
            return Erasure(texts=texts, chats=chats, running=running)
        private = Prompt.user_id == user_id, Prompt.shared.is_(False)
        prompts = _count_removed(session, delete(Prompt).where(*private))
        _forget_name(session, user_id)
        done = {"texts": texts, "chats": chats, "prompts": prompts}
        audit.record(session, caller, Action.USER_ERASED, subject=f"user:{user_id}", details=done)
    return Erasure(texts=texts, chats=chats, prompts=prompts)


def _not_asked_to_stop(runtime: Runtime, user_id: int) -> list[int]:
    """Some jobs that wait or run, and that nobody has asked to stop."""
    query = (
        select(LLMOutput.id)
        .where(
            LLMOutput.user_id == user_id,
            LLMOutput.status.not_in(sorted(ENDED)),
            LLMOutput.cancel_requested_at.is_(None),
        )
        .limit(MOST_ROWS)
    )
    with runtime.database.read() as session:
        return list(session.scalars(query))


def _erase_step(runtime: Runtime, user_id: int) -> int:
    """Erase some ended rows' texts in a transaction of its own; how many those were."""
    query = (
        select(LLMOutput.id)
        .where(
            LLMOutput.user_id == user_id,
            LLMOutput.status.in_(sorted(ENDED)),
            LLMOutput.erased_at.is_(None),
        )
        .limit(MOST_ROWS)
    )
    with runtime.database.write() as session:
        ids = list(session.scalars(query))
        erase_texts(session, ids)
    return len(ids)


def _unended(session: Session, user_id: int) -> int:
    query = select(func.count()).where(
        LLMOutput.user_id == user_id, LLMOutput.status.not_in(sorted(ENDED))
    )
    return session.scalar(query) or 0


def _forget_name(session: Session, user_id: int) -> None:
    """Everything that says who it was, and what they wrote in other people's chats."""
    user = session.get_one(User, user_id)
    address, nobody = user.email, f"erased-{user_id}@erased.invalid"
    for model in _OWN:
        session.execute(delete(model).where(model.user_id == user_id))
    for stored in _UNLESS_SHARED:
        private = stored.user_id == user_id, stored.shared.is_(False)
        session.execute(delete(stored).where(*private))
    session.execute(
        update(ApiKey)
        .where(ApiKey.user_id == user_id)
        .values(name="", revoked_at=func.coalesce(ApiKey.revoked_at, now()))
    )
    session.execute(
        update(Agent)
        .where(Agent.user_id == user_id)
        .values(name=ERASED, system=None, options=None, updated_at=now())
    )
    _unname_chats(session, user_id)
    written = ChatMessage.author_id == user_id
    answers = select(ChatMessage.id).where(
        ChatMessage.reply_to_id.in_(select(ChatMessage.id).where(written))
    )
    session.execute(delete(ChatRetrieval).where(ChatRetrieval.message_id.in_(answers)))
    session.execute(
        update(ChatMessage).where(written).values(content=ERASED, page=None, author_id=None)
    )
    _rename_in_trail(session, address, nobody)
    user.email, user.name, user.plan, user.password_hash = nobody, "", None, None
    user.updated_at = now()
    session.flush()


def _unname_chats(session: Session, user_id: int) -> None:
    """A chat is called by the first thing said in it, also in somebody else's."""
    said = select(ChatMessage.chat_id).where(ChatMessage.author_id == user_id, ChatMessage.seq == 1)
    session.execute(update(Chat).where(Chat.id.in_(said)).values(title=NEW_CHAT, last_page=None))


def _rename_in_trail(session: Session, address: str, nobody: str) -> None:
    """The one change the trail of acts knows: an address in it becomes nobody's."""
    query = select(AuditEvent).execution_options(yield_per=MOST_ROWS)
    for event in session.scalars(query):
        if event.actor == address:
            event.actor = nobody
        renamed = _renamed(event.details, address, nobody)
        if renamed != event.details and "name" in renamed:
            renamed |= {"name": ""}  # of a key: the person chose it
        if renamed != event.details:
            event.details = renamed


def _renamed(value: Any, address: str, nobody: str) -> Any:
    if isinstance(value, dict):
        return {key: _renamed(inner, address, nobody) for key, inner in value.items()}
    if isinstance(value, list):
        return [_renamed(inner, address, nobody) for inner in value]
    return nobody if value == address else value


def _count_removed(session: Session, statement: Any) -> int:
    found: Any = session.execute(statement)
    return int(found.rowcount)
