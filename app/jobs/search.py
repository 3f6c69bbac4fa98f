"""Lists of rows: own rows, newest first, by filters that are all applied."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, String, case, cast, func, or_, select
from sqlalchemy.orm import Session

from app.accounts import Caller
from app.errors import Forbidden, InvalidParameter
from app.jobs.access import visible
from app.jobs.limits import check_text
from app.paging import DEFAULT_LIMIT, Page, newest_first
from models import Feedback, Format, LLMOutput, Queue, Status

LONGEST_QUERY = 200
_METADATA_KEY = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """What rows must be. `q` is looked for in template, answer and job id, in any case.

    `metadata` compares top-level texts, numbers and booleans as they are written in JSON.
    `all_users` shows everybody's rows, and `user_id` one person's (administrators).
    """

    status: str | None = None
    model: str | None = None
    template: str | None = None
    format: str | None = None
    queue: str | None = None
    feedback: str | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None
    q: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    parent_id: int | None = None
    all_users: bool = False
    user_id: int | None = None


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
    filters = filters or Filters()
    query = select(LLMOutput).where(_owned(caller, filters), *_conditions(session, filters))
    return newest_first(session, query, LLMOutput.id, limit=limit, after=after)


def _owned(caller: Caller, filters: Filters) -> ColumnElement[bool]:
    others = filters.all_users or filters.user_id not in (None, caller.user_id)
    if others and not caller.is_admin:
        raise Forbidden("Only an administrator may list other users' rows")
    if filters.user_id is not None:
        return LLMOutput.user_id == filters.user_id
    return visible(caller, all_users=filters.all_users)


def _conditions(session: Session, filters: Filters) -> list[ColumnElement[bool]]:
    for name in ("model", "template", "q"):
        check_text(getattr(filters, name) or "", pointer=f"/{name}")
    equal: dict[Any, Any] = {
        LLMOutput.status: _word(Status, "status", filters.status),
        LLMOutput.model_name: filters.model,
        LLMOutput.template_name: filters.template,
        LLMOutput.format: _word(Format, "format", filters.format),
        LLMOutput.queue: _word(Queue, "queue", filters.queue),
        LLMOutput.feedback: _feedback(filters.feedback),
        LLMOutput.parent_id: filters.parent_id,
    }
    found = [column == value for column, value in equal.items() if value is not None]
    if filters.created_after is not None:
        found.append(LLMOutput.created_at > _moment("created_after", filters.created_after))
    if filters.created_before is not None:
        found.append(LLMOutput.created_at < _moment("created_before", filters.created_before))
    if filters.q:
        found.append(_contains(filters.q))
    dialect = session.get_bind().dialect.name
    found += [_metadata(dialect, key, value) for key, value in filters.metadata.items()]
    return found


def _word(words: type[StrEnum], name: str, value: str | None) -> str | None:
    if value is not None and value not in list(words):
        raise InvalidParameter(
            f"Invalid {name}. Must be one of: {', '.join(words)}", pointer=f"/{name}"
        )
    return value


def _feedback(word: str | None) -> int | None:
    if word is None:
        return None
    for verdict in Feedback:
        if verdict.word == word:
            return int(verdict)
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
