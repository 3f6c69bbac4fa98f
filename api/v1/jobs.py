"""Submitting jobs, and asking how one stands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from flask import g

from api import request_log
from api.auth import scope
from api.body import BULK, FILES
from api.holding import row_when_ended
from api.replies import Reply
from api.routing import Answer, Call, Header, Routes
from api.schemas.common import Empty, WaitQuery
from api.schemas.jobs import (
    SEED_BODY,
    BulkAccepted,
    BulkBody,
    JobAccepted,
    JobBody,
    JsonApiAccepted,
    JsonApiJobBody,
    Preview,
    Why,
)
from api.schemas.outputs import Output
from api.v1.accepting import (
    ACCEPTED_HEADERS,
    IDEMPOTENCY_KEY,
    accepted_body,
    accepted_headers,
    idempotency_of,
)
from api.v1.bulk import checked_jobs
from api.v1.rows import shown_row
from app import jobs
from app.context.files import SentFile, read_files
from app.jobs import JobRequest, Submission
from models import Scope

routes = Routes("/api/v1", tag="jobs")

SUBMIT_ERRORS = {
    402: "The token allowance is used up.",
    403: "The key may not do this, or `user_id` is somebody else's.",
    404: "There is no such agent.",
    422: "The template cannot be parsed, variables are missing, or the `Idempotency-Key` was used"
    " with another body.",
}


@routes.post(
    "/llm_jobs",
    access=scope(Scope.JOBS_WRITE),
    body=JobBody,
    body_limits=FILES,
    json_api_body=JsonApiJobBody,
    query=WaitQuery,
    request_headers=[
        IDEMPOTENCY_KEY,
        Header(name="traceparent", description="W3C trace context; the job joins its trace."),
    ],
    answers={
        201: Answer(
            description="The job is accepted and stored.",
            model=JobAccepted,
            alternative=JsonApiAccepted,
            headers=ACCEPTED_HEADERS,
        )
    },
    errors=SUBMIT_ERRORS,
    unavailable_sentence="Failed to queue job",
    examples={
        "plain": SEED_BODY,
        "json": {
            "template": "List three facts about {{topic}}",
            "model": "gpt-4o-mini",
            "context": {"topic": "bees"},
            "format": "json",
            "queue": "high",
            "options": {"max_tokens": 500},
        },
    },
)
def create_job(call: Call[JobBody, WaitQuery]) -> Reply:
    """Submit a job.

    The row exists when this is answered; the answer of the model is written to it later.
    """
    submission = jobs.submit(
        call.runtime,
        call.caller,
        job_request(call.body, call.files),
        idempotency=idempotency_of(call),
    )
    body = accepted_body(submission)
    if call.query.wait is not None:
        body["output"] = _ended_row(call, body["job_id"], call.query.wait)
    return Reply(
        body=body,
        status=201,
        headers=accepted_headers(submission),
        json_api=_as_json_api(call, submission) if g.get("json_api") else None,
    )


@routes.post(
    "/llm_jobs/bulk",
    access=scope(Scope.JOBS_WRITE),
    body=BulkBody,
    body_limits=BULK,
    answers={201: Answer(description="All are accepted, in this order.", model=BulkAccepted)},
    errors={402: SUBMIT_ERRORS[402]},
    unavailable_sentence="Failed to queue job",
    examples={"two": {"jobs": [SEED_BODY, {**SEED_BODY, "queue": "low"}]}},
)
def create_jobs(call: Call[BulkBody, Empty]) -> Reply:
    """Submit up to 1,000 jobs; all are accepted or none.

    Whatever is wrong with one of them, the refusal is 400 and names each culprit, as
    `/jobs/<number>/…`.
    """
    requests = [job_request(body) for body in checked_jobs(call.body.jobs)]
    accepted = jobs.submit_many(call.runtime, call.caller, requests)
    return Reply(body={"jobs": [accepted_body(submission) for submission in accepted]}, status=201)


@routes.post(
    "/llm_jobs/preview",
    access=scope(Scope.JOBS_WRITE),
    body=JobBody,
    body_limits=FILES,
    answers={200: Answer(description="What would be sent.", model=Preview)},
    errors={404: "There is no such agent.", 422: "The template cannot be parsed."},
    examples={"plain": SEED_BODY},
)
def preview_job(call: Call[JobBody, Empty]) -> Reply:
    """Show the final prompt, missing variables and an estimate; nothing is stored."""
    return Reply(body=jobs.preview(call.runtime, call.caller, job_request(call.body, call.files)))


@routes.get(
    "/llm_jobs/<job:job_id>",
    access=scope(Scope.JOBS_READ),
    query=WaitQuery,
    request_headers=[Header(name="If-None-Match", description="The ETag of an earlier answer.")],
    answers={
        200: Answer(description="The whole row.", model=Output, headers={"ETag": "Its version."}),
        304: Answer(description="Not modified since that ETag."),
    },
)
def get_job(call: Call[Empty, WaitQuery], job_id: str) -> Reply:
    """Show a job; with `?wait=` as soon as it has ended."""
    return Reply(body=_ended_row(call, job_id, call.query.wait), cacheable=True)


@routes.get(
    "/llm_jobs/<job:job_id>/why",
    access=scope(Scope.JOBS_READ),
    answers={200: Answer(description="What it waits for.", model=Why)},
)
def explain_job(call: Call[Empty, Empty], job_id: str) -> Reply:
    """Say what a job waits for, and until when."""
    return Reply(body=jobs.why(call.runtime, call.caller, job_id))


@routes.post(
    "/llm_jobs/<job:job_id>/cancel",
    access=scope(Scope.JOBS_WRITE),
    answers={200: Answer(description="The row.", model=Output)},
    errors={409: "The job had already ended."},
)
def cancel_job(call: Call[Empty, Empty], job_id: str) -> Reply:
    """Cancel a job.

    A pending job ends at once and never calls a provider. A running one stops within seconds and
    keeps what was written; until then `cancel_requested` is true.
    """
    jobs.cancel(call.runtime, call.caller, job_id)
    return Reply(body=shown_row(call, job_id=job_id))


@routes.post(
    "/llm_jobs/<job:job_id>/advance",
    access=scope(Scope.JOBS_WRITE),
    answers={200: Answer(description="The row; it is due now.", model=Output)},
    errors={409: "The job is not pending."},
)
def advance_job(call: Call[Empty, Empty], job_id: str) -> Reply:
    """Run a waiting job now instead of at its `run_at`."""
    jobs.advance(call.runtime, call.caller, job_id)
    return Reply(body=shown_row(call, job_id=job_id))


def job_request(body: JobBody, files: Sequence[SentFile] = ()) -> JobRequest:
    """The body in the words of `app.jobs`, with the texts of its files.

    Raises FileUnreadable, or TooManyRequests while many others' files are being read.
    """
    fields = body.model_dump(exclude={"queue", "priority", "files"})
    return JobRequest(
        **fields,
        queue=body.asked_queue,
        files=tuple(read_files(files)) if files else (),
        traceparent=request_log.traceparent(),
    )


def _ended_row(call: Call[Any, Any], job_id: str, seconds: float | None) -> Mapping[str, Any]:
    return row_when_ended(
        call.runtime,
        call.caller.user_id,
        lambda: shown_row(call, job_id=job_id),
        seconds=seconds,
    )


def _as_json_api(call: Call[Any, Any], submission: Submission) -> dict[str, Any]:
    answer = accepted_body(submission)
    row = shown_row(call, output_id=answer["output_id"])
    asked = {name: row[name] for name in ("template_name", "model_name", "format")}
    attributes = {**asked, **answer, "status": "pending"}
    resource = {"type": "llm-output", "id": str(answer["output_id"]), "attributes": attributes}
    return {"data": {**resource, "links": {"self": submission.location}}}
