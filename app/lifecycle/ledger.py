"""The ledger's part of every verb: closing attempts, and counting what calls used.

A call's usage is counted whether or not its result was accepted: a zombie's answer is thrown away,
its bill is not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from typing import Any, Protocol

from sqlalchemy import (
    BigInteger,
    Float,
    Integer,
    String,
    Text,
    Update,
    and_,
    case,
    func,
    insert,
    literal,
    select,
    update,
)
from sqlalchemy.orm import Session
from sqlalchemy.sql.dml import Insert
from sqlalchemy.sql.selectable import FromClause

from app.text import deep_clean
from models import Attempt, Kind, LLMOutput, Outcome, User
from models.base import table_of
from models.batch import payload, recordset
from models.types import BigId, now

_T = table_of(LLMOutput)
_A = table_of(Attempt)
_U = table_of(User)

Key = tuple[int, int]
"""(output id, fence): names one attempt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What the ledger keeps of one provider call. `text` is kept for an answer that lost only."""

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


class Closing(Protocol):
    """What every verb that closes an attempt carries."""

    @property
    def output_id(self) -> int: ...
    @property
    def fence(self) -> int: ...
    @property
    def report(self) -> Report: ...


@dataclass(frozen=True, slots=True)
class Ended:
    """A row that moved: what the rest of the house needs to tell others."""

    output_id: int
    job_id: str
    status: str


NO_CALL = Report()

#: Columns of a report in a batch, with their types.
REPORT_COLUMNS: Mapping[str, Any] = {
    "provider": String,
    "provider_model": String,
    "provider_request_id": String,
    "http_status": Integer,
    "input_tokens": Integer,
    "output_tokens": Integer,
    "cached_tokens": Integer,
    "cost": BigInteger,
    "price_id": BigId,
    "duration_seconds": Float,
    "first_token_seconds": Float,
}


def close_attempts(
    session: Session,
    items: Sequence[Closing],
    *,
    won: set[Key],
    outcome: Outcome,
    text: Mapping[Key, str | None] | None = None,
) -> None:
    """Close the attempts of `items`: with `outcome` where the verb won, else as discarded.

    Adds their usage to rows and users in either case.
    """
    if not items:
        return
    dialect = session.get_bind().dialect.name
    rows = [
        _report_row(item)
        | {
            "outcome": outcome if (item.output_id, item.fence) in won else Outcome.DISCARDED,
            "error_code": deep_clean(getattr(item, "error_code", None)),
            "error_message": deep_clean(getattr(item, "error_message", None)),
            "delay_seconds": getattr(item, "delay_seconds", None),
            "text": None
            if (item.output_id, item.fence) in won
            else deep_clean((text or {}).get((item.output_id, item.fence))),
        }
        for item in items
    ]
    session.execute(_close(dialect), {"rows": payload(dialect, rows)})
    used = [row for row in rows if row["input_tokens"] is not None]
    if used:
        _count_usage(session, dialect, used)


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
    return {
        "output_id": item.output_id,
        "number": item.fence,
        "provider": report.provider,
        "provider_model": deep_clean(report.provider_model),
        "provider_request_id": deep_clean(report.request_id),
        "http_status": report.http_status,
        "input_tokens": report.input_tokens,
        "output_tokens": report.output_tokens,
        "cached_tokens": report.cached_tokens,
        "cost": report.cost,
        "price_id": report.price_id,
        "duration_seconds": report.duration_seconds,
        "first_token_seconds": report.first_token_seconds,
    }


def _count_usage(session: Session, dialect: str, used: Sequence[Mapping[str, Any]]) -> None:
    """Add the calls' usage to their rows, and to their users in one order (no deadlocks)."""
    rows = payload(dialect, used)
    session.execute(_add_to_rows(dialect), {"rows": rows})
    owners = select(_T.c.user_id).where(
        _T.c.id.in_([row["output_id"] for row in used]), _T.c.user_id.is_not(None)
    )
    session.execute(select(_U.c.id).where(_U.c.id.in_(owners)).order_by(_U.c.id).with_for_update())
    session.execute(_add_to_users(dialect), {"rows": rows})


@cache
def _close(dialect: str) -> Update:
    v = _closing_rows(dialect)
    running = _A.c.outcome == Outcome.RUNNING
    return (
        update(_A)
        .where(_A.c.output_id == v.c.output_id, _A.c.number == v.c.number)
        .where(running | and_(_A.c.outcome == Outcome.LOST, _A.c.input_tokens.is_(None)))
        .values(
            {name: func.coalesce(v.c[name], _A.c[name]) for name in REPORT_COLUMNS}
            | {name: v.c[name] for name in ("error_code", "error_message", "delay_seconds", "text")}
            | {
                "outcome": case((running, v.c.outcome), else_=_A.c.outcome),
                "finished_at": now(),
            }
        )
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
def _add_to_rows(dialect: str) -> Update:
    v = _closing_rows(dialect)
    added: dict[str, Any] = {
        name: func.coalesce(_T.c[name], 0) + func.coalesce(v.c[name], 0)
        for name in ("input_tokens", "output_tokens", "cached_tokens")
    }
    added["cost"] = case(
        (v.c.cost.is_(None), _T.c.cost), else_=func.coalesce(_T.c.cost, 0) + v.c.cost
    )
    return update(_T).where(_T.c.id == v.c.output_id).values(added)


@cache
def _add_to_users(dialect: str) -> Update:
    v = _closing_rows(dialect)
    tokens = func.coalesce(v.c.input_tokens, 0) + func.coalesce(v.c.output_tokens, 0)
    totals = (
        select(_T.c.user_id, func.sum(tokens).label("tokens"))
        .join(v, v.c.output_id == _T.c.id)
        .group_by(_T.c.user_id)
        .subquery("totals")
    )
    return (
        update(_U)
        .where(_U.c.id == totals.c.user_id)
        .values(tokens_used=_U.c.tokens_used + totals.c.tokens)
    )


def _closing_rows(dialect: str) -> FromClause:
    return recordset(
        dialect,
        {
            "output_id": BigId,
            "number": Integer,
            "outcome": String,
            "error_code": String,
            "error_message": Text,
            "delay_seconds": Float,
            "text": Text,
            **REPORT_COLUMNS,
        },
    )
