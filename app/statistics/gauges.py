"""The state of this moment, for the metrics: how much waits, what is paused, which workers live.

Rows are counted up to some thousands (`app.operations`). Of a longer backlog the counters say how
long it is (accepted jobs that have not ended), so that a million waiting rows cost a scrape no more
than ten thousand.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.lifecycle.control import pauses
from app.operations.backlog import Backlog, backlog
from app.operations.workers import WorkerPicture, held_rows, read_workers
from app.settings import Settings
from models import ControlKind, Queue
from models.types import now


@dataclass(frozen=True, slots=True, kw_only=True)
class Gauges:
    """`depth` by (queue, state: ready, scheduled or processing); `oldest_age_seconds` is how long
    the longest waiting due job of a queue has been due; `paused` counts pauses by kind."""

    depth: Mapping[tuple[str, str], int]
    oldest_age_seconds: Mapping[str, float]
    paused_queues: Mapping[str, bool]
    paused: Mapping[ControlKind, int]
    workers: tuple[WorkerPicture, ...]


def gauges(session: Session, settings: Settings, *, unfinished: Mapping[str, int]) -> Gauges:
    """The state now. `unfinished` by queue is what the counters say (`app.statistics.totals`)."""
    clock: datetime = session.scalars(select(now())).one()
    held = held_rows(session)
    depth: dict[tuple[str, str], int] = {}
    oldest: dict[str, float] = {}
    for queue in Queue:
        waiting = backlog(session, queue)
        others = held.by_queue[queue] + waiting.scheduled.count
        depth[queue, "ready"] = _ready(waiting, unfinished.get(queue, 0) - others)
        depth[queue, "scheduled"] = waiting.scheduled.count
        depth[queue, "processing"] = held.by_queue[queue]
        oldest[queue] = _age(waiting.oldest_run_at, clock)
    in_force = [(ControlKind(pause.kind), pause.name) for pause in pauses(session)]
    return Gauges(
        depth=depth,
        oldest_age_seconds=oldest,
        paused_queues={queue: (ControlKind.QUEUE, queue) in in_force for queue in Queue},
        paused={kind: sum(of == kind for of, _ in in_force) for kind in ControlKind},
        workers=tuple(read_workers(session, settings, held)),
    )


def _ready(waiting: Backlog, by_counters: int) -> int:
    """Counted as far as rows are counted; beyond, as the counters say, some seconds behind."""
    counted = waiting.ready.count
    return max(counted, by_counters) if waiting.ready.capped else counted


def _age(since: datetime | None, clock: datetime) -> float:
    return 0.0 if since is None else max(0.0, (clock - since).total_seconds())
