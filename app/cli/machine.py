"""What local commands stand on: the settings of this machine, and its database."""

from __future__ import annotations

from app import log
from app.db import Database
from app.settings import Settings, load_settings


def machine_settings() -> Settings:
    """The settings; from here on the parts log to standard error, never into an answer."""
    settings = load_settings()
    log.configure(settings, json=False)
    return settings


def machine_database() -> Database:
    """The database the settings name."""
    return Database(machine_settings().database_url, pool_size=1)
