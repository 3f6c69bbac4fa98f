"""Votes: counted when they are given, and read back per group from the rows that hold them.

The two are different numbers. A total only rises: a vote that is changed counts again. What a group
thinks is what its rows say now.
"""

from __future__ import annotations

from sqlalchemy import func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from app.db import before_commit
from app.statistics.picture import OTHER
from models import Feedback, FeedbackTotal, LLMOutput
from models.base import table_of

MOST_TOTALS = 2_000
"""Different (value, template, model): what comes later is counted as `OTHER`."""

RAW_TEMPLATE = "raw"
"""The template of jobs that brought their own: its text is nobody's business."""

_F = table_of(FeedbackTotal)


def count_vote(session: Session, output: LLMOutput, verdict: Feedback) -> None:
    """Count a verdict that has just changed (`none`: taken back), in its transaction."""
    template = output.prompt_name or RAW_TEMPLATE
    before_commit(session, lambda s: _count(s, verdict.word, template, output.model_name))


def _count(session: Session, value: str, template: str, model: str) -> None:
    named = (_F.c.value == value, _F.c.template == template, _F.c.model == model)
    is_known = session.scalar(select(_F.c.votes).where(*named)) is not None
    if not is_known and (session.scalar(select(func.count()).select_from(_F)) or 0) >= MOST_TOTALS:
        template = model = OTHER
    on_postgresql = session.get_bind().dialect.name == "postgresql"
    insert = (postgresql.insert if on_postgresql else sqlite.insert)(_F)
    one = insert.values(value=value, template=template, model=model, votes=1)
    session.execute(
        one.on_conflict_do_update(
            index_elements=["value", "template", "model"], set_={"votes": _F.c.votes + 1}
        )
    )
