"""The ledger's part of every verb: closing attempts, and counting what calls used.

A call's usage is counted once, whether or not its result was accepted: a zombie's answer is thrown
away, its bill is not.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from typing import Any, Protocol, TypeVar

from sqlalchemy import (
    BigInteger,
    Float,
    Integer,
    String,
    Text,
    Update,
    and_,
    case,
    exists,
    func,
    insert,
    literal,
    literal_column,
    or_,
    select,
    update,
)
from sqlalchemy.orm import Session
from sqlalchemy.sql.dml import Insert, ReturningUpdate

from app.db import before_commit
from app.lifecycle.order import lock_rows
from app.lifecycle.texts import cut, stored, stored_json
from models import Attempt, Kind, LLMOutput, Outcome, User
from models.base import table_of
from models.batch import arguments, named_by, payload, recordset
from models.types import BigId, json_value, now

_T = table_of(LLMOutput)
_A = table_of(Attempt)
_U = table_of(User)

Key = tuple[int, int]
"""(output id, fence): names one attempt."""

_OWED = "llm_jobs_tokens_owed"
_MOST_TOKENS = 2**31 - 1
_MOST_DOLLARS = Decimal(1_000_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What the ledger keeps of one provider call: tokens, US dollars, seconds.

    Numbers a provider made up (negative, absurd) are brought into the range of their column.
    `exchange` is what was sent and answered, redacted, of a job that is debugged.
    """

    provider: str | None = None
    provider_model: str | None = None
    request_id: str | None = None
    http_status: int | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int | None = None
    cost: Decimal | None = None
    price_id: int | None = None
    duration_seconds: float | None = None
    first_token_seconds: float | None = None
    exchange: dict[str, Any] | None = None


class Closing(Protocol):
    """What every verb that closes an attempt carries."""

    @property
    def output_id(self) -> int: ...
    @property
    def fence(self) -> int: ...
    @property
    def key(self) -> Key: ...
    @property
    def report(self) -> Report: ...


C = TypeVar("C", bound=Closing)


@dataclass(frozen=True, slots=True)
class Ended:
    """A row that moved: what the rest of the house needs to tell others."""

    output_id: int
    job_id: str
    status: str


NO_CALL = Report()

#: What is summed up in the row of a job.
USAGE_COLUMNS: Mapping[str, Any] = {
    "input_tokens": BigId,
    "output_tokens": BigId,
    "cached_tokens": BigId,
    "cost": BigInteger,
}
#: Columns of a report in a batch, with their types.
REPORT_COLUMNS: Mapping[str, Any] = {
    "provider": String,
    "provider_model": String,
    "provider_request_id": String,
    "http_status": Integer,
    **USAGE_COLUMNS,
    "price_id": BigId,
    "duration_seconds": Float,
    "first_token_seconds": Float,
}


def each_once(items: Sequence[C]) -> list[C]:
    """The items without repeated keys: of twins, the first."""
    return list({item.key: item for item in reversed(items)}.values())[::-1]


def usage_of(report: Report) -> dict[str, Any]:
    """A report's usage as columns of a batch; null where the provider said nothing."""
    return {
        "input_tokens": _within(report.input_tokens, _MOST_TOKENS),
        "output_tokens": _within(report.output_tokens, _MOST_TOKENS),
        "cached_tokens": _within(report.cached_tokens, _MOST_TOKENS),
        "cost": _within(report.cost, _MOST_DOLLARS),
    }


def usage_added(v: Any) -> dict[str, Any]:
    """SET clauses that add the usage in `v` to the job's, unless the attempt was closed before.

    (A holder whose first ending was refused by a cancel reports the same call again when it stops.)
    """
    attempt = and_(_A.c.output_id == v.c.id, _A.c.number == v.c.fence)
    still_open = exists(select(_A.c.id).where(attempt, _A.c.outcome == Outcome.RUNNING))
    return {
        name: case(
            (and_(v.c[name].is_not(None), still_open), _sum(name, v.c[name])), else_=_T.c[name]
        )
        for name in USAGE_COLUMNS
    }


def close_attempts(
    session: Session,
    items: Sequence[Closing],
    *,
    won: Mapping[Key, int | None],
    outcome: Outcome,
    texts: Mapping[Key, str | None] | None = None,
) -> None:
    """Close the attempts of `items`: with `outcome` where the verb won, else as discarded.

    `won` gives the user of each row that moved; `texts` is what the row itself does not keep.
    The usage of a discarded call is added to its row here (the others' was added when the row
    moved), and everybody's to their users.
    """
    lost = [item for item in items if item.key not in won]
    if len(items) == 1 and lost:
        lock_rows(session, _T, [lost[0].output_id])
    dialect = session.get_bind().dialect.name
    rows = [
        _report_row(item)
        | {
            "outcome": outcome if item.key in won else Outcome.DISCARDED,
            "text": stored((texts or {}).get(item.key)),
        }
        for item in items
    ]
    result = session.execute(_close(dialect), arguments(dialect, rows, key="output_id"))
    closed = {(row.output_id, row.number) for row in result}
    owners = dict(won) | _add_to_rows(session, [item for item in lost if item.key in closed])
    _owe(session, [(owners.get(item.key), item.report) for item in items if item.key in closed])


def open_attempts(session: Session, opened: Sequence[tuple[int, int, Kind, str | None]]) -> None:
    """Insert running attempts: (output id, number, kind, worker)."""
    if not opened:
        return
    dialect = session.get_bind().dialect.name
    rows = [
        {"output_id": output_id, "number": number, "kind": kind, "worker": worker}
        for output_id, number, kind, worker in opened
    ]
    session.execute(_open(dialect), {"rows": payload(dialect, rows)})


