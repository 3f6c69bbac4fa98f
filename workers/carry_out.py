"""From a message to the end of its row: claim, accept, execute, write the end, tell Celery.

A message is a hint. Its claim may be refused (done already, somebody else's, paused, not due): then
Celery never hears that it was accepted, and Flower keeps what it knew of the job.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import structlog
from celery.exceptions import Ignore, Retry

from app.errors import CallCancelled
from app.executor import Ending, Execution, Kit
from app.lifecycle import Again, Claim, Completed, Delivery, Failed, Release, RetryLater, Snoozed
from models import Kind
from workers import log_events
from workers.pool import Delivery as Message
from workers.pool.delivery import End
from workers.running import RunningJob, RunningJobs, Why
from workers.writer import Writer

log = structlog.get_logger(__name__)

_VERB_OF = {Completed: "complete", Failed: "fail", RetryLater: "retry_later", Snoozed: "snooze"}


class JobFailed(Exception):
    """How a failed job shows in Celery and Flower: its code and its id, never its text."""


@dataclass(frozen=True, slots=True)
class Bench:
    """What carrying out jobs needs, shared by all of a worker."""

    kit: Kit
    writer: Writer
    jobs: RunningJobs
    worker: str
    lease_seconds: float
    trust_seconds: float
    draining: Callable[[], bool]


async def carry_out(output_id: int, bench: Bench, message: Message) -> str:
    """Carry out one job; returns the word that Celery keeps as the task's result.

    Raises Ignore (nothing to do, or not ours any more), Retry (it waits in its row), JobFailed.
    """
    before = time.monotonic()
    claim = await bench.writer.write("claim", Delivery(output_id, message.id))
    if claim is None:
        raise Ignore
    job = _begin(claim, bench, before)
    try:
        if bench.draining():
            await bench.writer.write("release", Release(*claim.key))
            raise Ignore
        message.accept()
        log_events.started(claim)
        ending = await _execute(job, bench, message)
    finally:
        bench.jobs.remove(job)
    return _say(claim, ending)


def _begin(claim: Claim, bench: Bench, before: float) -> RunningJob:
    ledger = _Ledger(claim, bench)
    job = RunningJob(
        execution=Execution(claim, bench.kit, ledger),
        task=cast("asyncio.Task[object]", asyncio.current_task()),
        trusted_until=before + bench.trust_seconds,
    )
    bench.jobs.add(job)
    return job


async def _execute(job: RunningJob, bench: Bench, message: Message) -> Ending:
    """Run it and write its end. Raises Ignore when the end was not ours to write."""
    try:
        ending = await job.execution.run()
    except asyncio.CancelledError:
        await _end_cancelled(job, bench, message)
        raise
    job.ending = True
    moved = await bench.writer.write(_VERB_OF[type(ending)], ending)
    if moved is None:  # a cancel was asked in the meantime, or the lease was lost
        await bench.writer.write("stop", job.execution.stopped())
        raise Ignore
    return ending


async def _end_cancelled(job: RunningJob, bench: Bench, message: Message) -> None:
    """The coroutine was cancelled: by its owner, by a lost lease, or by the worker's end."""
    claim = job.execution.claim
    if job.why is Why.LOST:
        log.warning("job lost", output_id=claim.output_id, job_id=claim.job_id)
        raise Ignore
    revoked = message.cancelled_as is End.TERMINATED
    if job.why is Why.CANCEL or revoked:
        job.ending = True
        _uncancel(job)
        if revoked:
            await bench.writer.write("cancel", Delivery(claim.output_id, claim.job_id))
        await bench.writer.write("stop", job.execution.stopped())
        log_events.cancelled(claim)
        raise Ignore
    if not job.execution.call_started:
        bench.writer.submit("release", Release(*job.held.key))


def _uncancel(job: RunningJob) -> None:
    """Our own cancel was heard; awaiting goes on for writing the end."""
    while job.task.cancelling():
        job.task.uncancel()


def _say(claim: Claim, ending: Ending) -> str:
    """Log the end, and put it into the words that Celery shows."""
    log_events.ended(claim, ending)
    if isinstance(ending, Completed):
        return "completed"
    if isinstance(ending, Failed):
        raise JobFailed(f"{ending.error_code} (job {claim.job_id})")
    raise Retry(f"{ending.error_code}: due again in {ending.delay_seconds:.1f} s")


class _Ledger:
    """Opens further attempts of one claim."""

    def __init__(self, claim: Claim, bench: Bench) -> None:
        self._claim = claim
        self._bench = bench

    async def again(self, fence: int, kind: Kind, **facts: Any) -> int:
        """The fence of the next attempt, committed before its call. Raises CallCancelled."""
        item = Again(
            output_id=self._claim.output_id,
            fence=fence,
            kind=kind,
            worker=self._bench.worker,
            lease_seconds=self._bench.lease_seconds,
            **facts,
        )
        new_fence = await self._bench.writer.write("again", item)
        if new_fence is None:
            raise CallCancelled("The row moved on while a further call was prepared")
        return int(new_fence)
