"""Who may do what: users, their keys and sign-ins, agents (named defaults for jobs), and the trail
that administrative acts leave."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, Integer, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from models.base import Base, moment_of_insert, row_id
from models.types import BigId, Json, UtcDateTime


class Role(StrEnum):
    MEMBER = "member"
    ADMIN = "admin"


class Scope(StrEnum):
    """What a key may be limited to; a key without scopes has all that its user may do."""

    JOBS_READ = "jobs:read"
    JOBS_WRITE = "jobs:write"
    FEEDBACK_WRITE = "feedback:write"
    TEMPLATES_ADMIN = "templates:admin"
    CHAT_READ = "chat:read"
    CHAT_WRITE = "chat:write"
    OPS_READ = "ops:read"
    KEYS_ADMIN = "keys:admin"


class User(Base):
    """A person or service that owns jobs. `token_allowance` null means unlimited; without a
    `password_hash` nobody can sign in to the pages, keys still work."""

    __tablename__ = "users"

    id: Mapped[int] = row_id()
    email: Mapped[str] = mapped_column(String(254), unique=True)
    name: Mapped[str] = mapped_column(String(255), default="")
    role: Mapped[str] = mapped_column(String(16), default=Role.MEMBER)
    plan: Mapped[str | None] = mapped_column(String(64))
    password_hash: Mapped[str | None] = mapped_column(String(255))
    active: Mapped[bool] = mapped_column(default=True)
    token_allowance: Mapped[int | None] = mapped_column(BigId)
    tokens_used: Mapped[int] = mapped_column(BigId, default=0)
    created_at: Mapped[datetime] = moment_of_insert()
    updated_at: Mapped[datetime] = moment_of_insert()

    __table_args__ = (
        CheckConstraint("role IN ('member', 'admin')", name="role"),
        {"sqlite_autoincrement": True},
    )

    @property
    def is_admin(self) -> bool:
        return self.role == Role.ADMIN

    @property
    def tokens_left(self) -> int | None:
        """What remains of the allowance, never below 0; None when unlimited."""
        if self.token_allowance is None:
            return None
        return max(0, self.token_allowance - self.tokens_used)


class ApiKey(Base):
    """A key: its public part is looked up, its secret stored as SHA-256 only."""

    __tablename__ = "api_keys"

    id: Mapped[int] = row_id()
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    public_id: Mapped[str] = mapped_column(String(16), unique=True)
    secret_sha256: Mapped[str] = mapped_column(String(64))
    prefix: Mapped[str] = mapped_column(String(32))
    last4: Mapped[str] = mapped_column(String(4))
    name: Mapped[str] = mapped_column(String(255), default="")
    scopes: Mapped[list[str] | None] = mapped_column(Json)
    created_at: Mapped[datetime] = moment_of_insert()
    expires_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    revoked_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    last_used_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

    user: Mapped[User] = relationship(lazy="joined")

    __table_args__ = (Index("ix_api_keys_user_id", "user_id"), {"sqlite_autoincrement": True})


class WebSession(Base):
    """A sign-in of a browser: its cookie's token is stored as SHA-256 only."""

    __tablename__ = "web_sessions"

    id: Mapped[int] = row_id()
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    token_sha256: Mapped[str] = mapped_column(String(64), unique=True)
    user_agent: Mapped[str] = mapped_column(String(255), default="")
    created_at: Mapped[datetime] = moment_of_insert()
    seen_at: Mapped[datetime] = moment_of_insert()
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)

    user: Mapped[User] = relationship(lazy="joined")

    __table_args__ = (
        Index("ix_web_sessions_user_id", "user_id"),
        Index("ix_web_sessions_expires_at", "expires_at"),
        {"sqlite_autoincrement": True},
    )


class SavedView(Base):
    """A list of outputs a person comes back to: a name for a query string."""

    __tablename__ = "saved_views"

    id: Mapped[int] = row_id()
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(String(80))
    query: Mapped[str] = mapped_column(String(2000))
    created_at: Mapped[datetime] = moment_of_insert()

    __table_args__ = (UniqueConstraint("user_id", "name"), {"sqlite_autoincrement": True})


class AuditEvent(Base):
    """An administrative act. Rows are only ever added.

    `actor` is the address of who did it, or `operator` for commands on the machine itself;
    `subject` names what it was done to, `user:3` or `queue:low`; `details` never holds a secret.
    """

    __tablename__ = "audit_events"

    id: Mapped[int] = row_id()
    created_at: Mapped[datetime] = moment_of_insert()
    user_id: Mapped[int | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"))
    actor: Mapped[str] = mapped_column(String(254))
    action: Mapped[str] = mapped_column(String(64))
    subject: Mapped[str] = mapped_column(String(255), default="")
    details: Mapped[dict[str, Any] | None] = mapped_column(Json)
    request_id: Mapped[str | None] = mapped_column(String(128))

    __table_args__ = ({"sqlite_autoincrement": True},)


class Agent(Base):
    """Named defaults that a job with `agent_id` inherits where it says nothing itself."""

    __tablename__ = "agents"

    id: Mapped[int] = row_id()
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    name: Mapped[str] = mapped_column(String(255))
    system: Mapped[str | None] = mapped_column(Text)
    model: Mapped[str | None] = mapped_column(String(255))
    format: Mapped[str | None] = mapped_column(String(16))
    options: Mapped[dict[str, Any] | None] = mapped_column(Json)
    version: Mapped[int] = mapped_column(Integer, default=1)
    created_at: Mapped[datetime] = moment_of_insert()
    updated_at: Mapped[datetime] = moment_of_insert()

    __table_args__ = (
        Index("ix_agents_user_id_id", "user_id", "id"),
        {"sqlite_autoincrement": True},
    )
