"""Chats as things: making one, also for the first message, listing, renaming, removing."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from app import assets, jobs, paging
from app.accounts import OPERATOR, Caller
from app.assets import Asset, AssetRef
from app.chats.about import about_asset, imported, link
from app.chats.access import check_may_chat, held_chat, visible
from app.chats.input import KINDS
from app.chats.sources import look_up
from app.chats.titles import NEW_CHAT, title_of
from app.chats.turns import (
    Begun,
    Request,
    Taken,
    active_turn,
    add_turn,
    check_content,
    give_up,
    refuse_second,
    replay,
    send,
    take,
    tell,
    turn_job,
)
from app.errors import Conflict, InvalidParameter
from app.jobs.limits import check_text
from app.paging import Page
from app.runtime import Runtime
from models import Chat, ChatGrant, ChatMessage, GrantRole
from models.base import table_of
from models.types import now

LONGEST_TITLE = 255
_T = table_of(Chat)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewChat:
    """A chat to make; `first` is what is said in it at once. Without it a chat about an `asset`
    begins with two messages that bring it in, and no model is asked.
    """

    kind: str = "general"
    project: str = ""
    step_id: str | None = None
    page: dict[str, Any] | None = None
    context: dict[str, Any] | None = None
    read_only: bool = False
    model: str | None = None
    client_message_id: str | None = None
    first: Request | None = None
    asset: AssetRef | None = None


class _Known(Exception):
    """There is such a chat already."""


def create(runtime: Runtime, caller: Caller, wanted: NewChat) -> Taken:
    """Make a chat and take its first turn. The same `client_message_id` again, or a step that has
    its chat, adds none; to the latter the message is sent.

    Raises Forbidden, InvalidParameter, AssetNotFound, Conflict when that chat was removed, and what
    `send` raises.
    """
    check_may_chat(runtime.settings, caller)
    if wanted.kind not in KINDS:
        raise InvalidParameter(f"Invalid kind. Must be one of: {', '.join(KINDS)}", pointer="/kind")
    if wanted.first is not None:
        check_content(runtime.settings, wanted.first.content, pointer="/prompt")
    asset = None
    if wanted.asset is not None:
        with runtime.database.read() as session:  # before anything is made
            asset = assets.find(session, caller, wanted.asset)
    try:
        return _made(runtime, caller, wanted, asset)
    except _Known:
        return _found(runtime, caller, wanted)


def list_chats(
    session: Session,
    caller: Caller,
    *,
    limit: int = paging.DEFAULT_LIMIT,
    after: str | None = None,
    kind: str | None = None,
    q: str | None = None,
    asset: AssetRef | None = None,
) -> Page[Chat]:
    """One's own chats and those shared with one, newest first; with `asset`, those about it."""
    query = select(Chat).where(visible(caller), Chat.deleted_at.is_(None))
    if kind is not None:
        query = query.where(Chat.kind == kind)
    if q:
        query = query.where(Chat.title.icontains(q, autoescape=True))
    if asset is not None:
        query = query.where(Chat.id.in_(about_asset(asset)))
    return paging.newest_first(session, query, Chat.id, limit=limit, after=after)


def change_title(runtime: Runtime, caller: Caller, chat_id: int, title: str) -> None:
    """Give a chat another title. Raises NotFound, Forbidden, InvalidParameter."""
    check_text(title, pointer="/title")
    title = " ".join(title.split())
    if not 1 <= len(title) <= LONGEST_TITLE:
        raise InvalidParameter(f"A title has 1 to {LONGEST_TITLE} characters", pointer="/title")
    with runtime.database.write() as session:
        chat = held_chat(session, caller, chat_id, need=GrantRole.CAN_EDIT)
        chat.title, chat.title_output_id, chat.updated_at = title, None, now()
    tell(runtime, chat_id)


def set_context(runtime: Runtime, caller: Caller, chat_id: int, context: dict[str, Any]) -> None:
    """Let a chat know this of its step, in place of all it knew; turns in progress go on with what
    they began with. Raises NotFound, Forbidden.
    """
    with runtime.database.write() as session:
        chat = held_chat(session, caller, chat_id, need=GrantRole.CAN_EDIT)
        chat.meta = {**chat.meta, "context": context}
        chat.updated_at = now()
    tell(runtime, chat_id)


def bring_in(runtime: Runtime, caller: Caller, chat_id: int, ref: AssetRef) -> Taken:
    """Let a chat be about an asset from now on: two messages of the assistant bring it in, and no
    model is asked. One it is about already, in its newest version, is not brought in again.

    Raises NotFound, Forbidden, AssetNotFound, TurnInProgress.
    """
    check_may_chat(runtime.settings, caller)
    with runtime.database.write() as session:
        chat = held_chat(session, caller, chat_id, need=GrantRole.CAN_EDIT)
        asset = assets.find(session, caller, ref)
        if (chat.asset_type, chat.asset_id, chat.asset_version) == asset.identity:
            return Taken(chat_id=chat.id, new=False)
        refuse_second(session, chat.id)
        ids = imported(session, runtime.settings, chat, asset)
        chat.updated_at = now()
    tell(runtime, chat_id)
    return Taken(chat_id=chat_id, message_ids=ids)


