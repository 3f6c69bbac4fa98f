"""An empty world before each test; a new database for each would cost half a second."""

from __future__ import annotations

import pytest

from models.base import Base
from tests.integration.lifecycle.world import World


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
