"""From a message to the end of its row: claim, accept, execute, write the end, tell Celery.

A message is a hint. Its claim may be refused (done already, somebody else's, paused, not due): then
Celery never hears that it was accepted, and Flower keeps what it knew of the job.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import structlog
from celery.exceptions import Ignore, Retry

from app import telemetry
from app.errors import CallCancelled, Unavailable
from app.executor import Ending, Execution, Kit
from app.lifecycle import (
    Again,
    Claim,
    Completed,
    Delivery,
    Failed,
    Release,
    RetryLater,
    Snoozed,
    Stopped,
)
from models import Kind, Outcome
from workers import log_events
from workers.pool import Delivery as Message
from workers.pool.delivery import End
from workers.running import RunningJob, RunningJobs, Why
from workers.writer import Item, Writer

log = structlog.get_logger(__name__)

_VERB_OF = {Completed: "complete", Failed: "fail", RetryLater: "retry_later", Snoozed: "snooze"}
_OUTCOME_OF = {
    Completed: Outcome.COMPLETED,
    Failed: Outcome.FAILED,
    RetryLater: Outcome.RETRIED,
    Snoozed: Outcome.RATE_LIMITED,
}


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


async def carry_out(output_id: object, bench: Bench, message: Message) -> str:
    """Carry out one job; returns the word that Celery keeps as the task's result.

    Raises Ignore (nothing to do, or not ours any more), Retry (it waits in its row), JobFailed.
    """
    before = time.monotonic()
    claim = await _claim(output_id, bench, message)
    job = _begin(claim, bench, before)
    with telemetry.running(claim):
        try:
            if bench.draining():
                job.ending = True
                await bench.writer.write("release", Release(*claim.key))
                telemetry.outcome(Outcome.RELEASED)
                raise Ignore
            message.accept()
            log_events.started(claim)
            ending = await _execute(job, bench, message)
        finally:
            bench.jobs.remove(job)
        return _say(claim, ending)


async def _claim(output_id: object, bench: Bench, message: Message) -> Claim:
    """The row the message names. Raises Ignore when it is not to be had.

    Anybody who can write to the broker can send anything: only a whole number names a row.
    """
    if not isinstance(output_id, int) or isinstance(output_id, bool):
        raise Ignore
    asked = bench.writer.submit("claim", Delivery(output_id, message.id))
    try:
        claim = await asyncio.shield(asyncio.wrap_future(asked))
    except asyncio.CancelledError:
        asked.add_done_callback(partial(_give_back, bench.writer, message))
        raise
    except Exception:  # the writer has told why; nothing was begun that could fail
        raise Ignore from None
    if claim is None:
        raise Ignore
    return cast("Claim", claim)


def _give_back(writer: Writer, message: Message, asked: Future[Any]) -> None:
    """A claim that came after its task was told to end must not keep the row."""
    claim: Claim | None = None if asked.exception() else asked.result()
    if claim is None:
        return
    if message.cancelled_as is End.TERMINATED:
        writer.submit("cancel", Delivery(claim.output_id, claim.job_id))
        writer.submit("stop", Stopped(output_id=claim.output_id, fence=claim.fence))
    else:
        writer.submit("release", Release(*claim.key))


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
        job.ending = True
        ending, moved = await _write_end(ending, bench.writer)
    except asyncio.CancelledError:
        await _end_cancelled(job, bench, message)
        raise
    except Unavailable:  # the worker stops without a database: the lease runs out, others go on
        raise Retry("the end could not be written") from None
    if moved is None:  # a cancel was asked in the meantime, or the lease was lost
        await _stop(job, bench.writer)
        raise Ignore
    return ending


async def _write_end(ending: Ending, writer: Writer) -> tuple[Ending, object]:
    """The end that was written, and what came of it. What cannot be stored ends as a failure: kept,
    it would be called and paid for again until it counts as poison.
    """
    try:
        return ending, await _surely(writer, _VERB_OF[type(ending)], ending)
    except Unavailable:
        raise
    except Exception as error:
        failure = Failed(
            output_id=ending.output_id,
            fence=ending.fence,
            report=ending.report,
            error_code="internal",
            error_message=f"The answer could not be stored: {type(error).__name__}",
        )
        return failure, await _surely(writer, "fail", failure)


async def _surely(writer: Writer, verb: str, item: Item) -> Any:
    """`writer.write`, heard to its end although the task is told to end meanwhile (once)."""
    written = asyncio.wrap_future(writer.submit(verb, item))
    try:
        return await asyncio.shield(written)
    except asyncio.CancelledError:
        _uncancel()
        return await asyncio.shield(written)


async def _end_cancelled(job: RunningJob, bench: Bench, message: Message) -> None:
    """The coroutine was cancelled: by its owner, by a lost lease, or by the worker's end."""
    claim, held = job.execution.claim, job.held
    if job.why is Why.LOST:
        _say_lost(claim)
        raise Ignore
    revoked = message.cancelled_as is End.TERMINATED
    if job.why is Why.CANCEL or revoked:
        job.ending = True
        _uncancel()
        if revoked:
            await bench.writer.write("cancel", Delivery(claim.output_id, claim.job_id))
        await _stop(job, bench.writer)
        raise Ignore
    if held and not job.execution.call_started:
        bench.writer.submit("release", Release(*held.key))
        telemetry.outcome(Outcome.RELEASED)


async def _stop(job: RunningJob, writer: Writer) -> None:
    """End it as cancelled, if that was asked; else it is somebody else's by now."""
    claim = job.execution.claim
    if await _surely(writer, "stop", job.execution.stopped()) is not None:
        log_events.cancelled(claim)
        telemetry.outcome(Outcome.CANCELLED)
    else:
        _say_lost(claim)


def _say_lost(claim: Claim) -> None:
    log.warning("job lost", output_id=claim.output_id, job_id=claim.job_id)
    telemetry.outcome(Outcome.LOST)


def _uncancel() -> None:
    """The wish to end was heard; awaiting goes on for writing the end."""
    task = asyncio.current_task()
    while task is not None and task.cancelling():
        task.uncancel()


def _say(claim: Claim, ending: Ending) -> str:
    """Log the end, and put it into the words that Celery shows."""
    log_events.ended(claim, ending)
    code = None if isinstance(ending, Completed) else ending.error_code
    telemetry.outcome(_OUTCOME_OF[type(ending)], error_code=code)
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
        new_fence = await self._heard(self._bench.writer.submit("again", item))
        if new_fence is None:
            raise CallCancelled("The row moved on while a further call was prepared")
        return int(new_fence)

    async def _heard(self, asked: Future[Any]) -> Any:
        """The answer, even when the task is told to end meanwhile: without the new fence its end
        could not be written. It is told again at once, at its next step.
        """
        written = asyncio.wrap_future(asked)
        try:
            return await asyncio.shield(written)
        except asyncio.CancelledError:
            answer = await asyncio.shield(written)
            if task := asyncio.current_task():
                task.cancel()
            return answer
