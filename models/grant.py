"""What people may do with what is somebody else's."""

from __future__ import annotations

from enum import StrEnum


class GrantRole(StrEnum):
    """What somebody may do with a chat or an asset; each may what those before it may."""

    CAN_VIEW = "can_view"
    CAN_EDIT = "can_edit"
    FULL_ACCESS = "full_access"
    OWNER = "owner"


ROLE_CHECK = "role IN ('can_view', 'can_edit', 'full_access', 'owner')"
