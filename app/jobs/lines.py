"""A list's lines: what a page shows of many rows at once, without reading their texts.

A row's template, prompt and answer may be a megabyte each; a line reads a few small columns and the
first words of the template. Whole rows are `describe.py`'s.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from sqlalchemy import ColumnElement, Select, exists, func, or_, select
from sqlalchemy.orm import Session, aliased

from app.accounts import Caller
from app.jobs.access import visible
from app.jobs.search import Counted, Filters, count_matching, matching
from app.lifecycle import guards
from app.paging import Page, cursor, read_cursor
from models import ENDED, Derivation, Feedback, LLMOutput, Status, User
from models.types import seconds_until

TEMPLATE_CHARACTERS = 160
MOST_LINES = 100
MOST_IN_A_TAB = 1_000
"""Rows of a state are counted so far: a list of a million opens like one of a thousand."""


_CHEAP = frozenset({"status", "user", "user_id", "all_users", "created_after"})
"""Filters an index answers together; only then each state can be counted at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One row as a list shows it. Moments are aware; `cost` is US dollars, None: unknown.

    `due_in_seconds` counts to the next try by the database's clock; what has ended has none.
    """

    id: int
    job_id: str
    status: str
    template: str
    prompt_name: str | None
    prompt_version: int | None
    model: str
    format: str
    queue: str
    tries: int
    max_tries: int
    run_at: datetime
    created_at: datetime
    updated_at: datetime
    finished_at: datetime | None
    input_tokens: int | None
    output_tokens: int | None
    cost: Decimal | None
    feedback: int
    error_code: str | None
    parent_id: int | None
    derivation: str | None
    cancel_requested_at: datetime | None
    user: str | None
    due_in_seconds: float
    children: int = 0

    @property
    def ended(self) -> bool:
        return self.status in ENDED

    @property
    def state(self) -> str:
        """The status, and of a pending row what it waits for: `queued`, `scheduled`, `retrying`."""
        if self.status != Status.PENDING:
            return self.status
        if self.due_in_seconds <= 0:
            return "queued"
        return "retrying" if self.tries else "scheduled"

    @property
    def feedback_word(self) -> str:
        return Feedback(self.feedback).word

    @property
    def re_run(self) -> bool:
        return self.derivation == Derivation.RE_RUN

    @property
    def latency_seconds(self) -> float | None:
        """From acceptance to the end: what whoever asked has waited."""
        if self.finished_at is None:
            return None
        return (self.finished_at - self.created_at).total_seconds()

    @property
    def tokens(self) -> int | None:
        """In and out together; None where neither is known."""
        if self.input_tokens is None and self.output_tokens is None:
            return None
        return (self.input_tokens or 0) + (self.output_tokens or 0)


def list_lines(
    session: Session,
    caller: Caller,
    filters: Filters,
    *,
    limit: int,
    after: str | None = None,
) -> Page[Line]:
    """One page, newest first; `after` is the `next` of the page before. Raises as `list_outputs`.

    Two queries, and one for the children of what is shown.
    """
    query = _lines().where(*matching(session, caller, filters))
    if after is not None:
        query = query.where(LLMOutput.id < read_cursor(after))
    query = query.order_by(LLMOutput.id.desc()).limit(min(limit, MOST_LINES) + 1)
    found = _read(session, query)
    shown = found[: min(limit, MOST_LINES)]
    more = len(found) > len(shown)
    return Page(shown, cursor(shown[-1].id) if more else None)


def lines_of(session: Session, caller: Caller, ids: Sequence[int]) -> list[Line]:
    """The lines of these rows, newest first; those the caller does not see are left out."""
    seen = visible(caller, all_users=True)
    query = _lines().where(LLMOutput.id.in_(ids[:MOST_LINES]), seen)
    return _read(session, query.order_by(LLMOutput.id.desc()))


def count_states(session: Session, caller: Caller, filters: Filters) -> Mapping[str, Counted]:
    """How many rows of each status the filters leave, whatever status they name; `all` is theirs
    together. Nothing where counting would mean reading every row: see `_CHEAP`.
    """
    given = {one.name for one in fields(Filters) if getattr(filters, one.name)}
    if not given <= _CHEAP:
        return {}
    found = {
        status.value: count_matching(
            session, caller, replace(filters, status=status), cap=MOST_IN_A_TAB
        )
        for status in Status
    }
    total = sum(one.count for one in found.values())
    capped = total > MOST_IN_A_TAB or any(one.capped for one in found.values())
    return {**found, "all": Counted(min(total, MOST_IN_A_TAB), capped)}


def count_newer(session: Session, caller: Caller, filters: Filters, *, than: int, cap: int) -> int:
    """How many rows of a list are newer than row `than`, counted up to `cap`."""
    newer = select(LLMOutput.id).where(*matching(session, caller, filters), LLMOutput.id > than)
    counted = select(func.count()).select_from(newer.limit(cap).subquery())
    return session.scalars(counted).one()


class Purpose(StrEnum):
    """What many rows may be wanted for; each fits some rows only."""

    RE_RUN = "re_run"
    CANCEL = "cancel"
    RETRY_FAILED = "retry_failed"


def ids_for(
    session: Session,
    caller: Caller,
    purpose: Purpose,
    *,
    ids: Sequence[int] | None = None,
    filters: Filters | None = None,
    limit: int,
) -> list[int]:
    """The newest `limit` rows that are fit for a purpose: of these ids, else of a list.

    Raises as `list_outputs`.
    """
    if ids is None:
        wanted = matching(session, caller, filters or Filters())
    else:
        wanted = [LLMOutput.id.in_(ids), visible(caller, all_users=True)]
    query = select(LLMOutput.id).where(*wanted, *_fit(purpose))
    return list(session.scalars(query.order_by(LLMOutput.id.desc()).limit(limit)))


def _fit(purpose: Purpose) -> tuple[ColumnElement[bool], ...]:
    """Again is run what has ended and still has its texts; a failure only once."""
    if purpose == Purpose.CANCEL:
        return (or_(*(LLMOutput.status == guards.word(s) for s in Status if not s.ended)),)
    kept = LLMOutput.erased_at.is_(None)
    if purpose == Purpose.RE_RUN:
        return (LLMOutput.finished_at.is_not(None), kept)
    child = aliased(LLMOutput)
    derived = exists(select(child.id).where(child.parent_id == LLMOutput.id))
    return (LLMOutput.status == guards.word(Status.FAILED), kept, ~derived)


def _lines() -> Select[tuple[object, ...]]:
    return select(
        LLMOutput.id,
        LLMOutput.job_id,
        LLMOutput.status,
        func.substr(LLMOutput.template_name, 1, TEMPLATE_CHARACTERS).label("template"),
        LLMOutput.prompt_name,
        LLMOutput.prompt_version,
        LLMOutput.model_name.label("model"),
        LLMOutput.format,
        LLMOutput.queue,
        LLMOutput.tries,
        LLMOutput.max_tries,
        LLMOutput.run_at,
        LLMOutput.created_at,
        LLMOutput.updated_at,
        LLMOutput.finished_at,
        LLMOutput.input_tokens,
        LLMOutput.output_tokens,
        LLMOutput.cost,
        LLMOutput.feedback,
        LLMOutput.error_code,
        LLMOutput.parent_id,
        LLMOutput.derivation,
        LLMOutput.cancel_requested_at,
        User.email.label("user"),
        seconds_until(LLMOutput.run_at).label("due_in_seconds"),
    ).join(User, User.id == LLMOutput.user_id, isouter=True)


def _read(session: Session, query: Select[tuple[object, ...]]) -> list[Line]:
    rows = session.execute(query).mappings().all()
    children = _children(session, [row["id"] for row in rows])
    return [Line(**row, children=children.get(row["id"], 0)) for row in rows]


def _children(session: Session, ids: Sequence[int]) -> dict[int, int]:
    query = (
        select(LLMOutput.parent_id, func.count())
        .where(LLMOutput.parent_id.in_(ids))
        .group_by(LLMOutput.parent_id)
    )
    return {parent: count for parent, count in session.execute(query) if parent is not None}
