"""The jobs this worker holds right now, and how one of them is told to end."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum

from app.executor import Execution
from app.lifecycle import Held


class Why(StrEnum):
    """Why a running job was told to end."""

    CANCEL = "cancel"
    """Its owner asked: the row ends as cancelled, the partial text stays."""
    LOST = "lost"
    """Its lease is somebody else's: whatever comes of it is void."""


@dataclass(slots=True, eq=False)
class RunningJob:
    """One held row and the coroutine that carries it out."""

    execution: Execution
    task: asyncio.Task[object]
    trusted_until: float
    """When, on this host's monotonic clock, the lease can no longer be relied on."""
    why: Why | None = None
    ending: bool = False
    """Its ending is being written: it is too late to tell it anything."""

    @property
    def output_id(self) -> int:
        return self.execution.claim.output_id

    @property
    def held(self) -> Held | None:
        """What to renew; None while the row goes from one fence to the next (`again`): whether an
        answer about the old fence is bad news cannot be told then.
        """
        if self.execution.going_on:
            return None
        return Held(self.output_id, self.execution.fence)

    def end(self, why: Why) -> None:
        """Close its call. On the event loop; a second time changes nothing."""
        if self.why is None and not self.ending:
            self.why = why
            self.task.cancel(msg=why)


class RunningJobs:
    """By claim, for one row may stand here twice: under a lease that was lost, and under the one
    this worker took after it. Changed on the event loop only; read in any thread.
    """

    def __init__(self) -> None:
        self._jobs: dict[tuple[int, int], RunningJob] = {}

    def add(self, job: RunningJob) -> None:
        self._jobs[job.execution.claim.key] = job

    def remove(self, job: RunningJob) -> None:
        self._jobs.pop(job.execution.claim.key, None)

    def all(self) -> list[RunningJob]:
        """A copy, safe to walk in another thread."""
        return list(self._jobs.copy().values())

    def among(self, output_ids: Collection[int]) -> list[RunningJob]:
        """Those of the named rows that are held here."""
        return [job for job in self.all() if job.output_id in output_ids]

    def __len__(self) -> int:
        return len(self._jobs)
