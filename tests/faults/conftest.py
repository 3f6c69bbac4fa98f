"""A platform of its own for each fault: these tests break it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from app.migrate import upgrade
from tests.faults.verdict import tell_tally
from tests.support.platform import Platform, running_platform
from tests.support.postgres_server import StoppablePostgres, stoppable_postgres

MakePlatform = Callable[..., Platform]


@pytest.fixture
def make_platform_on(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[MakePlatform]:
    """Starts a platform on the `database_url` it is given; what came of its jobs is told."""
    made: list[Platform] = []

    def make(**settings: Any) -> Platform:
        made.append(stack.enter_context(running_platform(tmp_path, **settings)))
        return made[-1]

    with ExitStack() as stack:
        yield make
        for platform in made:
            tell_tally(request.node, platform)


@pytest.fixture
def make_platform_on_sqlite(make_platform_on: MakePlatform, sqlite_url: str) -> MakePlatform:
    """The same where the kind of database makes no difference, and once is enough."""
    return partial(make_platform_on, database_url=sqlite_url)


@pytest.fixture
def postgres() -> Iterator[StoppablePostgres]:
    """A PostgreSQL of one's own, with the current schema, to stop and to start."""
    with stoppable_postgres() as server:
        upgrade(server.server.url())
        yield server


@pytest.fixture
def make_platform(make_platform_on: MakePlatform, database_url: str) -> MakePlatform:
    """Starts a platform on a migrated database of each kind; `settings` as `running_platform`'s."""
    return partial(make_platform_on, database_url=database_url)
