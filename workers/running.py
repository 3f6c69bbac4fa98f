"""The jobs this worker holds right now, and how one of them is told to end."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
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
    def held(self) -> Held:
        return Held(self.execution.claim.output_id, self.execution.fence)

    def end(self, why: Why) -> None:
        """Close its call. On the event loop; a second time changes nothing."""
        if self.why is None and not self.ending:
            self.why = why
            self.task.cancel(msg=why)


class RunningJobs:
    """By output id. Changed on the event loop only; read from the heartbeat's thread."""

    def __init__(self) -> None:
        self._jobs: dict[int, RunningJob] = {}

    def add(self, job: RunningJob) -> None:
        self._jobs[job.execution.claim.output_id] = job

    def remove(self, job: RunningJob) -> None:
        self._jobs.pop(job.execution.claim.output_id, None)

    def get(self, output_id: int) -> RunningJob | None:
        return self._jobs.get(output_id)

    def all(self) -> list[RunningJob]:
        """A copy, safe to walk in another thread."""
        return list(self._jobs.copy().values())

    def end(self, output_ids: Iterable[int], why: Why) -> None:
        """Tell those of the named jobs that run here to end. On the event loop."""
        for output_id in output_ids:
            job = self._jobs.get(output_id)
            if job is not None:
                job.end(why)

    def __len__(self) -> int:
        return len(self._jobs)
