"""Who was let into a chat or a stored asset."""

from __future__ import annotations

from typing import Literal

from api.schemas.common import RowId, Shown, Strict

GrantRole = Literal["can_view", "can_edit", "full_access", "owner"]


class GrantBody(Strict):
    """Whom to let in, and what they may do."""

    user_id: RowId
    role: GrantRole = "can_view"


class ChatGrantGiven(Shown):
    """What somebody may do now."""

    chat_id: int
    user_id: int
    role: GrantRole


class ChatGrantShown(ChatGrantGiven):
    """Somebody who was let in."""

    name: str


class ChatGrantList(Shown):
    """Who may what in a chat."""

    data: list[ChatGrantShown]


class AssetGrantGiven(Shown):
    """What somebody may do now."""

    asset_id: int
    user_id: int
    role: GrantRole


class AssetGrantShown(AssetGrantGiven):
    """Somebody who was let in."""

    name: str


class AssetGrantList(Shown):
    """Who may what with an asset."""

    data: list[AssetGrantShown]
