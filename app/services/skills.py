"""Skills: ways of working that somebody wrote down, and that a request names.

A skill is a stored asset of the type `skill`: its name, and a text the model follows. One's own go
before those that others share.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from sqlalchemy.orm import Session

from app import assets
from app.accounts import Caller
from app.prompts.templating import spell
from app.services.problems import ServiceError, bad_request

TYPE = "skill"
_MOST = 100


def named(payload: Mapping[str, Any]) -> str | None:
    """The skill that a request names. Raises ServiceError for one without a name."""
    sent = payload.get("skill")
    if sent is None:
        return None
    name = sent.get("name") if isinstance(sent, dict) else None
    if not isinstance(name, str) or not name.strip():
        raise bad_request("'skill' must have a name")
    return name.strip()


def without_token(content: str, name: str) -> str:
    """What its author says without the `/name` they began it with; `/name-of-another` stays."""
    return re.sub(rf"\A\s*/{re.escape(name)}(?![\w-])\s*", "", content) or content


def find(session: Session, caller: Caller, name: str) -> str:
    """The text of a skill that the caller may use. Raises ServiceError naming those there are."""
    like_it = assets.list_assets(session, caller, type=TYPE, q=name, limit=_MOST).rows
    named_so = [row for row in like_it if row.name == name]
    if named_so:
        first = min(named_so, key=lambda row: (row.user_id != caller.user_id, row.id))
        return spell(TYPE, assets.content_of(session, first))
    there_are = assets.list_assets(session, caller, type=TYPE, limit=_MOST).rows
    raise ServiceError(
        400,
        "UNKNOWN_SKILL",
        f"There is no skill {name[:80]}",
        {"available": sorted({row.name for row in there_are})},
    )
