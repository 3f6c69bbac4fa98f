"""erase: an ended row loses its texts; what it cost and when it ran stays in the ledger."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import delete, update
from sqlalchemy.orm import Session

from app import audit
from app.accounts import Caller
from app.audit import Action
from app.errors import Conflict
from app.jobs.access import get
from models import Attempt, ItemReview, LLMOutput, Status
from models.types import now

ERASED = "[erased]"
"""The `template_name` of an erased row; the column is never empty."""

_TEXTS = (
    "context",
    "system",
    "messages",
    "script",
    "workitem",
    "files",
    "file_texts",
    "response_schema",
    "options",
    "fetchers",
    "metadata_",
    "prompt_name",
    "prompt",
    "raw_response",
    "parsed_output",
    "result_items",
    "warnings",
    "error_message",
    "feedback_comment",
)


def erase(session: Session, caller: Caller, output_id: int) -> LLMOutput:
    """Remove every text of a row and of its attempts, for good. Doing it twice changes nothing.

    Raises NotFound, and Conflict while the job has not ended.
    """
    output = get(session, caller, output_id=output_id)
    if not Status(output.status).ended:
        raise Conflict(f"The job is still {output.status}: cancel it first")
    if output.erased_at is not None:
        return output
    erase_texts(session, [output.id])
    audit.record(session, caller, Action.OUTPUT_ERASED, subject=f"output:{output.id}")
    session.refresh(output)
    return output


def erase_texts(session: Session, output_ids: Sequence[int]) -> None:
    """Remove every text of rows that have ended, and of their attempts; asks nobody."""
    if not output_ids:
        return
    session.execute(
        update(LLMOutput)
        .where(LLMOutput.id.in_(output_ids))
        .values(
            {
                **{getattr(LLMOutput, name): None for name in _TEXTS},
                LLMOutput.template_name: ERASED,
                LLMOutput.erased_at: now(),
                LLMOutput.updated_at: now(),
            }
        )
    )
    session.execute(
        update(Attempt)
        .where(Attempt.output_id.in_(output_ids))
        .values(text=None, error_message=None, exchange=None)
    )
    session.execute(delete(ItemReview).where(ItemReview.output_id.in_(output_ids)))
