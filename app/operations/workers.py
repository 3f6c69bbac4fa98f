"""The workers as they last reported, and the jobs they hold by the rows' own word."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.lifecycle import guards
from app.liveness import Liveness, has_stalled, liveness
from app.settings import Settings
from models import LLMOutput, Status, WorkerHeartbeat
from models.base import table_of
from models.types import seconds_until

MOST_WORKERS = 200
COUNTED_ROWS = 10_000
SHOWN_JOBS = 20

_T = table_of(LLMOutput)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerPicture:
    """A worker. `in_flight` is its own word, `held` counts rows; `output_ids` are some of them.

    `tick_age_seconds` is None until its dispatcher has ticked.
    """

    name: str
    host: str
    pid: int
    concurrency: int
    in_flight: int
    held: int
    output_ids: tuple[int, ...]
    draining: bool
    rss_bytes: int | None
    started_at: datetime
    seen_at: datetime
    heartbeat_age_seconds: float
    tick_age_seconds: float | None
    dispatcher_stalled: bool
    liveness: Liveness

    @property
    def alive(self) -> bool:
        return self.liveness != Liveness.DEAD


@dataclass(slots=True)
class Held:
    """Rows that are processing: how many by queue and by worker, and some of each worker's."""

    by_queue: Counter[str] = field(default_factory=Counter)
    by_worker: Counter[str] = field(default_factory=Counter)
    output_ids: dict[str, list[int]] = field(default_factory=dict)
    capped: bool = False


def held_rows(session: Session, *, cap: int = COUNTED_ROWS) -> Held:
    """The rows workers hold now, at most `cap` of them."""
    rows = session.execute(
        select(_T.c.id, _T.c.queue, _T.c.worker)
        .where(guards.status_is(Status.PROCESSING))
        .order_by(_T.c.lease_expires_at)
        .limit(cap + 1)
    ).all()
    held = Held(capped=len(rows) > cap)
    for row in rows[:cap]:
        worker = row.worker or ""
        held.by_queue[row.queue] += 1
        held.by_worker[worker] += 1
        shown = held.output_ids.setdefault(worker, [])
        if len(shown) < SHOWN_JOBS:
            shown.append(row.id)
    return held


def read_workers(session: Session, settings: Settings, held: Held) -> list[WorkerPicture]:
    """Every worker that is still known, by name."""
    noted = func.coalesce(WorkerHeartbeat.ticked_at, WorkerHeartbeat.started_at)
    query = (
        select(
            WorkerHeartbeat,
            (-seconds_until(WorkerHeartbeat.seen_at)).label("seen_age"),
            (-seconds_until(noted)).label("tick_age"),
        )
        .order_by(WorkerHeartbeat.name)
        .limit(MOST_WORKERS)
    )
    return [
        _worker(row, max(0.0, seen), max(0.0, tick), settings, held)
        for row, seen, tick in session.execute(query)
    ]


def lost_rows(held: Held, workers: Mapping[str, WorkerPicture]) -> int:
    """Rows whose holder has stopped reporting, or is not known at all."""
    return sum(
        count
        for name, count in held.by_worker.items()
        if name not in workers or not workers[name].alive
    )


def _worker(
    row: WorkerHeartbeat, seen_age: float, tick_age: float, settings: Settings, held: Held
) -> WorkerPicture:
    stalled = has_stalled(
        tick_age, took_seconds=row.tick_seconds or 0.0, every_seconds=settings.dispatch_seconds
    )
    return WorkerPicture(
        name=row.name,
        host=row.host,
        pid=row.pid,
        concurrency=row.concurrency,
        in_flight=row.in_flight,
        held=held.by_worker[row.name],
        output_ids=tuple(held.output_ids.get(row.name, ())),
        draining=row.draining,
        rss_bytes=row.rss_bytes,
        started_at=row.started_at,
        seen_at=row.seen_at,
        heartbeat_age_seconds=round(seen_age, 1),
        tick_age_seconds=None if row.ticked_at is None else round(tick_age, 1),
        dispatcher_stalled=stalled,
        liveness=liveness(seen_age, heartbeat_seconds=settings.heartbeat_seconds),
    )
