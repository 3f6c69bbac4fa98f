"""Every verb of the lifecycle keeps its guards, on both databases, one transaction at a time.

Races between transactions are in `test_lifecycle_races.py`, waking and pauses in
`test_lifecycle_waking.py`, sums and texts in `test_lifecycle_ledger.py`.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app import lifecycle
from app.lifecycle import Claim, Delivery, Held
from models import Kind, Outcome, Status
from tests.integration.lifecycle.world import ENDINGS, LEASE, World, again, new_job

SIZES = [1, 2, 500]
HOLDERS_VERBS = sorted(ENDINGS)
LAST_WORDS = ["complete", "fail", "stop"]


def asked_to_stop(world: World) -> Claim:
    """A claimed job that somebody has asked to cancel."""
    claim = world.claimed()
    world.do(lifecycle.cancel, [claim.output_id])
    return claim


def ended(world: World, verb: str) -> Claim:
    """A job that has ended by this verb."""
    claim = asked_to_stop(world) if verb == "stop" else world.claimed()
    assert world.end(verb, claim.key)
    return claim


def seconds_from_now(moment: datetime) -> float:
    return (moment - datetime.now(UTC)).total_seconds()


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


# renew


def test_a_renewal_extends_the_lease(world: World) -> None:
    claim = world.claimed()
    world.elapse(LEASE - 1)
    (renewal,) = world.do(lifecycle.renew, [Held(*claim.key)], lease_seconds=LEASE).values()
    assert renewal.cancel_requested is False
    world.elapse(LEASE - 1)
    assert world.do(lifecycle.rescue) == {}


def test_a_renewal_says_that_a_cancel_was_asked(world: World) -> None:
    claim = asked_to_stop(world)
    answer = world.do(lifecycle.renew, [Held(*claim.key)], lease_seconds=LEASE)
    assert answer[claim.key].cancel_requested is True


# again


def test_a_further_call_raises_the_fence_and_uses_no_try(world: World) -> None:
    claim = world.claimed()
    item = again(claim.key, kind=Kind.REPAIR, prompt="Mend this", error_code="output_invalid")
    assert world.do(lifecycle.again, [item]) == {claim.key: 2}
    row = world.row(claim.output_id)
    assert (row.status, row.fence, row.tries, row.prompt) == ("processing", 2, 0, "Mend this")
    first, second = world.attempts(claim.output_id)
    assert (first.outcome, first.error_code) == (Outcome.CONTINUED, "output_invalid")
    assert (second.number, second.kind, second.outcome) == (2, Kind.REPAIR, Outcome.RUNNING)


def test_after_a_further_call_began_the_old_fence_is_stale(world: World) -> None:
    claim = world.claimed()
    world.end("again", claim.key)
    assert world.end("complete", claim.key) == set()
    assert world.end("complete", (claim.output_id, 2)) == {(claim.output_id, 2)}


def test_a_further_call_extends_the_lease(world: World) -> None:
    claim = world.claimed()
    world.elapse(LEASE - 1)
    world.end("again", claim.key)
    world.elapse(LEASE - 1)
    assert world.do(lifecycle.rescue) == {}


# release


def test_a_released_row_is_due_at_once_and_its_message_is_to_be_sent(world: World) -> None:
    (delivery,) = world.post(wake_now=True)
    (claim,) = world.claim([delivery])
    world.end("release", claim.key)
    row = world.row(claim.output_id)
    assert (row.status, row.tries, row.losses, row.woken_at) == ("pending", 0, 0, None)
    assert (row.lease_expires_at, row.worker) == (None, None)
    assert world.attempts(claim.output_id)[0].outcome == Outcome.RELEASED
    assert len(world.claim([delivery])) == 1


# endings


def test_a_completed_row_holds_its_answer(world: World) -> None:
    claim = world.claimed(warnings=["Unknown variable: x"])
    facts = {"prompt": "Hello Ada", "raw_response": '{"a": 1}', "parsed_output": {"a": 1}}
    world.end("complete", claim.key, **facts, result_items={"title": "A"})
    row = world.row(claim.output_id)
    assert {name: getattr(row, name) for name in facts} == facts
    assert (row.result_items, row.warnings) == ({"title": "A"}, ["Unknown variable: x"])
    assert (row.status, row.tries, row.error_code) == (Status.COMPLETED, 1, None)
    assert (row.lease_expires_at, row.worker) == (None, None)
    assert abs(seconds_from_now(row.finished_at)) < 5
    assert world.attempts(claim.output_id)[0].outcome == Outcome.COMPLETED


def test_an_answer_after_retries_shows_no_old_error(world: World) -> None:
    (delivery,) = world.post()
    world.end("retry_later", world.claim([delivery])[0].key, delay_seconds=0)
    world.end("complete", world.claim([delivery])[0].key)
    row = world.row(delivery.output_id)
    assert (row.error_code, row.error_message, row.tries) == (None, None, 2)


def test_a_retry_waits_its_delay_and_uses_a_try(world: World) -> None:
    (delivery,) = world.post(wake_now=True)
    (claim,) = world.claim([delivery])
    world.end("retry_later", claim.key, delay_seconds=30, warnings=["slow"])
    row = world.row(claim.output_id)
    assert (row.status, row.tries, row.woken_at) == (Status.PENDING, 1, None)
    assert (row.error_code, row.error_message) == ("provider_failed", "500")
    assert (row.lease_expires_at, row.worker, row.warnings) == (None, None, ["slow"])
    assert seconds_from_now(row.run_at) == pytest.approx(30, abs=5)
    (attempt,) = world.attempts(claim.output_id)
    assert (attempt.outcome, attempt.delay_seconds) == (Outcome.RETRIED, 30)
    world.elapse(20)
    assert world.claim([delivery]) == []
    world.elapse(10)
    assert world.claim([delivery])[0].tries == 1


def test_retry_later_is_refused_on_the_last_try(world: World) -> None:
    (delivery,) = world.post(max_tries=2)
    world.end("retry_later", world.claim([delivery])[0].key, delay_seconds=0)
    (last,) = world.claim([delivery])
    assert world.end("retry_later", last.key) == set()
    assert world.end("fail", last.key) == {last.key}
    assert world.row(delivery.output_id).tries == 2


def test_a_snooze_waits_without_using_a_try(world: World) -> None:
    (delivery,) = world.post(wake_now=True)
    (claim,) = world.claim([delivery])
    world.end("snooze", claim.key, delay_seconds=20)
    row = world.row(claim.output_id)
    assert (row.status, row.tries, row.woken_at) == (Status.PENDING, 0, None)
    assert world.attempts(claim.output_id)[0].outcome == Outcome.RATE_LIMITED
    assert world.claim([delivery]) == []
    world.elapse(20)
    assert len(world.claim([delivery])) == 1


def test_a_failed_row_says_so_in_the_seeds_sentence(world: World) -> None:
    claim = world.claimed()
    world.end("fail", claim.key, error_code="refused", error_message="It would not.")
    row = world.row(claim.output_id)
    assert row.raw_response == "Job failed permanently: It would not."
    assert (row.status, row.error_code, row.error_message) == ("failed", "refused", "It would not.")
    assert (row.tries, row.lease_expires_at, row.worker) == (1, None, None)
    assert world.attempts(claim.output_id)[0].outcome == Outcome.FAILED


def test_stop_needs_that_a_cancel_was_asked(world: World) -> None:
    claim = world.claimed()
    assert world.end("stop", claim.key) == set()
    assert world.row(claim.output_id).status == Status.PROCESSING


def test_a_stopped_row_keeps_what_had_arrived(world: World) -> None:
    claim = asked_to_stop(world)
    world.end("stop", claim.key, partial_text="Once upon a")
    row = world.row(claim.output_id)
    assert (row.status, row.raw_response) == (Status.CANCELLED, "Once upon a")
    assert (row.error_code, row.tries) == ("cancelled", 0)
    assert world.attempts(claim.output_id)[0].outcome == Outcome.CANCELLED


def test_an_answer_that_lost_against_a_cancel_stays_in_its_attempt(world: World) -> None:
    claim = asked_to_stop(world)
    world.end("complete", claim.key, raw_response="Too late")
    world.end("stop", claim.key, partial_text=None)
    row = world.row(claim.output_id)
    assert (row.status, row.raw_response) == (Status.CANCELLED, None)
    (attempt,) = world.attempts(claim.output_id)
    assert (attempt.outcome, attempt.text) == (Outcome.DISCARDED, "Too late")


# rescue


def test_a_lease_that_holds_is_left_alone(world: World) -> None:
    claim = world.claimed()
    world.elapse(LEASE - 5)
    assert world.do(lifecycle.rescue) == {}
    assert world.end("complete", claim.key) == {claim.key}


def test_a_lost_workers_row_is_due_at_once(world: World) -> None:
    (delivery,) = world.post(wake_now=True)
    world.claim([delivery])
    world.elapse(LEASE)
    (rescued,) = world.do(lifecycle.rescue).values()
    assert (rescued.job_id, rescued.status) == (delivery.job_id, Status.PENDING)
    row = world.row(delivery.output_id)
    assert (row.losses, row.tries, row.woken_at, row.worker) == (1, 0, None, None)
    assert row.error_code == "worker_lost"
    assert world.attempts(delivery.output_id)[0].outcome == Outcome.LOST
    assert world.claim([delivery])[0].fence == 2


def test_a_job_that_lost_three_workers_is_poison(world: World) -> None:
    (delivery,) = world.post()
    for left in (2, 1, 0):
        world.claim([delivery])
        world.elapse(LEASE)
        (rescued,) = world.do(lifecycle.rescue).values()
        assert rescued.status == (Status.PENDING if left else Status.FAILED)
    row = world.row(delivery.output_id)
    assert (row.error_code, row.losses, row.tries) == ("poison", 3, 0)
    assert row.raw_response.startswith("Job failed permanently: ")
    assert row.finished_at is not None
    assert world.claim([delivery]) == []


def test_a_lost_workers_row_that_was_to_stop_is_cancelled(world: World) -> None:
    claim = asked_to_stop(world)
    world.elapse(LEASE)
    (rescued,) = world.do(lifecycle.rescue).values()
    assert rescued.status == Status.CANCELLED
    assert world.row(claim.output_id).error_code == "cancelled"


def test_rescue_takes_no_more_than_its_limit_longest_lost_first(world: World) -> None:
    first, second = world.claim(world.post(2), lease=10), world.claim(world.post(2), lease=20)
    world.elapse(30)
    assert set(world.do(lifecycle.rescue, limit=2)) == {claim.output_id for claim in first}
    assert set(world.do(lifecycle.rescue, limit=9)) == {claim.output_id for claim in second}


# cancel, advance, expire


def test_cancel_ends_a_pending_row_and_asks_for_a_running_one(world: World) -> None:
    (waits,) = world.post()
    runs = world.claimed()
    gone = ended(world, "complete")
    answer = world.do(lifecycle.cancel, [waits.output_id, runs.output_id, gone.output_id, 10**9])
    assert {key: value.status for key, value in answer.items()} == {
        waits.output_id: Status.CANCELLED,
        runs.output_id: Status.PROCESSING,
    }
    row = world.row(waits.output_id)
    assert (row.error_code, row.finished_at is not None) == ("cancelled", True)
    assert world.row(runs.output_id).cancel_requested_at is not None


def test_asking_twice_to_cancel_keeps_the_first_time(world: World) -> None:
    claim = asked_to_stop(world)
    asked_at = world.row(claim.output_id).cancel_requested_at
    assert world.do(lifecycle.cancel, [claim.output_id, claim.output_id])
    assert world.row(claim.output_id).cancel_requested_at == asked_at


@pytest.mark.parametrize("count", SIZES)
def test_many_rows_are_cancelled_at_once(world: World, count: int) -> None:
    ids = [delivery.output_id for delivery in world.post(count)]
    assert set(world.do(lifecycle.cancel, ids)) == set(ids)


def test_advance_makes_a_waiting_row_due_now(world: World) -> None:
    (delivery,) = world.post(wake_now=True)
    world.end("retry_later", world.claim([delivery])[0].key, delay_seconds=300)
    assert world.do(lifecycle.advance, [delivery.output_id]) == {delivery.output_id}
    assert world.row(delivery.output_id).woken_at is None
    assert len(world.claim([delivery])) == 1


def test_advance_leaves_a_running_row_alone(world: World) -> None:
    claim = world.claimed()
    assert world.do(lifecycle.advance, [claim.output_id]) == set()


def test_a_pending_row_fails_at_its_deadline_and_not_before(world: World) -> None:
    late, fresh = world.post(max_age_seconds=100)[0], world.post(max_age_seconds=200)[0]
    world.elapse(90)
    assert world.do(lifecycle.expire) == {}
    world.elapse(10)
    (expired,) = world.do(lifecycle.expire).values()
    assert (expired.output_id, expired.status) == (late.output_id, Status.FAILED)
    row = world.row(late.output_id)
    assert (row.error_code, row.finished_at is not None) == ("expired", True)
    assert row.raw_response.startswith("Job failed permanently: ")
    assert world.row(fresh.output_id).status == Status.PENDING


def test_a_running_row_does_not_expire(world: World) -> None:
    claim = world.claimed(max_age_seconds=100)
    world.elapse(1000)
    assert world.do(lifecycle.expire) == {}
    assert world.end("complete", claim.key) == {claim.key}


def _clockwork(row: Any) -> tuple[Any, ...]:
    names = ("status", "fence", "tries", "losses", "run_at", "lease_expires_at", "worker")
    texts = ("raw_response", "prompt", "error_code", "finished_at", "cancel_requested_at")
    return tuple(getattr(row, name) for name in names + texts)
