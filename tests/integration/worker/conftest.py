"""One real platform on each kind of database, for all tests here that do not break it.

They are shared: each test looks at its own jobs only, and leaves neither a standing order nor a job
that waits behind.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.faults.verdict import tell_tally
from tests.support.databases import SQLiteDatabases
from tests.support.platform import Platform, running_platform
from tests.support.postgres_server import PostgresServer

LEASE = {"lease_seconds": 60, "heartbeat_seconds": 15}
"""Nothing here may happen only because a heartbeat came by."""


@pytest.fixture(scope="session")
def sqlite_platform(
    tmp_path_factory: pytest.TempPathFactory, sqlite_databases: SQLiteDatabases
) -> Iterator[Platform]:
    directory = tmp_path_factory.mktemp("platform")
    url = sqlite_databases.migrated(directory / "llm_jobs.db")
    with running_platform(directory, database_url=url, vendors=True, **LEASE) as platform:
        yield platform


@pytest.fixture(scope="session")
def postgres_platform(
    tmp_path_factory: pytest.TempPathFactory,
    postgres_server: PostgresServer,
    postgres_template: str,
) -> Iterator[Platform]:
    directory = tmp_path_factory.mktemp("platform")
    with postgres_server.database(template=postgres_template) as name:
        url = postgres_server.url(name)
        with running_platform(directory, database_url=url, vendors=True, **LEASE) as platform:
            yield platform


@pytest.fixture
def platform(request: pytest.FixtureRequest, sqlite_platform: Platform) -> Iterator[Platform]:
    """A running platform with one worker, for what does not depend on the database."""
    yield from _lent(sqlite_platform, request)


@pytest.fixture(params=["sqlite", "postgresql"])
def any_platform(request: pytest.FixtureRequest) -> Iterator[Platform]:
    """The same on each kind of database; the test runs once on each."""
    name = {"sqlite": "sqlite_platform", "postgresql": "postgres_platform"}[request.param]
    yield from _lent(request.getfixturevalue(name), request)


def _lent(platform: Platform, request: pytest.FixtureRequest) -> Iterator[Platform]:
    platform.accepted.clear()
    yield platform
    platform.wait_all_ended()
    if request.node.get_closest_marker("fault"):
        tell_tally(request.node, platform)
