"""One moment of the whole: queues, pauses, workers, dispatchers, and what does not fit together.

Counted from rows; only the messages are the broker's. Rows are read first and the broker after, so
small differences between the two are told as none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.accounts import Caller
from app.jobs import Counted
from app.lifecycle import guards
from app.lifecycle.control import pauses
from app.operations.backlog import Backlog, backlog
from app.operations.workers import (
    COUNTED_ROWS,
    Held,
    WorkerPicture,
    held_rows,
    lost_rows,
    read_workers,
)
from app.runtime import Runtime
from models import ControlKind, LLMOutput, Queue, QueueControl, Scope, Status, User
from models.base import table_of
from models.types import now, statement_now_plus

MINUTES = 60
FINISHED_ROWS = 5_000
"""Completed rows that are read for the throughput; a busy hour has more."""

_T = table_of(LLMOutput)
_TOLERATED = 10
"""Messages and rows may differ by this many, or by a tenth, while both are counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """What is held back, since when, until when (None: until resumed), and by whose word.

    A bucket is shown by its provider and model; its full name holds digits of a key's hash. `by` is
    an address, None where the service itself paused.
    """

    kind: ControlKind
    name: str
    reason: str
    since: datetime
    until: datetime | None
    by: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class QueuePicture:
    """A queue now. `ready` is pending and due, `scheduled` pending until later.

    `messages` is what the broker holds (None while it is away). `finished_per_minute` are completed
    jobs of the last 60 minutes, the oldest minute first.
    """

    name: Queue
    ready: Counted
    scheduled: Counted
    processing: Counted
    messages: int | None
    oldest_wait_seconds: float | None
    finished_per_minute: tuple[int, ...]
    pause: Pause | None


@dataclass(frozen=True, slots=True)
class Dispatching:
    """The dispatchers together: one that ticks is enough. `stalled` when no live worker's does."""

    last_tick_seconds_ago: float | None
    stalled: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Operations:
    """The whole picture. `finished_since` is how far back the throughput reaches: an hour, or less
    when more finished than is counted. `disagreements` are sentences.
    """

    taken_at: datetime
    queues: tuple[QueuePicture, ...]
    pauses: tuple[Pause, ...]
    workers: tuple[WorkerPicture, ...]
    dispatching: Dispatching
    finished_since: datetime
    finished_capped: bool
    disagreements: tuple[str, ...]


def picture(runtime: Runtime, caller: Caller) -> Operations:
    """The service as it is now. Raises Forbidden without the scope `ops:read`, Unavailable."""
    caller.require(Scope.OPS_READ)
    with runtime.database.read() as session:
        taken_at: datetime = session.scalars(select(now())).one()
        waiting = {queue: backlog(session, queue) for queue in Queue}
        held = held_rows(session)
        workers = read_workers(session, runtime.settings, held)
        finished = _finished(session, taken_at)
        paused = read_pauses(session)
    messages = runtime.wake.depths()
    return Operations(
        taken_at=taken_at,
        queues=tuple(
            _queue(q, waiting[q], held, messages, finished.per_minute[q], paused, taken_at)
            for q in Queue
        ),
        pauses=tuple(pause for pause in paused if pause.kind != ControlKind.QUEUE),
        workers=tuple(workers),
        dispatching=dispatching(workers),
        finished_since=finished.since,
        finished_capped=finished.capped,
        disagreements=tuple(
            disagreements(
                sent=sum(one.sent for one in waiting.values()),
                messages=sum(messages.values()) if messages else None,
                lost=lost_rows(held, {worker.name: worker for worker in workers}),
                rewake_seconds=runtime.settings.rewake_seconds,
                lease_seconds=runtime.settings.lease_seconds,
            )
        ),
    )


def dispatching(workers: Sequence[WorkerPicture]) -> Dispatching:
    """What the live workers' dispatchers do. Without a live worker nothing can have stalled."""
    live = [worker for worker in workers if worker.alive]
    ticks = [worker.tick_age_seconds for worker in live if worker.tick_age_seconds is not None]
    stalled = bool(live) and all(worker.dispatcher_stalled for worker in live)
    return Dispatching(min(ticks, default=None), stalled)


