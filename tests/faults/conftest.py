"""A platform of its own for each fault: these tests break it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.platform import Platform, running_platform

MakePlatform = Callable[..., Platform]


@pytest.fixture
def make_platform(tmp_path: Path, database_url: str) -> Iterator[MakePlatform]:
    """Starts a platform on a migrated database of each kind; `settings` as `running_platform`'s."""
    with ExitStack() as stack:

        def make(**settings: object) -> Platform:
            return stack.enter_context(
                running_platform(tmp_path, database_url=database_url, **settings)
            )

        yield make
