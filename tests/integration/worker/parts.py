"""Parts of a worker in the test's own process: a writer on a real database, jobs to write about."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from sqlalchemy.orm import Session

from app import lifecycle
from app.db import Database
from app.errors import Unavailable
from app.lifecycle import Created, Ended, NewJob
from models import Attempt, LLMOutput
from workers.writer import Writer


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
