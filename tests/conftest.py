"""Fixtures every test may use: real servers, fresh databases, free of what the machine has set.

Each pytest process (each xdist worker) has servers of its own, so tests run side by side. A server
is started by the first test that asks for it and stopped at the end, however the run ends.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis
from structlog.contextvars import clear_contextvars

from app.dev.redis import EmbeddedRedis
from app.migrate import upgrade
from app.settings import Settings, load_settings
from tests.support.databases import SQLiteDatabases
from tests.support.postgres_server import PostgresServer, running_postgres
from tests.support.redis_server import running_redis

pytest_plugins = ["tests.support.fault_table"]

_DATABASES = ("sqlite", "postgresql")


@pytest.fixture(scope="session", autouse=True)
def _nobody_traces() -> None:
    """Nothing is sent to a collector of the machine: tests of telemetry have their own."""
    for name in [n for n in os.environ if n.startswith("OTEL_")]:
        del os.environ[name]


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No test sees a setting of the machine it runs on; settings are read anew in each."""
    names = {str(field.alias) for field in Settings.model_fields.values()}
    for name in [n for n in os.environ if n in names or n.removesuffix("_FILE") in names]:
        monkeypatch.delenv(name)
    monkeypatch.setitem(Settings.model_config, "env_file", None)
    load_settings.cache_clear()
    clear_contextvars()  # what an earlier test of this thread bound to its log lines
    yield
    load_settings.cache_clear()


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedRedis]:
    """A running Redis, shared by all tests of this process: leave it running and unharmed."""
    with running_redis(tmp_path_factory.mktemp("redis")) as (server, _):
        yield server


@pytest.fixture
def redis_url(redis_server: EmbeddedRedis) -> str:
    """The URL of an empty Redis."""
    with Redis.from_url(redis_server.url) as client:
        client.flushall()
    return redis_server.url


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A running PostgreSQL, shared by all tests of this process."""
    with running_postgres() as server:
        yield server


@pytest.fixture(scope="session")
def postgres_template(postgres_server: PostgresServer) -> Iterator[str]:
    """The name of a database with the current schema, to copy."""
    with postgres_server.database() as name:
        upgrade(postgres_server.url(name))
        yield name


@pytest.fixture(scope="session")
def _used_postgres(postgres_server: PostgresServer, postgres_template: str) -> Iterator[str]:
    with postgres_server.database(template=postgres_template) as name:
        yield name


@pytest.fixture
def postgres_url(postgres_server: PostgresServer, _used_postgres: str) -> str:
    """The URL of an empty PostgreSQL database with the current schema: change its rows only."""
    postgres_server.empty(_used_postgres)
    return postgres_server.url(_used_postgres)


@pytest.fixture
def empty_postgres_url(postgres_server: PostgresServer) -> Iterator[str]:
    """The URL of a new PostgreSQL database without any table."""
    with postgres_server.database() as name:
        yield postgres_server.url(name)


@pytest.fixture(scope="session")
def sqlite_databases(tmp_path_factory: pytest.TempPathFactory) -> SQLiteDatabases:
    """Where new SQLite databases come from."""
    return SQLiteDatabases(tmp_path_factory.mktemp("sqlite") / "template.db")


@pytest.fixture
def sqlite_url(sqlite_databases: SQLiteDatabases, tmp_path: Path) -> str:
    """The URL of a new SQLite database with the current schema."""
    return sqlite_databases.migrated(tmp_path / "llm_jobs.db")


@pytest.fixture
def empty_sqlite_url(sqlite_databases: SQLiteDatabases, tmp_path: Path) -> str:
    """The URL of a SQLite database that does not exist yet."""
    return sqlite_databases.url(tmp_path / "empty.db")


@pytest.fixture(params=_DATABASES)
def database_url(request: pytest.FixtureRequest) -> str:
    """The URL of a new database with the current schema; the test runs once on each kind."""
    kind = {"sqlite": "sqlite_url", "postgresql": "postgres_url"}[request.param]
    return str(request.getfixturevalue(kind))


@pytest.fixture(params=_DATABASES)
def empty_database_url(request: pytest.FixtureRequest) -> str:
    """The URL of a new database without any table; the test runs once on each kind."""
    kind = {"sqlite": "empty_sqlite_url", "postgresql": "empty_postgres_url"}[request.param]
    return str(request.getfixturevalue(kind))
