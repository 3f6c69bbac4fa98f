"""Why jobs failed lately: one line per class of error, with what to do about it."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.accounts import Caller
from app.errors import InvalidParameter
from app.jobs import Filters
from app.jobs.search import matching
from app.jobs.sentences import Explanation, about
from models import LLMOutput, Status
from models.types import now_plus

COUNTED_ROWS = 10_000
"""Only the newest failed rows are looked at: an older class is over."""

LONGEST_HOURS = 24 * 366


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureClass:
    """How many jobs failed with one code, and the newest of them. `capped`: there may be more."""

    error_code: str
    count: int
    newest_output_id: int
    explanation: Explanation
    capped: bool = False


def failures(
    session: Session, caller: Caller, *, hours: float = 24, all_users: bool = False
) -> list[FailureClass]:
    """The classes of jobs that failed within the last `hours`, the most frequent first.

    The caller's own, or with `all_users` everybody's (administrators). Raises Forbidden,
    InvalidParameter.
    """
    if not 0 < hours <= LONGEST_HOURS:
        raise InvalidParameter(
            f"Invalid hours: {hours:g}. Must be more than 0 and at most {LONGEST_HOURS}",
            pointer="/hours",
        )
    mine = matching(session, caller, Filters(status=Status.FAILED, all_users=all_users))
    newest = (
        select(LLMOutput.id, LLMOutput.error_code, LLMOutput.finished_at)
        .where(*mine)
        .order_by(LLMOutput.id.desc())
        .limit(COUNTED_ROWS)
        .subquery()
    )
    code = func.coalesce(newest.c.error_code, "internal")
    rows = session.execute(
        select(code.label("code"), func.count().label("jobs"), func.max(newest.c.id).label("id"))
        .where(newest.c.finished_at > now_plus(-hours * 3600))
        .group_by(code)
        .order_by(func.count().desc(), code)
    ).all()
    capped = sum(row.jobs for row in rows) >= COUNTED_ROWS
    return [
        FailureClass(
            error_code=row.code,
            count=row.jobs,
            newest_output_id=row.id,
            explanation=about(row.code),
            capped=capped,
        )
        for row in rows
    ]
