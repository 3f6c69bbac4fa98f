"""Which workers are alive, by what they last reported; nobody is asked.

One that missed `LIVE_HEARTBEATS` heartbeats counts as dead: its rows are rescued when their leases
end. A worker's dispatcher reports too; one that has not for some time has stopped dispatching.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from models import WorkerHeartbeat
from models.types import now_plus

LIVE_HEARTBEATS = 3
"""A worker that missed this many heartbeats counts as dead."""

LATE_HEARTBEATS = 1.5
"""One whose last heartbeat is older than so many intervals should have sent the next."""

TICK_NOTED_SECONDS = 10.0
"""How often a worker's row says that its dispatcher ticks."""

TICKS_MISSED = 2
"""A dispatcher this many ticks late has stalled."""


class Liveness(StrEnum):
    """What a worker's last report says of it now."""

    ALIVE = "alive"
    LATE = "late"
    DEAD = "dead"


def live_workers(
    session: Session, *, heartbeat_seconds: float, draining: bool = True
) -> Sequence[WorkerHeartbeat]:
    """Workers that have reported lately, by name; without `draining` those that take new jobs."""
    query = select(WorkerHeartbeat).where(reported_lately(heartbeat_seconds))
    if not draining:
        query = query.where(WorkerHeartbeat.draining.is_(False))
    return session.scalars(query.order_by(WorkerHeartbeat.name)).all()


def reported_lately(heartbeat_seconds: float) -> Any:
    """The condition of a worker that is not dead."""
    return WorkerHeartbeat.seen_at > now_plus(-LIVE_HEARTBEATS * heartbeat_seconds)


def liveness(age_seconds: float, *, heartbeat_seconds: float) -> Liveness:
    """What a heartbeat of this age means."""
    if age_seconds >= LIVE_HEARTBEATS * heartbeat_seconds:
        return Liveness.DEAD
    late = age_seconds > LATE_HEARTBEATS * heartbeat_seconds
    return Liveness.LATE if late else Liveness.ALIVE


def has_stalled(tick_age_seconds: float, *, took_seconds: float, every_seconds: float) -> bool:
    """Whether a dispatcher whose tick was noted so long ago is more than two ticks late.

    A tick is noted every `TICK_NOTED_SECONDS` only; `took_seconds` is how long the last one took.
    """
    tick = max(every_seconds, took_seconds)
    return tick_age_seconds > max(TICK_NOTED_SECONDS, tick) + (1 + TICKS_MISSED) * tick
