"""What a dispatcher finds to send, in which order, and what a pause holds back."""

from __future__ import annotations

import random
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from app import lifecycle
from app.lifecycle import fair
from models import ControlKind
from tests.integration.lifecycle.world import World

NAMED = [
    (ControlKind.QUEUE, "default"),
    (ControlKind.MODEL, "gpt-4"),
    (ControlKind.BUCKET, "openai/gpt-4"),
]


def ids(deliveries: list[lifecycle.Delivery]) -> list[int]:
    return [delivery.output_id for delivery in deliveries]


def scheduled(hours: float = 1) -> datetime:
    return datetime.now(UTC) + timedelta(hours=hours)


# Which rows


def test_a_row_is_sent_once_and_again_only_when_its_message_led_to_nothing(world: World) -> None:
    posted = ids(world.post(3))
    assert sorted(world.due()) == posted
    assert world.due() == []
    world.elapse(14)
    assert world.due() == []
    world.elapse(1)
    assert sorted(world.due()) == posted


def test_what_is_not_pending_due_and_of_this_queue_is_not_sent(world: World) -> None:
    world.post(run_at=scheduled())
    world.post(queue="high")
    world.claimed()
    world.do(lifecycle.cancel, ids(world.post()))
    expected = ids(world.post())
    assert world.due() == expected


def test_a_row_is_sent_when_its_time_comes(world: World) -> None:
    posted = ids(world.post(run_at=scheduled()))
    world.elapse(3599)
    assert world.due() == []
    world.elapse(1)
    assert world.due() == posted


def test_a_message_that_could_not_be_sent_goes_out_at_the_next_tick(world: World) -> None:
    posted = ids(world.post(2))
    assert sorted(world.due()) == posted
    world.do(lifecycle.mark_unsent, posted[:1])
    assert world.due() == posted[:1]


def test_lost_messages_go_first(world: World) -> None:
    lost = ids(world.post(1, wake_now=True))
    world.elapse(15)
    fresh = ids(world.post(1))
    assert world.due() == lost + fresh


def test_a_job_says_how_long_it_has_been_due(world: World) -> None:
    world.post(prompt_name="greeting", template_name="x" * 5000, user_id=world.user())
    world.elapse(40)
    with world.database.write() as session:
        (due,) = lifecycle.due_rows(session, "default", room=1, rewake_seconds=15)
    assert due.waited_seconds == pytest.approx(40, abs=5)
    assert (due.queue, due.model_name, due.prompt_name) == ("default", "gpt-4", "greeting")
    assert (due.tries, len(due.template_name)) == (0, 2000)


def test_a_look_finds_what_a_tick_would_send(world: World) -> None:
    def look() -> bool:
        with world.database.read() as session:
            return lifecycle.anything_due(session, "default", rewake_seconds=15)

    assert look() is False
    world.post(run_at=scheduled())
    assert look() is False
    world.post()
    assert look() is True
    world.due()
    assert look() is False
    world.elapse(15)
    assert look() is True


def test_a_callers_older_due_job_is_seen(world: World) -> None:
    def waits(user_id: int | None) -> bool:
        with world.database.read() as session:
            return lifecycle.has_older_waiting(session, user_id, "default")

    alice, bob = world.user("alice"), world.user("bob")
    assert [waits(user) for user in (alice, bob, None)] == [False, False, False]
    world.post(user_id=alice)
    world.post(user_id=bob, run_at=scheduled())
    assert [waits(user) for user in (alice, bob, None)] == [True, False, False]
    world.post()
    assert [waits(user) for user in (alice, bob, None)] == [True, False, True]
    world.due()
    assert [waits(user) for user in (alice, bob, None)] == [False, False, False]


# In which order


def test_no_more_rows_than_there_is_room_for(world: World) -> None:
    posted = ids(world.post(10))
    assert world.due(room=4) == posted[:4]
    assert world.due(room=4) == posted[4:8]
    assert world.due(room=4) == posted[8:]
    assert world.due(room=4) == []


def test_one_job_is_not_buried_by_ten_thousand(world: World) -> None:
    many, one = world.user("many"), world.user("one")
    for _ in range(20):
        world.post(500, user_id=many)
    (single,) = ids(world.post(user_id=one))
    assert single in world.due(room=2)


def test_callers_take_turns_and_room_is_not_left_empty(world: World) -> None:
    alice, bob, carol = (world.user(name) for name in ("alice", "bob", "carol"))
    world.post(50, user_id=alice)
    world.post(50, user_id=bob)
    world.post(1, user_id=carol)
    world.post(2)
    owners = {output_id: row.user_id for output_id, row in world.rows().items()}
    sent = [owners[output_id] for output_id in world.due(room=21)]
    assert Counter(sent) == {alice: 9, bob: 9, carol: 1, None: 2}
    assert set(sent[:4]) == {alice, bob, carol, None}


def test_each_caller_gives_his_oldest_whatever_its_model(world: World) -> None:
    alice = world.user()
    posted = [
        *ids(world.post(user_id=alice, model_name="b", bucket="b")),
        *ids(world.post(user_id=alice, model_name="a", bucket="a")),
        *ids(world.post(user_id=alice, model_name="b", bucket="b")),
        *ids(world.post(user_id=alice, model_name="a", bucket="c")),
    ]
    for place, output_id in enumerate(posted):
        world.set(output_id, run_at=datetime.now(UTC) - timedelta(minutes=10 - place))
    assert world.due(room=3) == posted[:3]
    assert world.due(room=3) == posted[3:]


