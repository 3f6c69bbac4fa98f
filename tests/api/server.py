"""A real gunicorn on a free port, as the Procfile starts it, and requests over real sockets."""

from __future__ import annotations

import http.client
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from app.dev.ports import LOOPBACK, free_port
from tests.api.house import House, Person
from tests.support.processes import RunningProcess, run_process

COMMAND = [sys.executable, "-m", "gunicorn", "--config", "python:api.gunicorn", "api.wsgi:app"]


@dataclass
class Answer:
    """What came back."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Server:
    """A running server and the house whose database and Redis it shares."""

    port: int
    process: RunningProcess
    house: House

    def connect(self, *, timeout: float = 20) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(LOOPBACK, self.port, timeout=timeout)

    def request(
        self, method: str, path: str, *, as_: Person | None = None, body: Any = None, **headers: str
    ) -> Answer:
        """One request on a connection of its own; a body that is no bytes is sent as JSON."""
        sent = {"Content-Type": "application/json"} if body is not None else {}
        sent |= as_.headers if as_ else {}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        raw = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        connection = self.connect()
        try:
            connection.request(method, path, raw, sent)
            response = connection.getresponse()
            return Answer(response.status, response.headers, response.read())
        finally:
            connection.close()


@contextmanager
def serve(house: House, **environment: str) -> Iterator[Server]:
    """Serve the house's database over HTTP until the block ends."""
    settings = house.runtime.settings
    port = free_port()
    env = {
        "DATABASE_URL": settings.database_url,
        "REDIS_URL": settings.redis_url,
        "PORT": str(port),
        "LLM_JOBS_SIMULATOR_URL": str(settings.simulator_url),
        "LLM_JOBS_SIMULATE_MISSING": "true",
        "LLM_JOBS_RATE_LIMIT": settings.rate_limit,
        "LLM_JOBS_WEB_THREADS": "16",
        **environment,
    }
    with run_process(COMMAND, env=env, ready=r"Listening at") as process:
        yield Server(port, process, house)
