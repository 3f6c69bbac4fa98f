"""One call to a provider: the ledger. Its row is committed before the first byte is sent."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    ForeignKey,
    Index,
    Integer,
    SmallInteger,
    String,
    Text,
    UniqueConstraint,
)
from sqlalchemy import text as sql
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, moment_of_insert, row_id
from models.types import Json, Money, UtcDateTime


class Kind(StrEnum):
    """What a call was for. All but `answer` use no try of the retry budget."""

    ANSWER = "answer"
    STEP = "step"
    REPAIR = "repair"
    ENLARGE = "enlarge"
    ASK_AGAIN = "ask_again"
    RETRIEVE = "retrieve"
    ROUTE = "route"


class Outcome(StrEnum):
    """How a call ended.

    `continued` was followed by another call of the same claim; `lost` was held by a worker that
    died; `discarded` came back after the row had moved on (its usage still counts).
    """

    RUNNING = "running"
    COMPLETED = "completed"
    CONTINUED = "continued"
    RETRIED = "retried"
    FAILED = "failed"
    RATE_LIMITED = "rate_limited"
    RELEASED = "released"
    CANCELLED = "cancelled"
    LOST = "lost"
    DISCARDED = "discarded"


class Attempt(Base):
    """One attempt of one job; `number` is the fence it was made under.

    `text` is what its row does not keep: an answer that came too late, or part of one that failed.
    `exchange` is what was sent and what came back, redacted: of jobs that are debugged only.
    `reported_at` is when a call given up as lost was heard of after all, with what it used.
    """

    __tablename__ = "attempts"

    id: Mapped[int] = row_id()
    output_id: Mapped[int] = mapped_column(ForeignKey("llm_outputs.id", ondelete="CASCADE"))
    number: Mapped[int] = mapped_column(Integer)
    kind: Mapped[str] = mapped_column(String(16), default=Kind.ANSWER)
    outcome: Mapped[str] = mapped_column(String(16), default=Outcome.RUNNING)
    worker: Mapped[str | None] = mapped_column(String(255))
    started_at: Mapped[datetime] = moment_of_insert()
    finished_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    reported_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    duration_seconds: Mapped[float | None]
    first_token_seconds: Mapped[float | None]
    error_code: Mapped[str | None] = mapped_column(String(64))
    error_message: Mapped[str | None] = mapped_column(Text)
    delay_seconds: Mapped[float | None]
    provider: Mapped[str | None] = mapped_column(String(64))
    provider_model: Mapped[str | None] = mapped_column(String(255))
    provider_request_id: Mapped[str | None] = mapped_column(String(255))
    http_status: Mapped[int | None] = mapped_column(SmallInteger)
    input_tokens: Mapped[int | None] = mapped_column(Integer)
    output_tokens: Mapped[int | None] = mapped_column(Integer)
    cached_tokens: Mapped[int | None] = mapped_column(Integer)
    cost: Mapped[Decimal | None] = mapped_column(Money)
    price_id: Mapped[int | None] = mapped_column(ForeignKey("prices.id"))
    text: Mapped[str | None] = mapped_column(Text)
    exchange: Mapped[dict[str, Any] | None] = mapped_column(Json)

    __table_args__ = (
        UniqueConstraint("output_id", "number"),
        Index("ix_attempts_provider_started_at", "provider_model", "started_at"),
        # What the statistics fold: each call once, when it is over.
        *(
            Index(
                f"ix_attempts_{moment}",
                moment,
                postgresql_where=sql(f"{moment} IS NOT NULL"),
                sqlite_where=sql(f"{moment} IS NOT NULL"),
            )
            for moment in ("finished_at", "reported_at")
        ),
        {"sqlite_autoincrement": True},
    )
