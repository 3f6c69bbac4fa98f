"""Prompts by name: their versions, the labels that point at them, and what people made of results.

A version's definition is never changed once it is published; a draft, of which there is at most
one, may be. Nothing here reads a definition: its form is `app.prompts.definition`'s.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, Integer, String, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, moment_of_insert, row_id
from models.types import Json, UtcDateTime


class Prompt(Base):
    """A named prompt of one author. Where it is `shared`, everybody may use it, and its name is the
    only shared one of its kind. `latest` is the newest published version, null before the first;
    `last_number` the highest that was ever given, to a draft that is gone as well.
    """

    __tablename__ = "prompts"

    id: Mapped[int] = row_id()
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    name: Mapped[str] = mapped_column(String(100))
    shared: Mapped[bool] = mapped_column(default=False)
    latest: Mapped[int | None] = mapped_column(Integer)
    last_number: Mapped[int] = mapped_column(Integer, default=0)
    created_at: Mapped[datetime] = moment_of_insert()
    updated_at: Mapped[datetime] = moment_of_insert()
    archived_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

    __table_args__ = (
        Index(
            "uq_prompts_user_id_name",
            "user_id",
            "name",
            unique=True,
            postgresql_where=text("archived_at IS NULL"),
            sqlite_where=text("archived_at IS NULL"),
        ),
        Index(
            "uq_prompts_shared_name",
            "name",
            unique=True,
            postgresql_where=text("shared AND archived_at IS NULL"),
            sqlite_where=text("shared AND archived_at IS NULL"),
        ),
        Index("ix_prompts_user_id_id", "user_id", "id"),
        {"sqlite_autoincrement": True},
    )


class PromptVersion(Base):
    """One version: its definition in canonical form. `published_at` null: a draft."""

    __tablename__ = "prompt_versions"

    id: Mapped[int] = row_id()
    prompt_id: Mapped[int] = mapped_column(ForeignKey("prompts.id", ondelete="CASCADE"))
    version: Mapped[int] = mapped_column(Integer)
    definition: Mapped[dict[str, Any]] = mapped_column(Json)
    user_id: Mapped[int | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"))
    created_at: Mapped[datetime] = moment_of_insert()
    updated_at: Mapped[datetime] = moment_of_insert()
    published_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

    __table_args__ = (
        UniqueConstraint("prompt_id", "version"),
        Index(
            "uq_prompt_versions_draft",
            "prompt_id",
            unique=True,
            postgresql_where=text("published_at IS NULL"),
            sqlite_where=text("published_at IS NULL"),
        ),
        {"sqlite_autoincrement": True},
    )


class PromptLabel(Base):
    """A name for a version, such as `production`. `previous` is what it pointed at before."""

    __tablename__ = "prompt_labels"

    prompt_id: Mapped[int] = mapped_column(
        ForeignKey("prompts.id", ondelete="CASCADE"), primary_key=True
    )
    label: Mapped[str] = mapped_column(String(64), primary_key=True)
    version: Mapped[int] = mapped_column(Integer)
    previous: Mapped[int | None] = mapped_column(Integer)
    updated_at: Mapped[datetime] = moment_of_insert()


class ItemReview(Base):
    """What a person made of an output's result items. Rows are only added; the newest counts.

    `items` are all of them as that person left them; the model's own stay in the output.
    """

    __tablename__ = "item_reviews"

    id: Mapped[int] = row_id()
    output_id: Mapped[int] = mapped_column(ForeignKey("llm_outputs.id", ondelete="CASCADE"))
    user_id: Mapped[int | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"))
    items: Mapped[dict[str, Any]] = mapped_column(Json)
    confirmed: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[datetime] = moment_of_insert()

    __table_args__ = (
        Index("ix_item_reviews_output_id_id", "output_id", "id"),
        {"sqlite_autoincrement": True},
    )


class RegisteredEndpoint(Base):
    """An OpenAI-compatible endpoint an administrator registered. It holds no secret: the last three
    name environment variables that do.
    """

    __tablename__ = "endpoints"

    id: Mapped[int] = row_id()
    name: Mapped[str] = mapped_column(String(64), unique=True)
    base_url: Mapped[str] = mapped_column(String(2000))
    model: Mapped[str | None] = mapped_column(String(255))
    options: Mapped[dict[str, Any] | None] = mapped_column(Json)
    timeout_seconds: Mapped[float | None]
    api_key_variable: Mapped[str | None] = mapped_column(String(255))
    user_variable: Mapped[str | None] = mapped_column(String(255))
    password_variable: Mapped[str | None] = mapped_column(String(255))
    user_id: Mapped[int | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"))
    created_at: Mapped[datetime] = moment_of_insert()
    updated_at: Mapped[datetime] = moment_of_insert()

    __table_args__ = ({"sqlite_autoincrement": True},)
