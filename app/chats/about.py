"""A chat about an asset: the messages that bring it in, the links that say what was about what."""

from __future__ import annotations

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from app.assets import Asset, AssetRef
from app.settings import Settings
from models import Chat, ChatMessage, MessageAsset

IMPORT = "import"
CONTEXT = "context"


def imported(session: Session, settings: Settings, chat: Chat, asset: Asset) -> tuple[int, ...]:
    """Bring an asset into a chat that is held: two messages of the assistant, the file and a text.

    Nothing is asked of a model: it gets the asset's content with the first message of a person.
    """
    about(chat, asset)
    if chat.next_seq == 1:
        chat.title = asset.name
    text = settings.asset_chat_text.replace("{name}", asset.name)
    messages = [
        ChatMessage(chat_id=chat.id, seq=chat.next_seq, role="assistant", parts=[_file(asset)]),
        ChatMessage(
            chat_id=chat.id,
            seq=chat.next_seq + 1,
            role="assistant",
            content=text,
            parts=[{"type": "text", "message": text, "is_final_message": True}],
        ),
    ]
    chat.next_seq += len(messages)
    session.add_all(messages)
    session.flush()
    session.add(_link(messages[0], asset, IMPORT))
    session.flush()
    return tuple(message.id for message in messages)


def link(session: Session, chat: Chat, message: ChatMessage, asset: Asset) -> None:
    """Note that a message is about an asset, which the chat is about from now on."""
    about(chat, asset)
    session.add(_link(message, asset, CONTEXT))
    session.flush()


def about_asset(asset: AssetRef) -> Select[int]:
    """The ids of the chats in which an asset was brought in or talked about."""
    return (
        select(ChatMessage.chat_id)
        .join(MessageAsset, MessageAsset.message_id == ChatMessage.id)
        .where(
            MessageAsset.asset_type == asset.type,
            MessageAsset.asset_id == asset.id,
            ChatMessage.deleted_at.is_(None),
        )
    )


def about(chat: Chat, asset: Asset) -> None:
    """Let a chat be about an asset, as it is now."""
    chat.asset_type, chat.asset_id, chat.asset_version = asset.type, asset.id, asset.version


def _link(message: ChatMessage, asset: Asset, role: str) -> MessageAsset:
    return MessageAsset(
        message_id=message.id,
        asset_type=asset.type,
        asset_id=asset.id,
        version=asset.version,
        role=role,
    )


def _file(asset: Asset) -> dict[str, object]:
    """The part of a message that is the asset, in the names its clients know."""
    return {
        "type": "file",
        "id": asset.id,
        "file_type": asset.type,
        "file_name": asset.name,
        "version_id": asset.id,
        "version_number": asset.version or 1,
        "filter_version_id": None,
        "metadata": [{"status": "completed", "message": f"{asset.name} completed"}],
    }
