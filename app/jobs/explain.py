"""why: what a job waits for, and until when, in a word, a sentence and a time.

Only what a row, a pause or a worker's report says; nothing is guessed but the time of an end.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import and_, func, or_, select
from sqlalchemy.orm import Session

from app.accounts import Caller
from app.jobs.access import get
from app.jobs.load import Load, current_load
from app.lifecycle.control import pauses
from app.liveness import live_workers
from app.moments import iso, next_whole_second
from app.runtime import Runtime
from models import Attempt, ControlKind, LLMOutput, Outcome, Queue, QueueControl, Status
from models.types import now

MOST_COUNTED = 1_000
"""A position beyond this is told as this: counting a long backlog helps nobody."""


@dataclass(frozen=True, slots=True)
class Reason:
    """One thing a job waits for. `until` is None when nobody knows."""

    reason: str
    detail: str
    until: datetime | None = None
    facts: dict[str, Any] | None = None


def why(runtime: Runtime, caller: Caller, job_id: str) -> dict[str, Any]:
    """`job_id`, `output_id`, `status`, and of the weightiest reason `reason`, `detail`, `until` and
    its facts; `reasons` lists all. Reasons: `retry`, `scheduled`, `paused`, `no_worker`, `queued`
    (with `position`: how many jobs go first), `running`, `cancelling`, `ended`.

    Raises NotFound.
    """
    load = current_load(runtime.database, runtime.settings)
    with runtime.database.read() as session:
        output = get(session, caller, job_id=job_id)
        if Status(output.status).ended:
            reasons = [_ended(output)]
        elif output.status == Status.PROCESSING:
            reasons = [_running(session, output)]
        else:
            reasons = _waiting(session, runtime, output, load)
    return {
        "job_id": output.job_id,
        "output_id": output.id,
        "status": output.status,
        **_shown(reasons[0]),
        "reasons": [_shown(reason) for reason in reasons],
    }


def _shown(reason: Reason) -> dict[str, Any]:
    facts = reason.facts or {}
    return {
        "reason": reason.reason,
        "detail": reason.detail,
        "until": iso(reason.until),
        "position": None,
        **facts,
    }


def _ended(output: LLMOutput) -> Reason:
    detail = f"The job ended as {output.status} at {iso(output.finished_at)}"
    if output.error_message:
        detail += f": {output.error_message}"
    return Reason("ended", detail, facts={"finished_at": iso(output.finished_at)})


def _running(session: Session, output: LLMOutput) -> Reason:
    since = session.scalar(
        select(Attempt.started_at).where(
            Attempt.output_id == output.id, Attempt.outcome == Outcome.RUNNING
        )
    )
    facts = {
        "worker": output.worker,
        "since": iso(since),
        "lease_expires_at": iso(output.lease_expires_at),
    }
    if output.cancel_requested_at is not None:
        detail = f"Cancelled at {iso(output.cancel_requested_at)}; {output.worker} closes the call"
        return Reason("cancelling", detail, output.lease_expires_at, facts)
    detail = f"{output.worker} works on it since {iso(since)}"
    return Reason("running", detail, None, facts)


def _waiting(session: Session, runtime: Runtime, output: LLMOutput, load: Load) -> list[Reason]:
    clock: datetime = session.scalars(select(now())).one()
    found: list[Reason] = []
    if output.run_at > clock:
        found.append(_later(output))
    found += [_paused(pause) for pause in pauses(session) if _concerns(pause, output)]
    heartbeat_seconds = runtime.settings.heartbeat_seconds
    if not live_workers(session, heartbeat_seconds=heartbeat_seconds, draining=False):
        found.append(Reason("no_worker", "No worker has reported lately: start one"))
    if output.run_at <= clock:
        found.append(_in_line(session, output, load, clock))
    return found


def _later(output: LLMOutput) -> Reason:
    if output.error_code is None:
        return Reason("scheduled", f"It is to run at {iso(output.run_at)}", output.run_at)
    last = f"{output.error_code}: {output.error_message}"
    return Reason(
        "retry",
        f"Try {output.tries + 1} of {output.max_tries} comes at {iso(output.run_at)}; {last}",
        output.run_at,
        {"last_error_code": output.error_code, "last_error_message": output.error_message},
    )


def _concerns(pause: QueueControl, output: LLMOutput) -> bool:
    named = {
        ControlKind.QUEUE: output.queue,
        ControlKind.MODEL: output.model_name,
        ControlKind.BUCKET: output.bucket,
    }
    return named[ControlKind(pause.kind)] == pause.name


def _paused(pause: QueueControl) -> Reason:
    # A bucket's name holds digits of a key's hash: what it says to a caller is its provider.
    what = "provider" if pause.kind == ControlKind.BUCKET else pause.kind
    name = pause.name.rpartition(":")[0] if pause.kind == ControlKind.BUCKET else pause.name
    until = f"until {iso(pause.paused_until)}" if pause.paused_until else "until it is resumed"
    because = f" ({pause.reason})" if pause.reason else ""
    return Reason(
        "paused",
        f"The {what} {name} is paused {until}{because}",
        pause.paused_until,
        {"paused": {"kind": pause.kind, "name": name, "reason": pause.reason}},
    )


def _in_line(session: Session, output: LLMOutput, load: Load, clock: datetime) -> Reason:
    ahead = _rows_ahead(session, output)
    seconds = load.seconds_until_done(output.queue, output.model_name, ahead=ahead)
    first = f"{ahead} jobs go" if ahead != 1 else "1 job goes"
    if ahead >= MOST_COUNTED:
        first = f"{MOST_COUNTED} jobs or more go"
    return Reason(
        "queued",
        f"It waits in the queue {output.queue}; {first} first",
        next_whole_second(clock + timedelta(seconds=seconds)),
        {"position": ahead},
    )


def _rows_ahead(session: Session, output: LLMOutput) -> int:
    """Due rows of more urgent queues, and of its own before it; callers may be served in turn."""
    order = [queue.value for queue in Queue]
    urgent = order[: order.index(output.queue)]
    before = or_(
        LLMOutput.run_at < output.run_at,
        and_(LLMOutput.run_at == output.run_at, LLMOutput.id < output.id),
    )
    ahead = (
        select(LLMOutput.id)
        .where(
            LLMOutput.status == Status.PENDING,
            LLMOutput.run_at <= now(),
            or_(LLMOutput.queue.in_(urgent), and_(LLMOutput.queue == output.queue, before)),
        )
        .limit(MOST_COUNTED)
        .subquery()
    )
    return session.scalars(select(func.count()).select_from(ahead)).one()