def remove(runtime: Runtime, caller: Caller, chat_id: int) -> None:
    """Remove a chat from sight, and stop what is written in it. A step's chat is archived, by an
    administrator only; then the step may have another. Raises NotFound, Forbidden, Conflict.
    """
    with runtime.database.write() as session:
        chat = held_chat(session, caller, chat_id, need=GrantRole.OWNER)
        if chat.step_id is not None:
            if not caller.is_admin:
                raise Conflict("The chat of a step is archived by an administrator")
            chat.archived_at = now()
        else:
            chat.deleted_at = now()
        chat.updated_at = now()
        give_up(session, ChatMessage.chat_id == chat.id)
        turn = active_turn(session, chat.id)
    if turn is not None:
        with suppress(Conflict):  # it has just ended
            jobs.cancel(runtime, OPERATOR, turn.job_id)
    tell(runtime, chat_id)


def _made(runtime: Runtime, caller: Caller, wanted: NewChat, asset: Asset | None) -> Taken:
    first = wanted.first
    if first is None:
        with runtime.database.write() as session:
            chat = _insert(session, runtime, caller, wanted)
            ids = imported(session, runtime.settings, chat, asset) if asset else ()
            return Taken(chat_id=chat.id, message_ids=ids)
    job = turn_job(runtime.settings, caller, wanted.kind, wanted.model, first)

    def begin(session: Session) -> Begun:
        begun = add_turn(session, caller, _insert(session, runtime, caller, wanted), first)
        if asset is not None:
            link(session, begun.chat, begun.question, asset)
        return begun

    looked = look_up(runtime, caller, first.content, page=first.page, context=first.context)
    return take(runtime, caller, job, begin, looked)


def _insert(session: Session, runtime: Runtime, caller: Caller, wanted: NewChat) -> Chat:
    """The new row, unless another request with the same key, or of the same step, was first: its
    unique indexes decide. Raises _Known.
    """
    insert: Any = {"postgresql": postgresql.insert, "sqlite": sqlite.insert}[
        session.get_bind().dialect.name
    ]
    said = wanted.first.content if wanted.first else ""
    meta = {"model": wanted.model, "context": wanted.context, "read_only": wanted.read_only}
    statement = (
        insert(_T)
        .values(
            user_id=caller.user_id,
            title=title_of(said, longest=runtime.settings.chat_title_max) if said else NEW_CHAT,
            kind=wanted.kind,
            project=wanted.project,
            step_id=wanted.step_id,
            last_page=wanted.page,
            meta={name: value for name, value in meta.items() if value},
            client_message_id=wanted.client_message_id,
            next_seq=1,
            created_at=now(),
            updated_at=now(),
        )
        .on_conflict_do_nothing()
        .returning(_T.c.id)
    )
    chat_id = session.scalar(statement)
    if chat_id is None:
        raise _Known
    session.add(ChatGrant(chat_id=chat_id, user_id=caller.user_id, role=GrantRole.OWNER))
    session.flush()
    return session.get_one(Chat, chat_id)


def _found(runtime: Runtime, caller: Caller, wanted: NewChat) -> Taken:
    """The chat that was there before, and its first turn if the key is the same."""
    mine = select(Chat).where(Chat.user_id == caller.user_id)
    with runtime.database.read() as session:
        same = None
        if wanted.client_message_id is not None:
            key = Chat.client_message_id == wanted.client_message_id
            same = session.scalar(mine.where(key))
        if same is not None:
            if same.deleted_at is not None:
                raise Conflict("The chat of that client_message_id was removed")
            query = select(ChatMessage).where(ChatMessage.chat_id == same.id, ChatMessage.seq == 1)
            question = session.scalar(query)
        else:
            of_step = session.scalar(
                mine.where(
                    Chat.project == wanted.project,
                    Chat.step_id == wanted.step_id,
                    Chat.archived_at.is_(None),
                    Chat.deleted_at.is_(None),
                )
            )
    if same is not None:
        return replay(runtime, question) if question else Taken(chat_id=same.id, new=False)
    if of_step is None:
        raise Conflict("The chat of that step was removed meanwhile: send the request again")
    if wanted.first is None:
        return Taken(chat_id=of_step.id, new=False)
    sent = send(runtime, caller, of_step.id, wanted.first)
    return Taken(
        chat_id=sent.chat_id,
        message_ids=sent.message_ids,
        job=sent.job,
        new=False,
        limit=sent.limit,
    )
