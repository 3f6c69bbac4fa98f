"""Everything since the beginning, for the metrics: what a scrape reads depends on how many kinds
there are, not on how many jobs. Counters only rise, whatever process is asked.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from sqlalchemy import Table, func, select
from sqlalchemy.orm import Session

from models import FeedbackTotal, Happened, Recovered, Recovery, call_statistics, job_statistics
from models.statistics import ALL_TIME, EVERYBODY, bucket_names

_J, _C = job_statistics, call_statistics
_EVER = (_J.c.user_id == EVERYBODY, _J.c.hour == ALL_TIME)

Counts = Mapping[tuple[str, ...], int]


@dataclass(frozen=True, slots=True)
class Histogram:
    """Durations: how many in each bucket of `BOUNDS` and above, and their sum in seconds."""

    counts: tuple[int, ...]
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """All that was counted. Keys: `submitted` (queue, model, format), `finished` (status, model,
    error code), `attempts` (model, outcome), `tokens` (model, direction), `cached` (model,),
    `feedback` (value, template, model); `cost` in US dollars by model. `unfinished` is how many
    jobs of a queue were accepted and have not ended."""

    submitted: Counts
    finished: Counts
    attempts: Counts
    durations: Histogram
    waits: Histogram
    calls: Histogram
    tokens: Counts
    cached: Counts
    cost: Mapping[str, Decimal]
    feedback: Counts
    recovered: Mapping[Recovered, int]
    unfinished: Mapping[str, int]


def totals(session: Session) -> Totals:
    """What is counted so far: some seconds behind, and the same for everybody who asks."""
    submitted, finished, tokens, cached = (Counter[tuple[str, ...]]() for _ in range(4))
    cost: dict[str, Decimal] = {}
    unfinished: Counter[str] = Counter()
    for row in _job_rows(session):
        if row.happened == Happened.ACCEPTED:
            submitted[row.queue, row.model, row.format] += int(row.jobs)
            unfinished[row.queue] += int(row.jobs)
        elif row.happened == Happened.CALLED:
            tokens[row.model, "input"] += int(row.input_tokens)
            tokens[row.model, "output"] += int(row.output_tokens)
            cached[(row.model,)] += int(row.cached_tokens)
            cost[row.model] = cost.get(row.model, Decimal(0)) + row.cost
        else:
            finished[row.happened, row.model, row.error_code] += int(row.jobs)
            unfinished[row.queue] -= int(row.jobs)
    return Totals(
        submitted=submitted,
        finished=finished,
        attempts=_attempts(session),
        durations=_histogram(session, _J, "duration", "duration_seconds", *_EVER),
        waits=_histogram(session, _J, "wait", "wait_seconds", *_EVER),
        calls=_histogram(session, _C, "seconds", "seconds", _C.c.hour == ALL_TIME),
        tokens=tokens,
        cached=cached,
        cost=cost,
        feedback=_feedback(session),
        recovered=_recovered(session),
        unfinished=unfinished,
    )


def _job_rows(session: Session) -> Any:
    """Sums of the rows of all time."""
    kinds = [_J.c[name] for name in ("happened", "queue", "model", "format", "error_code")]
    sums = ("jobs", "input_tokens", "output_tokens", "cached_tokens", "cost")
    return session.execute(select(*kinds, *(_J.c[name] for name in sums)).where(*_EVER))


def _attempts(session: Session) -> Counts:
    kinds = (_C.c.model, _C.c.outcome)
    query = select(*kinds, func.sum(_C.c.calls)).where(_C.c.hour == ALL_TIME).group_by(*kinds)
    return {(model, outcome): int(calls) for model, outcome, calls in session.execute(query)}


def _histogram(
    session: Session, table: Table, measure: str, seconds: str, *where: Any
) -> Histogram:
    sums = [func.coalesce(func.sum(table.c[n]), 0) for n in (seconds, *bucket_names(measure))]
    took, *counts = session.execute(select(*sums).where(*where)).one()
    return Histogram(tuple(int(count) for count in counts), float(took))


def _feedback(session: Session) -> Counts:
    rows = session.scalars(select(FeedbackTotal))
    return {(row.value, row.template, row.model): row.votes for row in rows}


def _recovered(session: Session) -> Mapping[Recovered, int]:
    """Every reason, also those that never occurred."""
    found = {row.reason: row.total for row in session.scalars(select(Recovery))}
    return {reason: found.get(reason.value, 0) for reason in Recovered}
