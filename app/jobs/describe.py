"""A row as clients see it: its columns, its attempts, its children, and readings of its answer.

Four queries however many rows. Times are ISO 8601 in UTC with `Z`, cost is a number of US dollars
or null. The files of one row are told without their texts; lists do not read them at all.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from app import formats
from app.jobs.items import Review, newest_reviews
from app.moments import iso
from models import Attempt, LLMOutput, Status

_PLAIN = (
    "template_name",
    "model_name",
    "format",
    "context",
    "system",
    "messages",
    "response_schema",
    "options",
    "fetchers",
    "strict",
    "prompt_name",
    "prompt_version",
    "workitem",
    "debug",
    "prompt",
    "raw_response",
    "parsed_output",
    "result_items",
    "error_code",
    "error_message",
    "input_tokens",
    "output_tokens",
    "cached_tokens",
    "user_id",
    "agent_id",
    "parent_id",
    "root_id",
    "derivation",
    "queue",
    "tries",
    "max_tries",
    "losses",
    "steps_done",
    "fence",
    "worker",
    "traceparent",
    "feedback_comment",
)
_MOMENTS = (
    "run_at",
    "deadline",
    "lease_expires_at",
    "cancel_requested_at",
    "feedback_at",
    "created_at",
    "updated_at",
    "started_at",
    "finished_at",
    "erased_at",
)
_OF_AN_ATTEMPT = (
    "number",
    "kind",
    "outcome",
    "error_code",
    "error_message",
    "delay_seconds",
    "provider",
    "provider_model",
    "provider_request_id",
    "http_status",
    "input_tokens",
    "output_tokens",
    "cached_tokens",
    "duration_seconds",
    "first_token_seconds",
    "worker",
    "exchange",
)


def describe(session: Session, output: LLMOutput) -> dict[str, Any]:
    """One row as JSON."""
    return describe_many(session, [output])[0]


def describe_many(session: Session, outputs: Sequence[LLMOutput]) -> list[dict[str, Any]]:
    """Rows as JSON, in the order given."""
    ids = [output.id for output in outputs]
    attempts = _attempts(session, ids)
    children = _children(session, ids)
    reviews = newest_reviews(session, [o.id for o in outputs if o.status == Status.COMPLETED])
    return [
        _row(output, attempts[output.id], children[output.id], reviews.get(output.id))
        for output in outputs
    ]


def _row(
    output: LLMOutput, attempts: list[Attempt], children: list[int], review: Review | None
) -> dict[str, Any]:
    return {
        "id": output.id,
        "output_id": output.id,
        "job_id": output.job_id,
        "status": output.status,
        "success": output.success,
        "cancel_requested": output.cancel_requested_at is not None,
        "template": output.template_name,
        **{name: getattr(output, name) for name in _PLAIN},
        "metadata": output.metadata_,
        "definition": (output.script or {}).get("definition"),
        "files": output.files or [],
        "review": _review(review),
        "formatted_output": output.formatted_output,
        "rendered_html": _rendered(output),
        "estimated_tokens": output.estimated_tokens,
        "cost": _dollars(output.effective_cost),
        "warnings": output.warnings or [],
        "feedback": output.feedback_word,
        "children": children,
        **{name: iso(getattr(output, name)) for name in _MOMENTS},
        "attempts": [_attempt(attempt) for attempt in attempts],
    }


def _attempt(attempt: Attempt) -> Mapping[str, Any]:
    return {
        **{name: getattr(attempt, name) for name in _OF_AN_ATTEMPT},
        "started_at": iso(attempt.started_at),
        "finished_at": iso(attempt.finished_at),
        "cost": _dollars(attempt.cost),
    }


def _review(review: Review | None) -> Mapping[str, Any] | None:
    if review is None:
        return None
    return {
        "items": review.items,
        "confirmed": review.confirmed,
        "user_id": review.user_id,
        "by": review.by,
        "at": iso(review.at),
    }


def _rendered(output: LLMOutput) -> str | None:
    """What a page may show. A failure's sentence is no answer and is never rendered."""
    if output.raw_response is None or output.status == Status.FAILED:
        return None
    return formats.render_html(output.format, output.raw_response)


def _dollars(amount: Any) -> float | None:
    return None if amount is None else float(amount)


def _attempts(session: Session, ids: Sequence[int]) -> defaultdict[int, list[Attempt]]:
    found: defaultdict[int, list[Attempt]] = defaultdict(list)
    rows = select(Attempt).where(Attempt.output_id.in_(ids)).order_by(Attempt.number)
    for attempt in session.scalars(rows):
        found[attempt.output_id].append(attempt)
    return found


def _children(session: Session, ids: Sequence[int]) -> defaultdict[int, list[int]]:
    found: defaultdict[int, list[int]] = defaultdict(list)
    rows = (
        select(LLMOutput.id, LLMOutput.parent_id)
        .where(LLMOutput.parent_id.in_(ids))
        .order_by(LLMOutput.id)
    )
    for row in session.execute(rows):
        found[row.parent_id].append(row.id)
    return found
