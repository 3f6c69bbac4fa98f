"""What people thought: votes of each group, read from the rows that hold them.

A vote counts for the time its output ended in, as everything else does. The newest
`MOST_VOTES` votes are read and no more; whoever shows the numbers says so when there were more.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Select, func, literal_column, select
from sqlalchemy.orm import Session

from app.statistics.history import Window, share
from app.statistics.intervals import confidence_sequence, wilson
from app.statistics.picture import GroupBy, Rating
from app.statistics.streams import prompt_of
from models import Feedback, LLMOutput
from models.base import table_of
from models.statistics import NOBODY

MOST_VOTES = 20_000

_T = table_of(LLMOutput)
_HAS_VOTE = _T.c.feedback != literal_column("0")


@dataclass(frozen=True, slots=True)
class Votes:
    """Votes by group: how many, and how many of them thumbs up. `capped`: there were more."""

    cast: Mapping[str, int] = field(default_factory=dict)
    up: Mapping[str, int] = field(default_factory=dict)
    capped: bool = False

    def rating(self, name: str | None, *, outputs: int) -> Rating:
        """Of one group, or of all."""
        up = sum(self.up.values()) if name is None else self.up.get(name, 0)
        votes = sum(self.cast.values()) if name is None else self.cast.get(name, 0)
        answered = share(votes, outputs)
        return Rating(
            up=up,
            votes=votes,
            outputs=outputs,
            rate=share(up, votes),
            response_rate=None if answered is None else min(1.0, answered),
            sequence=confidence_sequence(up, votes),
            wilson=wilson(up, votes),
        )


def votes(session: Session, window: Window, by: GroupBy) -> Votes:
    """The votes on outputs of the window, by group."""
    newest = _newest(window).cte("newest").prefix_with("MATERIALIZED")
    found = session.execute(_counted(newest, window, by)).all()
    read = session.scalar(select(func.count()).select_from(newest)) or 0
    cast, up = Counter[str](), Counter[str]()
    for name, feedback, count in found:
        cast[str(name)] += count
        up[str(name)] += count if feedback == Feedback.THUMBS_UP else 0
    return Votes(cast, up, capped=read > MOST_VOTES)


def _newest(window: Window) -> Select[Any]:
    """The rows that are looked at: the newest with a vote, and one more if there is."""
    whose = _T.c.user_id == window.user_id
    if window.user_id == NOBODY:
        whose = _T.c.user_id.is_(None)
    ended = (_T.c.finished_at >= window.since, _T.c.finished_at < window.until)
    return (
        select(
            func.coalesce(_T.c.user_id, literal_column(str(NOBODY))).label("user"),
            prompt_of(_T.c).label("prompt"),
            _T.c.model_name.label("model"),
            _T.c.queue,
            _T.c.feedback,
        )
        .where(_HAS_VOTE, *ended, *([] if window.user_id is None else [whose]))
        .order_by(_T.c.finished_at.desc())
        .limit(MOST_VOTES + 1)
    )


def _counted(newest: Any, window: Window, by: GroupBy) -> Select[Any]:
    name = newest.c[by.value]
    chosen = [
        newest.c[column] == wanted
        for column in ("prompt", "model", "queue")
        if (wanted := getattr(window, column)) is not None
    ]
    kinds = (name, newest.c.feedback)
    return select(*kinds, func.count()).where(*chosen).group_by(*kinds)
