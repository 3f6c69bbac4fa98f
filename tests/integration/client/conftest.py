"""A platform to call: the real web application behind a real socket, without workers."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from werkzeug.serving import make_server

from api.app import create_app
from app import accounts, lifecycle
from app.accounts import Caller
from app.lifecycle import Completed, Delivery
from app.runtime import Runtime
from app.settings import Settings
from models import LLMOutput


@dataclass(frozen=True)
class Platform:
    """Its address, alice's key, and the parts behind it."""

    url: str
    key: str
    alice: Caller
    runtime: Runtime

    def complete(self, output_id: int, text: str = "Done.") -> None:
        """Do what a worker would."""
        with self.runtime.database.write() as session:
            row = session.get_one(LLMOutput, output_id)
            (claim,) = lifecycle.claim(
                session, [Delivery(row.id, row.job_id)], worker="w1", lease_seconds=60
            ).values()
            ended = lifecycle.complete(
                session,
                [Completed(output_id=row.id, fence=claim.fence, raw_response=text)],
            )
        self.runtime.events.announce(list(ended.values()))

    def row(self, output_id: int) -> LLMOutput:
        with self.runtime.database.read() as session:
            return session.get_one(LLMOutput, output_id)


@pytest.fixture
def settings(sqlite_url: str, redis_url: str) -> Settings:
    return Settings(
        DATABASE_URL=sqlite_url,
        REDIS_URL=redis_url,
        LLM_JOBS_SIMULATOR_URL="http://127.0.0.1:9",
    )


@pytest.fixture
def platform(settings: Settings) -> Iterator[Platform]:
    runtime = Runtime.from_settings(settings)
    with runtime.database.write() as session:
        user = accounts.create_user(session, email="alice@example.org", name="Alice")
        key = accounts.create_key(session, user.id).text
    server = make_server("127.0.0.1", 0, create_app(runtime), threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        url = f"http://127.0.0.1:{server.server_port}"
        yield Platform(url, key, accounts.caller_of(user), runtime)
    finally:
        server.shutdown()
        thread.join(5)
        server.server_close()
        runtime.close()
