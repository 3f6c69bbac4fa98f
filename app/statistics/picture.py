"""The values of the Quality page: what is asked, and what is shown. No query, no wording."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from app.statistics.buckets import Quantile
from app.statistics.intervals import Interval

RAW = ""
"""The prompt of jobs that brought their own template."""

OTHER = "other"
"""Stands for names beyond the limit of an hour, and for models beyond those a chart can tell."""


class GroupBy(StrEnum):
    """What groups are made of: a prompt is `name@version`, or `RAW`; a user its id as text."""

    PROMPT = "prompt"
    MODEL = "model"
    USER = "user"
    QUEUE = "queue"


class Step(StrEnum):
    """The width of a point of a series."""

    HOUR = "hour"
    DAY = "day"


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """What is asked: jobs that ended (or were accepted) from `since` until before `until`, both
    aware and widened to whole hours, or days with `Step.DAY`; UTC.

    A filter that is None leaves all in. `user_id` is for administrators; a member's is their own.
    `step` None is chosen: hours for up to three days, else days.
    """

    since: datetime
    until: datetime
    step: Step | None = None
    user_id: int | None = None
    prompt: str | None = None
    model: str | None = None
    queue: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rating:
    """What people thought of `outputs` ended outputs: `up` thumbs up among `votes`.

    `rate` is up / votes and `response_rate` votes / outputs, both None where that would divide by
    nothing. `sequence` holds at every look, if looks begin at the same `since`; `wilson` only for a
    closed period looked at once.
    """

    up: int
    votes: int
    outputs: int
    rate: float | None
    response_rate: float | None
    sequence: Interval
    wilson: Interval


@dataclass(frozen=True, slots=True, kw_only=True)
class Numbers:
    """What the jobs of a selection, a group or a point in time amount to.

    `accepted` were created in the time, the rest ended in it. `success_rate` is completed /
    (completed + failed): a cancelled job says nothing. Latency is from creation to end of completed
    jobs, `wait` from creation to the first claim of jobs that ended. Tokens and `cost` (US dollars;
    0 also where prices are unknown) are of calls that ended in the time, whatever became of their
    jobs. `retries_per_job` counts tries after the first.
    """

    accepted: int = 0
    completed: int = 0
    failed: int = 0
    cancelled: int = 0
    success_rate: float | None = None
    p50: Quantile | None = None
    p95: Quantile | None = None
    p99: Quantile | None = None
    wait_p50: Quantile | None = None
    wait_p95: Quantile | None = None
    retries_per_job: float | None = None
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    cost: Decimal = Decimal(0)

    @property
    def ended(self) -> int:
        """Jobs that ended, however."""
        return self.completed + self.failed + self.cancelled


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One hour or day. `unfinished` is how many jobs were accepted and had not ended at its end, or
    by now. `cost_by_model` and `failures` (by error code) hold what is not 0.
    """

    at: datetime
    numbers: Numbers
    unfinished: int = 0
    cost_by_model: Mapping[str, Decimal] = field(default_factory=dict)
    failures: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """The whole selection: cards, series, and two histograms.

    `points` has one for each hour or day of the time, also where nothing happened. `models` and
    `error_codes` are the names in `points`, most first. `tries` counts ended jobs by tries used: 0,
    1, … 6, 7 or more. `votes_capped`: there were more votes than are read, the newest were.
    """

    since: datetime
    until: datetime
    step: Step
    numbers: Numbers
    rating: Rating
    points: tuple[Point, ...]
    models: tuple[str, ...]
    error_codes: tuple[str, ...]
    tries: tuple[int, ...]
    votes_capped: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """One group. `name` is what a selection takes as its filter, `label` what people read."""

    name: str
    label: str
    numbers: Numbers
    rating: Rating


@dataclass(frozen=True, slots=True, kw_only=True)
class Groups:
    """Groups by number of ended jobs, most first. `left_out` more had fewer."""

    by: GroupBy
    groups: tuple[Group, ...]
    left_out: int
    votes_capped: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Two groups side by side. `difference` is the first's thumbs-up rate minus the second's, None
    unless both have votes; `interval` holds for it at every look."""

    first: Group
    second: Group
    difference: float | None
    interval: Interval
    votes_capped: bool
