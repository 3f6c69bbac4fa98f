"""The trail of administrative acts: who did what, to what, and when. Rows are only ever added;
only the address of an erased person becomes nobody's (`app.retention`).

Each act is recorded where it is done, in its own transaction: an act that is undone leaves no
trace, and none that stands is missing. No secret is ever among the details.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import structlog
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.errors import InvalidParameter
from app.paging import DEFAULT_LIMIT, Page, newest_first
from app.text import clean_text, deep_clean
from models import AuditEvent

if TYPE_CHECKING:  # accounts record their own acts here
    from app.accounts import Caller

LONGEST_SUBJECT = 255


class Action(StrEnum):
    """What was done."""

    USER_CREATED = "user.created"
    USER_CHANGED = "user.changed"
    USER_DEACTIVATED = "user.deactivated"
    USER_ERASED = "user.erased"
    PASSWORD_SET = "user.password_set"  # noqa: S105 - the act's name
    KEY_CREATED = "key.created"
    KEY_REVOKED = "key.revoked"
    PAUSED = "operations.paused"
    RESUMED = "operations.resumed"
    PRICE_SET = "price.set"
    PROVIDER_TRIED = "provider.tried"
    ENDPOINT_CREATED = "endpoint.created"
    ENDPOINT_CHANGED = "endpoint.changed"
    ENDPOINT_REMOVED = "endpoint.removed"
    OUTPUTS_RE_RUN = "outputs.re_run"
    OUTPUTS_CANCELLED = "outputs.cancelled"
    OUTPUT_ERASED = "output.erased"
    PROMPT_SHARED = "prompt.shared"
    PROMPT_LABELLED = "prompt.labelled"
    PROMPT_ROLLED_BACK = "prompt.rolled_back"
    PROMPT_ARCHIVED = "prompt.archived"


def record(
    session: Session,
    caller: Caller,
    action: Action,
    *,
    subject: str = "",
    details: Mapping[str, Any] | None = None,
) -> None:
    """Add an event to the caller's transaction. `subject` is such as `user:3` or `queue:low`.

    The request's id comes along where one is bound (`app.log`).
    """
    request_id = structlog.contextvars.get_contextvars().get("request_id")
    session.add(
        AuditEvent(
            user_id=caller.user_id,
            actor=caller.email or caller.name,
            action=action.value,
            subject=clean_text(subject)[:LONGEST_SUBJECT],
            details=deep_clean(dict(details)) if details else None,
            request_id=None if request_id is None else str(request_id)[:128],
        )
    )


def list_events(
    session: Session,
    caller: Caller,
    *,
    limit: int = DEFAULT_LIMIT,
    after: str | None = None,
    action: str | None = None,
) -> Page[AuditEvent]:
    """The trail, newest first, of one kind of act if named.

    Raises Forbidden unless an administrator asks, InvalidParameter for an unknown action.
    """
    caller.require_administrator()
    query = select(AuditEvent)
    if action is not None:
        if action not in set(Action):
            raise InvalidParameter(
                f"Invalid action. Must be one of: {', '.join(Action)}", pointer="/action"
            )
        query = query.where(AuditEvent.action == action)
    return newest_first(session, query, AuditEvent.id, limit=limit, after=after)
