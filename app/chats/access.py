"""Who may see a chat and what they may do with it. A stranger's chat does not exist.

Administrators may do what an owner may, as everywhere in the house.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, delete, or_, select
from sqlalchemy.orm import Session

from app.accounts import Caller
from app.errors import Conflict, Forbidden, InvalidParameter, NotFound
from app.lookup import row_by_id
from app.settings import Settings
from models import Chat, ChatGrant, ChatMessage, ChatRole, User

_ORDER = list(ChatRole)


def get_chat(
    session: Session, caller: Caller, chat_id: int, *, need: ChatRole = ChatRole.CAN_VIEW
) -> Chat:
    """A chat. Raises NotFound for an unknown, removed or strange one, Forbidden for one in which
    the caller may not do so much.
    """
    chat = row_by_id(session, Chat, chat_id)
    role = role_in(session, caller, chat) if chat is not None else None
    if chat is None or chat.deleted_at is not None or role is None:
        raise NotFound(f"Unknown chat: {chat_id}" if chat_id > 0 else "Unknown chat")
    if _ORDER.index(role) < _ORDER.index(need):
        raise Forbidden(f"This needs {need} of the chat; you have {role}", role=str(role))
    return chat


def held_chat(session: Session, caller: Caller, chat_id: int, *, need: ChatRole) -> Chat:
    """The same, while nobody else who holds it goes on: what is read of it next is the newest."""
    chat = get_chat(session, caller, chat_id, need=need)
    session.execute(select(Chat.id).where(Chat.id == chat.id).with_for_update())
    session.refresh(chat)
    return get_chat(session, caller, chat_id, need=need)


def get_message(
    session: Session, caller: Caller, message_id: int, *, need: ChatRole
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


def role_in(session: Session, caller: Caller, chat: Chat) -> ChatRole | None:
    """What the caller is in a chat; None for strangers."""
    user_id = caller.user_id
    found = None if user_id is None else session.get(ChatGrant, (chat.id, user_id))
    return role_with(found, caller, chat)


def role_with(found: ChatGrant | None, caller: Caller, chat: Chat) -> ChatRole | None:
    """The same of somebody whose grant, if there is one, was found already."""
    if caller.sees(chat.user_id):
        return ChatRole.OWNER
    return ChatRole(found.role) if found is not None else None


def visible(caller: Caller) -> ColumnElement[bool]:
    """The condition of lists: one's own chats, and those that are shared with one."""
    shared = select(ChatGrant.chat_id).where(ChatGrant.user_id == caller.user_id)
    return or_(Chat.user_id == caller.user_id, Chat.id.in_(shared))


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
    chat = held_chat(session, caller, chat_id, need=ChatRole.OWNER)
    if user_id == chat.user_id:
        raise Conflict("The chat's creator keeps all rights")
    user = row_by_id(session, User, user_id)
    if user is None or not user.active:
        raise NotFound(f"Unknown user: {user_id}", pointer="/user_id")
    if role not in list(ChatRole):
        raise InvalidParameter(f"Invalid role. Must be one of: {', '.join(ChatRole)}")
    found = session.get(ChatGrant, (chat.id, user_id))
    if found is None:
        session.add(ChatGrant(chat_id=chat.id, user_id=user_id, role=role))
    else:
        found.role = role
    session.flush()
    return {"chat_id": chat.id, "user_id": user_id, "role": role}


def list_grants(session: Session, caller: Caller, chat_id: int) -> list[dict[str, Any]]:
    """Who may what in a chat, its creator included. Raises NotFound."""
    chat = get_chat(session, caller, chat_id)
    query = (
        select(ChatGrant.user_id, User.name, ChatGrant.role)
        .join(User, User.id == ChatGrant.user_id)
        .where(ChatGrant.chat_id == chat.id)
        .order_by(ChatGrant.created_at, ChatGrant.user_id)
    )
    return [
        {"chat_id": chat.id, "user_id": row.user_id, "name": row.name, "role": row.role}
        for row in session.execute(query)
    ]


def revoke(session: Session, caller: Caller, chat_id: int, *, user_id: int) -> None:
    """Take somebody's grant back. Raises NotFound, Forbidden, Conflict for the creator's."""
    chat = held_chat(session, caller, chat_id, need=ChatRole.OWNER)
    if user_id == chat.user_id:
        raise Conflict("The chat's creator keeps all rights")
    gone = session.execute(
        delete(ChatGrant)
        .where(ChatGrant.chat_id == chat.id, ChatGrant.user_id == user_id)
        .returning(ChatGrant.user_id)
    )
    if gone.first() is None:
        raise NotFound("Nobody of that number was let in")
