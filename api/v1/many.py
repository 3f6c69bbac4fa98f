"""Acting on many outputs at once: retry what failed, run again, cancel."""

from __future__ import annotations

from typing import Any

from api.auth import scope
from api.replies import Reply
from api.routing import Answer, Call, Routes
from api.schemas.bulk import BulkActBody, BulkDone, BulkReRun, RetryBody
from api.schemas.common import Empty
from app import jobs
from app.jobs import Cancellations, Filters, ReRuns, Skipped
from models import Scope

routes = Routes("/api/v1", tag="outputs")


@routes.post(
    "/llm_outputs/retry_failed",
    access=scope(Scope.JOBS_WRITE),
    body=RetryBody,
    answers={200: Answer(description="They run again.", model=BulkReRun)},
    unavailable_sentence="Failed to queue job",
    examples={"slowed down": {"error_code": "rate_limited"}},
)
def retry_failed_outputs(call: Call[RetryBody, Empty]) -> Reply:
    """Run failed outputs again, each once.

    A row that was run again or regenerated since it failed is left alone, so asking twice doubles
    nothing. Up to 1,000 rows, the newest first, in one transaction.
    """
    whose = Filters(**call.body.model_dump(include={"all_users", "user_id", "user"}))
    named = call.body.model_dump(include={"error_code", "queue", "model", "limit"})
    made = jobs.retry_failed(call.runtime, call.caller, filters=whose, **named)
    return Reply(body=_re_runs(made))


@routes.post(
    "/llm_outputs/bulk",
    access=scope(Scope.JOBS_WRITE),
    body=BulkActBody,
    answers={200: Answer(description="What came of it.", model=BulkDone)},
    unavailable_sentence="Failed to queue job",
    examples={
        "cancel": {"action": "cancel", "ids": [456, 457]},
        "count": {"action": "re_run", "filters": {"status": "failed"}, "dry_run": True},
    },
)
def act_on_outputs(call: Call[BulkActBody, Empty]) -> Reply:
    """Run many outputs again, or cancel them.

    Up to 1,000 rows in one transaction. A row that cannot take part (it has not ended, or has; it
    is unknown) is named among `skipped`, and the others go on.
    """
    body = call.body
    filters = body.filters.filters() if body.filters else None
    nothing = {**_re_runs(ReRuns()), **_cancellations(Cancellations()), "action": body.action}
    if body.dry_run:
        with call.runtime.database.read() as session:
            counted = jobs.count_matching(session, call.caller, filters)
        return Reply(body={**nothing, "matching": counted.count, "capped": counted.capped})
    named: dict[str, Any] = {"ids": body.ids, "filters": filters, "limit": body.limit}
    if body.action == "cancel":
        done = _cancellations(jobs.cancel_many(call.runtime, call.caller, **named))
    else:
        done = _re_runs(jobs.re_run_many(call.runtime, call.caller, **named))
    return Reply(body={**nothing, **done})


def _re_runs(made: ReRuns) -> dict[str, Any]:
    accepted = [{"job_id": one.job_id, "output_id": one.output_id} for one in made.accepted]
    return {"accepted": accepted, **_rest(made.skipped, more=made.more)}


def _cancellations(done: Cancellations) -> dict[str, Any]:
    ids = {"cancelled": list(done.cancelled), "asked": list(done.asked)}
    return {**ids, **_rest(done.skipped, more=done.more)}


def _rest(skipped: tuple[Skipped, ...], *, more: bool) -> dict[str, Any]:
    left_out = [
        {"output_id": one.output_id, "code": one.code, "detail": one.detail} for one in skipped
    ]
    return {"status": "success", "skipped": left_out, "more": more}
