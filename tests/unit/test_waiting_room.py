"""The order of the waiting room, and of the queues Redis is asked for."""

from __future__ import annotations

import pytest

from workers.pool.queue_order import ReservedSlotOrder
from workers.pool.waiting_room import Rank, WaitingRoom


@pytest.fixture
def room() -> WaitingRoom[str]:
    room: WaitingRoom[str] = WaitingRoom()
    for name, rank in [
        ("low 1", Rank.LOW),
        ("default 1", Rank.DEFAULT),
        ("high 1", Rank.HIGH),
        ("default 2", Rank.DEFAULT),
        ("high 2", Rank.HIGH),
    ]:
        room.add(name, rank)
    return room


def leave(room: WaitingRoom[str], *, reserved_is_free: bool) -> list[str]:
    order = []
    while (item := room.next(reserved_is_free=reserved_is_free)) is not None:
        order.append(item)
    return order


def test_messages_leave_by_class_and_in_the_order_of_their_arrival(
    room: WaitingRoom[str],
) -> None:
    order = leave(room, reserved_is_free=False)

    assert order == ["high 1", "high 2", "default 1", "default 2", "low 1"]


def test_the_free_reserved_slot_goes_to_the_oldest_that_is_not_high(
    room: WaitingRoom[str],
) -> None:
    order = leave(room, reserved_is_free=True)

    assert order == ["low 1", "default 1", "default 2", "high 1", "high 2"]


def test_the_reserved_slot_serves_high_when_nobody_else_waits() -> None:
    room: WaitingRoom[str] = WaitingRoom()
    room.add("high", Rank.HIGH)

    assert room.next(reserved_is_free=True) == "high"
    assert room.next(reserved_is_free=True) is None


def test_who_leaves_early_has_no_turn(room: WaitingRoom[str]) -> None:
    assert room.remove("low 1")  # the very first to arrive
    assert room.remove("high 1")
    assert not room.remove("high 1")

    assert len(room) == 3
    assert leave(room, reserved_is_free=False) == ["high 2", "default 1", "default 2"]


def test_clearing_sends_everybody_away(room: WaitingRoom[str]) -> None:
    assert room.clear() == ["high 1", "high 2", "default 1", "default 2", "low 1"]
    assert len(room) == 0


@pytest.mark.parametrize(
    ("queue", "rank"),
    [
        ("high", Rank.HIGH),
        ("default", Rank.DEFAULT),
        ("low", Rank.LOW),
        ("celery", Rank.DEFAULT),
        ("", Rank.DEFAULT),
        (None, Rank.DEFAULT),
    ],
)
def test_a_queue_has_the_rank_of_its_name(queue: str | None, rank: Rank) -> None:
    assert Rank.of(queue) is rank


def test_redis_is_asked_by_class_while_the_reserved_slot_is_in_use(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ReservedSlotOrder, "reserved_is_free", staticmethod(lambda: False))
    order = ReservedSlotOrder(["low", "high", "default"])

    assert order.consume(3) == ["high", "default", "low"]
    assert order.consume(1) == ["high"]


def test_redis_is_asked_for_the_lower_queues_in_turns_while_the_reserved_slot_is_free(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ReservedSlotOrder, "reserved_is_free", staticmethod(lambda: True))
    order = ReservedSlotOrder(["low", "high", "default"])
    assert order.consume(3) == ["default", "low", "high"]

    order.rotate("default")
    assert order.consume(3) == ["low", "default", "high"]

    order.rotate("high")
    assert order.consume(3) == ["low", "default", "high"]

    order.rotate("low")
    assert order.consume(3) == ["default", "low", "high"]
