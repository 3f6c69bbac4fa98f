"""Keeps this worker's leases, and its own row, alive: a thread apart from the calls.

It still beats while the worker drains. A renewal that is refused means the row is somebody else's
now; a renewal that cannot be written for so long that others may have taken over means the same,
counted on this host's monotonic clock from *before* the last beat that was written.
"""

from __future__ import annotations

import asyncio
import os
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import wait
from pathlib import Path

import structlog
from sqlalchemy import delete, insert, update

from app.errors import Unavailable
from app.lifecycle import Held, Renewal
from app.runtime import Runtime
from models import WorkerHeartbeat
from models.base import table_of
from models.types import now, now_plus
from workers.running import RunningJob, RunningJobs, Why
from workers.writer import Writer

log = structlog.get_logger(__name__)

_W = table_of(WorkerHeartbeat)
FORGET_SECONDS = 3600
"""Rows of workers that stopped reporting are removed after this long."""


class Heartbeat:
    """Beats every `heartbeat_seconds` until closed."""

    def __init__(
        self,
        runtime: Runtime,
        writer: Writer,
        jobs: RunningJobs,
        *,
        worker: str,
        concurrency: Callable[[], int],
    ) -> None:
        self._runtime = runtime
        self._writer = writer
        self._jobs = jobs
        self._worker = worker
        self._concurrency = concurrency
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop = threading.Event()
        self._draining = False
        self._thread = threading.Thread(target=self._run, name="llm-jobs-heartbeat", daemon=True)
        lease = runtime.settings.lease_seconds
        self.trust_seconds = lease - min(5.0, lease / 4)

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Report this worker and start beating."""
        self._loop = loop
        self._report(first=True)
        self._thread.start()

    def drain(self) -> None:
        """Say that this worker takes nothing new."""
        self._draining = True

    def close(self) -> None:
        """Stop beating and take this worker's row away."""
        self._stop.set()
        self._thread.join(timeout=2)
        try:
            with self._runtime.database.write() as session:
                session.execute(delete(_W).where(_W.c.name == self._worker))
        except Unavailable:
            log.warning("worker row not removed: the database is away")

    def _run(self) -> None:
        every = self._runtime.settings.heartbeat_seconds
        while not self._stop.wait(every):
            try:
                self.beat()
                self._report()
            except Unavailable:
                log.warning("heartbeat not written: the database is away")
            except Exception:
                log.exception("heartbeat failed")

    def beat(self) -> None:
        """Renew every lease; end the calls whose lease is gone or whose cancel was asked."""
        sent = time.monotonic()
        asked = [(job, job.held) for job in self._jobs.all()]
        renewals = [self._writer.submit("renew", held) for _, held in asked]
        wait(renewals, timeout=self._runtime.settings.heartbeat_seconds)
        for (job, held), renewal in zip(asked, renewals, strict=True):
            if renewal.done() and renewal.exception() is None:
                self._heard(job, held, renewal.result(), sent)
            if time.monotonic() > job.trusted_until:
                log.warning("lease not renewed in time", output_id=held.output_id)
                self._end(job, Why.LOST)

    def _heard(self, job: RunningJob, held: Held, renewal: Renewal | None, sent: float) -> None:
        if renewal is None:
            if job.held == held:  # else its fence rose meanwhile, and this renewal was for the old
                self._end(job, Why.LOST)
            return
        job.trusted_until = sent + self.trust_seconds
        if renewal.cancel_requested:
            self._end(job, Why.CANCEL)

    def _end(self, job: RunningJob, why: Why) -> None:
        if self._loop is not None:
            self._loop.call_soon_threadsafe(job.end, why)

    def _report(self, *, first: bool = False) -> None:
        facts = {
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "concurrency": self._concurrency(),
            "in_flight": len(self._jobs),
            "draining": self._draining,
            "rss_bytes": _memory_bytes(),
            "seen_at": now(),
        }
        with self._runtime.database.write() as session:
            mine = session.execute(update(_W).where(_W.c.name == self._worker).values(facts))
            if mine.rowcount == 0:  # type: ignore[attr-defined]
                session.execute(insert(_W).values(facts | {"name": self._worker}))
            if first:
                session.execute(delete(_W).where(_W.c.seen_at < now_plus(-FORGET_SECONDS)))


def _memory_bytes() -> int | None:
    """What this process holds in memory now; None where the system does not say."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return None
    return pages * os.sysconf("SC_PAGE_SIZE")
