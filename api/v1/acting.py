"""Acting on outputs: a verdict, the same again, the same with something changed."""

from __future__ import annotations

from typing import Any

from api.auth import scope
from api.replies import Reply
from api.routing import Answer, Call, Routes
from api.schemas.common import Empty
from api.schemas.jobs import Derived, RegenerateBody
from api.schemas.outputs import FeedbackBody, FeedbackGiven
from api.v1.accepting import (
    ACCEPTED_HEADERS,
    IDEMPOTENCY_KEY,
    accepted_headers,
    idempotency_of,
)
from app import feedback, jobs
from app.jobs import Submission
from models import Scope

routes = Routes("/api/v1", tag="outputs")

_ACCEPTED = {
    201: Answer(
        description="A new job is accepted; its parent is unchanged.",
        model=Derived,
        headers=ACCEPTED_HEADERS,
    )
}
_ERRORS = {
    402: "The token allowance is used up.",
    409: "The job has not ended.",
    422: "The template cannot be parsed, or variables are missing.",
}


@routes.post(
    "/llm_outputs/<row:output_id>/feedback",
    access=scope(Scope.FEEDBACK_WRITE),
    body=FeedbackBody,
    answers={200: Answer(description="The verdict is stored.", model=FeedbackGiven)},
    examples={"liked": {"feedback_type": "thumbs_up", "comment": "Exactly what I needed"}},
)
def give_feedback(call: Call[FeedbackBody, Empty], output_id: int) -> Reply:
    """Say what an output is worth; `none` takes a verdict back."""
    with call.runtime.database.write() as session:
        output = feedback.give(session, call.caller, output_id, **call.body.model_dump())
        given, comment = output.feedback_word, output.feedback_comment
    return Reply(body={"status": "success", "feedback": given, "comment": comment})


@routes.post(
    "/llm_outputs/<row:output_id>/re_run",
    access=scope(Scope.JOBS_WRITE),
    request_headers=[IDEMPOTENCY_KEY],
    answers=_ACCEPTED,
    errors=_ERRORS,
    unavailable_sentence="Failed to queue job",
)
def re_run_output(call: Call[Empty, Empty], output_id: int) -> Reply:
    """Run the same job again."""
    made = jobs.re_run(call.runtime, call.caller, output_id, idempotency=idempotency_of(call))
    return _derived(made, "Job queued for re-run")


@routes.post(
    "/llm_outputs/<row:output_id>/regenerate",
    access=scope(Scope.JOBS_WRITE),
    body=RegenerateBody,
    request_headers=[IDEMPOTENCY_KEY],
    answers=_ACCEPTED,
    errors=_ERRORS,
    unavailable_sentence="Failed to queue job",
    examples={"deeper": {"context": {"concept": "deep learning"}, "model": "gpt-4"}},
)
def regenerate_output(call: Call[RegenerateBody, Empty], output_id: int) -> Reply:
    """Run the job again with another context, model, template or options."""
    changes = call.body.model_dump(exclude_unset=True)
    made = jobs.regenerate(
        call.runtime, call.caller, output_id, **changes, idempotency=idempotency_of(call)
    )
    return _derived(made, "Job queued for regeneration")


def _derived(made: Submission, message: str) -> Reply:
    body: dict[str, Any] = {"status": "success", "message": message}
    body |= {"job_id": made.job_id, "output_id": made.output_id}
    if made.warnings:
        body["warnings"] = made.warnings
    return Reply(body=body, status=201, headers=accepted_headers(made))
