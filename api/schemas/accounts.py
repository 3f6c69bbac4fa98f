"""Users, keys, agents, and who one is oneself."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from api.schemas.common import ListOf, PageQuery, RowId, Shown, Strict, When
from api.schemas.jobs import FormatWord
from models import Scope

RoleWord = Literal["member", "admin"]


class UserBody(Strict):
    """A new user."""

    email: str = Field(max_length=254, examples=["alice@example.org"])
    name: str = Field("", max_length=255, examples=["Alice"])
    role: RoleWord = "member"
    plan: str | None = Field(None, max_length=64)
    token_allowance: int | None = Field(
        None, ge=0, le=2**62 - 1, description="Tokens in all; null is unlimited."
    )


class UserChange(Strict):
    """What to change of a user; what is not named stays."""

    name: str | None = Field(None, max_length=255)
    role: RoleWord | None = None
    plan: str | None = Field(None, max_length=64)
    active: bool | None = Field(None, description="An inactive user's keys are refused.")
    token_allowance: int | None = Field(None, ge=0, le=2**62 - 1)


class UserShown(Shown):
    """A user."""

    id: int
    email: str
    name: str
    role: RoleWord
    plan: str | None
    active: bool
    token_allowance: int | None
    tokens_used: int
    tokens_left: int | None = Field(description="Null when unlimited.")
    created_at: datetime
    updated_at: datetime


class ErasureShown(Shown):
    """What went with a person."""

    texts: int = Field(description="Jobs that lost their texts now.")
    chats: int
    prompts: int = Field(description="Private ones; shared ones stay.")
    running: int = Field(description="Jobs that are still being stopped; the name goes after them.")


class UserList(ListOf[UserShown]):
    """A page of users."""


class KeyBody(Strict):
    """A new key."""

    name: str = Field("", max_length=255, examples=["nightly import"])
    scopes: list[str] | None = Field(
        None,
        max_length=len(Scope),
        description="What the key is limited to; null: all that its user may do.",
        examples=[["jobs:read", "jobs:write"]],
    )
    expires_at: When | None = Field(None, description="The key is refused from then on.")
    user_id: RowId | None = Field(None, description="Whose key; administrators only.")


class KeyShown(Shown):
    """A key, without its secret."""

    id: int
    user_id: int
    name: str
    prefix: str = Field(description="The key's public beginning.", examples=["ljk_live_4fGh7Kp2Qx"])
    last4: str
    scopes: list[str] | None
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None


class KeyList(ListOf[KeyShown]):
    """A page of keys."""


class NewKeyShown(KeyShown):
    """A key that was just made; `key` is shown this once."""

    key: str


class AllUsersQuery(PageQuery):
    """Whose rows."""

    all_users: bool = Field(False, description="Everybody's; administrators only.")


class Me(Shown):
    """Who the key belongs to and what it may do."""

    user: UserShown
    key: KeyShown
    scopes: list[str] = Field(description="What this key may do.")


class AgentBody(Strict):
    """A new agent."""

    name: str = Field(max_length=255, examples=["support"])
    system: str | None = Field(None, description="The system message of its jobs.")
    model: str | None = Field(None, max_length=255)
    format: FormatWord | None = None
    options: dict[str, Any] | None = None
    user_id: RowId | None = Field(None, description="Whose agent; administrators only.")


class AgentChange(Strict):
    """What to change of an agent; what is not named stays, null unsets."""

    name: str | None = Field(None, max_length=255)
    system: str | None = None
    model: str | None = Field(None, max_length=255)
    format: FormatWord | None = None
    options: dict[str, Any] | None = None


class AgentShown(Shown):
    """An agent."""

    id: int
    user_id: int
    name: str
    system: str | None
    model: str | None
    format: FormatWord | None
    options: dict[str, Any] | None
    version: int = Field(description="Rises with each change.")
    created_at: datetime
    updated_at: datetime


class AgentList(ListOf[AgentShown]):
    """A page of agents."""
