"""Runs the dispatcher's ticks in a thread of the worker, from its start to its stop.

A worker-level bootstep: Celery stops consumer steps while the broker is away, and a timer on its
hub would block consuming.
"""

from __future__ import annotations

import threading
import time
from typing import Any

import structlog
from celery import bootsteps
from sqlalchemy import update

from app.dispatcher import Dispatcher
from app.errors import Unavailable
from app.liveness import TICK_NOTED_SECONDS
from app.runtime import Runtime
from models import WorkerHeartbeat
from models.base import table_of
from models.types import now

log = structlog.get_logger(__name__)

_W = table_of(WorkerHeartbeat)


class DispatcherThread:
    """Three lines of loop around `tick()`, and what to do when it fails."""

    def __init__(self, runtime: Runtime, *, worker: str) -> None:
        self._runtime = runtime
        self._worker = worker
        self._dispatcher = Dispatcher(runtime)
        self._stop = threading.Event()
        self._noted = 0.0
        self._thread = threading.Thread(target=self._run, name="llm-jobs-dispatcher", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(timeout=2)

    def _run(self) -> None:
        wait = 0.0
        while not self._stop.wait(wait):
            wait = self._tick()

    def _tick(self) -> float:
        try:
            started = time.monotonic()
            wait = self._dispatcher.tick()
            self._note(time.monotonic() - started)
            return wait
        except Unavailable:
            log.warning("dispatcher waits: the database is away")
        except Exception:
            log.exception("dispatcher tick failed")
        return self._runtime.settings.dispatch_seconds

    def _note(self, took: float) -> None:
        if time.monotonic() - self._noted < TICK_NOTED_SECONDS:
            return
        self._noted = time.monotonic()
        with self._runtime.database.write() as session:
            session.execute(
                update(_W)
                .where(_W.c.name == self._worker)
                .values(ticked_at=now(), tick_seconds=round(took, 4))
            )


def dispatcher_step(runtime: Runtime) -> type[bootsteps.StartStopStep]:
    """The bootstep class that runs a dispatcher on this runtime."""

    class DispatcherStep(bootsteps.StartStopStep):  # type: ignore[misc]
        requires = {"celery.worker.components:Pool"}  # noqa: RUF012 - Celery's convention

        def __init__(self, worker: Any, **_: Any) -> None:
            self._thread = DispatcherThread(runtime, worker=worker.hostname)

        def start(self, _worker: Any) -> None:
            self._thread.start()

        def stop(self, _worker: Any) -> None:
            self._thread.stop()

        terminate = stop

    return DispatcherStep
