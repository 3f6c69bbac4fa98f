"""What is counted: for each kind of event, one SELECT that sums a window of rows into few.

Each finds its rows by an index and reads each row once; seconds become bucket numbers in the
database, so what reaches us is as many rows as there are kinds. Columns are named as in the tables
of statistics. Not here: which window, and writing (`folding.py`, `sheet.py`).

Usage is counted when its call is over, whatever becomes of the job: a call that was given up and
heard of after all (`reported_at`) is one call when it was given up, and usage when it was reported.
"""

from __future__ import annotations

from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import (
    CTE,
    ColumnElement,
    Integer,
    Select,
    String,
    and_,
    bindparam,
    case,
    cast,
    func,
    literal,
    literal_column,
    select,
)

from models import Attempt, Happened, LLMOutput
from models.base import table_of
from models.statistics import (
    BOUNDS,
    CALL_KEY,
    JOB_KEY,
    MOST_TRIES,
    NOBODY,
    TRIES_NAMES,
    bucket_names,
)
from models.types import BigId, UtcDateTime, hour_of, seconds_between

_T = table_of(LLMOutput)
_A = table_of(Attempt)
_USAGE = ("input_tokens", "output_tokens", "cached_tokens", "cost")

SINCE = bindparam("since", type_=UtcDateTime)
UNTIL = bindparam("until", type_=UtcDateTime)
"""A window of time: from `since` until before `until`."""

AFTER = bindparam("after", type_=BigId)
UPTO = bindparam("upto", type_=BigId)
"""A window of ids: above `after`, `upto` included."""

COMPLETED = _T.c.status == literal_column("'completed'")
GIVEN_UP = _T.c.status.in_([literal_column("'failed'"), literal_column("'cancelled'")])
"""As the partial indexes say it. Together they are all that ended."""


@cache
def accepted() -> Select[Any]:
    """Jobs by their ids: what was asked."""
    key = _job_key(_T.c.created_at, literal(Happened.ACCEPTED.value), literal_column("''"))
    rows = select(*key).where(_T.c.id > AFTER, _T.c.id <= UPTO)
    return _summed(_once(rows), JOB_KEY, jobs=func.count())


@cache
def ended(how: str) -> Select[Any]:
    """Jobs by the time they ended, `completed` or `given_up`: tries, durations and waits."""
    duration = seconds_between(_T.c.created_at, _T.c.finished_at)
    wait = seconds_between(_T.c.created_at, _T.c.started_at)
    rows = _once(
        select(
            *_job_key(_T.c.finished_at, _T.c.status, func.coalesce(_T.c.error_code, "")),
            _T.c.tries,
            duration.label("duration"),
            wait.label("wait"),
            _bucket(duration).label("duration_bucket"),
            _bucket(wait).label("wait_bucket"),
        ).where(_HOW[how], _within(_T.c.finished_at))
    )
    return _summed(
        rows,
        JOB_KEY,
        jobs=func.count(),
        tries=func.sum(rows.c.tries),
        **_tries(rows),
        duration_seconds=func.sum(rows.c.duration),
        **_buckets(rows, "duration"),
        waits=func.count(rows.c.wait),
        wait_seconds=func.sum(rows.c.wait),
        **_buckets(rows, "wait"),
    )


@cache
def called() -> Select[Any]:
    """Calls by the time they were over: how they ended, seconds, usage."""
    moment = _A.c.finished_at
    rows = _calls(_call_key(moment), moment, _on_time(_TIMED | _SPENT))
    return _summed(
        rows,
        CALL_KEY,
        calls=func.count(),
        timed=func.count(rows.c.seconds),
        seconds=func.sum(rows.c.seconds),
        **_buckets(rows, "seconds"),
        first_tokens=func.count(rows.c.first_token),
        first_token_seconds=func.sum(rows.c.first_token),
        **_buckets(rows, "first_token"),
        **_usage(rows),
    )


@cache
def reported() -> Select[Any]:
    """Calls that had been given up, by the time they were heard of: their usage."""
    moment = _A.c.reported_at
    rows = _calls(_call_key(moment), moment, _SPENT)
    return _summed(rows, CALL_KEY, **_usage(rows))


@cache
def spent() -> Select[Any]:
    """The usage of `called` once more, by the jobs the calls were made for."""
    moment = _A.c.finished_at
    rows = _calls(_spender_key(moment), moment, _on_time(_SPENT))
    return _summed(rows, JOB_KEY, **_usage(rows))


@cache
def spent_late() -> Select[Any]:
    """The same of `reported`."""
    moment = _A.c.reported_at
    rows = _calls(_spender_key(moment), moment, _SPENT)
    return _summed(rows, JOB_KEY, **_usage(rows))


@cache
def cut(kind: str) -> Select[Any]:
    """The time of the row that is `most` rows into the window; nothing when it holds fewer."""
    where, moment = _PROBES[kind]
    return (
        select(moment)
        .where(where, _within(moment))
        .order_by(moment)
        .limit(1)
        .offset(bindparam("most", type_=Integer))
    )


def first(kind: str, mark: datetime) -> Select[Any]:
    """When the first row of this kind from the mark on happened."""
    where, moment = _PROBES[kind]
    return select(moment).where(where, moment >= mark).order_by(moment).limit(1)


def first_accepted(after: int) -> Select[Any]:
    """When the first job above this id was accepted."""
    return select(_T.c.created_at).where(_T.c.id > after).order_by(_T.c.id).limit(1)


