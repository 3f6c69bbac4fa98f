"""What operators set and see: paused queues and models, live workers, dated prices."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum

from sqlalchemy import Date, Float, ForeignKey, Index, Integer, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, moment_of_insert, row_id
from models.types import BigId, Money, UtcDateTime


class ControlKind(StrEnum):
    """What a pause holds back: a queue, a model, or a provider's rate-limit bucket."""

    QUEUE = "queue"
    MODEL = "model"
    BUCKET = "bucket"


class QueueControl(Base):
    """A pause. `paused_until` null lasts until somebody resumes it."""

    __tablename__ = "queue_controls"

    kind: Mapped[str] = mapped_column(String(16), primary_key=True)
    name: Mapped[str] = mapped_column(String(255), primary_key=True)
    paused_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    reason: Mapped[str] = mapped_column(Text, default="")
    user_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    created_at: Mapped[datetime] = moment_of_insert()


class WorkerHeartbeat(Base):
    """A worker as it last reported; one that stopped reporting is dead."""

    __tablename__ = "workers"

    name: Mapped[str] = mapped_column(String(255), primary_key=True)
    host: Mapped[str] = mapped_column(String(255))
    pid: Mapped[int] = mapped_column(Integer)
    concurrency: Mapped[int] = mapped_column(Integer)
    in_flight: Mapped[int] = mapped_column(Integer, default=0)
    draining: Mapped[bool] = mapped_column(default=False)
    rss_bytes: Mapped[int | None] = mapped_column(BigId)
    started_at: Mapped[datetime] = moment_of_insert()
    seen_at: Mapped[datetime] = moment_of_insert()
    ticked_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    tick_seconds: Mapped[float | None] = mapped_column(Float)


class Price(Base):
    """What a model costs from a day on, in US dollars per million tokens."""

    __tablename__ = "prices"

    id: Mapped[int] = row_id()
    provider: Mapped[str] = mapped_column(String(64))
    model: Mapped[str] = mapped_column(String(255))
    input_per_million: Mapped[Decimal] = mapped_column(Money)
    output_per_million: Mapped[Decimal] = mapped_column(Money)
    cached_input_per_million: Mapped[Decimal | None] = mapped_column(Money)
    valid_from: Mapped[date] = mapped_column(Date)
    user_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    created_at: Mapped[datetime] = moment_of_insert()

    __table_args__ = (
        Index("ix_prices_lookup", "provider", "model", "valid_from"),
        {"sqlite_autoincrement": True},
    )
