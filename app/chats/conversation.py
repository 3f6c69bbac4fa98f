"""What a turn's model gets of a chat: what is stored of it, read in the turn's transaction."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from app import assets
from app.accounts import Caller
from app.assets import AssetRef, Material
from app.chats.input import Said, model_input
from app.providers.contract import Message
from models import Chat, ChatMessage, LLMOutput, Status

ALWAYS_ATTACHED = "adaptor"
_MOST_MESSAGES = 1_000


def conversation(
    session: Session, caller: Caller, chat: Chat, question: ChatMessage, *, reference: str
) -> list[Message]:
    """The messages of one call. What the chat is about is read with the caller's eyes; where they
    may only read it, no changes are to be suggested.
    """
    asset = _asset(session, caller, chat)
    only_reads = asset is not None and not asset.may_edit
    return model_input(
        chat.kind,
        _attached(chat, question),
        _history(session, question),
        Said("user", question.content or "", question.page),
        read_only=bool(chat.meta.get("read_only")) or only_reads,
        asset=asset.text if asset else None,
        reference=reference,
    )


def _attached(chat: Chat, question: ChatMessage) -> dict[str, Any]:
    """The parts of the chat's context that go with a message; whose step it is always does."""
    context: dict[str, Any] = chat.meta.get("context") or {}
    if question.attachments is None:
        return context
    wanted = {ALWAYS_ATTACHED, *question.attachments}
    return {name: part for name, part in context.items() if name in wanted}


def _asset(session: Session, caller: Caller, chat: Chat) -> Material | None:
    """What the chat is about, as it is now, if whoever speaks may see it."""
    if chat.asset_type is None or chat.asset_id is None:
        return None
    return assets.material(session, caller, AssetRef(chat.asset_type, chat.asset_id))


def _history(session: Session, question: ChatMessage) -> list[Said]:
    """What people said before, and the answers that succeeded."""
    rows = session.execute(
        select(ChatMessage, LLMOutput.raw_response)
        .join(LLMOutput, LLMOutput.id == ChatMessage.output_id, isouter=True)
        .where(
            ChatMessage.chat_id == question.chat_id,
            ChatMessage.seq < question.seq,
            ChatMessage.deleted_at.is_(None),
            (ChatMessage.role == "user") | (LLMOutput.status == Status.COMPLETED),
        )
        .order_by(ChatMessage.seq.desc())
        .limit(_MOST_MESSAGES)
    )
    said = [Said(m.role, m.content or answer or "", m.page) for m, answer in rows]
    return [one for one in said[::-1] if one.content.strip()]