def test_with_little_room_it_is_not_always_the_same_caller(world: World) -> None:
    users = [world.user(f"user-{number}") for number in range(4)]
    for user in users:
        world.post(40, user_id=user)
    owners = {output_id: row.user_id for output_id, row in world.rows().items()}
    random.seed(1)
    served = {owners[world.due(room=1)[0]] for _ in range(40)}
    assert served == set(users)


def test_callers_beyond_the_first_thousand_lanes_get_their_turn(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fair, "MOST_LANES", 3)
    forget(fair._lanes_of_anybody)
    try:
        users = [world.user(f"user-{number}") for number in range(12)]
        posted = {ids(world.post(user_id=user))[0] for user in users}
        sent: list[int] = []
        random.seed(1)
        for _ in range(60):
            sent += world.due(room=2)
        assert set(sent) == posted
    finally:
        forget(fair._lanes_of_anybody)


def forget(statement: object) -> None:
    """Build a kept statement anew."""
    statement.cache_clear()  # type: ignore[attr-defined]


# Pauses


@pytest.mark.parametrize(("kind", "name"), NAMED)
def test_a_pause_holds_back_what_it_names_until_it_is_over(
    world: World, kind: ControlKind, name: str
) -> None:
    held = world.post()
    free = world.post(queue="high", model_name="m", bucket="b")
    world.do(lifecycle.pause, kind, name, seconds=30)
    assert (world.due(), world.due("high")) == ([], ids(free))
    assert [claim.output_id for claim in world.claim(held + free)] == ids(free)
    world.elapse(30)
    assert world.due() == ids(held)
    assert len(world.claim(held)) == 1


@pytest.mark.parametrize(("kind", "name"), NAMED)
def test_a_pause_without_end_lasts_until_resumed(
    world: World, kind: ControlKind, name: str
) -> None:
    posted = world.post(2)
    world.due()  # the messages are out
    world.do(lifecycle.pause, kind, name)
    world.elapse(10_000)
    assert (world.due(), world.claim(posted)) == ([], [])
    assert world.do(lifecycle.resume, kind, name) is True
    assert sorted(world.due()) == ids(posted)  # they were refused: new ones go out at once
    assert world.do(lifecycle.resume, kind, name) is False


def test_a_pause_of_something_else_holds_nothing_back(world: World) -> None:
    posted = world.post()
    world.do(lifecycle.pause, ControlKind.QUEUE, "gpt-4")
    world.do(lifecycle.pause, ControlKind.MODEL, "default")
    world.do(lifecycle.pause, ControlKind.BUCKET, "gpt-4")
    assert world.due() == ids(posted)


def test_the_longer_of_two_pauses_stands(world: World) -> None:
    posted = world.post()
    for seconds in (10, 60, 20):
        world.do(lifecycle.pause, ControlKind.MODEL, "gpt-4", seconds=seconds, reason=str(seconds))
    world.elapse(59)
    assert world.claim(posted) == []
    with world.database.read() as session:
        (pause,) = lifecycle.pauses(session)
    assert pause.reason == "60"
    world.elapse(1)
    assert len(world.claim(posted)) == 1


def test_a_pause_that_is_over_is_replaced_by_a_shorter_one(world: World) -> None:
    posted = world.post()
    world.do(lifecycle.pause, ControlKind.MODEL, "gpt-4", seconds=60)
    world.elapse(60)
    world.do(lifecycle.pause, ControlKind.MODEL, "gpt-4", seconds=5)
    assert world.claim(posted) == []


def test_an_endless_pause_is_not_shortened(world: World) -> None:
    posted = world.post()
    world.do(lifecycle.pause, ControlKind.MODEL, "gpt-4")
    world.do(lifecycle.pause, ControlKind.MODEL, "gpt-4", seconds=5)
    world.elapse(10)
    assert world.claim(posted) == []
    assert world.do(lifecycle.lift_elapsed_pauses) == 0


def test_pauses_that_are_over_are_forgotten_and_what_they_held_is_woken(world: World) -> None:
    posted = ids(world.post(2))
    world.due()
    world.do(lifecycle.pause, ControlKind.BUCKET, "openai/gpt-4", seconds=5)
    world.do(lifecycle.pause, ControlKind.MODEL, "another", seconds=50)
    world.elapse(5)
    assert world.do(lifecycle.lift_elapsed_pauses) == 1
    assert sorted(world.due()) == posted
    with world.database.read() as session:
        assert [pause.name for pause in lifecycle.pauses(session)] == ["another"]


def test_a_snooze_pauses_its_bucket_for_everyone(world: World) -> None:
    claim, others = world.claimed(), world.post(2)
    world.end("snooze", claim.key, delay_seconds=20, pause_bucket="openai/gpt-4")
    assert world.claim(others) == []
    world.elapse(20)
    assert len(world.claim(others)) == 2


def test_a_lane_that_waits_or_is_paused_costs_nothing(world: World) -> None:
    """However many rows a caller has that cannot be sent, a tick asks the same few questions."""
    busy, idle = world.user("busy"), world.user("idle")
    world.post(500, user_id=busy, run_at=scheduled())
    world.post(500, user_id=busy, model_name="paused")
    world.do(lifecycle.pause, ControlKind.MODEL, "paused")
    (wanted,) = ids(world.post(user_id=idle))
    with world.listening() as asked:
        assert world.due(room=10) == [wanted]
    assert len(asked) < 12
