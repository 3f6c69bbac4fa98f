"""What the Quality page shows of jobs and votes, for one caller: the page's only door.

Numbers of jobs come from hourly rows (`app.statistics.fold`), votes from the voted rows. Members
see their own, administrators all or one user's. Not here: plots, words, HTTP.
"""

from __future__ import annotations

from sqlalchemy.orm import Session

from app.accounts import Caller
from app.statistics.buckets import Quantile
from app.statistics.intervals import Interval
from app.statistics.picture import (
    OTHER,
    RAW,
    Comparison,
    Group,
    GroupBy,
    Groups,
    Numbers,
    Overview,
    Point,
    Rating,
    Selection,
    Step,
)

__all__ = [
    "OTHER",
    "RAW",
    "Comparison",
    "Group",
    "GroupBy",
    "Groups",
    "Interval",
    "Numbers",
    "Overview",
    "Point",
    "Quantile",
    "Rating",
    "Selection",
    "Step",
    "compare",
    "groups",
    "overview",
]


def overview(session: Session, caller: Caller, wanted: Selection) -> Overview:
    """Cards, series and histograms of a selection.

    Raises Forbidden without the scope `jobs:read`, NotFound for another's `user_id` unless an
    administrator asks, InvalidParameter for a time that is empty or longer than is kept.
    """
    raise NotImplementedError


def groups(session: Session, caller: Caller, wanted: Selection, by: GroupBy) -> Groups:
    """The same numbers per group, 50 groups at most, with their thumbs-up rates.

    A member's only user is the member. Raises like `overview`.
    """
    raise NotImplementedError


def compare(
    session: Session, caller: Caller, wanted: Selection, by: GroupBy, first: str, second: str
) -> Comparison:
    """Two groups by their names; a group without jobs or votes is one with none.

    Raises like `overview`.
    """
    raise NotImplementedError
