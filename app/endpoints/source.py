"""The stored endpoints as a process knows them while it routes jobs, read at most every 5 seconds.

Secrets are read here and nowhere else: a row names environment variables, this process has them.
Asked in threads only (`app.routes`, requests): a question may wait for the database.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from threading import Lock

import structlog
from pydantic import SecretStr, ValidationError
from sqlalchemy import select
from sqlalchemy.exc import DBAPIError

from app.db import Database
from app.endpoint_settings import environment
from app.errors import Unavailable
from app.providers.registry import EndpointSource, StoredEndpoint
from models import RegisteredEndpoint

log = structlog.get_logger(__name__)

FRESH_SECONDS = 5.0
"""A changed endpoint reaches every process within this time; a new one at once."""


def endpoint_source(
    database: Database, variables: Mapping[str, str] | None = None
) -> EndpointSource:
    """The endpoints stored in a database. `variables` are this process's environment by default."""
    return _Stored(database, environment() if variables is None else variables)


def value_of(variable: str | None, variables: Mapping[str, str]) -> str | None:
    """What an environment variable holds, or the file that NAME_FILE names; None: it is not set."""
    if variable is None:
        return None
    if value := variables.get(variable):
        return value
    path = variables.get(f"{variable}_FILE")
    try:
        return Path(path).read_text(encoding="utf-8").strip() or None if path else None
    except (OSError, UnicodeDecodeError):
        return None


class _Stored:
    """See `app.providers.registry.EndpointSource`. Thread-safe: one reads, the others wait."""

    def __init__(self, database: Database, variables: Mapping[str, str]) -> None:
        self._database = database
        self._variables = variables
        self._reading = Lock()
        self._found: Mapping[str, StoredEndpoint] | None = None
        self._read_at = float("-inf")
        self._stale_at = float("-inf")

    def __call__(self, *, fresh: bool = False) -> Mapping[str, StoredEndpoint]:
        asked_at = time.monotonic()
        with self._reading:
            old = self._read_at < asked_at if fresh else self._stale_at <= asked_at
            if self._found is None or old:
                self._read(keep=self._found is not None and not fresh)
            return self._found or {}

    def forget(self) -> None:
        self._stale_at = float("-inf")

    def _read(self, *, keep: bool) -> None:
        """Read all of them. Without the database, what is known is kept if it may be."""
        begun = time.monotonic()
        self._stale_at = begun + FRESH_SECONDS  # first, so that a `forget` meanwhile counts
        try:
            with self._database.read() as session:
                query = select(RegisteredEndpoint).order_by(RegisteredEndpoint.name)
                rows = session.scalars(query).all()
        except (Unavailable, DBAPIError) as error:
            log.warning("endpoints not read: the database is away")
            if keep:
                return
            if isinstance(error, Unavailable):
                raise
            rows = []  # not migrated yet: nobody can have registered any
        self._read_at = begun
        self._found = {row.name: one for row in rows if (one := self._endpoint(row))}

    def _endpoint(self, row: RegisteredEndpoint) -> StoredEndpoint | None:
        named = (row.api_key_variable, row.user_variable, row.password_variable)
        key, user, password = (value_of(name, self._variables) for name in named)
        try:
            return StoredEndpoint(
                base_url=row.base_url,  # type: ignore[arg-type]
                api_key=SecretStr(key) if key else None,
                user=None if key else user,
                password=SecretStr(password) if password and not key else None,
                model=row.model,
                timeout_seconds=row.timeout_seconds,
                options=row.options or {},
                unset=tuple(n for n in named if n and not value_of(n, self._variables)),
            )
        except ValidationError:
            log.warning("endpoint not usable: its row was changed by hand", endpoint=row.name)
            return None
