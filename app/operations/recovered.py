"""What dispatchers did to rows that would not have gone on by themselves, since the beginning."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from models import Recovered, Recovery


@dataclass(frozen=True, slots=True)
class RecoveredTotal:
    """How often something was done for a reason, and when last (None: never)."""

    reason: Recovered
    total: int
    last_at: datetime | None


def recovered(session: Session) -> list[RecoveredTotal]:
    """Every reason, in the order of `Recovered`; those that never were have a total of 0."""
    found: Mapping[str, Recovery] = {row.reason: row for row in session.scalars(select(Recovery))}
    return [_total(reason, found.get(reason.value)) for reason in Recovered]


def _total(reason: Recovered, row: Recovery | None) -> RecoveredTotal:
    return RecoveredTotal(reason, row.total if row else 0, row.last_at if row else None)
