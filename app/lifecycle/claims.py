"""claim, renew, again, release: how a worker takes a row, keeps it, and gives it back unstarted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import Float, Integer, String, Text, bindparam, func, update
from sqlalchemy.orm import Session
from sqlalchemy.sql.dml import ReturningUpdate

from app.lifecycle import effects, guards
from app.lifecycle.ledger import (
    NO_CALL,
    USAGE_COLUMNS,
    Ended,
    Key,
    Report,
    close_attempts,
    each_once,
    open_attempts,
    usage_added,
    usage_of,
)
from app.lifecycle.order import MOST_ID, lock
from app.lifecycle.texts import stored, stored_json
from models import Kind, LLMOutput, Outcome, Status
from models.base import table_of
from models.batch import arguments, named_by, recordset
from models.types import BigId, json_value, now, seconds_until

_T = table_of(LLMOutput)


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message that names a row. Both names must agree: a forged one wakes nothing."""

    output_id: int
    job_id: str

    @property
    def key(self) -> int:
        return self.output_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A row taken by this worker under `fence`, with all that its execution needs."""

    output_id: int
    job_id: str
    fence: int
    tries: int
    max_tries: int
    template_name: str
    model_name: str
    format: str
    context: dict[str, Any]
    system: str | None
    messages: list[dict[str, str]] | None
    response_schema: dict[str, Any] | None
    options: dict[str, Any]
    fetchers: dict[str, Any] | None
    strict: bool
    prompt_name: str | None
    prompt_version: int | None
    script: dict[str, Any] | None
    workitem: dict[str, Any] | None
    files: list[dict[str, Any]] | None
    file_texts: list[str] | None
    debug: bool
    result_items: dict[str, Any] | None
    steps_done: int
    bucket: str
    queue: str
    user_id: int | None
    agent_id: int | None
    traceparent: str | None
    warnings: list[str]
    created_at: datetime
    seconds_to_deadline: float

    @property
    def key(self) -> Key:
        return (self.output_id, self.fence)


@dataclass(frozen=True, slots=True)
class Held:
    """A row this worker holds."""

    output_id: int
    fence: int

    @property
    def key(self) -> Key:
        return (self.output_id, self.fence)


@dataclass(frozen=True, slots=True)
class Renewal:
    """A lease extended; `cancel_requested` asks the worker to close the call."""

    cancel_requested: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Again:
    """One call is over and the same claim makes another, of `kind`; uses no try.

    `prompt` and `error_*` describe the call that is over. Where that ended a step, `result_items`
    are all items so far and `steps_done` counts the steps: a later claim goes on from there.
    """

    output_id: int
    fence: int
    kind: Kind
    worker: str
    lease_seconds: float
    report: Report = NO_CALL
    prompt: str | None = None
    error_code: str | None = None
    error_message: str | None = None
    result_items: dict[str, Any] | None = None
    steps_done: int | None = None

    @property
    def key(self) -> Key:
        return (self.output_id, self.fence)


@dataclass(frozen=True, slots=True)
class Release:
    """A claimed row whose call was not started goes back, due at once."""

    output_id: int
    fence: int
    report: Report = NO_CALL

    @property
    def key(self) -> Key:
        return (self.output_id, self.fence)


def claim(
    session: Session, deliveries: Sequence[Delivery], *, worker: str, lease_seconds: float
) -> dict[int, Claim]:
    """pending → processing for each row that is due and not paused; by output id.

    Raises the fence, sets the lease and inserts the attempt, in the caller's transaction: the
    attempt is committed before the call it stands for.
    """
    named = [d for d in deliveries if _names_a_row(d)]
    if not named:
        return {}
    lock(session, {d.output_id for d in named})
    dialect = session.get_bind().dialect.name
    rows = ({"id": d.output_id, "job_id": stored(d.job_id)} for d in named)
    holder = {"worker_name": worker, "lease": lease_seconds}
    result = session.execute(_claim(dialect), arguments(dialect, rows) | holder)
    claims = {row.id: _claim_of(row) for row in result}
    open_attempts(session, [(c.output_id, c.fence, Kind.ANSWER, worker) for c in claims.values()])
    return claims


def renew(session: Session, held: Sequence[Held], *, lease_seconds: float) -> dict[Key, Renewal]:
    """Extend the leases that are still this worker's. One that is missing was taken over."""
    if not held:
        return {}
    lock(session, {h.output_id for h in held})
    dialect = session.get_bind().dialect.name
    rows = ({"id": h.output_id, "fence": h.fence} for h in held)
    result = session.execute(_renew(dialect), arguments(dialect, rows) | {"lease": lease_seconds})
    return {
        (row.id, row.fence): Renewal(cancel_requested=row.cancel_requested_at is not None)
        for row in result
    }