def _report_row(item: Closing) -> dict[str, Any]:
    report = item.report
    return usage_of(report) | {
        "output_id": item.output_id,
        "number": item.fence,
        "provider": cut(report.provider, 64),
        "provider_model": cut(report.provider_model, 255),
        "provider_request_id": cut(report.request_id, 255),
        "http_status": _within(report.http_status, 999),
        "price_id": report.price_id,
        "duration_seconds": _finite(report.duration_seconds),
        "first_token_seconds": _finite(report.first_token_seconds),
        "exchange": stored_json(report.exchange),
        "error_code": cut(getattr(item, "error_code", None), 64),
        "error_message": stored(getattr(item, "error_message", None)),
        "delay_seconds": getattr(item, "delay_seconds", None),
    }


def _add_to_rows(session: Session, items: Sequence[Closing]) -> dict[Key, int | None]:
    """Add discarded calls' usage to their rows, whoever holds those now; the rows' users."""
    sums: dict[int, dict[str, Any]] = {}
    for item in items:
        row = sums.setdefault(item.output_id, {"id": item.output_id})
        for name, used in usage_of(item.report).items():
            if used is not None:
                row[name] = row.get(name, 0) + used
    used_rows = [row for row in sums.values() if len(row) > 1]
    if not used_rows:
        return {}
    dialect = session.get_bind().dialect.name
    result = session.execute(_add(dialect), arguments(dialect, used_rows))
    users = {row.id: row.user_id for row in result}
    return {item.key: users.get(item.output_id) for item in items}


def _owe(session: Session, used: Sequence[tuple[int | None, Report]]) -> None:
    """Count tokens for their users: at the end of the transaction, all of them at once."""
    tokens: Counter[int] = Counter()
    for user_id, report in used:
        usage = usage_of(report)
        if user_id is not None:
            tokens[user_id] += (usage["input_tokens"] or 0) + (usage["output_tokens"] or 0)
    if not any(tokens.values()):
        return
    owed: Counter[int] | None = session.info.get(_OWED)
    if owed is not None:
        owed.update(tokens)
        return
    session.info[_OWED] = tokens
    before_commit(session, _pay)


def _pay(session: Session) -> None:
    owed: Counter[int] = session.info.pop(_OWED)
    if len(owed) > 1:
        lock_rows(session, _U, owed.keys())
    dialect = session.get_bind().dialect.name
    rows = [{"id": user_id, "tokens": tokens} for user_id, tokens in owed.items()]
    session.execute(_add_to_users(dialect), arguments(dialect, rows))


@cache
def _close(dialect: str) -> ReturningUpdate[Any]:
    v = recordset(
        dialect,
        {
            "output_id": BigId,
            "number": Integer,
            "outcome": String,
            "error_code": String,
            "error_message": Text,
            "delay_seconds": Float,
            "text": Text,
            "exchange": Text,
            **REPORT_COLUMNS,
        },
    )
    running = _A.c.outcome == Outcome.RUNNING
    unreported = and_(*(_A.c[name].is_(None) for name in USAGE_COLUMNS))
    open_ = or_(running, and_(_A.c.outcome == Outcome.LOST, unreported))
    said = [*REPORT_COLUMNS, "error_code", "error_message", "delay_seconds", "text"]
    return (
        update(_A)
        .where(named_by(dialect, _A.c.output_id))
        .where(_A.c.output_id == v.c.output_id, _A.c.number == v.c.number, open_)
        .values({name: func.coalesce(v.c[name], _A.c[name]) for name in said})
        .values(exchange=func.coalesce(json_value(v.c.exchange), _A.c.exchange))
        .values(
            outcome=case((running, v.c.outcome), else_=_A.c.outcome),
            finished_at=case((running, now()), else_=_A.c.finished_at),
            reported_at=case((~running, now())),
        )
        .returning(_A.c.output_id, _A.c.number)
    )


@cache
def _open(dialect: str) -> Insert:
    v = recordset(
        dialect, {"output_id": BigId, "number": Integer, "kind": String, "worker": String}
    )
    return insert(_A).from_select(
        ["output_id", "number", "kind", "worker", "outcome", "started_at"],
        select(
            v.c.output_id, v.c.number, v.c.kind, v.c.worker, literal(Outcome.RUNNING.value), now()
        ),
    )


@cache
def _add(dialect: str) -> ReturningUpdate[Any]:
    v = recordset(dialect, {"id": BigId, **USAGE_COLUMNS})
    added = {
        name: case((v.c[name].is_not(None), _sum(name, v.c[name])), else_=_T.c[name])
        for name in USAGE_COLUMNS
    }
    named = (named_by(dialect, _T.c.id), _T.c.id == v.c.id)
    return update(_T).where(*named).values(added).returning(_T.c.id, _T.c.user_id)


@cache
def _add_to_users(dialect: str) -> Update:
    v = recordset(dialect, {"id": BigId, "tokens": BigId})
    named = (named_by(dialect, _U.c.id), _U.c.id == v.c.id)
    return update(_U).where(*named).values(tokens_used=_U.c.tokens_used + v.c.tokens)


def _sum(name: str, used: Any) -> Any:
    return func.coalesce(_T.c[name], literal_column("0")) + used


def _within(number: Any, most: Any) -> Any:
    return None if number is None else min(max(number, 0), most)


def _finite(seconds: float | None) -> float | None:
    return seconds if seconds is not None and math.isfinite(seconds) else None
