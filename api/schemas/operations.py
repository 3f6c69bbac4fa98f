"""Models and their prices, queues and their pauses, and whether the service is well."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema

from api.schemas.common import ListOf, PageQuery, Shown, Strict
from models import Queue


def _day(value: Any) -> Any:
    try:
        return date.fromisoformat(value) if isinstance(value, str) and len(value) == 10 else value
    except ValueError:
        raise ValueError("should be a date, such as 2030-01-31") from None


Day = Annotated[date, BeforeValidator(_day), WithJsonSchema({"type": "string", "format": "date"})]
Dollars = Annotated[float, Field(ge=0, le=1_000_000, allow_inf_nan=False)]


class PriceBody(Strict):
    """What a model costs from a day on, in US dollars per million tokens."""

    provider: str = Field(min_length=1, max_length=64, examples=["openai"])
    model: str = Field(min_length=1, max_length=255, examples=["gpt-4"])
    input_per_million: Dollars = Field(examples=[30.0])
    output_per_million: Dollars = Field(examples=[60.0])
    cached_input_per_million: Dollars | None = None
    valid_from: Day | None = Field(None, description="Today unless said.")


class PriceShown(Shown):
    """A dated price."""

    id: int
    provider: str
    model: str
    input_per_million: float
    output_per_million: float
    cached_input_per_million: float | None
    valid_from: date
    created_at: datetime


class PriceList(ListOf[PriceShown]):
    """A page of prices."""


class PricesQuery(PageQuery):
    """Which prices."""

    provider: str | None = Field(None, max_length=64)
    model: str | None = Field(None, max_length=255)


class ModelPrice(Shown):
    """What a model costs today, in US dollars per million tokens."""

    input_per_million: float
    output_per_million: float
    cached_input_per_million: float | None
    valid_from: date


class ModelShown(Shown):
    """A model that can be asked for."""

    name: str
    provider: str
    configured: bool = Field(description="Whether its provider can be called here.")
    price: ModelPrice | None


class ModelList(ListOf[ModelShown]):
    """Every model."""


class QueueShown(Shown):
    """A queue now, counted from rows."""

    name: Queue
    ready: int = Field(description="Pending and due.")
    scheduled: int = Field(description="Pending until a later time, retries included.")
    running: int
    capped: list[Literal["ready", "scheduled", "running"]] = Field(
        description="Which of these are at least what is said: more are not counted."
    )
    messages: int | None = Field(description="In the broker; null while it is away.")
    oldest_wait_seconds: float | None = Field(description="Of the due job that waits longest.")
    finished_per_minute: list[int] = Field(
        description="Completed jobs of the last 60 minutes, the oldest minute first."
    )
    paused: bool
    paused_since: datetime | None
    paused_until: datetime | None
    reason: str | None


class PauseShown(Shown):
    """A pause in force, other than a queue's."""

    kind: Literal["model", "bucket"]
    name: str = Field(description="The model, or `provider:model`.")
    paused_since: datetime
    paused_until: datetime | None
    reason: str


class WorkerShown(Shown):
    """A worker as it last reported."""

    name: str
    host: str
    pid: int
    concurrency: int
    in_flight: int
    held: int = Field(description="Rows that say this worker holds them.")
    output_ids: list[int] = Field(description="Some of these rows.")
    draining: bool
    rss_bytes: int | None
    started_at: datetime
    seen_at: datetime
    heartbeat_age_seconds: float
    tick_age_seconds: float | None = Field(description="Since its dispatcher's last noted tick.")
    dispatcher_stalled: bool
    state: Literal["alive", "late", "dead"]
    alive: bool


class DispatcherShown(Shown):
    """The dispatchers of all workers together: one that ticks is enough."""

    last_tick_seconds_ago: float | None
    stalled: bool


class Queues(Shown):
    """The queues, what else is paused, and the workers."""

    taken_at: datetime
    queues: list[QueueShown]
    pauses: list[PauseShown]
    workers: list[WorkerShown]
    dispatcher: DispatcherShown
    finished_since: datetime = Field(
        description="How far back `finished_per_minute` reaches: an hour, or less in a busy one."
    )
    disagreements: list[str] = Field(
        description="Where rows, broker and workers do not agree, in sentences."
    )


class PauseBody(Strict):
    """How long, and why."""

    seconds: float | None = Field(
        None, gt=0, le=31_536_000, description="Until resumed, unless said."
    )
    reason: str = Field("", max_length=500)


class Paused(Shown):
    """What is held back now."""

    kind: Literal["queue", "model"]
    name: str
    paused: bool


class Check(Shown):
    """One thing this service needs."""

    ok: bool
    detail: str
    duration_ms: float


class Readiness(Shown):
    """Whether requests are served and jobs run."""

    ready: bool
    checks: dict[str, Check]


class Alive(Shown):
    """The process answers."""

    status: Literal["ok"]


class Living(Alive):
    """The process answers, and what it is."""

    version: str = Field(examples=["0.1.0"])
