"""How busy the house is, from rows: what waits, what works, and how long jobs took lately.

Read at most every two seconds per process, whatever the rate of requests: an estimate may be a
little old. Not here: how many messages a broker holds, which says nothing about waiting.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.db import Database
from app.liveness import live_workers
from app.recent import Recent
from app.settings import Settings
from models import LLMOutput, Queue, Status
from models.types import now

FRESH_SECONDS = 2.0
COUNTED_ROWS = 10_000
"""A longer backlog is counted as this long: an estimate need not cost more than its worth."""

RECENT_ROWS = 500
ROWS_OF_A_MODEL = 50
GUESS_SECONDS = 5.0
"""How long a job takes as long as none has been seen."""


@dataclass(frozen=True, slots=True)
class Load:
    """A moment's picture. `slots` is how many jobs run at once; `alive` how many workers do."""

    waiting: Mapping[str, int]
    slots: int
    alive: int
    durations: Mapping[str, float]
    usual_duration: float
    answer_tokens: Mapping[str, int]

    def seconds_until_done(self, queue: str, model: str, *, ahead: int | None = None) -> float:
        """How long a job that is due now takes from now on, its wait included.

        `ahead` jobs go first; unsaid, all that wait in its queue and in more urgent ones.
        """
        if ahead is None:
            order = list(Queue)
            ahead = sum(self.waiting.get(q, 0) for q in order[: order.index(Queue(queue)) + 1])
        rounds = ahead / max(1, self.slots)
        return self.usual_duration * rounds + self.durations.get(model, self.usual_duration)


def current_load(database: Database, settings: Settings) -> Load:
    """The picture of this database, about two seconds old at most. Raises Unavailable."""

    def take() -> Load:
        with database.read() as session:
            return _look(session, settings)

    return _pictures.get(database, take)


_pictures: Recent[Load] = Recent(FRESH_SECONDS)


def _look(session: Session, settings: Settings) -> Load:
    workers = live_workers(session, heartbeat_seconds=settings.heartbeat_seconds, draining=False)
    durations, tokens = _recent(session)
    by_model = {model: median(taken) for model, taken in durations.items()}
    everything = [seconds for taken in durations.values() for seconds in taken]
    return Load(
        waiting=_waiting(session),
        slots=sum(worker.concurrency for worker in workers) or settings.worker_concurrency,
        alive=len(workers),
        durations=by_model,
        usual_duration=median(everything) if everything else GUESS_SECONDS,
        answer_tokens={model: round(median(used)) for model, used in tokens.items()},
    )


def _waiting(session: Session) -> dict[str, int]:
    due = (
        select(LLMOutput.queue)
        .where(LLMOutput.status == Status.PENDING, LLMOutput.run_at <= now())
        .limit(COUNTED_ROWS)
        .subquery()
    )
    rows = session.execute(select(due.c.queue, func.count().label("jobs")).group_by(due.c.queue))
    return {row.queue: row.jobs for row in rows}


def _recent(session: Session) -> tuple[dict[str, list[float]], dict[str, list[int]]]:
    """Seconds and answer tokens of the last completed rows, by model, newest first."""
    rows = session.execute(
        select(
            LLMOutput.model_name,
            LLMOutput.started_at,
            LLMOutput.finished_at,
            LLMOutput.output_tokens,
        )
        .where(LLMOutput.status == Status.COMPLETED)
        .order_by(LLMOutput.finished_at.desc())
        .limit(RECENT_ROWS)
    )
    durations: dict[str, list[float]] = {}
    tokens: dict[str, list[int]] = {}
    for model, started, finished, written in rows:
        taken = durations.setdefault(model, [])
        if len(taken) < ROWS_OF_A_MODEL and started is not None and finished is not None:
            taken.append(max(0.0, (finished - started).total_seconds()))
        if written is not None:
            tokens.setdefault(model, []).append(written)
    return {model: taken for model, taken in durations.items() if taken}, tokens
