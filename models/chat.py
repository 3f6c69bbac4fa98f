"""Chats: conversations whose every turn is a job, and who may see them.

A message keeps what its people and its order need. What came of an assistant's turn is its job's
(`output_id`) and is read there: a status is never stored twice. Only a turn that led to no job, for
want of an allowance or because it was given up while it waited, says so itself
(`failure_category`).
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import (
    CheckConstraint,
    ForeignKey,
    Index,
    Integer,
    String,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, moment_of_insert, row_id
from models.grant import ROLE_CHECK
from models.types import BigId, Json, UtcDateTime


class Chat(Base):
    """A conversation. `step_id` ties it to one step of its creator's `project` (blank: none);
    `next_seq` is the number of the next message; `meta` holds its model and its context. The asset
    is what it is about now, in the version it was brought in. `title_output_id` is the job that
    finds a title for it, while it does.
    """

    __tablename__ = "chats"

    id: Mapped[int] = row_id()
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    title: Mapped[str] = mapped_column(String(255))
    kind: Mapped[str] = mapped_column(String(32))
    project: Mapped[str] = mapped_column(String(255), default="")
    step_id: Mapped[str | None] = mapped_column(String(255))
    last_page: Mapped[dict[str, Any] | None] = mapped_column(Json)
    meta: Mapped[dict[str, Any]] = mapped_column(Json)
    asset_type: Mapped[str | None] = mapped_column(String(32))
    asset_id: Mapped[str | None] = mapped_column(String(255))
    asset_version: Mapped[int | None] = mapped_column(Integer)
    client_message_id: Mapped[str | None] = mapped_column(String(255))
    title_output_id: Mapped[int | None] = mapped_column(BigId)
    next_seq: Mapped[int] = mapped_column(Integer, default=1)
    created_at: Mapped[datetime] = moment_of_insert()
    updated_at: Mapped[datetime] = moment_of_insert()
    archived_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    deleted_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

    __table_args__ = (
        Index(
            "uq_chats_user_id_client_message_id",
            "user_id",
            "client_message_id",
            unique=True,
            postgresql_where=text("client_message_id IS NOT NULL"),
            sqlite_where=text("client_message_id IS NOT NULL"),
        ),
        Index(
            "uq_chats_step",
            "user_id",
            "project",
            "step_id",
            unique=True,
            postgresql_where=text(
                "step_id IS NOT NULL AND archived_at IS NULL AND deleted_at IS NULL"
            ),
            sqlite_where=text("step_id IS NOT NULL AND archived_at IS NULL AND deleted_at IS NULL"),
        ),
        Index(  # what the dispatcher looks at, every tick
            "ix_chats_title_output_id",
            "title_output_id",
            postgresql_where=text("title_output_id IS NOT NULL"),
            sqlite_where=text("title_output_id IS NOT NULL"),
        ),
        {"sqlite_autoincrement": True},
    )


class ChatMessage(Base):
    """One message. `seq` orders it in its chat. `output_id` is the job an assistant's message is
    the projection of: the newest one, when it was tried again. `page` is where its author was.
    `waiting` is set of an answer whose turn has not come: what its job will be made of.
    `attachments` names the parts of the chat's context that go with it; None is all of them.
    """

    __tablename__ = "chat_messages"

    id: Mapped[int] = row_id()
    chat_id: Mapped[int] = mapped_column(ForeignKey("chats.id", ondelete="CASCADE"))
    seq: Mapped[int] = mapped_column(Integer)
    role: Mapped[str] = mapped_column(String(16))
    content: Mapped[str | None] = mapped_column(Text)
    parts: Mapped[list[dict[str, Any]] | None] = mapped_column(Json)
    page: Mapped[dict[str, Any] | None] = mapped_column(Json)
    attachments: Mapped[list[str] | None] = mapped_column(Json)
    output_id: Mapped[int | None] = mapped_column(ForeignKey("llm_outputs.id", ondelete="SET NULL"))
    reply_to_id: Mapped[int | None] = mapped_column(
        ForeignKey("chat_messages.id", ondelete="CASCADE")
    )
    author_id: Mapped[int | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"))
    client_message_id: Mapped[str | None] = mapped_column(String(255))
    waiting: Mapped[dict[str, Any] | None] = mapped_column(Json)
    failure_category: Mapped[str | None] = mapped_column(String(64))
    failure_message: Mapped[str | None] = mapped_column(String(500))
    created_at: Mapped[datetime] = moment_of_insert()
    deleted_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

    __table_args__ = (
        CheckConstraint("role IN ('user', 'assistant')", name="role"),
        UniqueConstraint("chat_id", "seq"),
        Index(
            "uq_chat_messages_chat_id_client_message_id",
            "chat_id",
            "client_message_id",
            unique=True,
            postgresql_where=text("client_message_id IS NOT NULL"),
            sqlite_where=text("client_message_id IS NOT NULL"),
        ),
        Index("ix_chat_messages_output_id", "output_id"),
        Index(  # what the dispatcher looks at, every tick
            "ix_chat_messages_waiting",
            "chat_id",
            "seq",
            postgresql_where=text("waiting IS NOT NULL"),
            sqlite_where=text("waiting IS NOT NULL"),
        ),
        {"sqlite_autoincrement": True},
    )


class ChatGrant(Base):
    """What one person may do with a chat. Its creator has a grant as `owner`."""

    __tablename__ = "chat_grants"

    chat_id: Mapped[int] = mapped_column(
        BigId, ForeignKey("chats.id", ondelete="CASCADE"), primary_key=True
    )
    user_id: Mapped[int] = mapped_column(
        BigId, ForeignKey("users.id", ondelete="CASCADE"), primary_key=True
    )
    role: Mapped[str] = mapped_column(String(16))
    created_at: Mapped[datetime] = moment_of_insert()

    __table_args__ = (
        CheckConstraint(ROLE_CHECK, name="role"),
        Index("ix_chat_grants_user_id_chat_id", "user_id", "chat_id"),
    )
