"""One job in a worker's hands: what is told to Celery, and every moment it can be told to end."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from celery.exceptions import Ignore, Retry
from sqlalchemy import update

from app import lifecycle
from app.errors import ProviderFailed, ProviderRateLimited, ProviderRejected
from app.lifecycle import Created
from models import LLMOutput
from models.types import now_plus
from tests.integration.worker.parts import (
    Bench,
    Message,
    Provider,
    carrying,
    on_a_loop,
    working_bench,
)
from workers.carry_out import Bench as CarryBench
from workers.carry_out import JobFailed, carry_out
from workers.pool.delivery import End
from workers.running import Why

SOON = 10


@pytest.fixture
def bench(database_url: str) -> Iterator[Bench]:
    with working_bench(database_url) as found:
        yield found


class Carried:
    """A job being carried out in a task, as the pool does."""

    def __init__(self, bench: CarryBench, job: Created) -> None:
        self.message = Message(job.job_id)
        message: Any = self.message
        self.bench = bench
        self.task = asyncio.create_task(carry_out(job.output_id, bench, message))

    async def end(self) -> object:
        """What it returned or raised."""
        (result,) = await asyncio.wait_for(
            asyncio.gather(self.task, return_exceptions=True), timeout=SOON
        )
        return result

    def cancel(self, as_: End) -> None:
        """As the pool does for `revoke(terminate=True)` and at its end."""
        self.message.cancelled_as = as_
        self.task.cancel()

    def tell(self, why: Why) -> None:
        (job,) = self.bench.jobs.all()
        job.end(why)


def ask_cancel(bench: Bench, job: Created) -> None:
    with bench.database.database.write() as session:
        lifecycle.cancel(session, [job.output_id])


@pytest.mark.parametrize(
    ("answer", "told", "status"),
    [
        ("fine", "completed", "completed"),
        (ProviderFailed("no"), Retry, "pending"),
        (ProviderRateLimited("slowly"), Retry, "pending"),
        (ProviderRejected("never"), JobFailed, "failed"),
        (RuntimeError("a defect"), JobFailed, "failed"),
    ],
)
@on_a_loop
async def test_celery_is_told_what_the_row_says(
    bench: Bench, answer: Any, told: Any, status: str
) -> None:
    (job,) = bench.insert()
    carried = Carried(carrying(bench, Provider(answer)), job)
    result = await carried.end()
    assert result == told if isinstance(told, str) else isinstance(result, told)
    assert carried.message.accepted
    assert bench.row(job.output_id).status == status
    assert len(carried.bench.jobs) == 0


@on_a_loop
async def test_what_celery_is_told_holds_no_words_of_an_error(bench: Bench) -> None:
    (job,) = bench.insert()
    result = await Carried(carrying(bench, Provider(ProviderRejected("secret"))), job).end()
    assert "secret" not in repr(result)
    assert job.job_id in str(result)


@on_a_loop
async def test_a_refused_claim_is_never_accepted(bench: Bench) -> None:
    (job,) = bench.insert()
    ask_cancel(bench, job)
    provider = Provider()
    carried = Carried(carrying(bench, provider), job)
    assert isinstance(await carried.end(), Ignore)
    assert (carried.message.accepted, provider.calls) == (False, 0)


@on_a_loop
async def test_a_draining_worker_gives_back_what_it_has_claimed(bench: Bench) -> None:
    (job,) = bench.insert()
    carried = Carried(carrying(bench, Provider(), draining=True), job)
    assert isinstance(await carried.end(), Ignore)
    row = bench.row(job.output_id)
    assert (row.status, row.tries, row.losses, carried.message.accepted) == ("pending", 0, 0, False)
    assert bench.outcomes(job.output_id) == ["released"]


@pytest.mark.parametrize(
    ("as_", "status", "outcomes"),
    [(End.INTERRUPTED, "pending", ["released"]), (End.TERMINATED, "cancelled", ["cancelled"])],
)
@on_a_loop
async def test_a_claim_that_comes_after_the_end_does_not_keep_its_row(
    bench: Bench, as_: End, status: str, outcomes: list[str]
) -> None:
    (job,) = bench.insert()
    gate = asyncio.Event()
    loop = asyncio.get_running_loop()
    bench.database.meanwhile = lambda: asyncio.run_coroutine_threadsafe(gate.wait(), loop).result()
    carried = Carried(carrying(bench, Provider()), job)
    await asyncio.sleep(0.05)  # the claim is on its way
    carried.cancel(as_)
    assert isinstance(await carried.end(), asyncio.CancelledError)
    bench.database.meanwhile = lambda: None
    gate.set()
    await until(lambda: stands(bench.row(job.output_id), status))
    assert bench.outcomes(job.output_id) == outcomes


def stands(row: LLMOutput, status: str) -> bool:
    """Was it claimed, and does it stand so now?"""
    return row.status == status and row.fence > 0


@on_a_loop
async def test_a_cancel_closes_the_call_and_ends_the_row(bench: Bench) -> None:
    (job,) = bench.insert()
    provider = Provider()
    provider.opens.clear()
    carried = Carried(carrying(bench, provider), job)
    await provider.called.wait()
    ask_cancel(bench, job)
    carried.tell(Why.CANCEL)
    assert isinstance(await carried.end(), Ignore)
    assert bench.row(job.output_id).status == "cancelled"
    await until(lambda: [row.status for row in bench.told.in_flower] == ["cancelled"])


@on_a_loop
async def test_a_revoked_task_cancels_its_row(bench: Bench) -> None:
    (job,) = bench.insert()
    provider = Provider()
    provider.opens.clear()
    carried = Carried(carrying(bench, provider), job)
    await provider.called.wait()
    carried.cancel(End.TERMINATED)
    assert isinstance(await carried.end(), Ignore)
    assert bench.row(job.output_id).status == "cancelled"


@on_a_loop
async def test_a_lost_job_writes_nothing(bench: Bench) -> None:
    (job,) = bench.insert()
    provider = Provider()
    provider.opens.clear()
    carried = Carried(carrying(bench, provider), job)
    await provider.called.wait()
    carried.tell(Why.LOST)
    assert isinstance(await carried.end(), Ignore)
    assert bench.outcomes(job.output_id) == ["running"]
    assert bench.row(job.output_id).status == "processing"


@on_a_loop
async def test_an_answer_that_comes_after_the_cancel_ends_the_row_as_cancelled(
    bench: Bench,
) -> None:
    (job,) = bench.insert()
    provider = Provider("too late")
    provider.opens.clear()
    carried = Carried(carrying(bench, provider), job)
    await provider.called.wait()
    ask_cancel(bench, job)
    provider.opens.set()
    assert isinstance(await carried.end(), Ignore)
    row = bench.row(job.output_id)
    assert (row.status, row.raw_response) == ("cancelled", None)
    assert bench.outcomes(job.output_id) == ["discarded"]


@pytest.mark.parametrize("as_", [End.INTERRUPTED, End.TERMINATED])
@on_a_loop
async def test_an_end_on_its_way_to_the_row_is_heard_to_its_end(bench: Bench, as_: End) -> None:
    (job,) = bench.insert()
    provider = Provider("done")
    provider.opens.clear()
    carried = Carried(carrying(bench, provider), job)
    await provider.called.wait()
    bench.database.away = True
    provider.opens.set()
    await until(lambda: bench.writer._away)
    carried.cancel(as_)
    await asyncio.sleep(0)
    bench.database.away = False
    assert await carried.end() == "completed"
    assert bench.row(job.output_id).status == "completed"


@on_a_loop
async def test_a_job_told_to_end_between_two_calls_knows_its_fence(bench: Bench) -> None:
    (job,) = bench.insert(format="json")
    provider = Provider("not json", '{"a": 1}')
    provider.opens.clear()
    carried = Carried(carrying(bench, provider), job)
    await provider.called.wait()
    bench.database.away = True
    provider.opens.set()
    await until(lambda: bench.writer._away)
    (running,) = carried.bench.jobs.all()
    assert running.execution.going_on
    carried.cancel(End.TERMINATED)
    await asyncio.sleep(0)
    bench.database.away = False
    assert isinstance(await carried.end(), Ignore)
    row = bench.row(job.output_id)
    assert (row.status, row.fence) == ("cancelled", 2)
    assert bench.outcomes(job.output_id) == ["continued", "cancelled"]
    assert provider.calls == 1


@on_a_loop
async def test_a_job_cancelled_between_two_calls_makes_no_second(bench: Bench) -> None:
    (job,) = bench.insert(format="json")
    provider = Provider("not json", '{"a": 1}')
    provider.opens.clear()
    carried = Carried(carrying(bench, provider), job)
    await provider.called.wait()
    ask_cancel(bench, job)
    provider.opens.set()
    assert isinstance(await carried.end(), Ignore)
    assert (bench.row(job.output_id).status, provider.calls) == ("cancelled", 1)


@on_a_loop
async def test_an_answer_that_cannot_be_stored_fails_at_once(bench: Bench) -> None:
    """Instead of being called and paid for until it counts as poison."""
    complete = bench.writer._verbs["complete"]

    def fussy(session: Any, items: Any) -> Any:
        complete(session, items)
        raise ValueError("out of range")

    bench.writer._verbs["complete"] = fussy
    (job,) = bench.insert()
    provider = Provider("unstorable")
    assert isinstance(await Carried(carrying(bench, provider), job).end(), JobFailed)
    row = bench.row(job.output_id)
    assert (row.status, row.error_code, provider.calls) == ("failed", "internal", 1)


@on_a_loop
async def test_two_jobs_for_one_row_share_nothing(bench: Bench) -> None:
    """The first lost its lease and has not noticed when this worker takes the row again."""
    (job,) = bench.insert()
    provider = Provider()
    provider.opens.clear()
    shared = carrying(bench, provider)
    first = Carried(shared, job)
    await provider.called.wait()
    provider.called.clear()
    lose_lease(bench, job)
    second = Carried(shared, job)
    await provider.called.wait()
    assert len(shared.jobs) == 2
    provider.opens.set()
    assert isinstance(await first.end(), Ignore)
    assert await second.end() == "completed"
    assert bench.outcomes(job.output_id) == ["lost", "completed"]


@on_a_loop
async def test_the_deadline_counts_from_the_claim(bench: Bench) -> None:
    """A repair gets what the first call has left."""
    (job,) = bench.insert(format="json")
    provider = Provider("not json", None)
    provider.opens.clear()
    shared = carrying(bench, provider)
    carried = Carried(shared, job)
    await provider.called.wait()
    (running,) = shared.jobs.all()
    running.execution._begun -= running.execution.claim.seconds_to_deadline
    provider.opens.set()
    assert isinstance(await carried.end(), Retry)
    assert bench.row(job.output_id).error_code == "timeout"


def lose_lease(bench: Bench, job: Created) -> None:
    with bench.database.database.write() as session:
        session.execute(
            update(LLMOutput)
            .where(LLMOutput.id == job.output_id)
            .values(lease_expires_at=now_plus(-1))
        )
        assert lifecycle.rescue(session)


async def until(true: Any) -> None:
    async with asyncio.timeout(SOON):
        while not true():  # noqa: ASYNC110  what it asks lies in a database, or in a thread
            await asyncio.sleep(0.01)
