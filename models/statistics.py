"""Statistics: what happened, counted once into one row per hour and kind, and never recounted.

Who reads them (the metrics, the Quality page) pays for kinds, not for jobs. `app.statistics` writes
them and says what each number means; here is only what is stored.
"""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import BigInteger, Column, Double, String, Table
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.types import TypeEngine

from models.base import Base, table_of
from models.types import BigId, Money, UtcDateTime

ALL_TIME = datetime(1970, 1, 1, tzinfo=UTC)
"""The hour of the rows that hold everything since the beginning."""

EVERYBODY = 0
"""The user of rows that hold all users'."""

NOBODY = -1
"""The user of rows about jobs that belong to no user."""

BOUNDS = (0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 7.5, 10.0, 15.0, 20.0, 30.0, 60.0, 120.0, 300.0)
"""Seconds, each the upper and included end of a bucket; what took longer is in one bucket more."""

MOST_TRIES = 7
"""Jobs are counted by tries used; this many or more are counted together."""


class Happened(StrEnum):
    """What a row of `job_statistics` counts: jobs accepted, jobs that ended, or, for tokens and
    cost, calls made."""

    ACCEPTED = "accepted"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    CALLED = "called"


class Stream(StrEnum):
    """A kind of event, folded on its own. `reported`: a call given up was heard of after all."""

    ACCEPTED = "accepted"
    ENDED = "ended"
    CALLED = "called"
    REPORTED = "reported"


class Recovered(StrEnum):
    """What a dispatcher did to a row that would not have gone on by itself."""

    LOST_MESSAGE = "lost_message"
    DEAD_WORKER = "dead_worker"
    POISONED = "poisoned"
    EXPIRED = "expired"


def bucket_names(measure: str) -> tuple[str, ...]:
    """The columns that count a measure's buckets: `<measure>_bucket_0` and on."""
    return tuple(f"{measure}_bucket_{number}" for number in range(len(BOUNDS) + 1))


TRIES_NAMES = tuple(f"tries_{number}" for number in range(MOST_TRIES + 1))

JOB_KEY = (
    "user_id",
    "hour",
    "happened",
    "queue",
    "model",
    "format",
    "prompt",
    "error_code",
)
JOB_SUMS = (
    "jobs",
    "tries",
    *TRIES_NAMES,
    "duration_seconds",
    *bucket_names("duration"),
    "waits",
    "wait_seconds",
    *bucket_names("wait"),
    "input_tokens",
    "output_tokens",
    "cached_tokens",
    "cost",
)
CALL_KEY = ("hour", "provider", "model", "kind", "outcome", "error_code")
CALL_SUMS = (
    "calls",
    "timed",
    "seconds",
    *bucket_names("seconds"),
    "first_tokens",
    "first_token_seconds",
    *bucket_names("first_token"),
    "input_tokens",
    "output_tokens",
    "cached_tokens",
    "cost",
)


def _key(name: str, length: int) -> Column[str]:
    return Column(name, String(length), primary_key=True)


def _sum(name: str) -> Column[Any]:
    plain: TypeEngine[Any] = Double() if name.endswith("seconds") else BigInteger()
    kind: TypeEngine[Any] = Money() if name == "cost" else plain
    return Column(name, kind, nullable=False)


job_statistics = Table(
    "job_statistics",
    Base.metadata,
    Column("user_id", BigId, primary_key=True, autoincrement=False),
    Column("hour", UtcDateTime, primary_key=True, index=True),
    _key("happened", 16),
    _key("queue", 16),
    _key("model", 255),
    _key("format", 16),
    _key("prompt", 300),
    _key("error_code", 64),
    *map(_sum, JOB_SUMS),
)
"""Jobs per hour and kind: of each user, of `EVERYBODY`, and of all time (without prompts)."""

call_statistics = Table(
    "call_statistics",
    Base.metadata,
    Column("hour", UtcDateTime, primary_key=True),
    _key("provider", 64),
    _key("model", 255),
    _key("kind", 16),
    _key("outcome", 16),
    _key("error_code", 64),
    *map(_sum, CALL_SUMS),
)
"""Calls to providers per hour and kind, and of all time. `model` is the one the job asked for."""


class FeedbackTotal(Base):
    """How often a verdict was given, since the beginning; taking one back (`none`) is one, too."""

    __tablename__ = "feedback_totals"

    value: Mapped[str] = mapped_column(String(16), primary_key=True)
    template: Mapped[str] = mapped_column(String(255), primary_key=True)
    model: Mapped[str] = mapped_column(String(255), primary_key=True)
    votes: Mapped[int] = mapped_column(BigInteger)


class Recovery(Base):
    """How often dispatchers did something for a reason, and when last."""

    __tablename__ = "recoveries"

    reason: Mapped[str] = mapped_column(String(16), primary_key=True)
    total: Mapped[int] = mapped_column(BigInteger)
    last_at: Mapped[datetime] = mapped_column(UtcDateTime)


class StatisticsMark(Base):
    """How far a stream is folded: all before `upto`, or with ids to `upto_id` for accepted jobs.

    Every id to `seen_id` had been given out before `seen_at`.
    """

    __tablename__ = "statistics_marks"

    stream: Mapped[str] = mapped_column(String(16), primary_key=True)
    upto: Mapped[datetime] = mapped_column(UtcDateTime)
    upto_id: Mapped[int] = mapped_column(BigId)
    seen_id: Mapped[int] = mapped_column(BigId)
    seen_at: Mapped[datetime] = mapped_column(UtcDateTime)


feedback_totals = table_of(FeedbackTotal)
recoveries = table_of(Recovery)
statistics_marks = table_of(StatisticsMark)
