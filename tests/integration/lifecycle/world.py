"""A small world around the lifecycle: post, claim, look, and let time pass.

Each call is one transaction, as in a worker. Time passes by moving stored times back, so that the
database's own clock decides, as it does for real. Not here: what ought to happen (the tests and
`model.py` say that).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

from sqlalchemy import Float, bindparam, delete, event, insert, select, update
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from app import lifecycle
from app.db import Database
from app.lifecycle import (
    Again,
    Claim,
    Completed,
    Created,
    Delivery,
    Failed,
    NewJob,
    Release,
    Report,
    RetryLater,
    Snoozed,
    Stopped,
)
from models import Attempt, Kind, LLMOutput, QueueControl, User
from models.base import table_of
from models.types import UtcDateTime, now

LEASE = 60.0
WORKER = "worker-1"
USED = Report(provider="openai", input_tokens=10, output_tokens=5)
"""What a call of these tests uses unless it says otherwise: 15 tokens."""

_T, _A, _C, _U = map(table_of, (LLMOutput, Attempt, QueueControl, User))

Key = tuple[int, int]


class earlier(FunctionElement[Any]):  # noqa: N801 - reads as SQL
    """A stored time, moved back by seconds."""

    type = UtcDateTime()
    inherit_cache = True


@compiles(earlier, "sqlite")
def _earlier_sqlite(element: earlier, compiler: Any, **kw: Any) -> str:
    moment, seconds = (compiler.process(part, **kw) for part in element.clauses)
    return f"strftime('%Y-%m-%d %H:%M:%f', {moment}, printf('%+.3f seconds', -{seconds}))"


@compiles(earlier, "postgresql")
def _earlier_postgresql(element: earlier, compiler: Any, **kw: Any) -> str:
    moment, seconds = (compiler.process(part, **kw) for part in element.clauses)
    return f"({moment} - make_interval(secs => {seconds}))"


class World:
    """One database and the acts of those around it."""

    def __init__(self, url: str, *, durable: bool = True) -> None:
        self.database = Database(url)
        if not durable and self.database.dialect == "sqlite":
            event.listen(self.database.engine, "connect", _forgetful)

    def close(self) -> None:
        self.database.dispose()

    def do(self, act: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """One verb in one transaction."""
        with self.database.write() as session:
            return act(session, *args, **kwargs)

    # People

    def user(self, name: str = "alice") -> int:
        """The id of a new user."""
        email = f"{name}@example.org"
        with self.database.write() as session:
            values = {"email": email, "created_at": now(), "updated_at": now()}
            made = session.execute(insert(_U).values(values).returning(_U.c.id))
            return int(made.scalar_one())

    def tokens_used(self, user_id: int) -> int:
        return int(self._one(select(_U.c.tokens_used).where(_U.c.id == user_id)).tokens_used)

    # Jobs

    def post(self, count: int = 1, **changes: Any) -> list[Delivery]:
        """Accept jobs; the messages that name them."""
        made = self.create([new_job(**changes) for _ in range(count)])
        return [Delivery(job.output_id, job.job_id) for job in made]

    def create(self, jobs: Sequence[NewJob]) -> list[Created]:
        return list(self.do(lifecycle.create, jobs).values())

    def claim(
        self, deliveries: Iterable[Delivery], *, worker: str = WORKER, lease: float = LEASE
    ) -> list[Claim]:
        claims = self.do(lifecycle.claim, list(deliveries), worker=worker, lease_seconds=lease)
        return list(claims.values())

    def claimed(self, **changes: Any) -> Claim:
        """A new job, claimed."""
        (claim,) = self.claim(self.post(**changes))
        return claim

    def end(self, verb: str, *keys: Key, **changes: Any) -> set[Key]:
        """One of the verbs of a holder; the keys of the rows that moved."""
        return set(
            self.do(getattr(lifecycle, verb), [ENDINGS[verb](key, **changes) for key in keys])
        )

    def due(self, queue: str = "default", *, room: int = 100, rewake: float = 15) -> list[int]:
        """What a dispatcher would send now, and marks as sent."""
        with self.database.write() as session:
            due = lifecycle.due_rows(session, queue, room=room, rewake_seconds=rewake)
            ids = [row.output_id for row in due]
            lifecycle.mark_woken(session, ids)
        return ids

    # Time

    def elapse(self, seconds: float) -> None:
        """Let time pass for everything that has not ended."""
        with self.database.write() as session:
            for table, columns in _CLOCKS:
                session.execute(_passing(table, columns), {"seconds": seconds})

    # Looking

    def row(self, output_id: int) -> Any:
        return self._one(select(_T).where(_T.c.id == output_id))

    def rows(self) -> dict[int, Any]:
        return {row.id: row for row in self._all(select(_T).order_by(_T.c.id))}

    def attempts(self, output_id: int) -> list[Any]:
        return self._all(select(_A).where(_A.c.output_id == output_id).order_by(_A.c.number))

    def snapshot(self) -> tuple[dict[int, Any], dict[int, list[Any]], dict[int, int]]:
        """Every row, the attempts of each, and the tokens of each user, at one moment."""
        attempts: dict[int, list[Any]] = {}
        with self.database.read() as session:
            rows = {row.id: row for row in session.execute(select(_T).order_by(_T.c.id))}
            for attempt in session.execute(select(_A).order_by(_A.c.output_id, _A.c.number)):
                attempts.setdefault(attempt.output_id, []).append(attempt)
            tokens = {
                u.id: u.tokens_used for u in session.execute(select(_U.c.id, _U.c.tokens_used))
            }
        return rows, attempts, tokens

    def set(self, output_id: int, **values: Any) -> None:
        """Write what no verb would."""
        with self.database.write() as session:
            session.execute(update(_T).where(_T.c.id == output_id).values(values))

    @contextmanager
    def listening(self) -> Iterator[list[tuple[str, Any]]]:
        """The statements sent to the database meanwhile, with their parameters."""
        heard: list[tuple[str, Any]] = []

        def hear(_conn: Any, _cursor: Any, statement: str, parameters: Any, *_rest: Any) -> None:
            if not statement.startswith("BEGIN"):
                heard.append((statement, parameters))

        event.listen(self.database.engine, "before_cursor_execute", hear)
        try:
            yield heard
        finally:
            event.remove(self.database.engine, "before_cursor_execute", hear)

    def clear(self) -> None:
        """Take everything away."""
        with self.database.write() as session:
            for table in (_A, _T, _C, _U):
                session.execute(delete(table))

    def _one(self, query: Any) -> Any:
        (row,) = self._all(query)
        return row

    def _all(self, query: Any) -> list[Any]:
        with self.database.read() as session:
            return [SimpleNamespace(**row._mapping) for row in session.execute(query)]


@contextmanager
def a_world(url: str, *, durable: bool = True) -> Iterator[World]:
    world = World(url, durable=durable)
    try:
        yield world
    finally:
        world.close()


def new_job(**changes: Any) -> NewJob:
    facts: dict[str, Any] = {
        "template_name": "Hello {{name}}",
        "model_name": "gpt-4",
        "bucket": "openai/gpt-4",
        "max_tries": 6,
        "max_age_seconds": 86_400,
    }
    return NewJob(**(facts | changes))


def completed(key: Key, **changes: Any) -> Completed:
    facts: dict[str, Any] = {"raw_response": "An answer", "report": USED}
    return Completed(output_id=key[0], fence=key[1], **(facts | changes))


def retry_later(key: Key, **changes: Any) -> RetryLater:
    facts: dict[str, Any] = {
        "delay_seconds": 30,
        "error_code": "provider_failed",
        "error_message": "500",
        "report": USED,
    }
    return RetryLater(output_id=key[0], fence=key[1], **(facts | changes))


def snoozed(key: Key, **changes: Any) -> Snoozed:
    facts: dict[str, Any] = {
        "delay_seconds": 20,
        "error_code": "rate_limited",
        "error_message": "429",
    }
    return Snoozed(output_id=key[0], fence=key[1], **(facts | changes))


def failed(key: Key, **changes: Any) -> Failed:
    facts: dict[str, Any] = {"error_code": "refused", "error_message": "No.", "report": USED}
    return Failed(output_id=key[0], fence=key[1], **(facts | changes))


def stopped(key: Key, **changes: Any) -> Stopped:
    facts: dict[str, Any] = {"partial_text": "Half an ans", "report": USED}
    return Stopped(output_id=key[0], fence=key[1], **(facts | changes))


def again(key: Key, **changes: Any) -> Again:
    facts: dict[str, Any] = {
        "kind": Kind.REPAIR,
        "worker": WORKER,
        "lease_seconds": LEASE,
        "report": USED,
    }
    return Again(output_id=key[0], fence=key[1], **(facts | changes))


def release(key: Key) -> Release:
    return Release(*key)


ENDINGS: Mapping[str, Callable[..., Any]] = {
    "complete": completed,
    "retry_later": retry_later,
    "snooze": snoozed,
    "fail": failed,
    "stop": stopped,
    "again": again,
    "release": release,
}
"""Every verb with which a holder says what came of a call, and an item for it."""

_LIVE = _T.c.status.in_(["pending", "processing"])
_CLOCKS = [
    (_T, ("run_at", "deadline", "woken_at", "lease_expires_at")),
    (_C, ("paused_until",)),
]


def asked_to_stop(world: World) -> Claim:
    """A claimed job that somebody has asked to cancel."""
    claim = world.claimed()
    world.do(lifecycle.cancel, [claim.output_id])
    return claim


def ended(world: World, verb: str) -> Claim:
    """A job that has ended by this verb."""
    claim = asked_to_stop(world) if verb == "stop" else world.claimed()
    assert world.end(verb, claim.key)
    return claim


def seconds_from_now(moment: datetime) -> float:
    return (moment - datetime.now(UTC)).total_seconds()


def together(*acts: Callable[[], Any]) -> list[Any]:
    """What the acts give, each run in a thread of its own, all started at the same moment."""
    start = threading.Barrier(len(acts))

    def act_at_start(act: Callable[[], Any]) -> Any:
        start.wait(10)
        return act()

    with ThreadPoolExecutor(len(acts)) as threads:
        running = [threads.submit(act_at_start, act) for act in acts]
        return [each.result(60) for each in running]


def _passing(table: Any, columns: Sequence[str]) -> Any:
    seconds = bindparam("seconds", type_=Float)
    moved = update(table).values({name: earlier(table.c[name], seconds) for name in columns})
    return moved.where(_LIVE) if table is _T else moved


def _forgetful(connection: Any, _record: Any) -> None:
    connection.execute("PRAGMA synchronous = OFF").close()
