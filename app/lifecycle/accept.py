"""create: ∅ → pending, in the transaction that also holds the caller's other promises."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import (
    Boolean,
    Float,
    Integer,
    String,
    Text,
    and_,
    case,
    func,
    insert,
    literal,
    select,
)
from sqlalchemy.orm import Session
from sqlalchemy.sql.dml import ReturningInsert

from app.lifecycle.texts import stored, stored_json
from models import Format, LLMOutput, Queue, Status
from models.base import table_of
from models.batch import payload, recordset
from models.types import BigId, UtcDateTime, json_value, now, now_plus

_T = table_of(LLMOutput)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewJob:
    """A job to accept. Times: `run_at` and `deadline` null mean now and `max_age_seconds` later.

    `wake_now` says that this process will publish the wake-up right after the commit; it is not
    believed of a job whose time has not come.
    """

    template_name: str
    model_name: str
    max_tries: int
    max_age_seconds: float
    job_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    user_id: int | None = None
    agent_id: int | None = None
    format: str = Format.TEXT
    context: dict[str, Any] = field(default_factory=dict)
    system: str | None = None
    messages: list[dict[str, str]] | None = None
    response_schema: dict[str, Any] | None = None
    options: dict[str, Any] | None = None
    fetchers: dict[str, Any] | None = None
    strict: bool = False
    prompt_name: str | None = None
    prompt_version: int | None = None
    script: dict[str, Any] | None = None
    workitem: dict[str, Any] | None = None
    files: list[dict[str, Any]] | None = None
    file_texts: list[str] | None = None
    debug: bool = False
    metadata: dict[str, Any] | None = None
    bucket: str = ""
    traceparent: str | None = None
    queue: str = Queue.DEFAULT
    run_at: datetime | None = None
    deadline: datetime | None = None
    parent_id: int | None = None
    root_id: int | None = None
    derivation: str | None = None
    warnings: list[str] | None = None
    wake_now: bool = False


@dataclass(frozen=True, slots=True)
class Created:
    """An accepted row: its counter and the times the database gave it."""

    output_id: int
    job_id: str
    created_at: datetime
    run_at: datetime
    deadline: datetime


def create(session: Session, jobs: Sequence[NewJob]) -> dict[str, Created]:
    """Insert the jobs as pending rows, in the order given; returns them by `job_id`.

    NUL and lone surrogates in any text are replaced (PostgreSQL refuses both).
    """
    if not jobs:
        return {}
    dialect = session.get_bind().dialect.name
    rows = [_row(number, job) for number, job in enumerate(jobs)]
    result = session.execute(_insert(dialect), {"rows": payload(dialect, rows)})
    return {
        row.job_id: Created(row.id, row.job_id, row.created_at, row.run_at, row.deadline)
        for row in result
    }


def _row(number: int, job: NewJob) -> dict[str, Any]:
    row = {name: getattr(job, name) for name in _PLAIN | _TIMES}
    row |= {name: stored_json(getattr(job, name)) for name in _JSON}
    row = {name: stored(value) if isinstance(value, str) else value for name, value in row.items()}
    return row | {
        "position": number,
        "metadata": stored_json(job.metadata),
        "max_age_seconds": job.max_age_seconds,
        "wake_now": job.wake_now,
    }


_JSON = {
    "context": Text,
    "messages": Text,
    "response_schema": Text,
    "options": Text,
    "fetchers": Text,
    "script": Text,
    "workitem": Text,
    "files": Text,
    "file_texts": Text,
    "warnings": Text,
}.keys()
_COLUMNS = {
    "job_id": String,
    "user_id": BigId,
    "agent_id": BigId,
    "template_name": Text,
    "model_name": Text,
    "format": String,
    "system": Text,
    "strict": Boolean,
    "debug": Boolean,
    "prompt_name": String,
    "prompt_version": Integer,
    "bucket": String,
    "traceparent": String,
    "queue": String,
    "max_tries": Integer,
    "parent_id": BigId,
    "root_id": BigId,
    "derivation": String,
}
_PLAIN = _COLUMNS.keys()
_TIMES = {"run_at", "deadline"}


@cache
def _insert(dialect: str) -> ReturningInsert[Any]:
    v = recordset(
        dialect,
        _COLUMNS
        | dict.fromkeys(_TIMES, UtcDateTime)
        | dict.fromkeys(_JSON, Text)
        | {"position": Integer, "metadata": Text, "max_age_seconds": Float, "wake_now": Boolean},
    )
    values: dict[str, Any] = {name: v.c[name] for name in _COLUMNS}
    values |= {name: json_value(v.c[name]) for name in (*_JSON, "metadata")}
    values |= {
        "run_at": func.coalesce(v.c.run_at, now()),
        "deadline": func.coalesce(v.c.deadline, now_plus(v.c.max_age_seconds)),
        "woken_at": case((and_(v.c.wake_now, func.coalesce(v.c.run_at <= now(), True)), now())),
        "status": literal(Status.PENDING.value),
        "created_at": now(),
        "updated_at": now(),
        "feedback": literal(0),
        "fence": literal(0),
        "tries": literal(0),
        "losses": literal(0),
    }
    rows = select(*values.values()).order_by(v.c.position)
    return (
        insert(_T)
        .from_select(list(values), rows)
        .returning(_T.c.id, _T.c.job_id, _T.c.created_at, _T.c.run_at, _T.c.deadline)
    )
