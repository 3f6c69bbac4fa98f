"""The trail of administrative acts, for administrators."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from api.auth import ADMINISTRATOR
from api.replies import Reply, page_reply
from api.routing import Answer, Call, Routes
from api.schemas.audit import AuditEventList, AuditEventShown, AuditQuery
from api.schemas.common import Empty
from app import audit
from models import AuditEvent

routes = Routes("/api/v1", tag="operations")


@routes.get(
    "/audit_events",
    access=ADMINISTRATOR,
    query=AuditQuery,
    answers={200: Answer(description="A page of the trail.", model=AuditEventList)},
)
def list_audit_events(call: Call[Empty, AuditQuery]) -> Reply:
    """List administrative acts, the latest first: who did what to what, and when.

    The trail is only ever added to, and holds no secret.
    """
    with call.runtime.database.read() as session:
        page = audit.list_events(session, call.caller, **call.query.model_dump())
        return page_reply(page, _shown)


def _shown(events: Sequence[AuditEvent]) -> list[dict[str, Any]]:
    return [{n: getattr(event, n) for n in AuditEventShown.model_fields} for event in events]
