"""One tick of the dispatcher at a time: how much it sends, where to, and when it rescues."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import Update, func, select, update

from app import dispatcher as room
from app import lifecycle
from app.db import Database
from app.dispatcher import Dispatcher, class_above
from app.errors import Unavailable
from app.lifecycle import Delivery, Ended, NewJob
from app.queue import Wake
from app.retention import ageing
from app.statistics import folding
from models import LLMOutput, Queue, Recovery, User, job_statistics
from models.statistics import ALL_TIME
from models.types import now_plus
from tests.integration.worker.parts import Away

WINDOW = 20

IDLE_SECONDS = 3600
"""So long between ticks that no machine is too slow to tell this pace from the busy one."""


@dataclass
class Broker:
    """Counts what is sent; nothing is ever taken off."""

    lengths: Counter[str] = field(default_factory=Counter)
    sent: list[Wake] = field(default_factory=list)
    told: list[Ended] = field(default_factory=list)
    away: bool = False
    takes: int = 10_000

    def depths(self) -> dict[str, int]:
        return {} if self.away else {queue: self.lengths[queue] for queue in Queue}

    def send(self, wakes: Sequence[Wake]) -> int:
        taken = list(wakes[: self.takes])
        self.sent += taken
        self.lengths.update(wake.queue for wake in taken)
        return len(taken)

    def tell(self, ended: Sequence[Ended]) -> None:
        self.told += ended


@dataclass
class World:
    database: Away
    broker: Broker
    dispatcher: Dispatcher
    announced: list[Ended]

    def insert(self, number: int, *, due_since: float = 1, **columns: Any) -> list[int]:
        """Rows nobody was told of, due for so many seconds."""
        common = {"template_name": "t", "model_name": "m", "max_tries": 6, "max_age_seconds": 6000}
        jobs = [NewJob(**{**common, **columns}) for _ in range(number)]
        with self.database.database.write() as session:
            ids = [made.output_id for made in lifecycle.create(session, jobs).values()]
            session.execute(
                update(LLMOutput).where(LLMOutput.id.in_(ids)).values(run_at=now_plus(-due_since))
            )
            return ids

    def lose(self, number: int) -> list[int]:
        """Rows whose worker has gone."""
        ids = self.insert(number)
        with self.database.database.write() as session:
            rows = session.query(LLMOutput).filter(LLMOutput.id.in_(ids))
            messages = [Delivery(row.id, row.job_id) for row in rows]
            lifecycle.claim(session, messages, worker="gone", lease_seconds=-1)
        return ids

    def statuses(self, ids: Sequence[int]) -> Counter[str]:
        with self.database.database.read() as session:
            return Counter(r.status for r in session.query(LLMOutput).filter(LLMOutput.id.in_(ids)))


@pytest.fixture
def world(database_url: str) -> Iterator[World]:
    database, broker, announced = Away(Database(database_url)), Broker(), []
    runtime: Any = SimpleNamespace(
        settings=SimpleNamespace(
            dispatch_seconds=IDLE_SECONDS,
            rewake_seconds=15,
            queue_window=WINDOW,
            ageing_seconds=60,
            heartbeat_seconds=0.01,
            keep_texts_days=30,
            keep_rows_days=None,
        ),
        database=database,
        wake=broker,
        events=SimpleNamespace(announce=announced.extend, texts_so_far=lambda _: {}),
    )
    yield World(database, broker, Dispatcher(runtime), announced)
    database.database.dispose()


def test_a_queue_is_filled_to_its_window_and_no_further(world: World) -> None:
    world.insert(100)
    for _ in range(3):
        assert 0 < world.dispatcher.tick() <= IDLE_SECONDS
    assert len(world.broker.sent) == WINDOW
    world.broker.lengths["default"] -= 5
    world.dispatcher.tick()
    assert len(world.broker.sent) == WINDOW + 5


def test_old_texts_go_step_by_step(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    young, *old = world.insert(4)
    with world.database.database.write() as session:
        lifecycle.cancel(session, [young, *old])
        long_ago = {"finished_at": now_plus(-31 * 86_400)}
        session.execute(update(LLMOutput).where(LLMOutput.id.in_(old)).values(long_ago))
    monkeypatch.setattr(room, "FORGET_SECONDS", 0)
    monkeypatch.setattr(ageing.forget, "__kwdefaults__", {"most": 2})
    assert [_erased(world) for _ in range(3)] == [2, 3, 3]
    with world.database.database.read() as session:
        assert session.get_one(LLMOutput, young).erased_at is None


def _erased(world: World) -> int:
    """How many rows have no texts after one more tick."""
    world.dispatcher.tick()
    with world.database.database.read() as session:
        query = select(func.count()).where(LLMOutput.erased_at.is_not(None))
        return session.scalar(query) or 0


def test_the_pace_rises_while_more_waits_than_fits(world: World) -> None:
    assert world.dispatcher.tick() > room.BUSY_SECONDS
    world.insert(WINDOW + 1)
    assert world.dispatcher.tick() <= room.BUSY_SECONDS
    assert world.dispatcher.tick() <= room.BUSY_SECONDS  # still full
    world.broker.lengths.clear()
    assert world.dispatcher.tick() > room.BUSY_SECONDS
    world.broker.away = True
    assert world.dispatcher.tick() > room.BUSY_SECONDS


def test_who_has_waited_long_goes_one_class_higher(world: World) -> None:
    old, new = world.insert(1, due_since=61), world.insert(1, due_since=1)
    world.dispatcher.tick()
    assert {wake.output_id: wake.queue for wake in world.broker.sent} == {
        old[0]: "high",
        new[0]: "default",
    }


def test_a_long_backlog_that_ages_does_not_bury_the_class_above(world: World) -> None:
    world.insert(500, due_since=3600, queue="low")
    for _ in range(10):
        world.dispatcher.tick()
    sent = Counter(wake.queue for wake in world.broker.sent)
    assert sent == {"default": WINDOW // 2, "low": WINDOW}


def test_nothing_stands_above_the_highest_class() -> None:
    assert [class_above(queue) for queue in Queue] == [Queue.HIGH, Queue.HIGH, Queue.DEFAULT]


def test_what_was_sent_is_not_sent_again_soon(world: World) -> None:
    world.insert(5)
    world.dispatcher.tick()
    world.dispatcher.tick()
    assert len(world.broker.sent) == 5


def test_what_did_not_go_out_goes_out_at_the_next_tick(world: World) -> None:
    world.insert(5)
    world.broker.takes = 2
    world.dispatcher.tick()
    world.broker.takes = 10
    world.dispatcher.tick()
    assert len({wake.output_id for wake in world.broker.sent}) == 5


def test_without_a_broker_nothing_is_marked_and_rows_are_still_rescued(world: World) -> None:
    waiting, lost = world.insert(3), world.lose(3)
    world.broker.away = True
    world.dispatcher.tick()
    assert world.statuses(lost) == {"pending": 3}
    world.broker.away = False
    world.dispatcher.tick()
    assert {wake.output_id for wake in world.broker.sent} == {*waiting, *lost}


def test_callers_take_turns(world: World) -> None:
    with world.database.database.write() as session:
        users = [User(email=f"{name}@example.org") for name in ("a", "b")]
        session.add_all(users)
        session.flush()
        flood, single = (user.id for user in users)
    world.insert(200, user_id=flood)
    (one,) = world.insert(1, user_id=single)
    world.dispatcher.tick()
    assert one in [wake.output_id for wake in world.broker.sent]


def test_rescued_rows_are_told_to_flower_as_they_are_now(world: World) -> None:
    lost = world.lose(2)
    with world.database.database.write() as session:
        lifecycle.cancel(session, [lost[0]])
    world.dispatcher.tick()
    told = {(row.output_id, row.status) for row in world.broker.told}
    assert told == {(lost[0], "cancelled"), (lost[1], "pending")}
    assert {row.output_id for row in world.announced} == set(lost)


def test_a_rescued_row_that_ends_before_flower_hears_of_it_is_told_of_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    (lost,) = world.lose(1)
    remember = world.broker.tell

    def slowly(told: Sequence[Ended]) -> None:
        if not world.broker.told:
            with world.database.database.write() as session:
                lifecycle.cancel(session, [lost])
        remember(told)

    monkeypatch.setattr(world.broker, "tell", slowly)
    world.dispatcher.tick()
    assert [row.status for row in world.broker.told] == ["pending", "cancelled"]


def test_after_an_outage_holders_have_a_moment_before_they_are_rescued(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "SWEEP_SECONDS", 0)
    clock = [1000.0]
    monkeypatch.setattr(room, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    lost = world.lose(2)
    world.database.away = True
    with pytest.raises(Unavailable):
        world.dispatcher.tick()
    world.database.away = False
    world.dispatcher.tick()
    assert world.statuses(lost) == {"processing": 2}
    clock[0] += room.RETURN_SECONDS + 0.1
    world.dispatcher.tick()
    assert world.statuses(lost) == {"pending": 2}


def test_what_has_happened_is_counted_by_and_by(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folding, "MOST_ROWS", {"sqlite": 4, "postgresql": 4})
    world.insert(10)
    for _ in range(3):  # at once, as long as there is more than one round counts
        world.dispatcher.tick()
    with world.database.database.read() as session:
        ever = select(job_statistics.c.jobs).where(job_statistics.c.hour == ALL_TIME)
        assert session.scalars(ever).all() == [10]


def test_what_is_recovered_is_counted_by_its_reason(world: World) -> None:
    lost_message, dead = world.insert(2), world.lose(3)
    late, poisoned = world.insert(1), world.lose(1)
    with world.database.database.write() as session:
        session.execute(_of(lost_message).values(woken_at=now_plus(-60)))
        session.execute(_of(late).values(deadline=now_plus(-1)))
        session.execute(_of(poisoned).values(losses=2))
    world.dispatcher.tick()
    assert world.statuses(dead) == {"pending": 3}
    with world.database.database.read() as session:
        found = {row.reason: row.total for row in session.scalars(select(Recovery))}
    assert found == {"lost_message": 2, "dead_worker": 3, "expired": 1, "poisoned": 1}


def _of(ids: Sequence[int]) -> Update:
    return update(LLMOutput).where(LLMOutput.id.in_(ids))
