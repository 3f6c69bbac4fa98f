"""Lists of rows: own rows, newest first, by filters that are all applied."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, String, and_, case, cast, func, literal_column, or_, select
from sqlalchemy.orm import Session, aliased

from app.accounts import Caller, find_user
from app.errors import Forbidden, InvalidParameter
from app.jobs.access import visible
from app.jobs.by_time import first_id_since
from app.jobs.limits import check_text
from app.paging import DEFAULT_LIMIT, Page, newest_first
from models import Feedback, Format, LLMOutput, Queue, Status
from models.base import table_of
from models.types import plain

LONGEST_QUERY = 200
MOST_COUNTED = 10_000
"""More rows are told as "10,000+": counting them helps nobody and reads them all."""

FEW = 2_000
"""So many waiting or running rows are looked up by their index; more are met soon enough."""

_OTHER = aliased(LLMOutput)
_GOING: Mapping[str | None, str] = {
    Status.PENDING: "deadline",
    Status.PROCESSING: "lease_expires_at",
}
"""Statuses a row leaves again, and the column of their partial index."""

_METADATA_KEY = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """What rows must be. `q` is looked for in template, answer and job id, in any case.

    `error_code` means rows that failed with it, or rows of the `status` said whose last error it
    is. `metadata` compares top-level texts, numbers and booleans as they are written in JSON.
    `all_users` shows everybody's rows, `user_id` and `user` (an address) one person's
    (administrators).
    """

    status: str | None = None
    model: str | None = None
    template: str | None = None
    format: str | None = None
    queue: str | None = None
    feedback: str | None = None
    error_code: str | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None
    q: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    parent_id: int | None = None
    all_users: bool = False
    user_id: int | None = None
    user: str | None = None


@dataclass(frozen=True, slots=True)
class Counted:
    """How many rows there are; `capped` when there are more than were counted."""

    count: int
    capped: bool = False


def list_outputs(
    session: Session,
    caller: Caller,
    filters: Filters | None = None,
    *,
    limit: int = DEFAULT_LIMIT,
    after: str | None = None,
) -> Page[LLMOutput]:
    """One page of rows. `after` is the `next` of the page before.

    Raises InvalidParameter naming the filter, Forbidden when a member asks for others' rows.
    """
    query = select(LLMOutput).where(*matching(session, caller, filters or Filters()))
    return newest_first(session, query, LLMOutput.id, limit=limit, after=after)


def count_matching(
    session: Session, caller: Caller, filters: Filters | None = None, *, cap: int = MOST_COUNTED
) -> Counted:
    """How many rows a list would show, counted up to `cap`. Raises as `list_outputs` does."""
    found = select(LLMOutput.id).where(*matching(session, caller, filters or Filters()))
    if filters is not None and filters.status in _GOING:
        found = found.where(*_by_its_index(filters.status, LLMOutput))  # which has another order
    else:
        found = found.order_by(LLMOutput.id.desc())
    counted = found.limit(cap + 1).subquery()
    count = session.scalars(select(func.count()).select_from(counted)).one()
    return Counted(min(count, cap), count > cap)


def matching(session: Session, caller: Caller, filters: Filters) -> list[ColumnElement[bool]]:
    """The conditions of the rows that a caller may see and that the filters name.

    Raises InvalidParameter naming the filter, Forbidden when a member asks for others' rows.
    """
    return [
        _owned(session, caller, filters),
        *_conditions(session, filters),
        *_among_the_going(session, filters),
    ]


def _owned(session: Session, caller: Caller, filters: Filters) -> ColumnElement[bool]:
    user_id = filters.user_id
    if filters.user is not None:
        user_id = _named(session, caller, filters.user)
    others = filters.all_users or user_id not in (None, caller.user_id)
    if others and not caller.is_admin:
        raise Forbidden("Only an administrator may list other users' rows")
    if filters.all_users and user_id is None:
        return visible(caller, all_users=True)
    user_id = caller.user_id if user_id is None else user_id
    if user_id is None:
        return visible(caller)
    return _of(session, filters, user_id)


def _of(session: Session, filters: Filters, user_id: int) -> ColumnElement[bool]:
    """One user's rows. To find the few with a thumb SQLite, which has no statistics, would read all
    of them by their own index; kept from it, it walks along everybody's thumbs.
    """
    voted = filters.feedback in (Feedback.THUMBS_UP.word, Feedback.THUMBS_DOWN.word)
    owner = table_of(LLMOutput).c.user_id
    if voted and session.get_bind().dialect.name == "sqlite":
        return plain(owner) == user_id
    return owner == user_id


def _named(session: Session, caller: Caller, address: str) -> int:
    """The id of the user of an address. A member learns of no other's existence."""
    check_text(address, pointer="/user")
    if caller.user_id is not None and address.strip().lower() == caller.email:
        return caller.user_id
    if not caller.is_admin:
        raise Forbidden("Only an administrator may list other users' rows")
    user = find_user(session, address)
    if user is None:
        raise InvalidParameter(f"Invalid user: nobody has the address {address}", pointer="/user")
    return user.id


