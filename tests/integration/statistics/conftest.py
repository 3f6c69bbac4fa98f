"""One database of each kind per module, emptied before each test: a new one costs half a second."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from models.base import Base
from tests.integration.lifecycle.world import World, a_world
from tests.support.databases import SQLiteDatabases
from tests.support.postgres_server import PostgresServer


@pytest.fixture(scope="module")
def postgres_world(postgres_server: PostgresServer, postgres_template: str) -> Iterator[World]:
    with (
        postgres_server.database(template=postgres_template) as name,
        a_world(postgres_server.url(name)) as world,
    ):
        yield world


@pytest.fixture(scope="module")
def sqlite_world(
    sqlite_databases: SQLiteDatabases, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    url = sqlite_databases.migrated(tmp_path_factory.mktemp("world") / "world.db")
    with a_world(url, durable=False) as world:
        yield world


@pytest.fixture(params=["sqlite", "postgresql"])
def world(request: pytest.FixtureRequest) -> World:
    """An empty world, once on each kind of database."""
    world: World = request.getfixturevalue(
        {"sqlite": "sqlite_world", "postgresql": "postgres_world"}[request.param]
    )
    empty(world)
    return world


@pytest.fixture
def on_postgresql(postgres_world: World) -> World:
    """The same, where several write at once."""
    empty(postgres_world)
    return postgres_world


def empty(world: World) -> None:
    """Take everything away, statistics included."""
    with world.database.write() as session:
        for table in reversed(Base.metadata.sorted_tables):
            session.execute(table.delete())