def disagreements(
    *, sent: int, messages: int | None, lost: int, rewake_seconds: float, lease_seconds: float
) -> list[str]:
    """Where rows and broker, or rows and workers, do not agree, and what comes of it.

    `sent` counts rows whose message should be out, `messages` what the broker holds, `lost` running
    rows whose worker is gone.
    """
    found = []
    slack = max(_TOLERATED, max(sent, messages or 0) // 10)
    if messages is None:
        found.append("The broker does not answer: jobs are accepted and wait in their rows.")
    elif sent > messages + slack:
        found.append(
            f"{sent - messages:,} rows were announced but their messages are gone or just being"
            f" taken: what is not claimed is announced again after {rewake_seconds:g} s."
        )
    elif messages > sent + slack:
        found.append(
            f"The broker holds {messages - sent:,} messages more than rows wait for: workers drop"
            " them, and no job runs twice."
        )
    if lost:
        jobs = "running job is" if lost == 1 else "running jobs are"
        found.append(
            f"{lost:,} {jobs} held by workers that no longer report: another worker takes over"
            f" within {lease_seconds:g} s."
        )
    return found


def read_pauses(session: Session) -> list[Pause]:
    """Every pause in force, with the address of who set it."""
    found = pauses(session)
    ids = {pause.user_id for pause in found if pause.user_id is not None}
    addresses: Mapping[int, str] = {}
    if ids:
        rows = session.execute(select(User.id, User.email).where(User.id.in_(ids)))
        addresses = {row.id: row.email for row in rows}
    shown = [_pause(pause, addresses) for pause in found]
    return sorted(shown, key=lambda pause: (pause.kind, pause.name))


def shown_bucket(name: str) -> str:
    """`openai:gpt-4` of a bucket's name, without the digits of its key's hash."""
    return name.rpartition(":")[0] or name


@dataclass(frozen=True, slots=True)
class _Finished:
    per_minute: Mapping[Queue, tuple[int, ...]]
    since: datetime
    capped: bool


def _finished(session: Session, clock: datetime) -> _Finished:
    """Completed jobs by queue and minute, read newest first by the index of their ends."""
    rows = session.execute(
        select(_T.c.queue, _T.c.finished_at)
        .where(
            guards.status_is(Status.COMPLETED),
            _T.c.finished_at > statement_now_plus(-MINUTES * 60),
        )
        .order_by(_T.c.finished_at.desc())
        .limit(FINISHED_ROWS + 1)
    ).all()
    counts = {queue: [0] * MINUTES for queue in Queue}
    for row in rows[:FINISHED_ROWS]:
        age = max(0.0, (clock - row.finished_at).total_seconds())
        counts[Queue(row.queue)][max(0, MINUTES - 1 - int(age // 60))] += 1
    capped = len(rows) > FINISHED_ROWS
    since = rows[FINISHED_ROWS - 1].finished_at if capped else clock - timedelta(minutes=MINUTES)
    return _Finished({queue: tuple(counts[queue]) for queue in Queue}, since, capped)


def _queue(
    name: Queue,
    waiting: Backlog,
    held: Held,
    messages: Mapping[str, int],
    finished: tuple[int, ...],
    paused: Sequence[Pause],
    clock: datetime,
) -> QueuePicture:
    oldest = waiting.oldest_run_at
    wait = None if oldest is None else round(max(0.0, (clock - oldest).total_seconds()), 1)
    mine = (p for p in paused if p.kind == ControlKind.QUEUE and p.name == name)
    return QueuePicture(
        name=name,
        ready=waiting.ready,
        scheduled=waiting.scheduled,
        processing=Counted(min(held.by_queue[name], COUNTED_ROWS), held.capped),
        messages=messages.get(name.value),
        oldest_wait_seconds=wait,
        finished_per_minute=finished,
        pause=next(mine, None),
    )


def _pause(row: QueueControl, addresses: Mapping[int, str]) -> Pause:
    kind = ControlKind(row.kind)
    return Pause(
        kind=kind,
        name=shown_bucket(row.name) if kind == ControlKind.BUCKET else row.name,
        reason=row.reason,
        since=row.created_at,
        until=row.paused_until,
        by=None if row.user_id is None else addresses.get(row.user_id),
    )
