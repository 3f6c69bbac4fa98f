"""A platform of its own for each fault: these tests break it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest

from tests.support.platform import Platform, running_platform

MakePlatform = Callable[..., Platform]


@pytest.fixture
def make_platform_on(tmp_path: Path) -> Iterator[MakePlatform]:
    """Starts a platform on the `database_url` it is given."""
    with ExitStack() as stack:
        yield lambda **settings: stack.enter_context(running_platform(tmp_path, **settings))


@pytest.fixture
def make_platform_on_sqlite(make_platform_on: MakePlatform, sqlite_url: str) -> MakePlatform:
    """The same where the kind of database makes no difference, and once is enough."""
    return partial(make_platform_on, database_url=sqlite_url)


@pytest.fixture
def make_platform(make_platform_on: MakePlatform, database_url: str) -> MakePlatform:
    """Starts a platform on a migrated database of each kind; `settings` as `running_platform`'s."""
    return partial(make_platform_on, database_url=database_url)