def again(session: Session, items: Sequence[Again]) -> dict[Key, int]:
    """processing → processing: closes the attempt, raises the fence, opens the next attempt.

    Returns the new fence by the old key. An item that is missing was cancelled or taken over.
    """
    if not items:
        return {}
    items = each_once(items)
    lock(session, {item.output_id for item in items})
    dialect = session.get_bind().dialect.name
    rows = [
        _held_row(item)
        | {
            "prompt": stored(item.prompt),
            "lease": item.lease_seconds,
            "result_items": stored_json(item.result_items),
            "steps_done": item.steps_done,
        }
        for item in items
    ]
    moved = {
        (row.id, row.fence - 1): row
        for row in session.execute(_again(dialect), arguments(dialect, rows))
    }
    users = {key: row.user_id for key, row in moved.items()}
    close_attempts(session, items, won=users, outcome=Outcome.CONTINUED)
    went_on = [item for item in items if item.key in moved]
    open_attempts(session, [(i.output_id, moved[i.key].fence, i.kind, i.worker) for i in went_on])
    return {key: row.fence for key, row in moved.items()}


def release(session: Session, items: Sequence[Release]) -> dict[Key, Ended]:
    """processing → pending, due now, for calls that were not started (a draining worker)."""
    if not items:
        return {}
    items = each_once(items)
    lock(session, {item.output_id for item in items})
    dialect = session.get_bind().dialect.name
    rows = map(_held_row, items)
    moved = {
        (row.id, row.fence): row
        for row in session.execute(_release(dialect), arguments(dialect, rows))
    }
    users = {key: row.user_id for key, row in moved.items()}
    close_attempts(session, items, won=users, outcome=Outcome.RELEASED)
    return {key: Ended(row.id, row.job_id, row.status) for key, row in moved.items()}


def _names_a_row(delivery: Delivery) -> bool:
    """Could there be such a row? Anybody who can write to the broker can send any number."""
    return 0 < delivery.output_id <= MOST_ID


def _held_row(item: Again | Release) -> dict[str, Any]:
    return {"id": item.output_id, "fence": item.fence} | usage_of(item.report)


def _claim_of(row: Any) -> Claim:
    fields = {
        name: getattr(row, name)
        for name in Claim.__dataclass_fields__
        if name not in ("output_id", "context", "options", "warnings")
    }
    return Claim(
        output_id=row.id,
        context=row.context or {},
        options=row.options or {},
        warnings=row.warnings or [],
        **fields,
    )


@cache
def _claim(dialect: str) -> ReturningUpdate[Any]:
    v = recordset(dialect, {"id": BigId, "job_id": String})
    columns = [
        _T.c[name]
        for name in Claim.__dataclass_fields__
        if name not in ("output_id", "seconds_to_deadline")
    ]
    return (
        update(_T)
        .where(
            named_by(dialect, _T.c.id),
            _T.c.id == v.c.id,
            _T.c.job_id == v.c.job_id,
            guards.is_pending(),
            guards.is_due(),
            guards.before_deadline(),
            guards.not_cancelled(),
            guards.not_paused(_T.c),
        )
        .values(
            status=Status.PROCESSING,
            worker=bindparam("worker_name", type_=String),
            started_at=func.coalesce(_T.c.started_at, now()),
            **effects.next_fence(),
            **effects.leased(bindparam("lease", type_=Float)),
            **effects.touched(),
        )
        .returning(_T.c.id, *columns, seconds_until(_T.c.deadline).label("seconds_to_deadline"))
    )


@cache
def _renew(dialect: str) -> ReturningUpdate[Any]:
    v = recordset(dialect, {"id": BigId, "fence": Integer})
    return (
        update(_T)
        .where(named_by(dialect, _T.c.id), guards.mine(v))
        .values(effects.leased(bindparam("lease", type_=Float)))
        .returning(_T.c.id, _T.c.fence, _T.c.cancel_requested_at)
    )


@cache
def _again(dialect: str) -> ReturningUpdate[Any]:
    v = recordset(
        dialect,
        _HELD | {"prompt": Text, "lease": Float, "result_items": Text, "steps_done": Integer},
    )
    return (
        update(_T)
        .where(named_by(dialect, _T.c.id), guards.mine(v), guards.not_cancelled())
        .values(
            prompt=func.coalesce(v.c.prompt, _T.c.prompt),
            result_items=func.coalesce(json_value(v.c.result_items), _T.c.result_items),
            steps_done=func.coalesce(v.c.steps_done, _T.c.steps_done),
            **effects.next_fence(),
            **effects.leased(v.c.lease),
            **effects.touched(),
            **usage_added(v),
        )
        .returning(_T.c.id, _T.c.fence, _T.c.user_id)
    )


@cache
def _release(dialect: str) -> ReturningUpdate[Any]:
    v = recordset(dialect, _HELD)
    return (
        update(_T)
        .where(named_by(dialect, _T.c.id), guards.mine(v), guards.not_cancelled())
        .values(
            status=Status.PENDING,
            run_at=now(),
            **effects.let_go(),
            **effects.to_be_sent(),
            **effects.touched(),
            **usage_added(v),
        )
        .returning(_T.c.id, _T.c.fence, _T.c.job_id, _T.c.status, _T.c.user_id)
    )


_HELD: dict[str, Any] = {"id": BigId, "fence": Integer, **USAGE_COLUMNS}
