"""Parts of a worker in the test's own process: a writer on a real database, jobs to write about."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import wraps
from types import SimpleNamespace
from typing import Any

from sqlalchemy.orm import Session

from app import lifecycle
from app.db import Database
from app.errors import Unavailable
from app.executor import Kit
from app.lifecycle import Created, Ended, NewJob
from app.prices import UNPRICED
from app.providers.contract import Answer, Call, Stop
from app.providers.registry import Route
from app.retry import RetryPolicy
from models import Attempt, LLMOutput
from workers.carry_out import Bench as CarryBench
from workers.pool.delivery import End
from workers.running import RunningJobs
from workers.writer import Writer


def on_a_loop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """A test that is a coroutine."""

    @wraps(test)
    def run(**fixtures: Any) -> None:
        asyncio.run(test(**fixtures))

    return run


@dataclass
class Away:
    """A database that can be away. `meanwhile` is called at each attempt to write."""

    database: Database
    away: bool = False
    meanwhile: Callable[[], None] = lambda: None

    @contextmanager
    def write(self) -> Iterator[Session]:
        self.meanwhile()
        if self.away:
            raise Unavailable("away")
        with self.database.write() as session:
            yield session

    @contextmanager
    def read(self) -> Iterator[Session]:
        if self.away:
            raise Unavailable("away")
        with self.database.read() as session:
            yield session

    def ping(self) -> None:
        if self.away:
            raise Unavailable("away")


@dataclass
class Told:
    """Broker and live news, written down."""

    announced: list[Ended] = field(default_factory=list)
    in_flower: list[Ended] = field(default_factory=list)

    def announce(self, rows: list[Ended]) -> None:
        self.announced += rows

    def tell(self, rows: list[Ended]) -> None:
        self.in_flower += rows


@dataclass
class Bench:
    """A writer at work, and its surroundings."""

    database: Away
    told: Told
    runtime: Any
    writer: Writer

    def insert(self, number: int = 1, **columns: Any) -> list[Created]:
        """Pending rows that are due."""
        new = [
            NewJob(template_name="t", model_name="m", max_tries=6, max_age_seconds=600, **columns)
            for _ in range(number)
        ]
        with self.database.database.write() as session:
            return list(lifecycle.create(session, new).values())

    def row(self, output_id: int) -> LLMOutput:
        with self.database.database.read() as session:
            row = session.get_one(LLMOutput, output_id)
            session.expunge(row)
            return row

    def outcomes(self, output_id: int) -> list[str]:
        with self.database.database.read() as session:
            rows = session.query(Attempt).filter_by(output_id=output_id).order_by(Attempt.number)
            return [row.outcome for row in rows]


@contextmanager
def working_bench(url: str, *, worker: str = "w") -> Iterator[Bench]:
    """A writer in its thread, until the block ends."""
    database, told = Away(Database(url)), Told()
    settings = SimpleNamespace(lease_seconds=60, heartbeat_seconds=15)
    runtime: Any = SimpleNamespace(settings=settings, database=database, events=told, wake=told)
    writer = Writer(runtime, worker=worker)
    writer.start()
    try:
        yield Bench(database, told, runtime, writer)
    finally:
        database.away = False
        writer.close(timeout_seconds=10)
        database.database.dispose()


class Provider:
    """A provider of one's own: `answers` are given in turn, each after `opens` was set; None never
    comes.
    """

    name = "fake"

    def __init__(self, *answers: str | BaseException | None) -> None:
        self.answers = list(answers) or ["an answer"]
        self.called = asyncio.Event()
        self.opens = asyncio.Event()
        self.opens.set()
        self.calls = 0

    async def call(self, call: Call, *, on_text: Any = None) -> Answer:
        await asyncio.sleep(0)  # as connecting does
        self.calls += 1
        self.called.set()
        await self.opens.wait()
        answer = self.answers[min(self.calls, len(self.answers)) - 1]
        if isinstance(answer, BaseException):
            raise answer
        if answer is None:
            await asyncio.Event().wait()
        return Answer(text=str(answer), stop=Stop.DONE, usage=None, model=call.model)

    async def find(self, model: str) -> tuple[Route, Provider]:
        """It is every model's provider."""
        return Route("fake", model, f"fake:{model}:0"), self


class Message:
    """What a worker gets from Celery, and what it is told."""

    def __init__(self, job_id: str) -> None:
        self.id = job_id
        self.accepted = False
        self.cancelled_as: End | None = None

    def accept(self) -> None:
        self.accepted = True


def carrying(bench: Bench, provider: Provider, *, draining: bool = False) -> CarryBench:
    """What `carry_out` needs, with this provider for every model."""
    settings: Any = SimpleNamespace(
        lease_seconds=60, call_timeout_seconds=20, fetch_timeout_seconds=1
    )
    silent: Any = SimpleNamespace(listened=lambda job_id: False)
    routes: Any = provider
    kit = Kit(
        settings=settings,
        routes=routes,
        events=silent,
        source=silent,
        retry_policy=RetryPolicy(),
        price=lambda *_: UNPRICED,
    )
    return CarryBench(
        kit=kit,
        writer=bench.writer,
        jobs=RunningJobs(),
        worker="w",
        lease_seconds=60,
        trust_seconds=55,
        draining=lambda: draining,
    )
