"""compare: the same request asked of several models, accepted together and found together again.

Each row's metadata has the comparison's id and the job ids of all its rows, so nothing has to be
searched for. Not here: showing them, and voting, which is done row by row.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy.orm import Session

from app.accounts import Caller
from app.errors import InvalidParameter, NotFound, RequestError
from app.jobs import idempotency as keys
from app.jobs.access import get
from app.jobs.request import IdempotencyRequest, JobRequest
from app.jobs.submit import accept, read_meaning
from app.lifecycle import NewJob
from app.runtime import Runtime
from models import LLMOutput

MOST_COMPARED = 8
ID, JOBS = "compare", "compared_jobs"
"""The names in a row's metadata."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Accepted jobs that belong together, in the order of their models."""

    id: str
    output_ids: tuple[int, ...]


def submit_compared(
    runtime: Runtime,
    caller: Caller,
    request: JobRequest,
    models: Sequence[str],
    *,
    idempotency: IdempotencyRequest,
) -> Comparison:
    """Accept the request once for each model, all or none; the same key again gives the same rows.

    Raises InvalidParameter (`/models`) for fewer than two models or more than `MOST_COMPARED`, and
    what `submit` raises; an error of one model names it.
    """
    if not 2 <= len(models) <= MOST_COMPARED:
        raise InvalidParameter(
            f"Choose 2 to {MOST_COMPARED} models to compare, not {len(models)}", pointer="/models"
        )
    if replay := keys.recall(runtime.database, caller, idempotency):
        return _again(runtime, caller, replay.output_id)
    found = [_meant(runtime, caller, replace(request, model=model)) for model in models]
    made, jobs = _tied(found)
    accepted = accept(runtime, caller, jobs, idempotency=idempotency)
    if accepted[0].replayed is not None:
        return _again(runtime, caller, accepted[0].output_id)
    return Comparison(made, tuple(submission.output_id for submission in accepted))


def compared(
    session: Session, caller: Caller, comparison_id: str, output_ids: Sequence[int]
) -> list[LLMOutput]:
    """The rows of a comparison, in the order given. Raises NotFound unless the caller sees all of
    them and all belong to it.
    """
    if not 1 <= len(output_ids) <= MOST_COMPARED:
        raise NotFound("Unknown comparison")
    rows = [get(session, caller, output_id=output_id) for output_id in output_ids]
    if any((row.metadata_ or {}).get(ID) != comparison_id for row in rows):
        raise NotFound("Unknown comparison")
    return rows


def compared_with(session: Session, caller: Caller, output: LLMOutput) -> tuple[int, ...]:
    """The ids of all rows of the comparison a row was accepted in; none where it was in none.

    Metadata is its owner's to write: what is no comparison the caller sees is none.
    """
    tie = output.metadata_ or {}
    made, jobs = tie.get(ID), tie.get(JOBS)
    if not isinstance(made, str) or not isinstance(jobs, list) or output.job_id not in jobs:
        return ()
    try:
        rows = [get(session, caller, job_id=str(job_id)) for job_id in jobs[:MOST_COMPARED]]
    except NotFound:
        return ()
    return tuple(row.id for row in rows)


def _meant(runtime: Runtime, caller: Caller, request: JobRequest) -> NewJob:
    try:
        return read_meaning(runtime, caller, request).job
    except RequestError as error:
        if error.pointer == "/model":
            error.pointer = "/models"
        raise


def _tied(jobs: Sequence[NewJob]) -> tuple[str, list[NewJob]]:
    """The jobs with the comparison in their metadata."""
    made = str(uuid.uuid4())
    tie: dict[str, Any] = {ID: made, JOBS: [job.job_id for job in jobs]}
    return made, [replace(job, metadata={**(job.metadata or {}), **tie}) for job in jobs]


def _again(runtime: Runtime, caller: Caller, output_id: int) -> Comparison:
    """The comparison that an accepted row belongs to."""
    with runtime.database.read() as session:
        tie = get(session, caller, output_id=output_id).metadata_ or {}
        rows = [get(session, caller, job_id=job_id) for job_id in tie[JOBS]]
        return Comparison(tie[ID], tuple(row.id for row in rows))
