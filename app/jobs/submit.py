"""submit: a request becomes a committed row; only then is anybody woken.

The steps, in order: an earlier answer to the same key; meaning; one transaction (allowance, row,
idempotency record); the wake-up. Whatever raises before the commit leaves no row and no message.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import TypeVar

import structlog
from sqlalchemy import select
from sqlalchemy.orm import Session

from app import lifecycle, telemetry
from app import log as lines
from app.accounts import Caller
from app.errors import AllowanceUsedUp, InvalidRequest, PayloadTooLarge, RequestError
from app.jobs import idempotency as keys
from app.jobs import waking
from app.jobs.load import Load, current_load
from app.jobs.meaning import Meaning, inherit, read_clock, understand
from app.jobs.request import IdempotencyRequest, JobRequest, Submission
from app.lifecycle import Created, NewJob
from app.moments import next_whole_second
from app.runtime import Runtime
from models import User

log = structlog.get_logger(__name__)

Item = TypeVar("Item")

MOST_DEFINED = 32 * 1024 * 1024
"""Characters of the definitions that jobs of one request may run: each row keeps its own, and a
few words name a megabyte."""

Choose = Callable[[Session, Sequence[NewJob]], Sequence[NewJob]]
"""Says, in the accepting transaction, which of the jobs are still wanted."""

Refer = Callable[[Session, Mapping[str, Created]], None]
"""Writes, in the accepting transaction, what refers to the rows, which it gets by `job_id`."""


def submit(
    runtime: Runtime,
    caller: Caller,
    request: JobRequest,
    *,
    idempotency: IdempotencyRequest | None = None,
) -> Submission:
    """Accept one job, or give the first answer to the same `Idempotency-Key` again.

    Raises a RequestError that says what to mend (`app.errors`), or Unavailable when the database is
    away; then nothing was stored.
    """
    if idempotency and (replay := keys.recall(runtime.database, caller, idempotency)):
        return replay
    meaning = read_meaning(runtime, caller, request)
    return accept(runtime, caller, [meaning.job], idempotency=idempotency)[0]


def submit_many(
    runtime: Runtime, caller: Caller, requests: Sequence[JobRequest]
) -> list[Submission]:
    """Accept all of the jobs in one transaction, or none.

    Raises InvalidRequest whose details list the `errors` of every item that cannot be accepted.
    """
    room = _Room()
    found = _each(requests, lambda request: room.take(read_meaning(runtime, caller, request).job))
    return accept(runtime, caller, found) if found else []


def read_meaning(
    runtime: Runtime, caller: Caller, request: JobRequest, *, lenient: bool = False
) -> Meaning:
    """A request understood on behalf of its caller. Stores nothing; raises a RequestError, but for
    missing variables where it is `lenient`.
    """
    with runtime.database.read() as session:
        request = inherit(session, caller, request)
        clock = read_clock(session, request)
    return understand(runtime.settings, request, clock=clock, lenient=lenient)


def accept(
    runtime: Runtime,
    caller: Caller,
    jobs: Sequence[NewJob],
    *,
    idempotency: IdempotencyRequest | None = None,
    choose: Choose = lambda _session, jobs: jobs,
    refer: Refer = lambda _session, _created: None,
) -> list[Submission]:
    """Commit the rows, then wake them. With `idempotency` there is one job.

    `choose` comes first in the transaction and says which of the jobs are still wanted, `refer`
    comes after their rows; what they write stands or falls with them.
    Raises AllowanceUsedUp, and what `keys.recall` raises.
    """
    load = current_load(runtime.database, runtime.settings)
    room = waking.room_in_queues(runtime, [job.queue for job in jobs])
    with telemetry.creating(jobs) as creating:
        try:
            with runtime.database.write() as session:
                wanted = choose(session, creating.jobs)
                _check_allowances(session, {job.user_id for job in wanted})
                jobs = waking.choose(session, wanted, room)
                created = lifecycle.create(session, jobs)
                refer(session, created)
                accepted = [_submission(created[job.job_id], job, load) for job in jobs]
                if idempotency:
                    keys.remember(session, caller, idempotency, accepted[0])
        except keys.AlreadyAnswered:
            return [_first_answer(runtime, caller, idempotency)]
        creating.committed(created)
        waking.wake(
            runtime,
            [waking.wake_of(created[job.job_id].output_id, job) for job in jobs if job.wake_now],
        )
        for job in jobs:
            _log(created[job.job_id], job)
    return accepted


def over_allowance(session: Session, owners: Iterable[int | None]) -> set[int]:
    """Those of the users whose allowance of tokens is used up."""
    limited = select(User.id).where(
        User.id.in_([owner for owner in owners if owner is not None]),
        User.token_allowance.is_not(None),
        User.tokens_used >= User.token_allowance,
    )
    return set(session.scalars(limited))


def _first_answer(
    runtime: Runtime, caller: Caller, idempotency: IdempotencyRequest | None
) -> Submission:
    replay = keys.recall(runtime.database, caller, idempotency) if idempotency else None
    if replay is None:
        raise InvalidRequest("The Idempotency-Key was forgotten meanwhile: send the request again")
    return replay


def _each(requests: Sequence[JobRequest], read: Callable[[JobRequest], Item]) -> list[Item]:
    found: list[Item] = []
    errors: list[dict[str, object]] = []
    for index, request in enumerate(requests):
        try:
            found.append(read(request))
        except RequestError as error:
            errors.append(
                {
                    "index": index,
                    "code": error.code,
                    "detail": error.message,
                    "pointer": f"/jobs/{index}{error.pointer or ''}",
                }
            )
    if errors:
        raise InvalidRequest(
            f"{len(errors)} of {len(requests)} jobs cannot be accepted, so none was."
            f" The first: {errors[0]['detail']}",
            errors=errors,
        )
    return found


class _Room:
    """What is left for definitions among the jobs of one request."""

    def __init__(self) -> None:
        self._left = MOST_DEFINED

    def take(self, job: NewJob) -> NewJob:
        """The job. Raises PayloadTooLarge once there are too many large definitions."""
        if job.script is not None:
            self._left -= len(json.dumps(job.script))
        if job.script is not None and self._left < 0:
            raise PayloadTooLarge("The definitions of all jobs are too long: send fewer at once")
        return job


def _check_allowances(session: Session, owners: set[int | None]) -> None:
    if over_allowance(session, owners):
        raise AllowanceUsedUp


def _submission(created: Created, job: NewJob, load: Load) -> Submission:
    start = max(created.created_at, created.run_at)
    seconds = load.seconds_until_done(job.queue, job.model_name)
    return Submission(
        output_id=created.output_id,
        job_id=created.job_id,
        estimated_completion=next_whole_second(start + timedelta(seconds=max(seconds, 1))),
        warnings=list(job.warnings or []),
    )


def _log(created: Created, job: NewJob) -> None:
    log.info(
        lines.JOB_QUEUED,
        job_id=job.job_id,
        output_id=created.output_id,
        template=lines.shown_template(
            job.template_name, script=job.script, prompt_name=job.prompt_name
        ),
        model=job.model_name,
        format=str(job.format),
        queue=str(job.queue),
        context_keys=sorted(job.context),
        user_id=job.user_id,
        agent_id=job.agent_id,
        derivation=job.derivation,
    )
