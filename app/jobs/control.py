"""cancel and advance, as people ask for them; the moves themselves are the lifecycle's."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from app import lifecycle
from app.accounts import Caller
from app.errors import Conflict
from app.jobs import waking
from app.jobs.access import get
from app.lifecycle import Ended
from app.lifecycle.sweep import has_older_waiting
from app.runtime import Runtime
from models import LLMOutput, Status


def cancel(runtime: Runtime, caller: Caller, job_id: str) -> LLMOutput:
    """End a pending job, or ask the worker of a running one to stop; returns the row after it.

    Asking twice is harmless while it runs. Raises NotFound, and Conflict when it has ended.
    """
    with runtime.database.write() as session:
        output = get(session, caller, job_id=job_id)
        done = lifecycle.cancel(session, [output.id]).get(output.id)
        session.refresh(output)
    if done is None:
        raise Conflict(f"The job has ended already: {output.status}")
    if done.status == Status.CANCELLED:
        ended = [Ended(done.output_id, done.job_id, done.status)]
        runtime.events.announce(ended)
        runtime.wake.tell(ended)
    else:
        runtime.events.ask_cancel([done.output_id])
    return output


def advance(runtime: Runtime, caller: Caller, job_id: str) -> LLMOutput:
    """Make a pending job due now, whatever it was waiting for; returns the row after it.

    Raises NotFound, and Conflict when it is not pending.
    """
    with runtime.database.read() as session:
        output = get(session, caller, job_id=job_id)
    room = waking.room_in_queues(runtime, [output.queue])[output.queue]
    with runtime.database.write() as session:
        gates = (output.queue, output.model_name, output.bucket)
        waits = has_older_waiting(session, output.user_id, output.queue)
        if not lifecycle.advance(session, [output.id]):
            raise Conflict(f"The job is not pending: it is {_status_now(session, output)}")
        wakes = room > 0 and not waits and waking.nothing_paused(session, *gates)
        if wakes:
            lifecycle.mark_woken(session, [output.id])
        output = get(session, caller, job_id=job_id)
    if wakes:
        waking.wake(runtime, [waking.wake_of(output.id, output, tries=output.tries)])
    return output


def _status_now(session: Session, output: LLMOutput) -> str | None:
    return session.scalar(select(LLMOutput.status).where(LLMOutput.id == output.id))
