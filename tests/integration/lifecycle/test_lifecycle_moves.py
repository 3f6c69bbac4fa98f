"""What each verb writes into a row, and what people and dispatchers may do to rows nobody holds."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from app import lifecycle
from app.lifecycle import Held
from models import Kind, Outcome, Status
from tests.integration.lifecycle.world import (
    LEASE,
    World,
    again,
    asked_to_stop,
    ended,
    seconds_from_now,
)

SIZES = [1, 2, 500]


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


# every move


def test_every_move_is_dated(world: World) -> None:
    """The list of outputs and a waiting client see by `updated_at` that something happened."""
    (delivery,) = world.post()
    long_ago = datetime(2020, 1, 1, tzinfo=UTC)

    def dated() -> bool:
        moved = world.row(delivery.output_id).updated_at > long_ago
        world.set(delivery.output_id, updated_at=long_ago)
        return bool(moved)

    (claim,) = world.claim([delivery])
    assert dated()
    for verb, key in (("again", claim.key), ("retry_later", (claim.output_id, 2))):
        world.end(verb, key)
        assert dated(), verb
    world.do(lifecycle.advance, [delivery.output_id])
    assert dated()
    world.do(lifecycle.cancel, [delivery.output_id])
    assert dated()


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


def test_a_step_that_is_done_stays_done_when_its_worker_is_lost(world: World) -> None:
    (delivery,) = world.post()
    (claim,) = world.claim([delivery])
    items = {"category": ["invoice"], "paid": [True]}
    world.end("again", claim.key, kind=Kind.STEP, result_items=items, steps_done=1)
    world.elapse(LEASE + 1)
    world.do(lifecycle.rescue)
    world.elapse(3600)
    (second,) = world.claim([delivery])
    assert (second.result_items, second.steps_done) == (items, 1)


def test_a_further_call_within_a_step_changes_neither_items_nor_steps(world: World) -> None:
    claim = world.claimed()
    world.end("again", claim.key, kind=Kind.STEP, result_items={"a": [1]}, steps_done=1)
    world.end("again", (claim.output_id, 2), kind=Kind.ASK_AGAIN)
    row = world.row(claim.output_id)
    assert (row.result_items, row.steps_done, row.fence) == ({"a": [1]}, 1, 3)


def test_a_stale_worker_writes_no_items_of_a_step(world: World) -> None:
    claim = world.claimed()
    world.end("again", claim.key, kind=Kind.STEP, result_items={"a": [1]}, steps_done=1)
    late = {"kind": Kind.STEP, "result_items": {"a": [2]}, "steps_done": 2}
    assert world.end("again", claim.key, **late) == set()
    row = world.row(claim.output_id)
    assert (row.result_items, row.steps_done) == ({"a": [1]}, 1)


def test_steps_that_are_told_together_go_to_their_own_rows(world: World) -> None:
    claims = world.claim(world.post(3))
    told = [
        again(claim.key, kind=Kind.STEP, result_items={"n": [number]}, steps_done=number)
        for number, claim in enumerate(claims[:2], 1)
    ]
    world.do(lifecycle.again, [*told, again(claims[2].key)])
    rows = [world.row(claim.output_id) for claim in claims]
    assert [row.result_items for row in rows] == [{"n": [1]}, {"n": [2]}, None]
    assert [row.steps_done for row in rows] == [1, 2, 0]


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
