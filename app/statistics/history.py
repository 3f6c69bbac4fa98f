"""Numbers of jobs, read back from the hourly rows: of a whole selection, by time, by group.

What it costs depends on hours and kinds, not on jobs. Not here: votes (`ratings.py`), and who may
see what (`quality.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import ColumnElement, Select, case, func, select
from sqlalchemy.orm import Session

from app.statistics.buckets import quantile
from app.statistics.picture import GroupBy, Numbers, Step
from models import Happened, job_statistics
from models.statistics import ALL_TIME, EVERYBODY, TRIES_NAMES, bucket_names
from models.types import day_of

_J = job_statistics
_DURATIONS = bucket_names("duration")
_WAITS = bucket_names("wait")
_SUMS = (
    "jobs",
    "tries",
    *TRIES_NAMES,
    *_DURATIONS,
    *_WAITS,
    "input_tokens",
    "output_tokens",
    "cached_tokens",
    "cost",
)
_ENDED = (Happened.COMPLETED, Happened.FAILED, Happened.CANCELLED)
_NAMED_BY = {
    GroupBy.PROMPT: _J.c.prompt,
    GroupBy.MODEL: _J.c.model,
    GroupBy.USER: _J.c.user_id,
    GroupBy.QUEUE: _J.c.queue,
}

Row = Mapping[Any, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A checked selection: whole hours or days, and whose jobs (None: everybody's)."""

    since: datetime
    until: datetime
    step: Step
    user_id: int | None
    prompt: str | None
    model: str | None
    queue: str | None


def by_time(session: Session, window: Window) -> list[Row]:
    """Sums by hour or day (`at`), by what `happened`, `model` and `error_code`."""
    at = _J.c.hour if window.step == Step.HOUR else day_of(_J.c.hour)
    kinds = (at.label("at"), _J.c.happened, _J.c.model, _J.c.error_code)
    return _read(session, _sums(window, kinds))


def by_group(session: Session, window: Window, by: GroupBy) -> list[Row]:
    """Sums by the group's `name` and by what `happened`."""
    each_user = by == GroupBy.USER and window.user_id is None
    kinds = (_NAMED_BY[by].label("name"), _J.c.happened)
    return _read(session, _sums(window, kinds, each_user=each_user))


def unfinished_before(session: Session, window: Window) -> int:
    """How many jobs of the selection were accepted and had not ended when the window began."""
    waiting = func.coalesce(func.sum(_GAINED), 0)
    mine = _chosen(window)
    if window.user_id is None and window.prompt is None:  # the rows of all time know these kinds
        ever = session.scalar(select(waiting).where(*mine, _J.c.hour == ALL_TIME))
        since = session.scalar(select(waiting).where(*mine, _J.c.hour >= window.since))
        return int(ever or 0) - int(since or 0)
    before = (_J.c.hour > ALL_TIME, _J.c.hour < window.since)
    return int(session.scalar(select(waiting).where(*mine, *before)) or 0)


def unfinished_more(rows: Iterable[Row]) -> int:
    """By how many these rows let the number of unfinished jobs grow."""
    held = list(rows)
    return total(_of(held, Happened.ACCEPTED), "jobs") - total(_of(held, *_ENDED), "jobs")


def numbers(rows: Iterable[Row]) -> Numbers:
    """What these rows amount to."""
    held = list(rows)
    jobs = {kind: total(_of(held, kind), "jobs") for kind in Happened}
    completed, failed = jobs[Happened.COMPLETED], jobs[Happened.FAILED]
    durations = [total(_of(held, Happened.COMPLETED), name) for name in _DURATIONS]
    waits = [total(held, name) for name in _WAITS]
    return Numbers(
        accepted=jobs[Happened.ACCEPTED],
        completed=completed,
        failed=failed,
        cancelled=jobs[Happened.CANCELLED],
        success_rate=share(completed, completed + failed),
        p50=quantile(durations, 0.5),
        p95=quantile(durations, 0.95),
        p99=quantile(durations, 0.99),
        wait_p50=quantile(waits, 0.5),
        wait_p95=quantile(waits, 0.95),
        retries_per_job=_retries_per_job(list(_of(held, *_ENDED))),
        input_tokens=total(held, "input_tokens"),
        output_tokens=total(held, "output_tokens"),
        cached_tokens=total(held, "cached_tokens"),
        cost=cost(held),
    )


def tries(rows: Iterable[Row]) -> tuple[int, ...]:
    """Ended jobs by tries used."""
    held = list(rows)
    return tuple(total(held, name) for name in TRIES_NAMES)


def total(rows: Iterable[Row], name: str) -> int:
    """The sum of a whole number."""
    return sum(int(row[name]) for row in rows)


def cost(rows: Iterable[Row]) -> Decimal:
    """The sum in US dollars."""
    return sum((row["cost"] for row in rows), Decimal(0))


def share(part: int, whole: int) -> float | None:
    """part / whole; None of nothing."""
    return part / whole if whole else None


def _retries_per_job(ended: Sequence[Row]) -> float | None:
    """Tries after a job's first. A job that ended before any try had none."""
    jobs = total(ended, "jobs")
    first_tries = jobs - total(ended, TRIES_NAMES[0])
    return share(total(ended, "tries") - first_tries, jobs)


def _of(rows: Iterable[Row], *kinds: Happened) -> Iterator[Row]:
    return (row for row in rows if row["happened"] in kinds)


def _sums(
    window: Window, kinds: Sequence[ColumnElement[Any]], *, each_user: bool = False
) -> Select[Any]:
    within = (_J.c.hour >= window.since, _J.c.hour < window.until, _J.c.hour > ALL_TIME)
    return (
        select(*kinds, *(func.sum(_J.c[name]).label(name) for name in _SUMS))
        .where(*_chosen(window, each_user=each_user), *within)
        .group_by(*kinds)
    )


def _chosen(window: Window, *, each_user: bool = False) -> list[ColumnElement[bool]]:
    """Whose rows, and which of them, whatever the time."""
    whose = EVERYBODY if window.user_id is None else window.user_id
    wanted = {name: getattr(window, name) for name in ("prompt", "model", "queue")}
    return [
        _J.c.user_id != EVERYBODY if each_user else _J.c.user_id == whose,
        *(_J.c[name] == value for name, value in wanted.items() if value is not None),
    ]


_GAINED = case(
    (_J.c.happened == Happened.ACCEPTED, _J.c.jobs),
    (_J.c.happened.in_(_ENDED), -_J.c.jobs),
    else_=0,
)


def _read(session: Session, query: Select[Any]) -> list[Row]:
    return list(session.execute(query).mappings())
