"""What ought to happen: the lifecycle in plain Python, in the words of its table of transitions.

It knows nothing of SQL, locks or time-outs. Time is a whole number of units that moves only when
the test says so; usage is counted in calls, each using the same number of tokens.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from models import TRANSITIONS, Status

POISON_LOSSES = 3
SENTENCE = "Job failed permanently: "
POISON = "3 workers were lost while they held this job"
EXPIRED = "The deadline passed before an answer"


@dataclass
class Call:
    """One attempt: one call to the provider."""

    kind: str = "answer"
    outcome: str = "running"
    counted: bool = False


@dataclass
class Job:
    """One row, as it ought to be."""

    user: int | None
    queue: str
    model: str
    run_at: int
    deadline: int
    max_tries: int
    woken: int | None
    status: str = "pending"
    tries: int = 0
    losses: int = 0
    lease: int | None = None
    asked: bool = False
    result: str | None = None
    error: str | None = None
    feedback: int = 0
    calls: list[Call] = field(default_factory=list)

    @property
    def fence(self) -> int:
        return len(self.calls)

    @property
    def ended(self) -> bool:
        return Status(self.status).ended

    def held_under(self, fence: int) -> bool:
        return self.status == "processing" and self.fence == fence


class Model:
    """All jobs and pauses, and the verbs. A verb answers whether the row moved."""

    def __init__(self) -> None:
        self.clock = 0
        self.jobs: dict[int, Job] = {}
        self.pauses: dict[tuple[str, str], int | None] = {}

    # What anybody may do

    def cancel(self, output_id: int) -> bool:
        job = self.jobs[output_id]
        if job.status == "pending":
            job.asked = True
            self._end(job, "cancel", "cancelled", error="cancelled")
            return True
        if job.status == "processing":
            job.asked = True
            return True
        return False

    def advance(self, output_id: int) -> bool:
        job = self.jobs[output_id]
        if job.status != "pending":
            return False
        job.run_at, job.woken = self.clock, None
        return True

    def pause(self, kind: str, name: str, units: int | None) -> None:
        until = None if units is None else self.clock + units
        standing = self.pauses.get((kind, name), 0)
        if standing is not None and (until is None or until > standing):
            self.pauses[kind, name] = until

    def resume(self, kind: str, name: str) -> bool:
        lifted = (kind, name) in self.pauses
        if lifted:
            self._lift(kind, name)
        return lifted

    # What a worker may do

    def claim(self, output_id: int, lease: int) -> bool:
        job = self.jobs[output_id]
        free = job.status == "pending" and not job.asked and not self._paused(job)
        if not (free and job.run_at <= self.clock < job.deadline):
            return False
        self._move(job, "claim", "processing")
        job.lease = self.clock + lease
        job.calls.append(Call())
        return True

    def renew(self, output_id: int, fence: int, lease: int) -> bool:
        job = self.jobs[output_id]
        if job.held_under(fence):
            job.lease = self.clock + lease
            return True
        return False

    def again(self, output_id: int, fence: int, kind: str, lease: int) -> bool:
        job = self.jobs[output_id]
        moved = job.held_under(fence) and not job.asked
        self._report(job, fence, "continued" if moved else "discarded")
        if moved:
            job.lease = self.clock + lease
            job.calls.append(Call(kind))
        return moved

    def complete(self, output_id: int, fence: int, answer: str) -> bool:
        job = self.jobs[output_id]
        moved = job.held_under(fence) and not job.asked
        self._report(job, fence, "completed" if moved else "discarded")
        if moved:
            job.tries += 1
            self._end(job, "complete", "completed", result=answer)
        return moved

    def fail(self, output_id: int, fence: int, code: str) -> bool:
        job = self.jobs[output_id]
        moved = job.held_under(fence) and not job.asked
        self._report(job, fence, "failed" if moved else "discarded")
        if moved:
            job.tries += 1
            self._end(job, "fail", "failed", result=SENTENCE + "No.", error=code)
        return moved

    def retry_later(self, output_id: int, fence: int, delay: int, code: str) -> bool:
        job = self.jobs[output_id]
        left = job.tries + 1 < job.max_tries
        moved = job.held_under(fence) and not job.asked and left
        self._report(job, fence, "retried" if moved else "discarded")
        if moved:
            job.tries += 1
            self._wait(job, "retry_later", delay, code)
        return moved

    def snooze(self, output_id: int, fence: int, delay: int, code: str) -> bool:
        job = self.jobs[output_id]
        moved = job.held_under(fence) and not job.asked
        self._report(job, fence, "rate_limited" if moved else "discarded")
        if moved:
            self._wait(job, "snooze", delay, code)
        return moved

    def release(self, output_id: int, fence: int) -> bool:
        """Its call was never made: nothing to count."""
        job = self.jobs[output_id]
        moved = job.held_under(fence) and not job.asked
        self._report(job, fence, "released" if moved else "discarded", used=False)
        if moved:
            self._wait(job, "release", 0, job.error)
        return moved

    def stop(self, output_id: int, fence: int, text: str) -> bool:
        job = self.jobs[output_id]
        moved = job.held_under(fence) and job.asked
        self._report(job, fence, "cancelled" if moved else "discarded")
        if moved:
            self._end(job, "stop", "cancelled", result=text, error="cancelled")
        return moved

    # What a dispatcher may do

    def rescue(self) -> set[int]:
        lost = {i for i, j in self.jobs.items() if j.lease is not None and j.lease <= self.clock}
        for job in map(self.jobs.__getitem__, lost):
            job.losses += 1
            if job.calls[-1].outcome == "running":
                job.calls[-1].outcome = "lost"
            if job.asked:
                self._end(job, "rescue", "cancelled", result=job.result, error="cancelled")
            elif job.losses >= POISON_LOSSES:
                self._end(job, "rescue", "failed", result=SENTENCE + POISON, error="poison")
            else:
                self._wait(job, "rescue", 0, "worker_lost")
        return lost

    def expire(self) -> set[int]:
        late = {
            i for i, j in self.jobs.items() if j.status == "pending" and j.deadline <= self.clock
        }
        for job in map(self.jobs.__getitem__, late):
            self._end(job, "expire", "failed", result=SENTENCE + EXPIRED, error="expired")
        return late

    def lift_elapsed_pauses(self) -> None:
        for (kind, name), until in list(self.pauses.items()):
            if until is not None and until <= self.clock:
                self._lift(kind, name)

    def due(self, queue: str, rewake: int) -> set[int]:
        """Whatever a dispatcher with all the room in the world would send."""
        return {
            i
            for i, j in self.jobs.items()
            if j.status == "pending" and j.queue == queue and j.run_at <= self.clock
            if j.woken is None or j.woken <= self.clock - rewake
            if not self._paused(j)
        }

    def mark_woken(self, output_ids: set[int]) -> None:
        for output_id in output_ids:
            self.jobs[output_id].woken = self.clock

    def mark_unsent(self, output_ids: set[int]) -> None:
        for output_id in output_ids:
            if self.jobs[output_id].status == "pending":
                self.jobs[output_id].woken = None

    def live(self) -> list[Job]:
        """Jobs that have not ended."""
        return [job for job in self.jobs.values() if not job.ended]

    # How it is done

    def _wait(self, job: Job, verb: str, delay: int, error: str | None) -> None:
        self._move(job, verb, "pending")
        job.lease, job.woken = None, None
        job.run_at, job.error = self.clock + delay, error

    def _end(
        self,
        job: Job,
        verb: str,
        status: str,
        *,
        result: str | None = None,
        error: str | None = None,
    ) -> None:
        self._move(job, verb, status)
        job.lease = None
        job.result, job.error = result, error

    def _move(self, job: Job, verb: str, status: str) -> None:
        leaves, reaches = TRANSITIONS[verb]
        assert job.status in leaves, verb
        assert status in reaches, verb
        job.status = status

    def _report(self, job: Job, fence: int, outcome: str, *, used: bool = True) -> None:
        """A call is over: its attempt is closed once, and what it used is counted once."""
        call = job.calls[fence - 1]
        if call.outcome == "running":
            call.outcome, call.counted = outcome, used
        elif call.outcome == "lost" and not call.counted:
            call.counted = used

    def _paused(self, job: Job) -> bool:
        names = (("queue", job.queue), ("model", job.model), ("bucket", f"bucket of {job.model}"))
        untils = [self.pauses[name] for name in names if name in self.pauses]
        return any(until is None or until > self.clock for until in untils)

    def _lift(self, kind: str, name: str) -> None:
        del self.pauses[kind, name]
        for job in self.jobs.values():
            named = {"queue": job.queue, "model": job.model, "bucket": f"bucket of {job.model}"}
            if job.status == "pending" and named[kind] == name:
                job.woken = None
