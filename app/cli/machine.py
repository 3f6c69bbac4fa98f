"""What local commands stand on: the settings of this machine, and its database."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from app import log
from app.db import Database
from app.settings import Settings, load_settings

if TYPE_CHECKING:
    from app.runtime import Runtime


def machine_settings() -> Settings:
    """The settings; from here on the parts log to standard error, never into an answer."""
    settings = load_settings()
    log.configure(settings, json=False)
    return settings


@contextmanager
def machine_runtime() -> Iterator[Runtime]:
    """Database, broker and news of the platform the settings name, until the block ends."""
    from app.runtime import Runtime

    runtime = Runtime.from_settings(machine_settings(), threads=2)
    try:
        yield runtime
    finally:
        runtime.close()


def machine_database() -> Database:
    """The database the settings name."""
    return Database(machine_settings().database_url, pool_size=1)
