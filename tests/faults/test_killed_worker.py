"""F1, F24: a worker that dies or freezes in the middle of its calls."""

from __future__ import annotations

import pytest

from app import chats
from app.chats import NewChat, Request
from app.lifecycle.guards import POISON_LOSSES
from models import LLMOutput
from tests.faults.conftest import MakePlatform
from tests.faults.verdict import assert_all_ended_once, calls_of, statuses

CALLS = 50


@pytest.mark.fault("F1", "a worker is killed amid its calls")
def test_calls_of_a_killed_worker_are_made_again_and_no_others(make_platform: MakePlatform) -> None:
    platform = make_platform(worker_concurrency=100)
    done = platform.submit_many(10)
    platform.wait_all_ended()
    with platform.simulator.held():
        cut = platform.submit_many(CALLS)
        platform.wait_in_flight(CALLS)
        platform.workers[0].kill()
    platform.workers[0].start()
    platform.wait_all_ended(timeout=40)
    assert_all_ended_once(platform, [*done, *cut])
    assert statuses(platform, cut) == {"completed": CALLS}
    assert calls_of(platform, done) == 10
    assert calls_of(platform, cut) <= 2 * CALLS
    assert {row.losses for row in platform.rows(*cut)} == {1}


@pytest.mark.fault("F1", "one of two workers is killed amid its calls")
def test_another_worker_takes_over_within_the_lease(make_platform: MakePlatform) -> None:
    platform = make_platform(workers=2, worker_concurrency=10)
    with platform.simulator.held():
        jobs = platform.submit_many(20)
        platform.wait_in_flight(20)  # all that both can hold
        platform.workers[0].kill()
    platform.wait_all_ended(timeout=40)
    assert_all_ended_once(platform, jobs)
    assert statuses(platform, jobs) == {"completed": 20}
    assert calls_of(platform, jobs) <= 20 + 10


@pytest.mark.fault("F24", "a worker is stopped longer than its lease, and goes on")
def test_what_a_frozen_worker_brings_back_is_thrown_away(make_platform: MakePlatform) -> None:
    platform = make_platform(workers=2, worker_concurrency=1)
    with platform.simulator.held():
        job = platform.submit()
        platform.wait_call(job)
        holder = platform.row(job).worker
        assert holder
        frozen = next(w for n, w in enumerate(platform.workers) if f"worker-{n}@" in holder)
        frozen.freeze()
    (row,) = platform.wait_ended(job, timeout=20)
    frozen.thaw()
    after = platform.submit_many(4)
    platform.wait_all_ended()
    again = platform.row(job)
    assert (again.status, again.fence, again.finished_at) == ("completed", 2, row.finished_at)
    assert [a.outcome for a in platform.attempts(job)] == ["lost", "completed"]
    assert_all_ended_once(platform, [job, *after])


@pytest.mark.fault("F1", "a worker is killed amid a chat's turn")
def test_a_chat_turn_of_a_killed_worker_is_answered_all_the_same(
    make_platform_on_sqlite: MakePlatform,
) -> None:
    platform = make_platform_on_sqlite()
    wanted = NewChat(model="simulator/echo", first=Request(content="Hello"))
    with platform.simulator.held():
        taken = chats.create(platform.runtime, platform.caller, wanted)
        assert taken.job is not None
        platform.wait_call(taken.job)
        platform.workers[0].kill()
    platform.workers[0].start()
    platform.wait_ended(taken.job, timeout=40)
    with platform.runtime.database.read() as session:
        shown = chats.shown_message(session, taken.message_ids[1])
    assert (shown.status, bool(shown.text)) == ("success", True)


@pytest.mark.parametrize("stopped", [False, True])
def test_what_was_seen_of_a_lost_answer_is_kept(
    make_platform_on_sqlite: MakePlatform, *, stopped: bool
) -> None:
    """Its worker is the third to die, or a person has stopped it meanwhile: nobody begins anew."""
    platform = make_platform_on_sqlite()
    first = Request(content="Go on")
    taken = chats.create(
        platform.runtime,
        platform.caller,
        NewChat(model="simulator/tokens-4000+rate-50", first=first),
    )
    assert taken.job is not None
    seen = ""
    for news in platform.runtime.events.follow(taken.job.job_id):
        seen += news.data["text"] if news.event == "delta" else ""
        if len(seen) > 20:
            break
    platform.workers[0].kill()
    with platform.runtime.database.write() as session:
        row = session.get_one(LLMOutput, taken.job.output_id)
        row.losses = POISON_LOSSES - 1
        if stopped:
            row.cancel_requested_at = row.updated_at
    platform.workers[0].start()
    platform.wait_ended(taken.job, timeout=40)
    with platform.runtime.database.read() as session:
        shown = chats.shown_message(session, taken.message_ids[1])
    assert shown.text.startswith(seen)
    assert shown.status == ("cancelled" if stopped else "error")
    assert shown.failure is None if stopped else shown.failure["category"] == "incomplete_response"
