"""What an operator sees of the queues, and the two things he does to them: pause and resume.

Every number is counted from rows; only `messages` is the broker's. Holding back what is paused is
done elsewhere (`app.lifecycle` when claiming and waking).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import and_, case, func, select
from sqlalchemy.orm import Session

from app import lifecycle
from app.accounts import Caller
from app.errors import NotFound
from app.lifecycle.control import pauses
from app.text import clean_text
from models import ControlKind, LLMOutput, Queue, QueueControl, Scope, Status, WorkerHeartbeat
from models.types import now, now_plus, seconds_until

LIVE_HEARTBEATS = 3
"""A worker that missed this many heartbeats counts as dead."""

LONGEST_NAME = 255


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueState:
    """A queue now. `ready` is pending and due, `scheduled` pending until later."""

    name: Queue
    ready: int = 0
    scheduled: int = 0
    running: int = 0
    oldest_wait_seconds: float | None = None
    pause: QueueControl | None = None


@dataclass(frozen=True, slots=True)
class Worker:
    """A worker as it last reported, and whether that was lately."""

    row: WorkerHeartbeat
    alive: bool


def queue_states(session: Session, caller: Caller) -> list[QueueState]:
    """The three queues in order of priority. Raises Forbidden without the scope `ops:read`."""
    caller.require(Scope.OPS_READ)
    counts = {row.queue: row for row in session.execute(_counts())}
    paused = {p.name: p for p in pauses(session) if p.kind == ControlKind.QUEUE}
    return [_state(name, counts.get(name), paused.get(name)) for name in Queue]


def other_pauses(session: Session, caller: Caller) -> Sequence[QueueControl]:
    """Models and rate-limit buckets that are held back. Raises Forbidden like `queue_states`."""
    caller.require(Scope.OPS_READ)
    return [pause for pause in pauses(session) if pause.kind != ControlKind.QUEUE]


def workers(session: Session, caller: Caller, *, heartbeat_seconds: float) -> list[Worker]:
    """Every worker that is still known, by name. Raises Forbidden like `queue_states`."""
    caller.require(Scope.OPS_READ)
    recent = _recent(heartbeat_seconds).label("alive")
    query = select(WorkerHeartbeat, recent).order_by(WorkerHeartbeat.name)
    return [Worker(row, bool(alive)) for row, alive in session.execute(query)]


def live_workers(session: Session, *, heartbeat_seconds: float) -> int:
    """How many workers have reported lately, asking nobody: for health checks."""
    query = select(func.count()).select_from(WorkerHeartbeat).where(_recent(heartbeat_seconds))
    return session.scalar(query) or 0


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


def resume(session: Session, caller: Caller, kind: ControlKind, name: str) -> bool:
    """Lift a pause; False when there was none. Raises like `pause`."""
    caller.require_administrator()
    _require_known(kind, name)
    return lifecycle.resume(session, kind, name)


def _counts() -> Any:
    due = and_(LLMOutput.status == Status.PENDING, LLMOutput.run_at <= now())
    later = and_(LLMOutput.status == Status.PENDING, LLMOutput.run_at > now())
    running = LLMOutput.status == Status.PROCESSING
    return (
        select(
            LLMOutput.queue,
            func.sum(case((due, 1), else_=0)).label("ready"),
            func.sum(case((later, 1), else_=0)).label("scheduled"),
            func.sum(case((running, 1), else_=0)).label("running"),
            func.max(case((due, -seconds_until(LLMOutput.run_at)))).label("oldest"),
        )
        .where(LLMOutput.status.in_([Status.PENDING, Status.PROCESSING]))
        .group_by(LLMOutput.queue)
    )


def _state(name: Queue, row: Any, paused: QueueControl | None) -> QueueState:
    if row is None:
        return QueueState(name=name, pause=paused)
    return QueueState(
        name=name,
        ready=int(row.ready),
        scheduled=int(row.scheduled),
        running=int(row.running),
        oldest_wait_seconds=None if row.oldest is None else round(max(0.0, row.oldest), 3),
        pause=paused,
    )


def _recent(heartbeat_seconds: float) -> Any:
    return WorkerHeartbeat.seen_at > now_plus(-LIVE_HEARTBEATS * heartbeat_seconds)


def _require_known(kind: ControlKind, name: str) -> None:
    """A queue must be one of ours; a model need not be served yet, only be a name."""
    if kind == ControlKind.QUEUE and name not in set(Queue):
        raise NotFound(f"Unknown queue: {name[:100]}. Must be one of: {', '.join(Queue)}")
    if len(name) > LONGEST_NAME or clean_text(name) != name:
        raise NotFound("Unknown model: no model can have this name")
