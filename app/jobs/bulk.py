"""Many rows at once: run again, retry what failed, cancel. At most a thousand, in one transaction.

The rows are named by their ids or by the filters of a list; either way only rows the caller sees
are touched. A row that cannot take part (it has not ended, its model is served no longer) is left
out and named, and the others go on. The administrator's trail says how many it were.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import ColumnElement, Select, exists, or_, select
from sqlalchemy.orm import Session, aliased, defer, load_only

from app import audit, lifecycle
from app.accounts import Caller
from app.audit import Action
from app.errors import AllowanceUsedUp, Conflict, InvalidParameter, NotFound, RequestError
from app.jobs.access import visible
from app.jobs.derive import child_of
from app.jobs.files import files_of_many, too_many_files
from app.jobs.limits import check_text
from app.jobs.request import Submission
from app.jobs.search import Counted, Filters, matching
from app.jobs.search_words import write
from app.jobs.submit import accept, over_allowance
from app.lifecycle import Cancelled, Ended, NewJob, guards
from app.lifecycle.order import MOST_ID, lock_rows
from app.runtime import Runtime
from models import Derivation, LLMOutput, Status
from models.base import table_of

MOST = 1_000
EXAMINED_FAILURES = 20_000
"""How many of the newest failed rows are looked through for those of one error."""

_NOT_NEEDED = (
    LLMOutput.raw_response,
    LLMOutput.prompt,
    LLMOutput.parsed_output,
    LLMOutput.result_items,
)


@dataclass(frozen=True, slots=True)
class Skipped:
    """A row that was left out, and why: an error's `code` and sentence."""

    output_id: int
    code: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReRuns:
    """The jobs that were accepted, the oldest parent's first. `more`: not all fitted in."""

    accepted: tuple[Submission, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    more: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancellations:
    """Ids of rows that ended as `cancelled`, and of running ones whose worker was `asked`."""

    cancelled: tuple[int, ...] = ()
    asked: tuple[int, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    more: bool = False


def retry_failed(
    runtime: Runtime,
    caller: Caller,
    *,
    error_code: str | None = None,
    queue: str | None = None,
    model: str | None = None,
    filters: Filters | None = None,
    limit: int = MOST,
) -> ReRuns:
    """Run again what failed and was not derived from since, so that doing it twice doubles nothing.

    The newest `limit` rows; `filters` narrows further and says whose (nothing: the caller's own;
    administrators may say `all_users`). With `error_code` the newest 20,000 failures are looked
    through. Raises InvalidParameter, Forbidden, Unavailable.
    """
    within = filters or Filters()
    wanted = replace(
        within,
        status=Status.FAILED,
        error_code=error_code or within.error_code,
        queue=queue or within.queue,
        model=model or within.model,
    )
    _check_limit(limit)
    with runtime.database.read() as session:
        found = session.scalars(_failures(session, caller, wanted, limit)).all()
    details = {"retry": "failed", **_said(None, wanted)}
    return _run_again(runtime, caller, found, limit=limit, details=details, once=True)


def count_retryable(
    session: Session, caller: Caller, filters: Filters, *, limit: int = MOST
) -> Counted:
    """How many jobs `retry_failed` with these filters would run again, counted up to `limit`.

    Raises as it does.
    """
    _check_limit(limit)
    rows = _failures(session, caller, replace(filters, status=Status.FAILED), limit)
    ids = session.scalars(rows.with_only_columns(LLMOutput.id)).all()
    return Counted(min(len(ids), limit), len(ids) > limit)


def re_run_many(
    runtime: Runtime,
    caller: Caller,
    *,
    ids: Sequence[int] | None = None,
    filters: Filters | None = None,
    limit: int = MOST,
    once: bool = False,
) -> ReRuns:
    """Run ended rows again: those of `ids`, or the newest `limit` that match `filters`.

    `once` passes over rows from which another was derived meanwhile. Raises InvalidParameter unless
    just one of the two is given, Forbidden, Unavailable.
    """
    _check(ids, filters, limit)
    ended = (LLMOutput.finished_at.is_not(None), LLMOutput.erased_at.is_(None))
    with runtime.database.read() as session:
        found, unknown = _pick(session, caller, _parents(), ids, filters, limit, ended)
    details = _said(ids, filters)
    return _run_again(
        runtime, caller, found, limit=limit, details=details, skipped=unknown, once=once
    )


def cancel_many(
    runtime: Runtime,
    caller: Caller,
    *,
    ids: Sequence[int] | None = None,
    filters: Filters | None = None,
    limit: int = MOST,
) -> Cancellations:
    """Cancel jobs that have not ended: those of `ids`, or the newest `limit` that match `filters`.

    Raises as `re_run_many`.
    """
    _check(ids, filters, limit)
    with runtime.database.read() as session:
        rows, skipped = _pick(session, caller, _ids_only(), ids, filters, limit, [_is_going()])
    chosen = sorted(row.id for row in rows[:limit])
    with runtime.database.write() as session:
        done = lifecycle.cancel(session, chosen)
        if done:
            details = {"count": len(done), **_said(ids, filters)}
            audit.record(session, caller, Action.OUTPUTS_CANCELLED, details=details)
    late = [_skip(i, Conflict("The job has ended already")) for i in chosen if i not in done]
    _tell(runtime, done.values())
    return Cancellations(
        cancelled=tuple(i for i, one in done.items() if one.status == Status.CANCELLED),
        asked=tuple(i for i, one in done.items() if one.status != Status.CANCELLED),
        skipped=(*skipped, *late),
        more=len(rows) > limit,
    )


# Which rows


def _parents() -> Select[LLMOutput]:
    return select(LLMOutput).options(*(defer(column) for column in _NOT_NEEDED))


def _ids_only() -> Select[LLMOutput]:
    return select(LLMOutput).options(load_only(LLMOutput.id))


def _failures(session: Session, caller: Caller, wanted: Filters, limit: int) -> Select[LLMOutput]:
    """Failed rows without a child. A rare error is not looked for in every failure there ever was,
    so the filter by error comes after the limit.
    """
    check_text(wanted.error_code or "", pointer="/error_code")
    conditions = matching(session, caller, replace(wanted, error_code=None))
    newest = (
        select(LLMOutput.id, LLMOutput.error_code)
        .where(*conditions, LLMOutput.erased_at.is_(None))
        .order_by(LLMOutput.id.desc())
        .limit(EXAMINED_FAILURES)
        .subquery()
    )
    ids = select(newest.c.id).where(_childless(newest.c.id))
    if wanted.error_code is not None:
        ids = ids.where(newest.c.error_code == wanted.error_code)
    ids = ids.order_by(newest.c.id.desc()).limit(limit + 1)
    return _parents().where(LLMOutput.id.in_(ids)).order_by(LLMOutput.id.desc())


def _childless(parent_id: ColumnElement[int]) -> ColumnElement[bool]:
    child = aliased(LLMOutput)
    return ~exists(select(child.id).where(child.parent_id == parent_id))


def _is_going() -> ColumnElement[bool]:
    return or_(
        LLMOutput.status == guards.word(Status.PENDING),
        LLMOutput.status == guards.word(Status.PROCESSING),
    )


def _pick(
    session: Session,
    caller: Caller,
    query: Select[LLMOutput],
    ids: Sequence[int] | None,
    filters: Filters | None,
    limit: int,
    fit: Iterable[ColumnElement[bool]],
) -> tuple[Sequence[LLMOutput], list[Skipped]]:
    """The rows, newest first, and the ids that name none. Of filters only rows that `fit` are
    taken, and one more than `limit`, so that it is known whether there are more.
    """
    if filters is not None:
        query = query.where(*matching(session, caller, filters), *fit).limit(limit + 1)
        return session.scalars(query.order_by(LLMOutput.id.desc())).all(), []
    asked = dict.fromkeys(ids or ())
    possible = [i for i in asked if 0 < i <= MOST_ID]
    query = query.where(LLMOutput.id.in_(possible), visible(caller, all_users=True))
    found = session.scalars(query.order_by(LLMOutput.id.desc())).all()
    unknown = asked.keys() - {row.id for row in found}
    return found, [_skip(i, NotFound(f"Unknown output: {i}")) for i in asked if i in unknown]


# What becomes of them


def _run_again(
    runtime: Runtime,
    caller: Caller,
    found: Sequence[LLMOutput],
    *,
    limit: int,
    details: Mapping[str, Any],
    skipped: Sequence[Skipped] = (),
    once: bool = False,
) -> ReRuns:
    left_out = list(skipped)
    children: list[NewJob] = []
    chosen = found[:limit][::-1]
    refused = too_many_files(chosen)
    left_out += [_skip(output_id, error) for output_id, error in refused.items()]
    parents = [parent for parent in chosen if parent.id not in refused]
    with runtime.database.read() as session:
        files = files_of_many(session, parents)
    for parent in parents:
        try:
            job = child_of(runtime.settings, parent, Derivation.RE_RUN, files=files[parent.id])
            children.append(job)
        except RequestError as error:
            left_out.append(_skip(parent.id, error))
    accepted: list[Submission] = []
    if children:
        choose = _choosing(caller, left_out, details, once=once)
        accepted = accept(runtime, caller, children, choose=choose)
    return ReRuns(accepted=tuple(accepted), skipped=tuple(left_out), more=len(found) > limit)


def _choosing(
    caller: Caller, left_out: list[Skipped], details: Mapping[str, Any], *, once: bool
) -> Callable[[Session, Sequence[NewJob]], Sequence[NewJob]]:
    def choose(session: Session, jobs: Sequence[NewJob]) -> Sequence[NewJob]:
        """Two who press the button at once: the second waits here, and finds the children."""
        if once:
            jobs = _still_childless(session, jobs)
        spent = over_allowance(session, {job.user_id for job in jobs})
        left_out.extend(
            _skip(job.parent_id or 0, AllowanceUsedUp()) for job in jobs if job.user_id in spent
        )
        wanted = [job for job in jobs if job.user_id not in spent]
        if wanted:
            told = {"count": len(wanted), **details}
            audit.record(session, caller, Action.OUTPUTS_RE_RUN, details=told)
        return wanted

    return choose


def _still_childless(session: Session, jobs: Sequence[NewJob]) -> list[NewJob]:
    parents = [job.parent_id for job in jobs if job.parent_id is not None]
    lock_rows(session, table_of(LLMOutput), parents)
    have = set(session.scalars(select(LLMOutput.parent_id).where(LLMOutput.parent_id.in_(parents))))
    return [job for job in jobs if job.parent_id not in have]


def _tell(runtime: Runtime, done: Iterable[Cancelled]) -> None:
    """After the commit: waiters, Flower, and the workers that hold what is to stop."""
    done = list(done)
    ended = [
        Ended(one.output_id, one.job_id, one.status)
        for one in done
        if one.status == Status.CANCELLED
    ]
    running = [one.output_id for one in done if one.status != Status.CANCELLED]
    if ended:
        runtime.events.announce(ended)
        runtime.wake.tell(ended)
    if running:
        runtime.events.ask_cancel(running)


# Small parts


def _check(ids: Sequence[int] | None, filters: Filters | None, limit: int) -> None:
    if (ids is None) == (filters is None):
        raise InvalidParameter("Send ids or filters, one of them", pointer="/ids")
    if ids is not None and len(ids) > MOST:
        raise InvalidParameter(f"Invalid ids. At most {MOST:,} at once", pointer="/ids")
    _check_limit(limit)


def _check_limit(limit: int) -> None:
    if not 1 <= limit <= MOST:
        raise InvalidParameter(
            f"Invalid limit: {limit}. Must be from 1 to {MOST:,}", pointer="/limit"
        )


def _skip(output_id: int, error: RequestError) -> Skipped:
    return Skipped(output_id, error.code, error.message)


def _said(ids: Sequence[int] | None, filters: Filters | None) -> dict[str, Any]:
    """What the trail says of how rows were named; texts looked for are nobody's concern."""
    if filters is None:
        return {"ids": len(ids or ())}
    return {"filters": write(replace(filters, q=None, template=None, metadata={}))}