def _conditions(session: Session, filters: Filters) -> list[ColumnElement[bool]]:
    for name in ("model", "template", "error_code", "q"):
        check_text(getattr(filters, name) or "", pointer=f"/{name}")
    status = filters.status or (None if filters.error_code is None else Status.FAILED)
    equal: dict[Any, Any] = {
        LLMOutput.error_code: filters.error_code,
        LLMOutput.model_name: filters.model,
        LLMOutput.template_name: filters.template,
        LLMOutput.format: _word(Format, "format", filters.format),
        LLMOutput.queue: _word(Queue, "queue", filters.queue),
        LLMOutput.parent_id: filters.parent_id,
    }
    found = [column == value for column, value in equal.items() if value is not None]
    if status is not None:
        # In the SQL's text: a bound value would hide that a partial index holds these rows.
        word = _word(Status, "status", status)
        found.append(LLMOutput.status == literal_column(f"'{word}'"))
    if filters.feedback is not None:
        found.append(_verdict(_feedback(filters.feedback)))
    found += _accepted_between(session, filters)
    if filters.q:
        found.append(_contains(filters.q))
    dialect = session.get_bind().dialect.name
    found += [_metadata(dialect, key, value) for key, value in filters.metadata.items()]
    return found


def _among_the_going(session: Session, filters: Filters) -> list[ColumnElement[bool]]:
    """Everybody's waiting or running rows, while there are few: looked up, not searched for.

    They would else be looked for from the newest row down, among all that has ended. One's own are
    found by their owner's index.
    """
    if not filters.all_users or filters.user_id is not None or filters.user is not None:
        return []
    if filters.status not in _GOING:
        return []
    going = select(_OTHER.id).where(*_by_its_index(filters.status, _OTHER))
    few = select(func.count()).select_from(going.limit(FEW + 1).subquery())
    return [LLMOutput.id.in_(going)] if session.scalars(few).one() <= FEW else []


def _by_its_index(status: str | None, rows: type[LLMOutput]) -> list[ColumnElement[bool]]:
    """That rows wait or run, said so that both databases choose the partial index of these.

    The second condition is true of every such row; without it SQLite reads the whole table.
    """
    word: ColumnElement[str] = literal_column(f"'{status}'")
    indexed = getattr(rows, _GOING[status]) > literal_column("'-infinity'")
    return [rows.status == word, indexed]


def _verdict(verdict: Feedback) -> ColumnElement[bool]:
    """Rows with a thumb are few, and have an index of their own."""
    given = LLMOutput.feedback == literal_column(str(int(verdict)))
    if verdict == Feedback.NONE:
        return given
    return and_(LLMOutput.feedback != literal_column("0"), given)


def _accepted_between(session: Session, filters: Filters) -> list[ColumnElement[bool]]:
    """Ids rise with time, so the ids of the span are looked up, and no older row is read."""
    found: list[ColumnElement[bool]] = []
    if filters.created_after is not None:
        after = _moment("created_after", filters.created_after)
        found += [
            LLMOutput.id >= first_id_since(session, after),
            LLMOutput.created_at > after,
        ]
    if filters.created_before is not None:
        found.append(LLMOutput.created_at < _moment("created_before", filters.created_before))
    return found


def _word(words: type[StrEnum], name: str, value: str | None) -> str | None:
    if value is not None and value not in list(words):
        raise InvalidParameter(
            f"Invalid {name}. Must be one of: {', '.join(words)}", pointer=f"/{name}"
        )
    return value


def _feedback(word: str) -> Feedback:
    for verdict in Feedback:
        if verdict.word == word:
            return verdict
    words = ", ".join(verdict.word for verdict in Feedback)
    raise InvalidParameter(f"Invalid feedback. Must be one of: {words}", pointer="/feedback")


def _moment(name: str, value: datetime) -> datetime:
    if value.tzinfo is None:
        raise InvalidParameter(f"Invalid {name}: give it a zone", pointer=f"/{name}")
    return value


def _contains(text: str) -> ColumnElement[bool]:
    if len(text) > LONGEST_QUERY:
        raise InvalidParameter(
            f"Invalid q. Must be at most {LONGEST_QUERY} characters", pointer="/q"
        )
    return or_(
        LLMOutput.template_name.icontains(text, autoescape=True),
        LLMOutput.raw_response.icontains(text, autoescape=True),
        LLMOutput.job_id == text.strip().lower(),
    )


def _metadata(dialect: str, key: str, value: str) -> ColumnElement[bool]:
    if not _METADATA_KEY.fullmatch(key):
        raise InvalidParameter(
            f"Invalid metadata key: {key[:64]!r}. Use letters, digits, - and _",
            pointer=f"/metadata[{key[:64]}]",
        )
    check_text(value, pointer=f"/metadata[{key}]")
    if dialect == "postgresql":
        text: ColumnElement[str] = LLMOutput.metadata_[key].as_string()
        return text == value
    path = f'$."{key}"'
    written = func.json_extract(LLMOutput.metadata_, path)
    kind = func.json_type(LLMOutput.metadata_, path)
    # SQLite gives 1 and 0 for what is written true and false.
    as_text: ColumnElement[str] = case(
        (kind.in_(["true", "false"]), kind), else_=cast(written, String)
    )
    return as_text == value
