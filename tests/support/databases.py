"""Fresh databases for tests: migrated once per test run, then copied for each test."""

from __future__ import annotations

import shutil
from pathlib import Path

from app.migrate import upgrade


class SQLiteDatabases:
    """Hands out SQLite files below a directory."""

    def __init__(self, template: Path) -> None:
        self._template = template

    def migrated(self, path: Path) -> str:
        """The URL of a new database at `path`, with the current schema."""
        if not self._template.exists():
            upgrade(self.url(self._template))
        # The last connection was closed, so everything is in the one file and none in its log.
        shutil.copyfile(self._template, path)
        return self.url(path)

    @staticmethod
    def url(path: Path) -> str:
        """The URL of the database at `path`, as DATABASE_URL takes it."""
        return f"sqlite:///{path}"
