"""What tests of the application layer stand on: a database of each kind, and three people.

alice owns, bob shares nothing with her, charlie must not even learn that her rows exist. Broker and
live news are recorded, not real: what travels over them is tested where they live.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import pytest
from sqlalchemy.orm import Session

from app import accounts
from app.accounts import Caller
from app.db import Database
from app.lifecycle import Ended
from app.queue import Wake
from app.settings import Settings
from models import Role

if TYPE_CHECKING:
    from app.runtime import Runtime


@dataclass
class RecordedWakes:
    """A broker that remembers; `depth_now` None, or a broken send, is a broker that is away."""

    depth_now: int | None = 0
    accepts: int | None = None
    sent: list[Wake] = field(default_factory=list)
    told: list[Ended] = field(default_factory=list)
    open_transactions: list[bool] = field(default_factory=list)
    database: Database | None = None

    def depth(self, queue: str) -> int | None:
        return self.depth_now

    def send(self, wakes: Sequence[Wake]) -> int:
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

    def announce(self, changes: Sequence[Ended]) -> None:
        self.announced += changes

    def ask_cancel(self, output_ids: Sequence[int]) -> None:
        self.cancels_asked += output_ids


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
        return cast("Runtime", self)


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
