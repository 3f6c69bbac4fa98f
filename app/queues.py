"""What an administrator does to queues and models: hold them back, and let them go on.

What they look like is `app.operations`; holding back what is paused is done elsewhere
(`app.lifecycle`, when claiming and waking).
"""

from __future__ import annotations

from sqlalchemy.orm import Session

from app import audit, lifecycle
from app.accounts import Caller
from app.audit import Action
from app.errors import NotFound
from app.operations.picture import shown_bucket
from app.text import clean_text
from models import ControlKind, Queue

LONGEST_NAME = 255


def pause(
    session: Session,
    caller: Caller,
    kind: ControlKind,
    name: str,
    *,
    seconds: float | None = None,
    reason: str = "",
) -> None:
    """Hold back a queue or model for `seconds` (None: until resumed); what runs goes on.

    Raises Forbidden unless an administrator asks, NotFound for an unknown queue.
    """
    caller.require_administrator()
    _require_known(kind, name)
    lifecycle.pause(session, kind, name, seconds=seconds, reason=reason, user_id=caller.user_id)
    details = {"seconds": seconds, "reason": reason}
    audit.record(session, caller, Action.PAUSED, subject=f"{kind}:{name}", details=details)


def resume(session: Session, caller: Caller, kind: ControlKind, name: str) -> bool:
    """Lift a pause; False when there was none. A bucket is named as it is shown
    (`operations.Pause`). Raises like `pause`.
    """
    caller.require_administrator()
    _require_known(kind, name)
    names = _stored_buckets(session, name) if kind == ControlKind.BUCKET else [name]
    lifted = [one for one in names if lifecycle.resume(session, kind, one)]
    if lifted:
        audit.record(session, caller, Action.RESUMED, subject=f"{kind}:{name}")
    return bool(lifted)


def _stored_buckets(session: Session, shown: str) -> list[str]:
    """The paused buckets that people know by this name: one for each key of the provider."""
    paused = (one.name for one in lifecycle.pauses(session) if one.kind == ControlKind.BUCKET)
    return [name for name in paused if shown in (name, shown_bucket(name))]


def _require_known(kind: ControlKind, name: str) -> None:
    """A queue must be one of ours; a model need not be served yet, only be a name."""
    if kind == ControlKind.QUEUE and name not in set(Queue):
        raise NotFound(f"Unknown queue: {name[:100]}. Must be one of: {', '.join(Queue)}")
    if len(name) > LONGEST_NAME or clean_text(name) != name:
        raise NotFound("Unknown model: no model can have this name")
