"""Who may see a chat and what they may do with it. A stranger's chat does not exist.

Administrators may do what an owner may, as everywhere in the house.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, or_, select
from sqlalchemy.orm import Session

from app import grants
from app.accounts import Caller
from app.errors import Forbidden, NotFound
from app.lookup import row_by_id
from app.settings import Settings
from models import Chat, ChatGrant, ChatMessage, GrantRole


def get_chat(
    session: Session, caller: Caller, chat_id: int, *, need: GrantRole = GrantRole.CAN_VIEW
) -> Chat:
    """A chat. Raises NotFound for an unknown, removed or strange one, Forbidden for one in which
    the caller may not do so much.
    """
    chat = row_by_id(session, Chat, chat_id)
    role = grants.role_in(session, caller, chat) if chat is not None else None
    if chat is None or chat.deleted_at is not None or role is None:
        raise NotFound(f"Unknown chat: {chat_id}" if chat_id > 0 else "Unknown chat")
    grants.require(role, need, "chat")
    return chat


def held_chat(session: Session, caller: Caller, chat_id: int, *, need: GrantRole) -> Chat:
    """The same, while nobody else who holds it goes on: what is read of it next is the newest."""
    chat = get_chat(session, caller, chat_id, need=need)
    session.execute(select(Chat.id).where(Chat.id == chat.id).with_for_update())
    session.refresh(chat)
    return get_chat(session, caller, chat_id, need=need)


def get_message(
    session: Session, caller: Caller, message_id: int, *, need: GrantRole
) -> tuple[Chat, ChatMessage]:
    """A live message and its chat. Raises as `get_chat`."""
    message = row_by_id(session, ChatMessage, message_id)
    unknown = f"Unknown message: {message_id}" if message_id > 0 else "Unknown message"
    if message is None:
        raise NotFound(unknown)
    try:
        chat = get_chat(session, caller, message.chat_id, need=need)
    except NotFound:
        raise NotFound(unknown) from None
    if message.deleted_at is not None:
        raise NotFound(unknown)
    return chat, message


def visible(caller: Caller) -> ColumnElement[bool]:
    """The condition of lists: one's own chats, and those that are shared with one."""
    return or_(Chat.user_id == caller.user_id, Chat.id.in_(grants.granted(caller, ChatGrant)))


def check_may_chat(settings: Settings, caller: Caller) -> None:
    """Raises Forbidden for somebody whose role may not write in chats, or who is nobody."""
    if caller.user_id is None:
        raise Forbidden("A chat needs a user who writes in it")
    if caller.role not in settings.chatting_roles:
        raise Forbidden(f"Chats are open to: {settings.chat_roles}")


def grant(
    session: Session, caller: Caller, chat_id: int, *, user_id: int, role: str
) -> dict[str, Any]:
    """Let somebody into a chat, or change what they may. Raises NotFound, Forbidden, Conflict."""
    chat = held_chat(session, caller, chat_id, need=GrantRole.OWNER)
    return grants.give(session, chat, user_id=user_id, role=role)


def list_grants(session: Session, caller: Caller, chat_id: int) -> list[dict[str, Any]]:
    """Who may what in a chat, its creator included. Raises NotFound."""
    return grants.listed(session, get_chat(session, caller, chat_id))


def revoke(session: Session, caller: Caller, chat_id: int, *, user_id: int) -> None:
    """Take somebody's grant back. Raises NotFound, Forbidden, Conflict for the creator's."""
    chat = held_chat(session, caller, chat_id, need=GrantRole.OWNER)
    grants.take_back(session, chat, user_id=user_id)