@cache
def cut_ids() -> Select[Any]:
    """The id of the last of `most` rows in the window; nothing when it holds fewer."""
    return (
        select(_T.c.id)
        .where(_T.c.id > AFTER, _T.c.id <= UPTO)
        .order_by(_T.c.id)
        .limit(1)
        .offset(bindparam("most", type_=Integer) - 1)
    )


def prompt_of(columns: Any) -> ColumnElement[str]:
    """A row's saved prompt as `name@version`; empty when it brought its own template."""
    return case(
        (columns.prompt_name.is_(None), literal_column("''")),
        (columns.prompt_version.is_(None), columns.prompt_name),
        else_=columns.prompt_name + literal_column("'@'") + cast(columns.prompt_version, String),
    )


def _within(moment: ColumnElement[Any]) -> ColumnElement[bool]:
    return and_(moment >= SINCE, moment < UNTIL)


_HOW = {"completed": COMPLETED, "given_up": GIVEN_UP}
_PROBES: dict[str, tuple[ColumnElement[bool], ColumnElement[Any]]] = {
    "completed": (COMPLETED, _T.c.finished_at),
    "given_up": (GIVEN_UP, _T.c.finished_at),
    "called": (_A.c.finished_at.is_not(None), _A.c.finished_at),
    "reported": (_A.c.reported_at.is_not(None), _A.c.reported_at),
}


def _job_key(moment: Any, happened: Any, error_code: Any) -> list[ColumnElement[Any]]:
    """The columns of `JOB_KEY`, of a row of `llm_outputs`."""
    found = {
        "user_id": func.coalesce(_T.c.user_id, literal_column(str(NOBODY))),
        "hour": hour_of(moment),
        "happened": happened,
        "queue": _T.c.queue,
        "model": _T.c.model_name,
        "format": _T.c.format,
        "prompt": prompt_of(_T.c),
        "error_code": error_code,
    }
    return [found[name].label(name) for name in JOB_KEY]


def _call_key(moment: Any) -> list[ColumnElement[Any]]:
    """The columns of `CALL_KEY`, of a call and its job."""
    found = {
        "hour": hour_of(moment),
        "provider": func.coalesce(_A.c.provider, literal_column("''")),
        "model": _T.c.model_name,
        "kind": _A.c.kind,
        "outcome": _A.c.outcome,
        "error_code": func.coalesce(_A.c.error_code, literal_column("''")),
    }
    return [found[name].label(name) for name in CALL_KEY]


def _spender_key(moment: Any) -> list[ColumnElement[Any]]:
    """The columns of `JOB_KEY` for usage: how its job ends is not known yet."""
    return _job_key(moment, literal(Happened.CALLED.value), literal_column("''"))


def _calls(key: list[ColumnElement[Any]], moment: Any, measured: Measured) -> CTE:
    """Calls of the window, with this key and what was measured of them."""
    buckets = {n: _bucket(measured[n]) for n in ("seconds", "first_token") if n in measured}
    return _once(
        select(
            *key,
            *(column.label(name) for name, column in measured.items()),
            *(number.label(f"{name}_bucket") for name, number in buckets.items()),
        )
        .join_from(_A, _T, _T.c.id == _A.c.output_id)
        .where(moment.is_not(None), _within(moment))
    )


Measured = dict[str, ColumnElement[Any]]
_SPENT: Measured = {name: _A.c[name] for name in _USAGE}
_TIMED: Measured = {"seconds": _A.c.duration_seconds, "first_token": _A.c.first_token_seconds}


def _on_time(measured: Measured) -> Measured:
    """What was heard of a call late is not part of it."""
    return {name: case((_A.c.reported_at.is_(None), c)) for name, c in measured.items()}


def _once(rows: Select[Any]) -> CTE:
    """Rows to sum, each looked at once: what is computed of them is kept, not computed again."""
    return rows.cte("seen").prefix_with("MATERIALIZED")


def _summed(rows: CTE, key: tuple[str, ...], **sums: ColumnElement[Any]) -> Select[Any]:
    columns = [rows.c[name] for name in key]
    return select(*columns, *(s.label(n) for n, s in sums.items())).group_by(*columns)


def _bucket(seconds: ColumnElement[Any]) -> ColumnElement[Any]:
    """The number of the bucket; null for null."""
    whens: list[Any] = [
        (seconds <= literal_column(str(b)), literal_column(str(n))) for n, b in _NUMBERED
    ]
    return case(*whens, (seconds.is_not(None), literal_column(str(len(BOUNDS)))))


_NUMBERED = list(enumerate(BOUNDS))


def _buckets(rows: CTE, measure: str) -> dict[str, ColumnElement[Any]]:
    bucket = rows.c[f"{measure}_bucket"]
    return {
        name: func.count().filter(bucket == literal_column(str(number)))
        for number, name in enumerate(bucket_names(measure))
    }


def _tries(rows: CTE) -> dict[str, ColumnElement[Any]]:
    used = rows.c.tries
    counts: dict[str, ColumnElement[Any]] = {
        name: func.count().filter(used == literal_column(str(number)))
        for number, name in enumerate(TRIES_NAMES)
    }
    last = func.count().filter(used >= literal_column(str(MOST_TRIES)))
    return counts | {TRIES_NAMES[-1]: last}


def _usage(rows: CTE) -> dict[str, ColumnElement[Any]]:
    return {name: func.sum(rows.c[name]) for name in _USAGE}
