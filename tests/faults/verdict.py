"""What must hold after every fault: each job ended once, and each call is in the ledger."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import pytest
from sqlalchemy import func, select

from app.errors import Unavailable
from app.jobs import Submission
from models import ENDED, Attempt, LLMOutput, Outcome
from tests.support.fault_table import tell
from tests.support.platform import Platform

_UNPLANNED = (Outcome.LOST, Outcome.RELEASED)
"""Attempts that a fault made necessary: all others are the job's own first call and retries."""


@dataclass(frozen=True, kw_only=True)
class Tally:
    """What came of accepted jobs. `repeated` are calls beyond those the jobs themselves asked for:
    what had been in flight where something died.
    """

    accepted: int
    ended: Counter[str]
    calls: int
    repeated: int

    @property
    def lost(self) -> int:
        """Accepted, and not ended."""
        return self.accepted - self.ended.total()

    @property
    def numbers(self) -> dict[str, int]:
        """As the table of faults shows them."""
        shown = {status: self.ended[status] for status in ("completed", "failed", "cancelled")}
        return {"accepted": self.accepted, **shown, "lost": self.lost} | {
            "repeated calls": self.repeated
        }


def tally(platform: Platform, accepted: Sequence[Submission | int]) -> Tally:
    """Count rows, attempts and calls of these jobs."""
    ids = {job if isinstance(job, int) else job.output_id for job in accepted}
    query = select(LLMOutput.id, LLMOutput.job_id, LLMOutput.status)
    with platform.runtime.database.read() as session:
        rows = [row for row in session.execute(query) if row.id in ids]
    calls = Counter(record.job_id for record in platform.simulator.calls())
    asked_for = _attempts(platform, but=_UNPLANNED)
    return Tally(
        accepted=len(ids),
        ended=Counter(row.status for row in rows if row.status in ENDED),
        calls=sum(calls[row.job_id] for row in rows),
        repeated=sum(max(0, calls[row.job_id] - max(1, asked_for[row.id])) for row in rows),
    )


def tell_tally(node: pytest.Item, platform: Platform) -> None:
    """Leave the numbers for the table; a test that failed may have left no database to ask."""
    with suppress(Unavailable):
        tell(node, tally(platform, platform.accepted).numbers)


def assert_all_ended_once(platform: Platform, accepted: Sequence[Submission | int]) -> None:
    """Nothing lost, nothing left over, nothing called without an attempt that says so."""
    found = tally(platform, accepted)
    rows = platform.rows(*accepted)
    assert found.lost == 0, Counter(row.status for row in rows)
    attempts = _attempts(platform)
    assert all(row.fence == attempts[row.id] for row in rows)
    assert all(row.lease_expires_at is None for row in rows)
    assert all(row.finished_at is not None for row in rows)
    assert found.calls <= sum(attempts[row.id] for row in rows)


def calls_of(platform: Platform, accepted: Sequence[Submission | int]) -> int:
    """Calls the simulator has seen for these jobs."""
    return tally(platform, accepted).calls


def statuses(platform: Platform, accepted: Sequence[Submission | int]) -> Counter[str]:
    """How many of them ended how."""
    return Counter(row.status for row in platform.rows(*accepted))


def _attempts(platform: Platform, *, but: Sequence[Outcome] = ()) -> Counter[int]:
    """How many attempts each row has, those of some outcomes left out."""
    query = (
        select(Attempt.output_id, func.count())
        .where(Attempt.outcome.not_in(but))
        .group_by(Attempt.output_id)
    )
    with platform.runtime.database.read() as session:
        return Counter({row[0]: row[1] for row in session.execute(query)})
