"""Accepting and claiming, and what nobody may do who does not hold a row (any more).

Every test runs on both databases, one transaction at a time. What each verb writes is in
`test_lifecycle_moves.py`, sums and texts in `test_lifecycle_ledger.py`, waking and pauses in
`test_lifecycle_waking.py`, races between transactions in `test_lifecycle_races.py`.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app import lifecycle
from app.lifecycle import Delivery, Held
from models import Kind, Outcome, Status
from tests.integration.lifecycle.world import (
    ENDINGS,
    LEASE,
    World,
    asked_to_stop,
    ended,
    new_job,
    seconds_from_now,
)

SIZES = [1, 2, 500]
HOLDERS_VERBS = sorted(ENDINGS)
LAST_WORDS = ["complete", "fail", "stop"]


# create


@pytest.mark.parametrize("count", SIZES)
def test_accepted_jobs_are_pending_rows_in_the_order_given(world: World, count: int) -> None:
    made = world.create([new_job(template_name=f"job {number}") for number in range(count)])
    rows = list(world.rows().values())
    assert [row.job_id for row in rows] == [job.job_id for job in made]
    assert [row.template_name for row in rows] == [f"job {number}" for number in range(count)]
    assert {(r.status, r.fence, r.tries, r.losses) for r in rows} == {(Status.PENDING, 0, 0, 0)}


def test_a_job_without_times_is_due_at_once_and_expires_at_its_age(world: World) -> None:
    (job,) = world.create([new_job(max_age_seconds=90.5)])
    assert abs((job.run_at - job.created_at).total_seconds()) < 0.1
    assert (job.deadline - job.created_at).total_seconds() == pytest.approx(90.5, abs=0.1)


def test_a_scheduled_job_is_not_taken_for_one_whose_message_is_out(world: World) -> None:
    later = datetime.now(UTC) + timedelta(hours=1)
    scheduled, due = world.create([new_job(run_at=later, wake_now=True), new_job(wake_now=True)])
    assert world.row(scheduled.output_id).woken_at is None
    assert world.row(due.output_id).woken_at is not None


def test_an_empty_batch_changes_nothing(world: World) -> None:
    kept = world.post()[0]
    for verb in HOLDERS_VERBS:
        assert world.end(verb) == set()
    assert world.create([]) == []
    assert world.claim([]) == []
    assert world.do(lifecycle.renew, [], lease_seconds=LEASE) == {}
    assert world.do(lifecycle.cancel, []) == {}
    assert world.do(lifecycle.advance, []) == set()
    world.do(lifecycle.mark_woken, [])
    assert world.row(kept.output_id).woken_at is None


# claim


def test_a_claim_hands_over_what_its_execution_needs(world: World) -> None:
    user = world.user()
    asked: dict[str, Any] = {
        "template_name": "Hi {{name}}",
        "model_name": "claude-4",
        "bucket": "anthropic/claude-4",
        "format": "json",
        "queue": "high",
        "context": {"name": "Ada", "nested": {"z": 1, "a": [None, 2.5]}},
        "system": "Be brief.",
        "messages": [{"role": "user", "content": "{{name}}"}],
        "response_schema": {"type": "object"},
        "options": {"temperature": 0.2},
        "fetchers": {"user_profile": {}},
        "strict": True,
        "prompt_name": "greeting",
        "prompt_version": 3,
        "traceparent": "00-abc-def-01",
        "warnings": ["Unknown variable: x"],
        "user_id": user,
        "max_tries": 4,
    }
    (delivery,) = world.post(**asked)
    (claim,) = world.claim([delivery])
    assert {name: getattr(claim, name) for name in asked} == asked
    assert (claim.output_id, claim.job_id) == (delivery.output_id, delivery.job_id)
    assert (claim.fence, claim.tries) == (1, 0)
    assert claim.seconds_to_deadline == pytest.approx(86_400, abs=5)


def test_a_claim_leases_the_row_and_opens_its_attempt(world: World) -> None:
    claim = world.claimed()
    row = world.row(claim.output_id)
    assert (row.status, row.fence, row.worker) == (Status.PROCESSING, 1, "worker-1")
    assert seconds_from_now(row.lease_expires_at) == pytest.approx(LEASE, abs=5)
    (attempt,) = world.attempts(claim.output_id)
    assert (attempt.number, attempt.kind) == (1, Kind.ANSWER)
    assert (attempt.outcome, attempt.worker) == (Outcome.RUNNING, "worker-1")


@pytest.mark.parametrize("count", SIZES)
def test_many_rows_are_claimed_at_once(world: World, count: int) -> None:
    deliveries = world.post(count)
    claims = world.claim(deliveries)
    assert sorted(c.output_id for c in claims) == [d.output_id for d in deliveries]
    assert all(len(world.attempts(claim.output_id)) == 1 for claim in claims[:5])


def test_a_row_that_is_held_is_not_claimed_again(world: World) -> None:
    deliveries = world.post()
    assert len(world.claim(deliveries)) == 1
    assert world.claim(deliveries, worker="worker-2") == []
    assert world.row(deliveries[0].output_id).worker == "worker-1"


def test_a_doubled_message_in_one_batch_claims_once(world: World) -> None:
    deliveries = world.post(3)
    assert len(world.claim([*deliveries, *deliveries, *deliveries])) == 3
    assert [row.fence for row in world.rows().values()] == [1, 1, 1]


def test_cancelled_row_is_never_claimed(world: World) -> None:
    deliveries = world.post()
    world.do(lifecycle.cancel, [deliveries[0].output_id])
    assert world.claim(deliveries) == []
    assert world.attempts(deliveries[0].output_id) == []


def test_a_pending_row_with_a_cancel_asked_is_never_claimed(world: World) -> None:
    deliveries = world.post()
    world.set(deliveries[0].output_id, cancel_requested_at=datetime.now(UTC))
    assert world.claim(deliveries) == []


@pytest.mark.parametrize("verb", LAST_WORDS)
def test_an_ended_row_is_never_claimed(world: World, verb: str) -> None:
    claim = ended(world, verb)
    assert world.claim([Delivery(claim.output_id, claim.job_id)]) == []


def test_no_claim_before_its_time(world: World) -> None:
    deliveries = world.post(run_at=datetime.now(UTC) + timedelta(hours=1))
    assert world.claim(deliveries) == []
    world.elapse(3590)
    assert world.claim(deliveries) == []
    world.elapse(10)
    assert len(world.claim(deliveries)) == 1


def test_no_claim_after_the_deadline(world: World) -> None:
    deliveries = world.post(max_age_seconds=100)
    world.elapse(100)
    assert world.claim(deliveries) == []


FORGERIES = [
    lambda real: Delivery(real.output_id, "another-job"),
    lambda real: Delivery(real.output_id, "nul\x00 and \ud800"),
    lambda real: Delivery(real.output_id, "long" * 1000),
    lambda real: Delivery(real.output_id + 1, real.job_id),
    lambda real: Delivery(-real.output_id, real.job_id),
    lambda real: Delivery(2**63, real.job_id),
    lambda real: Delivery(10**30, real.job_id),
]


@pytest.mark.parametrize("forge", FORGERIES)
def test_a_forged_message_claims_nothing_and_hinders_nobody(world: World, forge: Any) -> None:
    (real,) = world.post()
    assert world.claim([forge(real)]) == []
    assert len(world.claim([forge(real), real, forge(real)])) == 1


# Holders: what is not theirs (any more) they cannot change


@pytest.mark.parametrize("verb", HOLDERS_VERBS)
def test_stale_worker_cannot(world: World, verb: str) -> None:
    (delivery,) = world.post()
    (zombie,) = world.claim([delivery])
    world.elapse(LEASE)
    world.do(lifecycle.rescue)
    (holder,) = world.claim([delivery], worker="worker-2")
    if verb == "stop":
        world.do(lifecycle.cancel, [holder.output_id])
    before = world.row(holder.output_id)
    assert world.end(verb, zombie.key) == set()
    assert _clockwork(world.row(holder.output_id)) == _clockwork(before)


def test_stale_worker_cannot_complete(world: World) -> None:
    (delivery,) = world.post()
    (zombie,) = world.claim([delivery])
    world.elapse(LEASE)
    world.do(lifecycle.rescue)
    (holder,) = world.claim([delivery], worker="worker-2")
    assert world.end("complete", zombie.key, raw_response="stale") == set()
    assert world.end("complete", holder.key, raw_response="fresh") == {holder.key}
    assert world.row(delivery.output_id).raw_response == "fresh"


def test_stale_worker_cannot_renew(world: World) -> None:
    (delivery,) = world.post()
    (zombie,) = world.claim([delivery])
    world.elapse(LEASE)
    world.do(lifecycle.rescue)
    world.claim([delivery], worker="worker-2")
    assert world.do(lifecycle.renew, [Held(*zombie.key)], lease_seconds=LEASE * 10) == {}
    assert seconds_from_now(world.row(delivery.output_id).lease_expires_at) < LEASE + 5


@pytest.mark.parametrize("verb", HOLDERS_VERBS)
def test_nobody_moves_a_row_he_never_claimed(world: World, verb: str) -> None:
    (delivery,) = world.post()
    assert world.end(verb, (delivery.output_id, 0), (delivery.output_id, 1)) == set()
    assert world.row(delivery.output_id).status == Status.PENDING


@pytest.mark.parametrize("verb", sorted(set(HOLDERS_VERBS) - {"stop"}))
def test_a_row_asked_to_stop_only_stops(world: World, verb: str) -> None:
    claim = asked_to_stop(world)
    assert world.end(verb, claim.key) == set()
    assert world.row(claim.output_id).status == Status.PROCESSING
    assert world.end("stop", claim.key) == {claim.key}


@pytest.mark.parametrize("last", LAST_WORDS)
@pytest.mark.parametrize("verb", HOLDERS_VERBS)
def test_an_ended_row_never_changes(world: World, verb: str, last: str) -> None:
    claim = ended(world, last)
    before = world.row(claim.output_id)
    assert world.end(verb, claim.key) == set()
    world.do(lifecycle.cancel, [claim.output_id])
    world.do(lifecycle.advance, [claim.output_id])
    world.do(lifecycle.mark_woken, [claim.output_id])
    world.elapse(10**6)
    world.do(lifecycle.rescue)
    world.do(lifecycle.expire)
    assert world.row(claim.output_id) == before


@pytest.mark.parametrize("count", SIZES)
@pytest.mark.parametrize("verb", HOLDERS_VERBS)
def test_many_rows_move_at_once(world: World, verb: str, count: int) -> None:
    claims = world.claim(world.post(count))
    if verb == "stop":
        world.do(lifecycle.cancel, [claim.output_id for claim in claims])
    assert world.end(verb, *(c.key for c in claims)) == {claim.key for claim in claims}


@pytest.mark.parametrize("verb", HOLDERS_VERBS)
def test_of_twins_in_one_batch_one_counts(world: World, verb: str) -> None:
    claim = asked_to_stop(world) if verb == "stop" else world.claimed()
    assert world.end(verb, claim.key, claim.key) == {claim.key}
    fences = {"again": 2}
    assert world.row(claim.output_id).fence == fences.get(verb, 1)
    assert len(world.attempts(claim.output_id)) == fences.get(verb, 1)


def _clockwork(row: Any) -> tuple[Any, ...]:
    names = ("status", "fence", "tries", "losses", "run_at", "lease_expires_at", "worker")
    texts = ("raw_response", "prompt", "error_code", "finished_at", "cancel_requested_at")
    return tuple(getattr(row, name) for name in names + texts)
