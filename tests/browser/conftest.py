"""A platform with pages, and people with browsers, for the tests of a file.

alice and bob are members and share nothing; ada administrates. The browser lives as long as a file:
Playwright's loop must not be there for tests of other files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser

from tests.browser.one_output import Submit, submitting
from tests.support.browser import Person, person, running_browser
from tests.support.databases import SQLiteDatabases
from tests.support.platform import Platform, running_platform


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium."""
    with running_browser() as found:
        yield found


@pytest.fixture(scope="module")
def platform(
    browser: Browser,
    sqlite_databases: SQLiteDatabases,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Platform]:
    """Web, worker, Redis and simulator on SQLite."""
    directory = tmp_path_factory.mktemp("browser")
    url = sqlite_databases.migrated(directory / "llm_jobs.db")
    with running_platform(directory, database_url=url, web=True) as found:
        yield found


@pytest.fixture
def someone(browser: Browser, platform: Platform) -> Iterator[Callable[..., Person]]:
    """Makes people (`someone("alice", admin=False)`); each must have had no fault at the end."""
    made: list[Person] = []

    def make(name: str, *, admin: bool = False, **options: object) -> Person:
        made.append(person(browser, platform, name, admin=admin, **options))
        return made[-1]

    yield make
    for one in made:
        one.context.close()
    for one in made:
        one.check()


@pytest.fixture
def alice(someone: Callable[..., Person]) -> Person:
    """A member, signed in."""
    found = someone("alice")
    found.enter()
    return found


@pytest.fixture
def ada(someone: Callable[..., Person]) -> Person:
    """An administrator, signed in."""
    found = someone("ada", admin=True)
    found.enter()
    return found


@pytest.fixture
def submit(platform: Platform) -> Iterator[Submit]:
    """Submits as somebody, and leaves nothing running."""
    with submitting(platform) as found:
        yield found
