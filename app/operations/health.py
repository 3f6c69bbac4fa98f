"""What is wrong with the service as a whole: the facts of the banner on every page.

Cheap enough for every request: a few small rows, read at most every two seconds per process.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import select

from app.errors import Unavailable
from app.jobs.sentences import duration
from app.operations.picture import Pause, dispatching, read_pauses
from app.operations.workers import Held, WorkerPicture, read_workers
from app.recent import Recent
from app.runtime import Runtime
from models import ControlKind, Queue
from models.types import now

FRESH_SECONDS = 2.0
LONG_PAUSE_SECONDS = 30.0
"""A provider that says "slow down" for less than this is no news to anybody."""


class NoticeCode(StrEnum):
    """What a notice is about."""

    DATABASE_AWAY = "database_away"
    BROKER_AWAY = "broker_away"
    NO_WORKER = "no_worker"
    DISPATCHER_STALLED = "dispatcher_stalled"
    QUEUE_PAUSED = "queue_paused"
    PROVIDER_PAUSED = "provider_paused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """One thing everybody should know. `title` is short, `detail` says what it means for jobs.

    `subject` is the queue or the provider and model concerned; times are None when nobody knows.
    """

    code: NoticeCode
    title: str
    detail: str
    subject: str = ""
    since: datetime | None = None
    until: datetime | None = None


def health(runtime: Runtime) -> tuple[Notice, ...]:
    """What is wrong now, the worst first; empty when all is well. Never raises Unavailable.

    About two seconds old at most. For everybody who is signed in: it names nobody.
    """
    return _notices.get(runtime.database, lambda: _look(runtime))


_notices: Recent[tuple[Notice, ...]] = Recent(FRESH_SECONDS)

_DATABASE_AWAY = Notice(
    code=NoticeCode.DATABASE_AWAY,
    title="The database does not answer",
    detail="Nothing can be read or accepted until it is back. Running jobs keep their results.",
)


def _look(runtime: Runtime) -> tuple[Notice, ...]:
    try:
        with runtime.database.read() as session:
            clock: datetime = session.scalars(select(now())).one()
            workers = read_workers(session, runtime.settings, Held())
            paused = read_pauses(session)
    except Unavailable:
        return (_DATABASE_AWAY,)
    return (
        *_of_broker(runtime),
        *_of_workers(workers, clock),
        *_of_pauses(paused, clock),
    )


def _of_broker(runtime: Runtime) -> Iterator[Notice]:
    if runtime.wake.depth(Queue.DEFAULT.value) is None:
        yield Notice(
            code=NoticeCode.BROKER_AWAY,
            title="The broker does not answer",
            detail="Jobs are accepted and wait; they start when it is back.",
        )


def _of_workers(workers: Sequence[WorkerPicture], clock: datetime) -> Iterator[Notice]:
    if not any(worker.alive for worker in workers):
        last = max((worker.seen_at for worker in workers), default=None)
        ago = "" if last is None else f" for {duration((clock - last).total_seconds())}"
        yield Notice(
            code=NoticeCode.NO_WORKER,
            title=f"No worker has reported{ago}",
            detail="Jobs are accepted and wait until a worker runs.",
            since=last,
        )
    elif dispatching(workers).stalled:
        yield Notice(
            code=NoticeCode.DISPATCHER_STALLED,
            title="No dispatcher ticks",
            detail="Retries and scheduled jobs do not start, and lost jobs are not taken over.",
        )


def _of_pauses(paused: Sequence[Pause], clock: datetime) -> Iterator[Notice]:
    for pause in paused:
        if pause.kind == ControlKind.QUEUE:
            yield _paused(NoticeCode.QUEUE_PAUSED, f"The queue {pause.name} is paused", pause)
        elif pause.kind == ControlKind.BUCKET and _is_long(pause, clock):
            title = f"{pause.name} said to slow down"
            yield _paused(NoticeCode.PROVIDER_PAUSED, title, pause)


def _is_long(pause: Pause, clock: datetime) -> bool:
    return pause.until is None or (pause.until - clock).total_seconds() >= LONG_PAUSE_SECONDS


def _paused(code: NoticeCode, title: str, pause: Pause) -> Notice:
    until = "until somebody resumes it" if pause.until is None else "for a time"
    because = f" Reason: {pause.reason}" if pause.reason else ""
    return Notice(
        code=code,
        title=title,
        detail=f"Its jobs wait {until}; what runs goes on.{because}",
        subject=pause.name,
        since=pause.since,
        until=pause.until,
    )
