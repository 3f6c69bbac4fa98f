"""What a worker's pool owns besides its tasks: the bench its jobs are carried out on.

Celery stops its own parts before the pool, while tasks still run; so whatever running jobs depend
on (the writer, the heartbeat) starts with the pool and stops last, in this order: no new claims;
running jobs end; the heartbeat stops; the writer writes what is left.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress

import structlog

from app import retry, telemetry
from app.context.source import DatabaseSource
from app.executor import Kit
from app.prices import PriceBook
from app.routes import Routes
from app.runtime import Runtime
from workers.carry_out import Bench
from workers.heartbeat import Heartbeat
from workers.running import RunningJobs
from workers.writer import Writer

log = structlog.get_logger(__name__)

SERVICE = "llm-jobs-worker"
_SENDING_SECONDS = 0.7
"""For the last spans, at the most: the pool gives its services little more than a second."""


class JobServices:
    """The pool's one service: makes the bench, keeps it alive, and clears it away."""

    def __init__(self, runtime: Runtime, *, concurrency: Callable[[], int]) -> None:
        """`worker`, the name the worker goes by in Celery, is set before the pool starts."""
        self.worker = f"worker@{socket.gethostname()}"
        self._runtime = runtime
        self._concurrency = concurrency
        self._draining = False
        self._bench: Bench | None = None

    @property
    def bench(self) -> Bench:
        """The bench of the running pool."""
        if self._bench is None:
            raise RuntimeError("a job was started before the pool's services")
        return self._bench

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Writer first, then what writes through it."""
        runtime, settings = self._runtime, self._runtime.settings
        telemetry.start(SERVICE)
        self._jobs = RunningJobs()
        self._routes = Routes(settings)
        self._writer = Writer(runtime, worker=self.worker)
        self._heartbeat = Heartbeat(
            runtime, self._writer, self._jobs, worker=self.worker, concurrency=self._concurrency
        )
        self._loop = loop
        prices = PriceBook(runtime.database)
        prices.load()  # else the loop would wait for the database at the first answer
        self._writer.start()
        self._heartbeat.start(loop)
        runtime.events.serve_worker(on_cancel=self._heartbeat.hear_cancels)
        self._bench = Bench(
            kit=Kit(
                settings=settings,
                routes=self._routes,
                events=runtime.events,
                source=DatabaseSource(runtime.database, settings),
                retry_policy=retry.RetryPolicy(
                    settings.retry_base_seconds, settings.retry_max_seconds
                ),
                price=prices.price_call,
            ),
            writer=self._writer,
            jobs=self._jobs,
            worker=self.worker,
            lease_seconds=settings.lease_seconds,
            trust_seconds=self._heartbeat.trust_seconds,
            draining=lambda: self._draining,
        )

    def drain(self) -> None:
        """The worker shuts down: claimed rows whose call has not begun are given back."""
        self._draining = True
        self._heartbeat.drain()

    def stop(self) -> None:
        """No job runs any more."""
        with suppress(Exception):
            asyncio.run_coroutine_threadsafe(self._routes.close(), self._loop).result(0.5)
        self._heartbeat.close()
        self._writer.close(timeout_seconds=1.0)
        self._runtime.close()
        telemetry.stop(timeout_seconds=_SENDING_SECONDS)
