"""What tests of the application layer stand on: a database of each kind, and three people.

alice owns, bob shares nothing with her, charlie must not even learn that her rows exist. Broker and
live news are recorded, not real: what travels over them is tested where they live.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session, undefer

from app import accounts, jobs, lifecycle
from app.accounts import Caller
from app.db import Database
from app.jobs import JobRequest, Submission
from app.lifecycle import Claim, Completed, Delivery, Ended, Failed, Report
from app.queue import Wake
from app.runtime import Runtime
from app.settings import Settings
from models import LLMOutput, Queue, Role


@dataclass
class RecordedWakes:
    """A broker that remembers; `depth_now` None, or a broken send, is a broker that is away."""

    depth_now: int | None = 0
    accepts: int | None = None
    sent: list[Wake] = field(default_factory=list)
    told: list[Ended] = field(default_factory=list)
    on_send: Callable[[], None] = lambda: None

    def depth(self, queue: str) -> int | None:
        return self.depth_now

    def depths(self) -> dict[str, int]:
        return {} if self.depth_now is None else dict.fromkeys(map(str, Queue), self.depth_now)

    def send(self, wakes: Sequence[Wake]) -> int:
        self.on_send()
        taken = list(wakes) if self.accepts is None else list(wakes)[: self.accepts]
        self.sent += taken
        return len(taken)

    def grew(self, queue: str, by: int) -> None:
        if self.depth_now is not None:
            self.depth_now += by

    def tell(self, ended: Sequence[Ended]) -> None:
        self.told += ended


@dataclass
class RecordedEvents:
    announced: list[Ended] = field(default_factory=list)
    cancels_asked: list[int] = field(default_factory=list)
    told: list[tuple[str, str]] = field(default_factory=list)

    def announce(self, changes: Sequence[Ended]) -> None:
        self.announced += changes

    def ask_cancel(self, output_ids: Sequence[int]) -> None:
        self.cancels_asked += output_ids

    def tell(self, job_id: str, event: str, data: dict[str, Any]) -> None:
        self.told.append((job_id, event))


@dataclass(frozen=True)
class RecordedRuntime:
    """Looks like `app.runtime.Runtime`; its broker and news are open to look at."""

    settings: Settings
    database: Database
    wake: RecordedWakes
    events: RecordedEvents
    limiter: Any = None

    @property
    def real(self) -> Runtime:
        return cast(Runtime, self)


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    database = Database(database_url)
    yield database
    database.dispose()


@pytest.fixture
def settings(database_url: str) -> Settings:
    return Settings(
        DATABASE_URL=database_url,
        LLM_JOBS_SIMULATOR_URL="http://127.0.0.1:9/v1",
        LLM_JOBS_MODEL_ALIASES={"house-model": "simulator/echo"},
    )


@pytest.fixture
def recorded(database: Database, settings: Settings) -> RecordedRuntime:
    return RecordedRuntime(settings, database, RecordedWakes(), RecordedEvents())


@pytest.fixture
def runtime(recorded: RecordedRuntime) -> Runtime:
    return recorded.real


@dataclass
class Rows:
    """Puts rows where a test needs them, by the lifecycle's own verbs."""

    runtime: RecordedRuntime

    def submit(self, caller: Caller, **fields: Any) -> Submission:
        usual = {"template": "Hello {{name}}", "model": "simulator/echo", "context": {"name": "A"}}
        return jobs.submit(self.runtime.real, caller, JobRequest(**(usual | fields)))

    def claim(self, output_id: int, *, worker: str = "w1", lease_seconds: float = 60) -> Claim:
        row = self.read(output_id)
        with self.runtime.database.write() as session:
            (claim,) = lifecycle.claim(
                session,
                [Delivery(row.id, row.job_id)],
                worker=worker,
                lease_seconds=lease_seconds,
            ).values()
        return claim

    def complete(self, output_id: int, text: str = "Done.", **facts: Any) -> None:
        claim = self.claim(output_id)
        report = Report(provider="simulator", provider_model="echo", **facts)
        with self.runtime.database.write() as session:
            assert lifecycle.complete(
                session,
                [Completed(output_id=output_id, fence=claim.fence, raw_response=text,
                           prompt="Hello A", report=report)],
            )  # fmt: skip

    def fail(self, output_id: int) -> None:
        claim = self.claim(output_id)
        with self.runtime.database.write() as session:
            assert lifecycle.fail(
                session,
                [Failed(output_id=output_id, fence=claim.fence, error_code="refused",
                        error_message="No.")],
            )  # fmt: skip

    def completed(self, caller: Caller, text: str = "Done.", **fields: Any) -> int:
        output_id = self.submit(caller, **fields).output_id
        self.complete(output_id, text)
        return output_id

    def read(self, output_id: int) -> LLMOutput:
        with self.runtime.database.read() as session:
            row = session.get(LLMOutput, output_id, options=[undefer(LLMOutput.file_texts)])
        assert row is not None
        return row

    def count(self) -> int:
        with self.runtime.database.read() as session:
            return session.scalars(select(func.count()).select_from(LLMOutput)).one()


@pytest.fixture
def rows(recorded: RecordedRuntime) -> Rows:
    return Rows(recorded)


def make_user(session: Session, name: str, **facts: Any) -> Caller:
    user = accounts.create_user(session, email=f"{name}@example.org", name=name.title(), **facts)
    return accounts.caller_of(user)


@pytest.fixture
def alice(database: Database) -> Caller:
    with database.write() as session:
        return make_user(session, "alice")


@pytest.fixture
def bob(database: Database) -> Caller:
    with database.write() as session:
        return make_user(session, "bob")


@pytest.fixture
def charlie(database: Database) -> Caller:
    with database.write() as session:
        return make_user(session, "charlie")


@pytest.fixture
def admin(database: Database) -> Caller:
    with database.write() as session:
        return make_user(session, "ada", role=Role.ADMIN)
