"""Worlds that several folders look at: one database of each kind per module, for tests to empty."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

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
