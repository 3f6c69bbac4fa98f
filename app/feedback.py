"""What people think of an output: a thumb, a comment, and the log line that counts them."""

from __future__ import annotations

from typing import Any

import structlog
from sqlalchemy import event, select, update
from sqlalchemy.orm import Session

from app import log as lines
from app import statistics, telemetry
from app.accounts import Caller
from app.errors import InvalidParameter
from app.jobs.access import get
from app.jobs.limits import check_text
from models import Feedback, LLMOutput
from models.types import now

log = structlog.get_logger(__name__)

LONGEST_COMMENT = 10_000

_VERDICTS = {verdict.word: verdict for verdict in Feedback}


def give(
    session: Session,
    caller: Caller,
    output_id: int,
    *,
    feedback_type: Any,
    comment: Any = None,
) -> LLMOutput:
    """Set the verdict on a row of any status: `thumbs_up`, `thumbs_down`, or `none` to take it
    back. The comment is stripped; a blank one is none.

    Raises NotFound, and InvalidParameter (`Invalid feedback type`).
    """
    output = get(session, caller, output_id=output_id)
    verdict = _VERDICTS.get(feedback_type) if isinstance(feedback_type, str) else None
    if verdict is None:
        raise InvalidParameter("Invalid feedback type", pointer="/feedback_type")
    held = select(LLMOutput.feedback).where(LLMOutput.id == output.id).with_for_update()
    if session.scalar(held) != verdict:  # clicking twice is one vote
        statistics.count_vote(session, output, verdict)
    session.execute(
        update(LLMOutput)
        .where(LLMOutput.id == output.id)
        .values(
            feedback=int(verdict),
            feedback_comment=_comment(comment),
            feedback_at=now(),
            updated_at=now(),
        )
    )
    session.refresh(output)
    _tell_once_committed(session, caller, output)
    return output


def _tell_once_committed(session: Session, caller: Caller, output: LLMOutput) -> None:
    facts = _facts(caller, output)
    vote = telemetry.Vote(output.id, output.job_id, output.traceparent, output.feedback_word)

    def tell(_: Session) -> None:
        log.info(lines.FEEDBACK_RECEIVED, **facts)
        telemetry.voted(vote)

    event.listen(session, "after_commit", tell, once=True)


def _comment(comment: Any) -> str | None:
    if comment is not None and not isinstance(comment, str):
        raise InvalidParameter("Invalid comment. Must be a text", pointer="/comment")
    text = (comment or "").strip()
    check_text(text, pointer="/comment")
    if len(text) > LONGEST_COMMENT:
        raise InvalidParameter(
            f"Invalid comment. Must be at most {LONGEST_COMMENT:,} characters", pointer="/comment"
        )
    return text or None


def _facts(caller: Caller, output: LLMOutput) -> dict[str, Any]:
    return {
        "output_id": output.id,
        "feedback": output.feedback_word,
        "user_id": caller.user_id,
        "template_name": lines.shown_template(
            output.template_name, script=output.script, prompt_name=output.prompt_name
        ),
        "model_name": output.model_name,
        "has_comment": output.feedback_comment is not None,
    }
