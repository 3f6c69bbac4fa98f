"""The worker's one writer: batches, bad rows, a database that is away, and two at once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import Future
from typing import Any

import pytest
from sqlalchemy import text

from app import lifecycle
from app.db import Database
from app.errors import Unavailable
from app.lifecycle import Claim, Completed, Delivery, Held, Renewal, RetryLater
from tests.integration.worker.parts import Bench, working_bench
from tests.support.waiting import eventually


@pytest.fixture
def bench(database_url: str) -> Iterator[Bench]:
    with working_bench(database_url) as found:
        yield found


def claimed(bench: Bench, number: int = 1) -> list[Claim]:
    answers = [
        bench.writer.submit("claim", Delivery(job.output_id, job.job_id))
        for job in bench.insert(number)
    ]
    return [answer.result(10) for answer in answers]


def completed(claim: Claim, text: str = "done") -> Completed:
    return Completed(output_id=claim.output_id, fence=claim.fence, raw_response=text)


def submit(bench: Bench, verb: str, *items: Any) -> list[Future[Any]]:
    return [bench.writer.submit(verb, item) for item in items]


def test_what_gathers_during_a_commit_is_one_batch(bench: Bench) -> None:
    claims = claimed(bench, 20)
    gate, commits = threading.Event(), []

    def slowly() -> None:
        commits.append(bench.writer.behind)
        gate.wait(10)

    bench.database.meanwhile = slowly
    answers = submit(bench, "complete", *map(completed, claims))
    eventually(lambda: commits)
    gate.set()
    assert all(answer.result(10).status == "completed" for answer in answers)
    assert len(commits) <= 2


def test_a_lost_race_is_answered_with_none(bench: Bench) -> None:
    (claim,) = claimed(bench)
    first, second = submit(bench, "complete", completed(claim), completed(claim, "again"))
    assert first.result(10).status == "completed"
    assert second.result(10) is None
    assert bench.row(claim.output_id).raw_response == "done"


def test_doubled_messages_get_one_claim(bench: Bench) -> None:
    (job,) = bench.insert()
    answers = submit(bench, "claim", *[Delivery(job.output_id, job.job_id)] * 5)
    assert [answer.result(10) is not None for answer in answers] == [True, *[False] * 4]
    assert bench.row(job.output_id).fence == 1


def test_one_bad_row_takes_no_other_with_it(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    good, bad, retried = claimed(bench, 3)
    complete = lifecycle.complete

    def fussy(session: Any, items: Any) -> Any:
        found = complete(session, items)
        if any(item.output_id == bad.output_id for item in items):
            session.execute(text("SELECT no_such_function_at_all()"))
        return found

    bench.writer._verbs["complete"] = fussy
    later = RetryLater(
        output_id=retried.output_id,
        fence=retried.fence,
        delay_seconds=1,
        error_code="x",
        error_message="x",
    )
    first, second = submit(bench, "complete", completed(good), completed(bad))
    (third,) = submit(bench, "retry_later", later)
    assert first.result(10).status == "completed"
    assert third.result(10).status == "pending"
    assert second.exception(10) is not None
    assert bench.row(bad.output_id).status == "processing"
    (renewal,) = submit(bench, "renew", Held(*bad.key))
    assert renewal.result(10) == Renewal(cancel_requested=False)


def test_a_defect_in_one_verb_does_not_end_the_writer(bench: Bench) -> None:
    def broken(session: Any, items: Any) -> Any:
        raise KeyError("a defect")

    bench.writer._verbs["complete"] = broken
    (claim,) = claimed(bench)
    (answer,) = submit(bench, "complete", completed(claim))
    assert isinstance(answer.exception(10), KeyError)
    assert claimed(bench)[0].fence == 1


def test_endings_wait_for_the_database_and_claims_do_not(bench: Bench) -> None:
    (claim,), (job,) = claimed(bench), bench.insert()
    tried = threading.Event()
    bench.database.meanwhile = tried.set
    bench.database.away = True
    (ending,) = submit(bench, "complete", completed(claim))
    assert tried.wait(10)
    eventually(lambda: bench.writer._away)
    (refused,) = submit(bench, "claim", Delivery(job.output_id, job.job_id))
    assert refused.result(0) is None
    assert not ending.done()
    bench.database.away = False
    assert ending.result(10).status == "completed"
    assert bench.row(job.output_id).fence == 0
    (taken,) = submit(bench, "claim", Delivery(job.output_id, job.job_id))
    assert taken.result(10).fence == 1


def test_a_claim_that_meets_no_database_is_refused_and_not_kept(bench: Bench) -> None:
    """Kept, its lease would begin long after the worker began to count."""
    (job,) = bench.insert()
    bench.database.away = True
    (claim,) = submit(bench, "claim", Delivery(job.output_id, job.job_id))
    assert claim.result(10) is None
    bench.database.away = False
    eventually(lambda: not bench.writer._away)
    assert bench.row(job.output_id).status == "pending"


def test_closing_writes_what_has_gathered(bench: Bench) -> None:
    claims = claimed(bench, 50)
    answers = submit(bench, "complete", *map(completed, claims))
    bench.writer.close(timeout_seconds=10)
    assert {answer.result(0).status for answer in answers} == {"completed"}


def test_closing_without_a_database_gives_up(bench: Bench) -> None:
    (claim,) = claimed(bench)
    bench.database.away = True
    (ending,) = submit(bench, "complete", completed(claim))
    eventually(lambda: bench.writer._away)
    bench.writer.close(timeout_seconds=10)
    assert isinstance(ending.exception(10), Unavailable)


def test_moves_are_announced_after_the_commit(bench: Bench) -> None:
    (claim,) = claimed(bench)
    submit(bench, "complete", completed(claim))[0].result(10)
    eventually(lambda: len(bench.told.announced) == 2)
    assert [row.status for row in bench.told.announced] == ["processing", "completed"]
    assert bench.told.in_flower == []


def test_two_writers_whose_batches_cross_do_not_block_each_other(postgres_url: str) -> None:
    """Each renews what it holds and tries to claim what the other holds (doubled messages)."""
    with (
        working_bench(postgres_url, worker="a") as one,
        working_bench(postgres_url, worker="b") as two,
    ):
        mine, yours = claimed(one, 20), claimed(two, 20)
        for _ in range(40):
            answers = []
            for bench, own, others in ((one, mine, yours), (two, yours[::-1], mine[::-1])):
                answers += submit(bench, "renew", *[Held(*c.key) for c in own])
                answers += submit(
                    bench, "claim", *[Delivery(c.output_id, c.job_id) for c in others]
                )
            for answer in answers:
                answer.result(20)
        assert _deadlocks(one.database.database) == 0


def _deadlocks(database: Database) -> int:
    query = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
    with database.read() as session:
        return int(session.execute(text(query)).scalar_one())
