"""Applications to test: one on each kind of database, emptied before each test that gets it; and
one per file on SQLite for tests that do not care what is in the tables.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

from app.dev.redis import EmbeddedRedis
from tests.api.house import House, empty, move_in, open_house
from tests.support.databases import SQLiteDatabases
from tests.support.postgres_server import PostgresServer

GENEROUS = {"LLM_JOBS_RATE_LIMIT": "1000000/minute"}


@pytest.fixture(scope="session")
def house_on_sqlite(
    sqlite_databases: SQLiteDatabases,
    tmp_path_factory: pytest.TempPathFactory,
    redis_server: EmbeddedRedis,
) -> Iterator[House]:
    url = sqlite_databases.migrated(tmp_path_factory.mktemp("api") / "llm_jobs.db")
    with open_house(url, redis_server.url, **GENEROUS) as house:
        yield house


@pytest.fixture(scope="session")
def house_on_postgresql(
    postgres_server: PostgresServer, postgres_template: str, redis_server: EmbeddedRedis
) -> Iterator[House]:
    with postgres_server.database(template=postgres_template) as name:
        url = postgres_server.url(name)
        with open_house(url, redis_server.url, **GENEROUS) as house:
            yield house


@pytest.fixture(params=["sqlite", "postgresql"])
def house(request: pytest.FixtureRequest, redis_url: str) -> House:
    """An application with nothing in its tables but four people, on each kind of database."""
    house: House = request.getfixturevalue(f"house_on_{request.param}")
    empty(house.database)
    house.people = move_in(house.database)
    return house


@pytest.fixture(scope="module")
def shared(
    sqlite_databases: SQLiteDatabases,
    tmp_path_factory: pytest.TempPathFactory,
    redis_server: EmbeddedRedis,
) -> Iterator[House]:
    """One application for the tests of a file."""
    path: Path = tmp_path_factory.mktemp("shared") / "llm_jobs.db"
    with Redis.from_url(redis_server.url) as client:
        client.flushall()
    with open_house(sqlite_databases.migrated(path), redis_server.url, **GENEROUS) as house:
        yield house


@pytest.fixture
def fresh(shared: House) -> House:
    """The shared house, whose people may come in again however often they did."""
    with Redis.from_url(shared.runtime.settings.redis_url) as client:
        client.flushall()
    return shared
