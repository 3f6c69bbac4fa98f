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
from collections.abc import Callable, Collection
from concurrent.futures import Future, wait
from dataclasses import dataclass
from functools import partial
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


_ARRIVAL_SECONDS = 0.3
"""How long a claim takes from its commit to the list of running jobs, at the most."""


@dataclass(frozen=True, slots=True)
class _Question:
    """A renewal under way, and when it was asked for."""

    job: RunningJob
    held: Held
    sent: float
    answer: Future[Renewal | None]


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
        self._every = runtime.settings.heartbeat_seconds
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
        while not self._stop.wait(self._every):
            try:
                self.beat()
                self._report()
            except Unavailable:
                log.warning("heartbeat not written: the database is away")
            except Exception:
                log.exception("heartbeat failed")

    def beat(self) -> None:
        """Renew every lease; end the calls whose lease is gone or whose cancel was asked."""
        asked = self._ask(self._jobs.all())
        wait([question.answer for question in asked], timeout=self._every)
        for question in asked:
            if question.answer.done():
                self._heard(question)
        for job in self._jobs.all():
            if time.monotonic() > job.trusted_until and not job.ending:
                log.warning("lease not renewed in time", output_id=job.output_id)
                self._end(job, Why.LOST)

    def hear_cancels(self, output_ids: Collection[int]) -> None:
        """Somebody says that these rows were cancelled: the rows are asked, by renewing them.

        From any thread; returns at once. A claim or a further call just committed may not be known
        here for a moment more, so rows that are not found are looked for once again.
        """
        missing = set(output_ids) - self._ask_and_heed(output_ids)
        if missing and self._loop is not None:
            look_again = partial(self._ask_and_heed, missing)
            self._loop.call_soon_threadsafe(self._loop.call_later, _ARRIVAL_SECONDS, look_again)

    def _ask_and_heed(self, output_ids: Collection[int]) -> set[int]:
        """Returns which of them could be asked."""
        asked = self._ask(self._jobs.among(output_ids))
        for question in asked:
            question.answer.add_done_callback(partial(self._heed, question))
        return {question.held.output_id for question in asked}

    def _heed(self, question: _Question, _answer: Future[Renewal | None]) -> None:
        self._heard(question)

    def _ask(self, jobs: Collection[RunningJob]) -> list[_Question]:
        held = [(job, job.held) for job in jobs]
        return [self._question(job, claim) for job, claim in held if claim is not None]

    def _question(self, job: RunningJob, held: Held) -> _Question:
        sent = time.monotonic()
        return _Question(job, held, sent, self._writer.submit("renew", held))

    def _heard(self, question: _Question) -> None:
        job, held = question.job, question.held
        if question.answer.exception() is not None:
            return
        renewal = question.answer.result()
        if renewal is None:
            if job.held == held:  # else its fence rises just now, and this was about the old one
                self._end(job, Why.LOST)
            return
        job.trusted_until = question.sent + self.trust_seconds
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
