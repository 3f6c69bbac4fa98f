"""What the Quality page shows of jobs and votes, for one caller: the page's only door.

Numbers of jobs come from hourly rows (`app.statistics.folding`), votes from the voted rows. Members
see their own, administrators all or one user's. Not here: plots, words, HTTP.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.accounts import Caller
from app.errors import InvalidParameter, NotFound
from app.statistics import history, ratings
from app.statistics.buckets import Quantile
from app.statistics.history import Row, Window
from app.statistics.intervals import Interval, difference
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
from app.statistics.ratings import Votes
from models import Happened, Scope, User
from models.statistics import NOBODY

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


MOST_GROUPS = 50
TOLD_APART = 8
"""Models and error codes that a series tells apart; the rest is `OTHER`."""

LONGEST = {Step.HOUR: timedelta(days=31), Step.DAY: timedelta(days=400)}
HOURS_UP_TO = timedelta(days=3)


def overview(session: Session, caller: Caller, wanted: Selection) -> Overview:
    """Cards, series and histograms of a selection.

    Raises Forbidden without the scope `jobs:read`, NotFound for another's `user_id` unless an
    administrator asks, InvalidParameter for a time that is empty or longer than is kept.
    """
    window = _window(caller, wanted)
    rows = history.by_time(session, window)
    cast = ratings.votes(session, window, GroupBy.QUEUE)
    numbers = history.numbers(rows)
    unfinished = history.unfinished_before(session, window)
    models = _names(rows, "model", lambda row: row["cost"])
    codes = _names(rows, "error_code", _failures)
    return Overview(
        since=window.since,
        until=window.until,
        step=window.step,
        numbers=numbers,
        rating=cast.rating(None, outputs=numbers.ended),
        points=tuple(_points(window, rows, models, codes, unfinished=unfinished)),
        models=models,
        error_codes=codes,
        tries=history.tries(rows),
        votes_capped=cast.capped,
    )


def groups(session: Session, caller: Caller, wanted: Selection, by: GroupBy) -> Groups:
    """The same numbers per group, `MOST_GROUPS` groups at most, with their thumbs-up rates.

    A member's only user is the member. Raises like `overview`.
    """
    window = _window(caller, wanted)
    cast = ratings.votes(session, window, by)
    rows = _by_name(history.by_group(session, window, by))
    counted = {name: history.numbers(group) for name, group in rows.items()}
    names = sorted(counted, key=lambda name: (-counted[name].ended, name))
    shown = names[:MOST_GROUPS]
    labels = _labels(session, caller, by, shown)
    return Groups(
        by=by,
        groups=tuple(_group(name, labels[name], counted[name], cast) for name in shown),
        left_out=len(names) - len(shown),
        votes_capped=cast.capped,
    )


def compare(
    session: Session, caller: Caller, wanted: Selection, by: GroupBy, first: str, second: str
) -> Comparison:
    """Two groups by their names; a group without jobs or votes is one with none.

    Raises like `overview`.
    """
    window = _window(caller, wanted)
    cast = ratings.votes(session, window, by)
    rows = _by_name(history.by_group(session, window, by))
    labels = _labels(session, caller, by, [first, second])
    one, other = (
        _group(name, labels[name], history.numbers(rows.get(name, [])), cast)
        for name in (first, second)
    )
    rates = (one.rating.rate, other.rating.rate)
    return Comparison(
        first=one,
        second=other,
        difference=None if rates[0] is None or rates[1] is None else rates[0] - rates[1],
        interval=difference(one.rating.up, one.rating.votes, other.rating.up, other.rating.votes),
        votes_capped=cast.capped,
    )


def _window(caller: Caller, wanted: Selection) -> Window:
    """The selection, checked, with whose jobs it is about."""
    caller.require(Scope.JOBS_READ)
    user_id = wanted.user_id if wanted.user_id is not None or caller.is_admin else caller.user_id
    if not caller.is_admin and (user_id is None or not caller.sees(user_id)):
        raise NotFound()
    long = wanted.until - wanted.since
    step = wanted.step or (Step.HOUR if long <= HOURS_UP_TO else Step.DAY)
    if long <= timedelta(0):
        raise InvalidParameter("Invalid time. Its end must be later than its beginning")
    if long > LONGEST[step]:
        most = LONGEST[step].days
        raise InvalidParameter(f"Invalid time. Must be at most {most} days, by the {step}")
    since, until = _whole(wanted.since, step), _whole(wanted.until, step)
    return Window(
        since=since,
        until=until if until == wanted.until else until + _WIDTH[step],
        step=step,
        user_id=user_id,
        prompt=wanted.prompt,
        model=wanted.model,
        queue=wanted.queue,
    )


_WIDTH = {Step.HOUR: timedelta(hours=1), Step.DAY: timedelta(days=1)}


def _whole(moment: datetime, step: Step) -> datetime:
    """The beginning of its hour or day, in UTC."""
    hour = moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    return hour if step == Step.HOUR else hour.replace(hour=0)


def _points(
    window: Window,
    rows: Sequence[Row],
    models: Sequence[str],
    codes: Sequence[str],
    *,
    unfinished: int,
) -> Iterator[Point]:
    """One for each hour or day, in order."""
    rows_at: dict[datetime, list[Row]] = {}
    for row in rows:
        rows_at.setdefault(row["at"], []).append(row)
    at = window.since
    while at < window.until:
        held = rows_at.get(at, [])
        unfinished += history.unfinished_more(held)
        yield Point(
            at=at,
            numbers=history.numbers(held),
            unfinished=max(0, unfinished),
            cost_by_model=_sums_by(held, "model", models, lambda row: row["cost"]),
            failures=_sums_by(held, "error_code", codes, _failures),
        )
        at += _WIDTH[window.step]


def _failures(row: Row) -> int:
    return int(row["jobs"]) if row["happened"] == Happened.FAILED else 0


def _names(rows: Iterable[Row], column: str, value: Callable[[Row], Any]) -> tuple[str, ...]:
    """The names with most of a value, most first; with `OTHER` last when there are more."""
    totals: Counter[str] = Counter()
    for row in rows:
        totals[row[column]] += value(row)
    found = sorted((name for name in totals if totals[name]), key=lambda n: (-totals[n], n))
    if len(found) <= TOLD_APART:
        return tuple(found)
    return (*(name for name in found[:TOLD_APART] if name != OTHER), OTHER)


def _sums_by(
    rows: Iterable[Row], column: str, names: Sequence[str], value: Callable[[Row], Any]
) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for row in rows:
        if worth := value(row):
            name = row[column] if row[column] in names else OTHER
            found[name] = found.get(name, 0) + worth
    return found


def _by_name(rows: Iterable[Row]) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(str(row["name"]), []).append(row)
    return found


def _group(name: str, label: str, numbers: Numbers, cast: Votes) -> Group:
    rating = cast.rating(name, outputs=numbers.ended)
    return Group(name=name, label=label, numbers=numbers, rating=rating)


def _labels(
    session: Session, caller: Caller, by: GroupBy, names: Sequence[str]
) -> Mapping[str, str]:
    """What people read: a user's address instead of the id, to those who may know it."""
    labels = {name: name for name in names}
    if by == GroupBy.PROMPT:
        return labels | {RAW: "raw template"}
    if by != GroupBy.USER:
        return labels
    ids = [int(name) for name in names if name.isdecimal() and caller.sees(int(name))]
    found = session.execute(select(User.id, User.email).where(User.id.in_(ids)))
    return labels | {str(NOBODY): "nobody"} | {str(row.id): row.email for row in found}
