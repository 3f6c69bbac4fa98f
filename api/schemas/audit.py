"""The trail of administrative acts."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import Field

from api.schemas.common import ListOf, PageQuery, Shown
from app.audit import Action


class AuditQuery(PageQuery):
    """Which acts."""

    action: Action | None = Field(None, description="Only acts of this kind.")


class AuditEventShown(Shown):
    """An administrative act."""

    id: int
    created_at: datetime
    user_id: int | None = Field(description="Who did it; null for commands on the machine itself.")
    actor: str = Field(description="An address, or `operator`.", examples=["ada@example.org"])
    action: Action
    subject: str = Field(description="What it was done to.", examples=["user:3", "queue:low"])
    details: dict[str, Any] | None
    request_id: str | None


class AuditEventList(ListOf[AuditEventShown]):
    """A page of the trail."""
