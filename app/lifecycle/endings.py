"""complete, retry_later, snooze, fail, stop: how a held row leaves the worker that holds it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, Float, Integer, String, Text, func, literal, update
from sqlalchemy.orm import Session
from sqlalchemy.sql.dml import ReturningUpdate

from app.lifecycle import effects, guards
from app.lifecycle.control import pause
from app.lifecycle.ledger import (
    NO_CALL,
    USAGE_COLUMNS,
    Ended,
    Key,
    Report,
    close_attempts,
    each_once,
    usage_added,
    usage_of,
)
from app.lifecycle.order import lock
from app.lifecycle.texts import cut, stored, stored_json
from models import ControlKind, LLMOutput, Outcome, Status
from models.base import table_of
from models.batch import arguments, named_by, recordset
from models.types import BigId, json_value, now_plus

_T = table_of(LLMOutput)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ending:
    """What every ending says: which claim, what the ledger keeps, and the prompt that was sent.

    `warnings` replaces the row's list; None leaves it.
    """

    output_id: int
    fence: int
    report: Report = NO_CALL
    prompt: str | None = None
    warnings: list[str] | None = None

    @property
    def key(self) -> Key:
        return (self.output_id, self.fence)


@dataclass(frozen=True, slots=True, kw_only=True)
class Completed(_Ending):
    """The answer: the text as it came, and what was read from it."""

    raw_response: str
    parsed_output: Any = None
    result_items: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryLater(_Ending):
    """A failure that may pass: due again after `delay_seconds`, one try used."""

    delay_seconds: float
    error_code: str
    error_message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Snoozed(_Ending):
    """Capacity is lacking: due again after `delay_seconds`, no try used.

    `pause_bucket` names the provider's bucket that pauses for everyone as long.
    """

    delay_seconds: float
    error_code: str
    error_message: str
    pause_bucket: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed(_Ending):
    """The end without an answer; `partial_text` is what people had seen of one."""

    error_code: str
    error_message: str
    partial_text: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopped(_Ending):
    """The end a cancel asked for, with the text that had arrived."""

    partial_text: str | None = None


def complete(session: Session, items: Sequence[Completed]) -> dict[Key, Ended]:
    """processing → completed. Loses against a cancel that was asked before it."""
    return _end(
        session,
        items,
        statement=_complete,
        outcome=Outcome.COMPLETED,
        extra=lambda item: {
            "raw_response": stored(item.raw_response),
            "parsed_output": stored_json(item.parsed_output),
            "result_items": stored_json(item.result_items),
        },
        lost_text=lambda item: item.raw_response,
    )


def retry_later(session: Session, items: Sequence[RetryLater]) -> dict[Key, Ended]:
    """processing → pending, due after its delay, `tries` + 1. The dispatcher wakes it then.

    Refused on the last try: that one ends with `fail`.
    """
    return _end(session, items, statement=_retry_later, outcome=Outcome.RETRIED, extra=_delayed)


def snooze(session: Session, items: Sequence[Snoozed]) -> dict[Key, Ended]:
    """processing → pending, due after its delay, `tries` unchanged; its bucket pauses as long."""
    for item in sorted(items, key=lambda item: item.pause_bucket):
        if item.pause_bucket:
            pause(
                session,
                ControlKind.BUCKET,
                item.pause_bucket,
                seconds=item.delay_seconds,
                reason=item.error_message,
            )
    return _end(session, items, statement=_snooze, outcome=Outcome.RATE_LIMITED, extra=_delayed)


def fail(session: Session, items: Sequence[Failed]) -> dict[Key, Ended]:
    """processing → failed, with the seed's sentence as the raw response; the ledger keeps the
    partial text.
    """
    return _end(
        session,
        items,
        statement=_fail,
        outcome=Outcome.FAILED,
        extra=lambda item: {
            "error_code": cut(item.error_code, 64),
            "error_message": stored(item.error_message),
        },
        kept_text=lambda item: item.partial_text,
    )


def stop(session: Session, items: Sequence[Stopped]) -> dict[Key, Ended]:
    """processing → cancelled, where a cancel was asked; keeps the partial text."""
    return _end(
        session,
        items,
        statement=_stop,
        outcome=Outcome.CANCELLED,
        extra=lambda item: {"raw_response": stored(item.partial_text)},
    )


def _end(
    session: Session,
    items: Sequence[Any],
    *,
    statement: Callable[[str], ReturningUpdate[Any]],
    outcome: Outcome,
    extra: Callable[[Any], Mapping[str, Any]],
    kept_text: Callable[[Any], str | None] = lambda item: None,
    lost_text: Callable[[Any], str | None] = lambda item: None,
) -> dict[Key, Ended]:
    if not items:
        return {}
    items = each_once(items)
    lock(session, {item.output_id for item in items})
    dialect = session.get_bind().dialect.name
    rows = (_ending_row(item, extra(item)) for item in items)
    result = session.execute(statement(dialect), arguments(dialect, rows))
    moved = {(row.id, row.fence): row for row in result}
    close_attempts(
        session,
        items,
        won={key: row.user_id for key, row in moved.items()},
        outcome=outcome,
        texts={
            item.key: kept_text(item) if item.key in moved else lost_text(item) for item in items
        },
    )
    return {key: Ended(row.id, row.job_id, row.status) for key, row in moved.items()}


def _ending_row(item: Any, extra: Mapping[str, Any]) -> dict[str, Any]:
    row = {
        "id": item.output_id,
        "fence": item.fence,
        "prompt": stored(item.prompt),
        "warnings": stored_json(item.warnings),
    }
    return {**row, **usage_of(item.report), **extra}


def _delayed(item: RetryLater | Snoozed) -> Mapping[str, Any]:
    return {
        "delay": item.delay_seconds,
        "error_code": cut(item.error_code, 64),
        "error_message": stored(item.error_message),
    }


@cache
def _complete(dialect: str) -> ReturningUpdate[Any]:
    v = _rows(dialect, raw_response=Text, parsed_output=Text, result_items=Text)
    return _move(dialect, v, Status.COMPLETED, guards.not_cancelled()).values(
        raw_response=v.c.raw_response,
        parsed_output=json_value(v.c.parsed_output),
        result_items=json_value(v.c.result_items),
        error_code=None,
        error_message=None,
        **effects.one_try_used(),
        **effects.over(),
    )


@cache
def _retry_later(dialect: str) -> ReturningUpdate[Any]:
    return _back_to_pending(dialect).where(guards.a_try_left()).values(effects.one_try_used())


@cache
def _snooze(dialect: str) -> ReturningUpdate[Any]:
    return _back_to_pending(dialect)


@cache
def _fail(dialect: str) -> ReturningUpdate[Any]:
    v = _rows(dialect, error_code=String, error_message=Text)
    return _move(dialect, v, Status.FAILED, guards.not_cancelled()).values(
        **effects.failure(v.c.error_code, v.c.error_message),
        **effects.one_try_used(),
        **effects.over(),
    )


@cache
def _stop(dialect: str) -> ReturningUpdate[Any]:
    v = _rows(dialect, raw_response=Text)
    return _move(dialect, v, Status.CANCELLED, guards.cancel_asked()).values(
        raw_response=v.c.raw_response,
        error_code=literal("cancelled"),
        error_message=literal("Cancelled while it was running"),
        **effects.over(),
    )


def _back_to_pending(dialect: str) -> ReturningUpdate[Any]:
    v = _rows(dialect, delay=Float, error_code=String, error_message=Text)
    return _move(dialect, v, Status.PENDING, guards.not_cancelled()).values(
        run_at=now_plus(v.c.delay),
        error_code=v.c.error_code,
        error_message=v.c.error_message,
        **effects.to_be_sent(),
    )


def _rows(dialect: str, **columns: Any) -> Any:
    shared = {"id": BigId, "fence": Integer, "prompt": Text, "warnings": Text}
    return recordset(dialect, {**shared, **USAGE_COLUMNS, **columns})


def _move(dialect: str, v: Any, status: Status, guard: ColumnElement[bool]) -> ReturningUpdate[Any]:
    return (
        update(_T)
        .where(named_by(dialect, _T.c.id), guards.mine(v), guard)
        .values(
            status=status,
            prompt=func.coalesce(v.c.prompt, _T.c.prompt),
            warnings=func.coalesce(json_value(v.c.warnings), _T.c.warnings),
            **effects.let_go(),
            **effects.touched(),
            **usage_added(v),
        )
        .returning(_T.c.id, _T.c.fence, _T.c.job_id, _T.c.status, _T.c.user_id)
    )
