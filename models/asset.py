"""Assets: things chats are about. Some are stored here; others are rows that are there anyway.

A stored asset has versions that never change; a link says what of which version a message was
about. What a type of asset means, and who may see one, is `app.assets`' business.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, Integer, String
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, moment_of_insert, row_id
from models.grant import ROLE_CHECK
from models.types import BigId, Json, UtcDateTime


class StoredAsset(Base):
    """A metric, a dashboard, a report, or whatever somebody wants to talk about. `version` is the
    newest; where it is `shared`, everybody may read it.
    """

    __tablename__ = "assets"

    id: Mapped[int] = row_id()
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    type: Mapped[str] = mapped_column(String(32))
    name: Mapped[str] = mapped_column(String(255))
    project: Mapped[str] = mapped_column(String(255), default="")
    shared: Mapped[bool] = mapped_column(default=False)
    version: Mapped[int] = mapped_column(Integer, default=1)
    created_at: Mapped[datetime] = moment_of_insert()
    updated_at: Mapped[datetime] = moment_of_insert()
    deleted_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

    __table_args__ = (
        Index("ix_assets_user_id_id", "user_id", "id"),
        {"sqlite_autoincrement": True},
    )


class AssetVersion(Base):
    """One version of a stored asset: any JSON."""

    __tablename__ = "asset_versions"

    asset_id: Mapped[int] = mapped_column(
        BigId, ForeignKey("assets.id", ondelete="CASCADE"), primary_key=True
    )
    version: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    content: Mapped[Any] = mapped_column(Json)
    user_id: Mapped[int | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"))
    created_at: Mapped[datetime] = moment_of_insert()


class MessageAsset(Base):
    """That a message brought an asset into its chat (`import`) or was said about it (`context`)."""

    __tablename__ = "message_assets"

    message_id: Mapped[int] = mapped_column(
        BigId, ForeignKey("chat_messages.id", ondelete="CASCADE"), primary_key=True
    )
    asset_type: Mapped[str] = mapped_column(String(32), primary_key=True)
    asset_id: Mapped[str] = mapped_column(String(255), primary_key=True)
    role: Mapped[str] = mapped_column(String(16), primary_key=True)
    version: Mapped[int | None] = mapped_column(Integer)

    __table_args__ = (Index("ix_message_assets_asset", "asset_type", "asset_id"),)


class AssetGrant(Base):
    """What one person may do with a stored asset; its creator, who may all, needs none."""

    __tablename__ = "asset_grants"

    asset_id: Mapped[int] = mapped_column(
        BigId, ForeignKey("assets.id", ondelete="CASCADE"), primary_key=True
    )
    user_id: Mapped[int] = mapped_column(
        BigId, ForeignKey("users.id", ondelete="CASCADE"), primary_key=True
    )
    role: Mapped[str] = mapped_column(String(16))
    created_at: Mapped[datetime] = moment_of_insert()

    __table_args__ = (
        CheckConstraint(ROLE_CHECK, name="role"),
        Index("ix_asset_grants_user_id_asset_id", "user_id", "asset_id"),
    )
