"""What must hold after every fault: each job ended once, and each call is in the ledger."""

from __future__ import annotations

from collections import Counter

from sqlalchemy import func, select

from app.jobs import Submission
from models import ENDED, Attempt, LLMOutput
from tests.support.platform import Platform


def assert_all_ended_once(platform: Platform, accepted: list[Submission]) -> None:
    """Nothing lost, nothing left over, nothing called without an attempt that says so."""
    rows = platform.rows(*accepted)
    assert len(rows) == len(accepted)
    assert {row.status for row in rows} <= ENDED, Counter(row.status for row in rows)
    assert all(row.fence == len(platform.attempts(row.id)) for row in rows)
    assert all(row.lease_expires_at is None for row in rows)
    attempts = _attempts(platform, [row.id for row in rows])
    assert calls_of(platform, accepted) <= attempts


def calls_of(platform: Platform, accepted: list[Submission]) -> int:
    """Calls the simulator has seen for these jobs."""
    ids = {job.job_id for job in accepted}
    return sum(record.job_id in ids for record in platform.simulator.calls())


def statuses(platform: Platform, accepted: list[Submission]) -> Counter[str]:
    """How many of them ended how."""
    return Counter(row.status for row in platform.rows(*accepted))


def _attempts(platform: Platform, output_ids: list[int]) -> int:
    query = (
        select(func.count())
        .select_from(Attempt)
        .join(LLMOutput)
        .where(Attempt.output_id.in_(output_ids))
    )
    with platform.runtime.database.read() as session:
        return session.scalar(query) or 0
