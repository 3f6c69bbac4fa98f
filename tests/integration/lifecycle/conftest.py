"""An empty world before each test; a new database for each would cost half a second."""

from __future__ import annotations

import pytest

from tests.integration.lifecycle.world import World


@pytest.fixture(params=["sqlite", "postgresql"])
def world(request: pytest.FixtureRequest) -> World:
    """An empty world, once on each kind of database."""
    world: World = request.getfixturevalue(
        {"sqlite": "sqlite_world", "postgresql": "postgres_world"}[request.param]
    )
    world.clear()
    return world
