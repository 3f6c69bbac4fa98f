"""What the heartbeat makes of each answer about a lease."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from app.lifecycle import Held, Renewal
from workers.heartbeat import Heartbeat
from workers.running import RunningJob, RunningJobs, Why

RENEWED, CANCELLED = Renewal(cancel_requested=False), Renewal(cancel_requested=True)


@dataclass
class Answers:
    """A writer whose answers the test gives."""

    answer: Callable[[Held], Renewal | None] | None = None
    asked: list[tuple[Held, Future[Renewal | None]]] = field(default_factory=list)

    def submit(self, verb: str, held: Held) -> Future[Renewal | None]:
        future: Future[Renewal | None] = Future()
        self.asked.append((held, future))
        if self.answer:
            future.set_result(self.answer(held))
        return future


class Task:
    """Stands for the coroutine of a job."""

    ended_because: str = ""

    def cancel(self, msg: str = "") -> None:
        self.ended_because = msg


class Loop:
    """Runs at once what is left for the loop; what is for later waits for the test."""

    def __init__(self) -> None:
        self.later: list[Callable[[], object]] = []

    def call_soon_threadsafe(self, function: Callable[..., object], *args: Any) -> None:
        function(*args)

    def call_later(self, _seconds: float, function: Callable[[], object]) -> None:
        self.later.append(function)


@dataclass
class Bench:
    heartbeat: Heartbeat
    writer: Answers
    jobs: RunningJobs
    loop: Loop

    def job(self, output_id: int = 1, fence: int = 1, *, trusted: float = 60) -> RunningJob:
        claim = SimpleNamespace(output_id=output_id, key=(output_id, fence))
        execution: Any = SimpleNamespace(claim=claim, fence=fence, going_on=False)
        task: Any = Task()
        job = RunningJob(execution, task, trusted_until=time.monotonic() + trusted)
        self.jobs.add(job)
        return job


@pytest.fixture
def bench() -> Bench:
    writer, jobs, loop = Answers(), RunningJobs(), Loop()
    runtime: Any = SimpleNamespace(
        settings=SimpleNamespace(lease_seconds=60, heartbeat_seconds=0.1)
    )
    heartbeat = Heartbeat(runtime, writer, jobs, worker="w", concurrency=lambda: 1)  # type: ignore[arg-type]
    heartbeat._loop = loop  # type: ignore[assignment]
    return Bench(heartbeat, writer, jobs, loop)


def ended_because(job: RunningJob) -> str:
    task: Any = job.task
    return str(task.ended_because)


def test_a_renewed_lease_is_trusted_anew(bench: Bench) -> None:
    job = bench.job(trusted=1)
    bench.writer.answer = lambda held: RENEWED
    before = time.monotonic()
    bench.heartbeat.beat()
    assert job.trusted_until >= before + bench.heartbeat.trust_seconds
    assert job.trusted_until < time.monotonic() + 60
    assert not ended_because(job)


def test_a_refused_renewal_ends_the_call(bench: Bench) -> None:
    job = bench.job()
    bench.writer.answer = lambda held: None
    bench.heartbeat.beat()
    assert ended_because(job) == Why.LOST


def test_an_asked_cancel_ends_the_call(bench: Bench) -> None:
    job = bench.job()
    bench.writer.answer = lambda held: CANCELLED
    bench.heartbeat.beat()
    assert ended_because(job) == Why.CANCEL


def test_an_answer_about_an_older_fence_is_no_news(bench: Bench) -> None:
    """The renewal stood behind the `again` that raised the fence."""
    job = bench.job()

    def after_again(held: Held) -> None:
        job.execution.fence = 2

    bench.writer.answer = after_again
    bench.heartbeat.beat()
    assert not ended_because(job)


def test_an_answer_that_comes_before_the_new_fence_is_known_is_no_news(bench: Bench) -> None:
    job = bench.job()

    def during_again(held: Held) -> None:
        job.execution.going_on = True

    bench.writer.answer = during_again
    bench.heartbeat.beat()
    assert not ended_because(job)


def test_a_row_between_two_fences_is_not_asked(bench: Bench) -> None:
    job = bench.job()
    job.execution.going_on = True
    bench.heartbeat.beat()
    assert bench.writer.asked == []


def test_a_lease_that_cannot_be_renewed_is_given_up_before_it_is_over(bench: Bench) -> None:
    lost, held = bench.job(1, trusted=0), bench.job(2, trusted=60)
    bench.heartbeat.beat()  # nobody answers: the database is away
    assert (ended_because(lost), ended_because(held)) == (Why.LOST, "")
    assert bench.heartbeat.trust_seconds <= 60 - 5


def test_a_job_whose_end_is_being_written_is_told_nothing(bench: Bench) -> None:
    job = bench.job(trusted=0)
    job.ending = True
    bench.writer.answer = lambda held: None
    bench.heartbeat.beat()
    assert not ended_because(job)


def test_who_says_that_a_row_was_cancelled_is_not_believed_but_the_row(bench: Bench) -> None:
    innocent, asked, other = bench.job(1), bench.job(2), bench.job(3)
    bench.writer.answer = lambda held: CANCELLED if held.output_id == 2 else RENEWED
    bench.heartbeat.hear_cancels([1, 2])
    assert [ended_because(job) for job in (innocent, asked, other)] == ["", Why.CANCEL, ""]
    assert [held.output_id for held, _ in bench.writer.asked] == [1, 2]


def test_a_cancel_that_comes_before_its_claim_is_known_is_heard(bench: Bench) -> None:
    bench.writer.answer = lambda held: CANCELLED
    bench.heartbeat.hear_cancels([7])
    assert bench.writer.asked == []
    job = bench.job(7)
    (look_again,) = bench.loop.later
    look_again()
    assert ended_because(job) == Why.CANCEL


def test_a_cancel_that_comes_between_two_calls_is_heard(bench: Bench) -> None:
    job = bench.job(7)
    job.execution.going_on = True
    bench.writer.answer = lambda held: CANCELLED
    bench.heartbeat.hear_cancels([7])
    job.execution.going_on = False
    job.execution.fence = 2
    (look_again,) = bench.loop.later
    look_again()
    assert ended_because(job) == Why.CANCEL


def test_an_answer_that_comes_late_is_heeded(bench: Bench) -> None:
    job = bench.job()
    bench.heartbeat.hear_cancels([1])
    ((_, answer),) = bench.writer.asked
    answer.set_result(CANCELLED)
    assert ended_because(job) == Why.CANCEL


def test_the_row_taken_again_outlives_the_lease_that_was_lost(bench: Bench) -> None:
    old, new = bench.job(1, fence=1), bench.job(1, fence=2)
    bench.jobs.remove(old)
    assert bench.jobs.all() == [new]
    assert bench.jobs.among([1]) == [new]


def test_a_job_is_told_to_end_once(bench: Bench) -> None:
    job = bench.job()
    job.end(Why.LOST)
    job.end(Why.CANCEL)
    assert (job.why, ended_because(job)) == (Why.LOST, Why.LOST)
