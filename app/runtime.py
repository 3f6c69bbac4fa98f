"""The parts one process stands on, made once from its settings and handed to whoever needs them.

Nothing here connects before it is used, and no vendor SDK is loaded.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from sqlalchemy import select

from app.db import Database
from app.endpoints import endpoint_source
from app.errors import Unavailable
from app.limits import RateLimiter
from app.providers.registry import EndpointSource, drop_endpoint_source, set_endpoint_source
from app.queue import WakeQueue
from app.settings import Settings
from app.streaming import Events
from models import WorkerHeartbeat


@dataclass(frozen=True, slots=True)
class Runtime:
    """Settings, database, broker, live news, rate limits and stored endpoints of this process."""

    settings: Settings
    database: Database
    wake: WakeQueue
    events: Events
    limiter: RateLimiter
    endpoints: EndpointSource | None = None

    @classmethod
    def from_settings(cls, settings: Settings, *, threads: int = 10) -> Runtime:
        """`threads` is how many of this process's threads use database and broker at once.

        From here on the process knows the endpoints stored in this database.
        """
        database = Database(settings.database_url, pool_size=min(threads, 20))
        endpoints = endpoint_source(database)
        set_endpoint_source(settings.database_url, endpoints)
        return cls(
            settings=settings,
            database=database,
            wake=WakeQueue(
                settings, connections=threads, speaker=partial(_newest_worker, database)
            ),
            events=Events(settings.redis_url, database),
            limiter=RateLimiter.from_url(settings.redis_url, settings.rate_limit),
            endpoints=endpoints,
        )

    def close(self) -> None:
        """Close what is open, in the order that loses nothing."""
        if self.endpoints:
            drop_endpoint_source(self.endpoints)
        self.events.close()
        self.wake.close()
        self.limiter.close()
        self.database.dispose()


def _newest_worker(database: Database) -> str | None:
    """The name of the worker that has reported last, if one ever has."""
    newest = select(WorkerHeartbeat.name).order_by(WorkerHeartbeat.seen_at.desc()).limit(1)
    try:
        with database.read() as session:
            return session.scalar(newest)
    except Unavailable:
        return None
